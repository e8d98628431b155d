"""Foreign readers: the Khronos validator, three.js, Chromium, Blender. Run by `make test-clients`, which installs them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import blender, save
from diffspeaker3d.formats.character import write as write_character
from diffspeaker3d.formats.common.mesh import metres_per_unit
from diffspeaker3d.formats.common.morphs import find_morphs
from diffspeaker3d.formats.html import HtmlOptions
from diffspeaker3d.heads.character import load_character

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
pytestmark = pytest.mark.clients


def node(script: str, *arguments: str | Path) -> dict[str, Any]:
    """Run a script of tests/clients and return the JSON of its last line."""
    if shutil.which("node") is None or not (CLIENTS / "node_modules").is_dir():
        pytest.skip("needs node and `npm install` in tests/clients: run make test-clients")
    done = subprocess.run(
        ["node", script, *map(str, arguments)], cwd=CLIENTS, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def expectation(animation: Animation, path: Path) -> Path:
    """Five frames in metres for a client to compare with."""
    frames = np.unique(np.linspace(0, len(animation) - 1, 5).round().astype(int))
    scale = metres_per_unit(animation.topology)
    vertices = {str(t): (np.asarray(animation.vertices[int(t)]) * scale).reshape(-1).tolist() for t in frames}
    path.write_text(
        json.dumps({"fps": animation.fps, "frames": vertices, "middle": round(len(animation) * 0.48) / animation.fps})
    )
    return path


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
@pytest.mark.parametrize("which", ["shaped", "free", "still"])
def test_gltf_in_the_khronos_validator_and_three_js(
    which: str, suffix: str, shaped: Animation, free: Animation, tmp_path: Path
) -> None:
    still = Animation(np.repeat(free.template[None], 3, 0), 30.0, free.topology, free.template)
    animation = {"shaped": shaped, "free": free, "still": still}[which]
    save(animation, tmp_path / f"a{suffix}")
    result = node("gltf.mjs", tmp_path / f"a{suffix}", expectation(animation, tmp_path / "expected.json"))
    assert result["issues"] == [0, 0, 0, 0], result["messages"]
    morphs = find_morphs(animation)
    assert result["deviation"] < 1e-5 + morphs.max_error * metres_per_unit(animation.topology)
    assert result["vertices"] == animation.topology.num_vertices and result["skinned"]
    assert result["names"] == list(morphs.names)


def test_a_talking_character_in_the_khronos_validator_and_three_js(shaped: Animation, tmp_path: Path) -> None:
    still = Animation.from_weights(shaped.weights[:1] * 0 + 0.5, 30.0, shaped.topology, shaped.template)
    save(still, tmp_path / "hero.glb")
    write_character(shaped, tmp_path / "talking.glb", load_character(tmp_path / "hero.glb"))
    result = node("gltf.mjs", tmp_path / "talking.glb", expectation(shaped, tmp_path / "expected.json"))
    assert result["issues"] == [0, 0, 0, 0], result["messages"]
    assert result["deviation"] < 1e-5


def test_a_vmc_stream_in_osc_min(shaped: Animation) -> None:
    if shutil.which("node") is None or not (CLIENTS / "node_modules").is_dir():
        pytest.skip("needs node and `npm install` in tests/clients: run make test-clients")
    with subprocess.Popen(
        ["node", "osc.mjs", str(len(shaped))], cwd=CLIENTS, stdout=subprocess.PIPE, text=True
    ) as receiver:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        save(shaped, f"vmc://127.0.0.1:{port}")  # a second and a half, on the real clock
        result = json.loads(receiver.stdout.readline())
    assert result["largest"] <= 1400 and [len(f) for f in result["frames"]] == [52] * 45
    jaw = [f["JawOpen"] for f in result["frames"]]
    assert np.allclose(jaw, shaped.weights[:, shaped.weight_names.index("jawOpen")], atol=1e-6)


@pytest.mark.parametrize("compare", [False, True])
def test_the_page_plays_in_chromium(compare: bool, shaped: Animation, free: Animation, tmp_path: Path) -> None:
    chromium = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if chromium is None:
        pytest.skip("needs Chromium or Chrome on PATH")
    save(shaped, tmp_path / "a.html", HtmlOptions(compare=free if compare else None))
    expected = expectation(shaped, tmp_path / "expected.json")
    result = node("player.mjs", chromium, tmp_path / "a.html", expected, tmp_path)
    assert result["errors"] == [] and result["requests"] == []
    assert (
        result["deviation"] < 1e-5
        and result["takes"] == 1 + compare
        and result["duration"] == (1.6 if compare else 1.5)
    )
    assert result["halfway"] == pytest.approx(22 / 30, abs=0.01) and result["stepped"] == pytest.approx(
        23 / 30, abs=0.01
    )
    assert result["playing"] and 0.1 < result["advanced"] <= result["elapsed"] + 0.1  # sound is the clock
    assert result["differs"] == {"motion": True, "wireframe": True} and not result["overflow"]
    assert "style neutral" in result["text"] and "seed 3" in result["text"]


# What Blender may deviate by, metres, beside what the file itself states.
IN_BLENDER = {".glb": 1e-5, ".pc2": 1e-7, ".mdd": 1e-7, ".usdc": 1e-6, ".abc": 1e-6, ".fbx": 1e-5}


@pytest.mark.parametrize("suffix", IN_BLENDER)
@pytest.mark.parametrize("which", ["shaped", "free"])
def test_blender_plays_it(which: str, suffix: str, shaped: Animation, free: Animation, tmp_path: Path) -> None:
    animation = shaped if which == "shaped" else free
    try:
        program = blender.find_blender(tmp_path / "a.fbx")
    except InputError as error:
        pytest.skip(str(error))
    path = save(animation, tmp_path / f"a{suffix}")[0]
    frames = [0, 7, 23, len(animation) - 1]
    blender.run_blender(program, ["read", path, tmp_path / "answer.json", animation.fps, *frames])
    found = json.loads((tmp_path / "answer.json").read_text())
    scale = metres_per_unit(animation.topology)
    stated = find_morphs(animation).max_error * scale if suffix in (".glb", ".fbx") else 0.0
    seen = np.array([found[str(t)] for t in frames]).reshape(len(frames), -1, 3)
    truth = np.stack([np.asarray(animation.vertices[t]) * scale for t in frames])
    assert np.abs(seen - truth).max() < IN_BLENDER[suffix] + stated
    assert np.abs(np.diff(seen, axis=0)).max() > 1e-3  # it moves
