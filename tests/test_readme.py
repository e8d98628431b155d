"""The README's first screen runs, and no command in it is made up."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from diffspeaker3d.config import CONF_DIR
from diffspeaker3d.controls.style import PRESETS
from diffspeaker3d.formats import FORMATS, STREAMS
from diffspeaker3d.topology import load_topology

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
DATA_README = (ROOT / "data" / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^(python -m diffspeaker3d\.\w+.*?)(?:\s+#.*)?$", README + DATA_README, re.MULTILINE)


def test_the_python_of_the_first_screen_runs(tmp_path):
    code = next(text for language, text in BLOCKS if language == "python")
    (tmp_path / "data").symlink_to(ROOT / "data")
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "speech.glb").read_bytes()[:4] == b"glTF"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes(command):
    words = shlex.split(command)
    door = words[2].removeprefix("diffspeaker3d.")
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        compose(door, overrides=[word for word in words[3:] if "=" in word])


def test_what_the_readme_lists_exists():
    suffixes = set(re.findall(r"`(\.\w+)`", README.split("## Using it")[0]))
    assert suffixes - {".obj"} == set(FORMATS)
    assert set(re.findall(r"`(\w+)://`", README)) == set(STREAMS)
    styles = re.search(r"^Styles: (.*?); they", README, re.MULTILINE | re.DOTALL).group(1)
    assert re.findall(r"`(\w+)`", styles) == list(PRESETS)
    assert f"{len(load_topology().templates)} identities" in README
    for link in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / link).exists(), link
