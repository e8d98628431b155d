"""Video through the suffix table: every frame, its rate, and sound as long as the motion, probed with FFmpeg."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import mp4, save

av = pytest.importorskip("av", reason="needs PyAV")


def test_pictures_and_sound_end_together(shaped: Animation, tmp_path: Path) -> None:
    from diffspeaker3d.rendering import RenderOptions

    save(shaped, tmp_path / "a.mp4", RenderOptions(size=(64, 64)))
    with av.open(str(tmp_path / "a.mp4")) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert video.frames == 45 and float(video.average_rate) == 30
        assert abs(float(video.duration * video.time_base) - float(sound.duration * sound.time_base)) < 1 / 30


def test_a_cut_off_video_is_noticed(shaped: Animation, tmp_path: Path) -> None:
    from diffspeaker3d.rendering import RenderOptions

    mp4.write(shaped, tmp_path / "a.mp4", RenderOptions(size=(64, 64)))
    (tmp_path / "a.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:2000])
    with pytest.raises(InputError, match=r"a\.mp4"):
        mp4.verify(shaped, tmp_path / "a.mp4")
