"""Alembic (.abc) and FBX (.fbx) through an installed Blender: no free library writes either well.

Blender runs as a separate process with `blender_script.py`; nothing of it is imported here. It is found as `blender` on PATH,
or in DIFFSPEAKER3D_BLENDER: the program, or a Python that has the `bpy` module.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.formats import glb, point_cache
from diffspeaker3d.formats.common.mesh import metres_per_unit
from diffspeaker3d.formats.common.morphs import MorphOptions

SUFFIXES = {
    ".abc": "Alembic, through an installed Blender",
    ".fbx": "FBX morph targets, through an installed Blender",
}


SCRIPT = Path(__file__).with_name("blender_script.py")
VARIABLE = "DIFFSPEAKER3D_BLENDER"
TIME_LIMIT = 1800  # seconds


def write(animation: Animation, path: Path, options: MorphOptions | None = None) -> tuple[Path, ...]:
    """Write .abc from a point cache (exact), .fbx from the morph targets of our .glb."""
    program = find_blender(path)
    with tempfile.TemporaryDirectory() as folder, atomic_path(path) as temporary:
        if path.suffix.lower() == ".abc":
            source = Path(folder) / "face.pc2"
            point_cache.write(animation, source)
        else:
            source = Path(folder) / "face.glb"
            glb.write(animation, source, options)
        run_blender(program, ["write", source, temporary, animation.fps, len(animation)])
    return (path,)


def find_blender(path: Path) -> list[str]:
    """The start of a command line that runs a script in Blender.

    Raises:
        InputError: there is none; names `path`.
    """
    program = os.environ.get(VARIABLE) or shutil.which("blender")
    if not program or shutil.which(program) is None:
        raise InputError(
            f"{path}: {path.suffix} is written by Blender, which was not found; install Blender, or point {VARIABLE} at it "
            "or at a Python with the bpy module, or write .usdc or .glb instead"
        )
    if Path(program).name.lower().startswith("python"):
        return [program]
    return [program, "--background", "--factory-startup", "--python-exit-code", "1", "--python"]


def run_blender(program: list[str], arguments: list[str | Path | float]) -> None:
    """Run `blender_script.py`; what it says on failure becomes one line."""
    command = [*program, str(SCRIPT), "--", *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{program[0]}: Blender did not run ({error}); check {VARIABLE}") from error
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["no message"]
        raise InputError(
            f"{program[0]}: Blender failed: {lines[-1][:300]}; check its version (4.2 or newer) and {VARIABLE}"
        )


def verify(animation: Animation, path: Path) -> None:
    """Have Blender import the file again and hand back the vertices of five frames."""
    from diffspeaker3d.formats import check_frames

    frames = np.unique(np.linspace(0, len(animation) - 1, 5).round().astype(int))
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "frames.json"
        run_blender(find_blender(path), ["read", path, answer, animation.fps, *map(int, frames)])
        found = json.loads(answer.read_text())
    scale = metres_per_unit(animation.topology)
    slack = 6e-5 / scale if path.suffix.lower() == ".fbx" else 1e-6 / scale
    check_frames(path, animation, lambda t: np.array(found[str(t)]).reshape(-1, 3) / scale, slack)
