"""Column order and time base of the ARKit files, as their importers read them."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import ARKIT_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import save
from diffspeaker3d.formats.livelink_csv import timecode

# The header that the Live Link Face app writes, typed from its documented order: right before left for jaw and mouth.
CAPTURE_HEADER = (
    "Timecode,BlendshapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUpLeft,EyeSquintLeft,EyeWideLeft,"
    "EyeBlinkRight,EyeLookDownRight,EyeLookInRight,EyeLookOutRight,EyeLookUpRight,EyeSquintRight,EyeWideRight,JawForward,JawRight,"
    "JawLeft,JawOpen,MouthClose,MouthFunnel,MouthPucker,MouthRight,MouthLeft,MouthSmileLeft,MouthSmileRight,MouthFrownLeft,"
    "MouthFrownRight,MouthDimpleLeft,MouthDimpleRight,MouthStretchLeft,MouthStretchRight,MouthRollLower,MouthRollUpper,"
    "MouthShrugLower,MouthShrugUpper,MouthPressLeft,MouthPressRight,MouthLowerDownLeft,MouthLowerDownRight,MouthUpperUpLeft,"
    "MouthUpperUpRight,BrowDownLeft,BrowDownRight,BrowInnerUp,BrowOuterUpLeft,BrowOuterUpRight,CheekPuff,CheekSquintLeft,"
    "CheekSquintRight,NoseSneerLeft,NoseSneerRight,TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,"
    "RightEyeYaw,RightEyePitch,RightEyeRoll"
)


def import_like_unreal(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Times and curves by the importer's rules: names case-insensitive, four-part timecode, frames in sixtieths."""
    rows = list(csv.reader(path.read_text().splitlines()))
    assert [c.lower() for c in rows[0][:2]] == ["timecode", "blendshapecount"]
    assert {len(r) for r in rows} == {63} and all(cell for r in rows for cell in r)
    times = []
    for row in rows[1:]:
        hours, minutes, seconds, frames = row[0].split(":")
        assert 0 <= float(frames) < 60
        times.append(int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(frames) / 60)
    table = np.array([r[2:] for r in rows[1:]], float)
    return np.array(times), dict(zip(rows[0][2:], table.T, strict=True))


@pytest.mark.parametrize("fps", [25.0, 29.97, 30.0, 60.0])
def test_csv_as_unreal_reads_it(fps: float, shaped: Animation, tmp_path: Path) -> None:
    animation = dataclasses.replace(shaped, fps=fps)
    save(animation, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == CAPTURE_HEADER
    times, curves = import_like_unreal(tmp_path / "a.csv")
    assert np.abs(times - np.arange(45) / fps).max() < 1e-5
    for name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight", "tongueOut"):
        assert np.allclose(
            curves[name[0].upper() + name[1:]], animation.weights[:, animation.weight_names.index(name)], atol=1e-7
        )
    assert not any(curves[n].any() for n in ("HeadYaw", "RightEyeRoll"))


def test_timecode_counts_sixtieths_and_carries() -> None:
    assert timecode(0.5) == "00:00:00:30.000"
    assert timecode(3661.25) == "01:01:01:15.000"
    assert timecode(1.9999999) == "00:00:02:00.000"  # never frame 60


def test_audio2face_json(shaped: Animation, tmp_path: Path) -> None:
    save(shaped, tmp_path / "a.json")
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["facsNames"] == list(ARKIT_NAMES) and document["numPoses"] == 52 and document["numFrames"] == 45
    order_a = document["facsNames"]
    assert order_a.index("jawLeft") < order_a.index("jawRight") and order_a.index("mouthLeft") < order_a.index(
        "mouthRight"
    )
    assert np.allclose(document["weightMat"], shaped.weights[:, :52], atol=1e-6) and document["exportFps"] == 30


def test_vertices_without_weights_are_solved(shaped: Animation, tmp_path: Path) -> None:
    vertices_only = dataclasses.replace(shaped, vertices=np.asarray(shaped.vertices), weights=None, weight_names=())
    save(vertices_only, tmp_path / "a.json")
    found = np.array(json.loads((tmp_path / "a.json").read_text())["weightMat"])
    assert np.sqrt(((found - shaped.weights[:, :52]) ** 2).mean()) < 0.02


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_head_without_shapes_is_told_what_to_do(suffix: str, free: Animation, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ARKit"):
        save(free, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []
