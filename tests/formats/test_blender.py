"""Without Blender a clear line; with a stand-in, the command it is given. The real one is in test_clients.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import blender, save


@pytest.mark.parametrize("suffix", [".abc", ".fbx"])
def test_an_absent_blender_is_named_with_the_way_out(
    suffix: str, shaped: Animation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(blender.VARIABLE, raising=False)
    with pytest.raises(InputError, match=r"Blender, which was not found.*DIFFSPEAKER3D_BLENDER"):
        save(shaped, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_blender_runs_with_an_argument_list_and_its_last_words_are_told(
    shaped: Animation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "my blender; echo"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], open({str(tmp_path / 'seen')!r}, 'w'))\nsys.exit('no add-on')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv(blender.VARIABLE, str(program))
    target = tmp_path / "a b$(x).fbx"
    with pytest.raises(InputError, match="Blender failed: no add-on"):
        save(shaped, target)
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen[:5] == ["--background", "--factory-startup", "--python-exit-code", "1", "--python"]
    assert seen[5] == str(blender.SCRIPT) and seen[6:8] == ["--", "write"] and seen[-2:] == ["30.0", "45"]
    assert not target.exists() and not list(tmp_path.glob(".a b*"))
