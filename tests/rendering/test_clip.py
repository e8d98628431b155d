"""Whole animations: videos, comparisons, sheets of stills, and the door."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from diffspeaker3d.errors import InputError
from diffspeaker3d.rendering import (
    RenderOptions,
    compare_frames,
    contact_sheet,
    render_animation,
    render_frames,
    write_png,
)
from diffspeaker3d.rendering.heatmap import RAMP, ErrorScale, ramp
from diffspeaker3d.rendering.lettering import CAPITALS, draw_text

ROOT = Path(__file__).resolve().parents[2]
SMALL = RenderOptions(size=(64, 48), renderer="numpy")


def read_png(path):
    image = pytest.importorskip("PIL.Image")
    return np.asarray(image.open(path))


def test_a_video_has_a_picture_per_frame_and_the_sound(nodding, tmp_path):
    av = pytest.importorskip("av")
    assert render_animation(nodding, tmp_path / "a.mp4", SMALL) == len(nodding)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(nodding)
        assert container.streams.audio[0].rate == 16_000


def test_frames_come_one_by_one_and_move(nodding):
    frames = render_frames(nodding, SMALL)
    first = next(frames)
    assert first.shape == (48, 64, 3) and first.dtype == np.uint8
    *_, last = frames
    assert np.abs(first.astype(int) - last).mean() > 0.5


def test_side_by_side_shows_both_and_their_distance(nodding):
    still = dataclasses.replace(nodding, vertices=np.repeat(nodding.template[None], 8, 0))
    options = dataclasses.replace(SMALL, error_scale=5.0)
    panels = list(compare_frames(nodding, still, options, ("a", "b")))
    assert len(panels) == 8 and panels[0].shape == (48, 192, 3), "ends with the shorter"
    first, last = panels[0].astype(int), panels[-1].astype(int)
    assert np.abs(first[:, 64:128] - last[:, 64:128]).max() == 0, "the second stands still"
    assert last[15, 160].mean() < first[15, 160].mean() - 20, "the distance darkens the head"


def test_comparisons_that_make_no_sense_are_refused(nodding, tiny_animation):
    with pytest.raises(InputError, match="per second"):
        next(compare_frames(nodding, tiny_animation, SMALL))
    other = dataclasses.replace(tiny_animation, fps=25.0)
    with pytest.raises(InputError, match="topologies"):
        next(compare_frames(nodding, other, dataclasses.replace(SMALL, error_scale=1.0)))
    assert next(compare_frames(nodding, other, SMALL)).shape == (48, 128, 3), "two topologies stand side by side"


def test_the_error_scale_is_in_millimetres_and_falls_in_lightness():
    scale = ErrorScale.for_unit("m", 10.0)
    albedo = scale.albedo(np.zeros((2, 3)), np.array([[0, 0, 0], [0.006, 0.008, 0]]))
    linear_ends = np.where(RAMP <= 0.04045, RAMP / 12.92, ((RAMP + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(albedo, linear_ends[[0, -1]], atol=1e-4)
    assert ErrorScale.for_unit("unit area", 1.0).name == "unit area"
    luminance = ramp(np.linspace(0, 1, 50)) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luminance) < 0).all()


def test_a_contact_sheet_holds_the_stills_asked_for(nodding, tmp_path):
    contact_sheet(nodding, tmp_path / "a.png", 6, SMALL, columns=4)
    sheet = read_png(tmp_path / "a.png")
    assert sheet.shape == (96, 256, 3) and (sheet[48:, 128:] == 255).all()
    contact_sheet(nodding, tmp_path / "b.png", [0.0, 0.44], SMALL)
    assert read_png(tmp_path / "b.png").shape == (48, 128, 3)
    with pytest.raises(InputError, match="between 0 and"):
        contact_sheet(nodding, tmp_path / "c.png", [0.48], SMALL)


def test_png_is_exact(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (13, 7, 3), np.uint8)
    write_png(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), image)


def test_letters_have_the_height_and_width_that_is_asked_for():
    image = np.full((40, 240, 3), 255, np.uint8)
    draw_text(image, "GROUND TRUTH", (10, 8), 12)
    rows, columns = (np.flatnonzero((image < 128).any(axes)) for axes in ((1, 2), (0, 2)))
    assert abs(rows[0] - 8) <= 2 and abs(rows[-1] - 19) <= 2
    assert 8 <= columns[0] <= 12 and columns[-1] <= 12 + ImageFont.load_default(12 / CAPITALS).getlength("GROUND TRUTH")
    centred = np.full((40, 240, 3), 255, np.uint8)
    draw_text(centred, "ü", (120, 8), 12, "centre")
    marks = np.flatnonzero((centred < 128).any((0, 2)))
    assert abs((marks[0] + marks[-1]) / 2 - 120) < 2
    draw_text(image, "cut off at the border of the picture", (150, 8), 10)


def door(*arguments, cwd):
    command = [sys.executable, "-m", "diffspeaker3d.render", *arguments]
    return subprocess.run(
        command, cwd=cwd, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False
    )


def test_the_door_draws_and_refuses_in_one_line(nodding, tmp_path):
    from diffspeaker3d.formats import save

    save(nodding, tmp_path / "a.npz")
    done = door(
        "motion=a.npz", "out=a.mp4", "size=[64,48]", "renderer=numpy", "compare=a.npz", "error_scale=3", cwd=tmp_path
    )
    assert done.returncode == 0 and (tmp_path / "a.mp4").stat().st_size > 1000, done.stderr
    assert "renderer: numpy" in done.stderr
    refused = door("motion=a.npz", "out=a.gif", cwd=tmp_path)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and ".mp4" in refused.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "a.npz"]
