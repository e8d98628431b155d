import errno
import os

import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path


def test_a_finished_file_replaces_the_old_one_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "new" / "a.txt"
    for content in ("one", "two"):
        with atomic_path(target) as temporary:
            assert temporary.suffix == ".txt" and temporary.parent == target.parent
            temporary.write_text(content)
        assert target.read_text() == content
    assert os.listdir(target.parent) == ["a.txt"]
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_write_keeps_the_old_file(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_named(tmp_path):
    with pytest.raises(InputError, match="disk is full"), atomic_path(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(InputError, match=r"a\.txt: cannot be written"), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), atomic_path(tmp_path / "file" / "b.txt"):
        pass


def test_a_private_file_stays_private_and_the_mask_is_kept(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    target.chmod(0o600)
    with atomic_path(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new" and target.stat().st_mode & 0o777 == 0o600
