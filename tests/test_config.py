import subprocess
import sys

import pytest

PROGRAM = """
from diffspeaker3d.config import door
from diffspeaker3d.errors import InputError
@door("animate")
def main(cfg):
    if cfg.seed == 1: raise InputError("a.wav: line one\\n line two")
    if cfg.seed == 2: raise KeyboardInterrupt
    if cfg.seed == 3: raise ZeroDivisionError("a bug is a bug")
    print(cfg.audio)
main()
"""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["audio=a.wav"], 0, ""),
        (["audio=a.wav", "seed=1"], 2, "diffspeaker3d: a.wav: line one line two\n"),
        (["audio=a.wav", "seed=2"], 130, "diffspeaker3d: interrupted"),
        ([], 2, "diffspeaker3d: audio: is needed; give audio=..."),
        (["audio=a.wav", "sede=1"], 2, "diffspeaker3d: configuration: Could not override 'sede'"),
        (["audio=a.wav", "door=loud"], 2, "diffspeaker3d: configuration: "),
    ],
)
def test_exit_codes_and_one_line(tmp_path, arguments, code, message):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith(message) and result.stderr.count("\n") == (1 if message else 0)
    assert list(tmp_path.iterdir()) == [], "a door leaves no run folder behind"


def test_a_bug_is_not_dressed_up_as_bad_input(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, "audio=a", "seed=3"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.returncode == 1 and "ZeroDivisionError" in result.stderr
