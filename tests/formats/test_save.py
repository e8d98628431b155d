"""The door to all writers: the suffix decides, and nothing half-written stays behind."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import FORMATS, check_writable, output_suffix, save


def test_unknown_suffixes_list_the_known(shaped: Animation, tmp_path: Path) -> None:
    for output in ("a.xyz", "a", "ftp://host:1"):
        with pytest.raises(InputError, match=r"known: .*\.glb .*\.npz"):
            save(shaped, str(tmp_path / output) if "://" not in output else output)


def test_every_format_has_a_writer_with_both_functions() -> None:
    for module, _ in FORMATS.values():
        writer = import_module(f"diffspeaker3d.formats.{module}")
        assert callable(writer.write) and callable(writer.verify)


def test_suffix_case_does_not_matter_and_folders_are_made(shaped: Animation, tmp_path: Path) -> None:
    assert output_suffix("Take.GLB") == ".glb"
    assert save(shaped, tmp_path / "new" / "folder" / "a.GLB")[0].stat().st_size > 1000


def test_unwritable_places_are_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "a.glb").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_writable(tmp_path / "a.glb")
    with pytest.raises(InputError, match="not a folder"):
        check_writable(tmp_path / "file" / "a.npz")


@pytest.mark.parametrize("suffix", [".npz", ".glb", ".pc2", ".csv"])
def test_a_failing_write_leaves_the_old_file_whole(
    suffix: str, shaped: Animation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="disk is full"):
        save(shaped, path)
    assert path.read_text() == "before" and not list(tmp_path.glob(".*"))
