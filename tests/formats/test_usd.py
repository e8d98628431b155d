"""USD read back with Pixar's own library: points to the bit, blend shapes through its skinning, validators silent."""

from __future__ import annotations

import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import save
from diffspeaker3d.formats.usd import UsdOptions

Usd = pytest.importorskip("pxr.Usd", reason="needs usd-core")
from pxr import Gf, UsdGeom, UsdMedia, UsdSkel, UsdValidation  # noqa: E402


def complaints(path: Path) -> list[str]:
    """What every validator of this USD release says of a stage."""
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    return [
        error.GetErrorAsString()
        for error in UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(path)))
    ]


@pytest.mark.parametrize("suffix", [".usda", ".usdc", ".usdz"])
def test_points_are_exact(suffix: str, shaped: Animation, tmp_path: Path) -> None:
    path = save(shaped, tmp_path / f"a{suffix}")[0]
    stage = Usd.Stage.Open(str(path))
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/Head/Face")).GetPointsAttr()
    expected = np.concatenate(list(shaped.chunks()))
    assert all(np.array_equal(np.array(points.Get(t)), expected[t]) for t in range(45))
    assert (stage.GetTimeCodesPerSecond(), stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (30, 0, 44)
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert complaints(path) == []


@pytest.mark.parametrize("suffix", [".usdc", ".usdz"])
@pytest.mark.parametrize("which", ["shaped", "free"])
def test_blend_shapes_pass_through_usd_skinning(
    suffix: str, which: str, shaped: Animation, free: Animation, tmp_path: Path
) -> None:
    animation, scale, tolerance = (shaped, 1.0, 1e-5) if which == "shaped" else (free, 1e-3, 6e-5)
    path = save(animation, tmp_path / f"a{suffix}", UsdOptions(usd_mode="skel"))[0]
    assert complaints(path) == []
    stage = Usd.Stage.Open(str(path))
    flat = Usd.Stage.Open(stage.Flatten())
    assert UsdSkel.BakeSkinning(UsdSkel.Root(flat.GetPrimAtPath("/Head")), Gf.Interval(0, len(animation) - 1))
    points = UsdGeom.Mesh(flat.GetPrimAtPath("/Head/Face")).GetPointsAttr()
    for t in (0, 11, len(animation) - 1):
        assert np.abs(np.array(points.Get(t)) - np.asarray(animation.vertices[t]) * scale).max() < tolerance


def test_sound_lies_beside_or_inside(shaped: Animation, free: Animation, tmp_path: Path) -> None:
    assert [p.name for p in save(shaped, tmp_path / "a.usdc")] == ["a.usdc", "a.wav"]
    with wave.open(str(tmp_path / "a.wav")) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (16000, 24000)
    stage = Usd.Stage.Open(str(tmp_path / "a.usdc"))
    audio = UsdMedia.SpatialAudio(stage.GetPrimAtPath("/Head/Sound"))
    assert Path(audio.GetFilePathAttr().Get().resolvedPath).resolve() == (tmp_path / "a.wav").resolve()
    save(shaped, tmp_path / "b.usdz")
    assert any(name.endswith(".wav") for name in zipfile.ZipFile(tmp_path / "b.usdz").namelist())
    assert [p.name for p in save(free, tmp_path / "c.usdc")] == ["c.usdc"]  # no sound, no prim, no file


def test_the_validators_do_complain_about_a_bad_stage(tmp_path: Path) -> None:
    stage = Usd.Stage.CreateNew(str(tmp_path / "bad.usda"))
    stage.GetRootLayer().Save()
    assert complaints(tmp_path / "bad.usda")


def test_unknown_mode_is_refused(shaped: Animation, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="points, skel"):
        save(shaped, tmp_path / "a.usdc", UsdOptions(usd_mode="rig"))  # type: ignore[arg-type]
