"""The prepare door: from a raw folder to a corpus one can train on, and one line for what cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "data"))
from raw_corpora import head, plan, templates, write_mesh, write_release
from test_folder import write_folder

from diffspeaker3d import prepare
from diffspeaker3d.data.corpus import Corpus

CHECKOUT = Path(__file__).resolve().parents[1]


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "diffspeaker3d.prepare", *arguments]
    return subprocess.run(
        command, cwd=cwd, env={"PYTHONPATH": str(CHECKOUT), "PATH": ""}, capture_output=True, text=True
    )


def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of the door without a new interpreter."""
    monkeypatch.setattr(sys, "argv", ["prepare", *arguments])
    try:
        prepare.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    return code, capsys.readouterr().err


def test_a_folder_becomes_a_corpus_and_the_report_says_how(tmp_path: Path) -> None:
    write_folder(tmp_path / "raw")
    done = run("dataset=folder", "raw=raw", "root=corpus", "fps=30", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "60 fps to 30 fps" in done.stderr and "missing ann_lost" in done.stderr and "train: 4 clips" in done.stderr
    assert len(Corpus.load(tmp_path / "corpus").clips) == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus", "raw"], "no run folder, no log file"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "dataset: is needed; known: vocaset, biwi, folder, synthetic"),
        (["dataset=vocaset"], "raw: is needed; give raw=DIR"),
        (["dataset=vocaset", "raw=gone"], "gone: no such folder"),
        (["dataset=biwi", "raw=."], "no BIWI there"),
        (["dataset=folder", "raw=."], "corpus.yaml: no such file"),
        (["dataset=folder", "raw=.", "root=."], "root and raw are the same folder"),
        (["dataset=vocasett"], "vocasett"),
        (["checkpoint=x.ckpt"], "out: is needed"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_two(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, error = in_process(monkeypatch, capsys, *arguments)
    assert code == 2 and words in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_merged_flame_mesh_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """True names, wrong count: 162 vertices are not FLAME."""
    write_release(tmp_path / "raw", plan(), templates(), head())
    write_mesh(tmp_path / "raw" / "FLAME_sample.ply", *head())
    code, error = in_process(
        monkeypatch, capsys, "dataset=vocaset", f"raw={tmp_path / 'raw'}", f"root={tmp_path / 'root'}"
    )
    assert code == 2 and "data_verts.npy: shape (360, 162, 3), expected (frames, 5023, 3)" in error
