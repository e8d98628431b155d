"""The floors hold, and looking at the package costs nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SLOW = ("torch", "transformers", "lightning", "OpenGL", "pyrender", "scipy", "av", "trimesh", "gradio")
DOORS = ("animate", "prepare", "train", "evaluate", "render", "benchmark", "app")


def loaded_by(code: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter has loaded after `code`."""
    program = f"import sys\n{code}\nsys.stderr.write(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    return set(result.stderr.split())


def test_importing_the_package_loads_nothing_slow():
    assert not loaded_by("import diffspeaker3d") & {*SLOW, "numpy", "hydra"}


@pytest.mark.parametrize("name", DOORS)
def test_help_of_every_door_loads_nothing_slow_and_explains_itself(name):
    code = f"sys.argv = ['{name}', '--help']\nimport runpy\ntry: runpy.run_module('diffspeaker3d.{name}', run_name='__main__')\nexcept SystemExit as e: assert not e.code"
    assert not loaded_by(code) & set(SLOW)
    shown = subprocess.run(
        [sys.executable, "-m", f"diffspeaker3d.{name}", "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert f"  diffspeaker3d {name}" in shown.stdout, "--help must show an example"


def test_inference_never_loads_lightning():
    assert "lightning" not in loaded_by("import diffspeaker3d.generation.pipeline, diffspeaker3d.formats")


def test_inference_loads_no_speech_synthesiser_and_no_training_code():
    code = "import diffspeaker3d.generation.pipeline, diffspeaker3d.formats"
    program = f"import sys\n{code}\nprint(' '.join(m for m in sys.modules if m.startswith('diffspeaker3d.')))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    rooms = ("diffspeaker3d.speech.synthesis", "diffspeaker3d.data", "diffspeaker3d.training", "diffspeaker3d.losses")
    assert [m for m in result.stdout.split() if m.startswith(rooms)] == []


def test_imports_only_go_down():
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--config", "setup.cfg"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert result.returncode == 0, result.stdout
