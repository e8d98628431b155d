"""The mp4: as many pictures as frames, sound where it belongs, nothing left after a failure."""

import errno
import sys
from fractions import Fraction

import numpy as np
import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.rendering import write_video

av = pytest.importorskip("av")


def grey(count, size=(64, 48), value=90):
    return (np.full((size[1], size[0], 3), value, np.uint8) for _ in range(count))


def read(path):
    """Pictures (T, h, w, 3), their times, samples (N,), rate and first sample time of an mp4."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        pictures, times = np.stack([f.to_ndarray(format="rgb24") for f in frames]), [f.time for f in frames]
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return pictures, times, None, None
        blocks = list(container.decode(audio=0))
    # The first block may start before zero: what the edit list tells players to skip.
    samples, rate = np.concatenate([b.to_ndarray()[0] for b in blocks]), blocks[0].sample_rate
    start = round(float(blocks[0].time) * rate)
    return pictures, times, samples[max(-start, 0) :] if start < 0 else np.concatenate([np.zeros(start), samples]), rate


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0, 29.97])
@pytest.mark.parametrize("rate", [16_000, 44_100, 22_000])
def test_flash_and_click_stay_together(tmp_path, fps, rate):
    frames, flash = 50, 37
    waveform = np.zeros(int(frames / fps * rate), np.float32)
    click = int(flash / fps * rate)
    waveform[click : click + 40] = 0.9
    pictures = (np.full((32, 32, 3), 255 if k == flash else 0, np.uint8) for k in range(frames))
    assert write_video(tmp_path / "a.mp4", pictures, fps, waveform, rate) == frames
    images, times, samples, out_rate = read(tmp_path / "a.mp4")
    assert len(images) == frames
    white = images.mean((1, 2, 3))
    assert white.argmax() == flash and white[flash] > 240 and np.delete(white, flash).max() < 15
    heard = np.abs(samples).argmax() / out_rate
    assert abs(heard - times[flash]) < 0.5 / fps


@pytest.mark.parametrize("seconds", [0.5, 5.0])
def test_the_video_lasts_as_long_as_its_pictures_whatever_the_sound(tmp_path, seconds):
    waveform = np.full(int(seconds * 16_000), 0.1, np.float32)
    write_video(tmp_path / "a.mp4", grey(50), 25.0, waveform, 16_000)
    with av.open(str(tmp_path / "a.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert float(video.duration * video.time_base) == pytest.approx(2.0, abs=1e-3)
        assert float(audio.duration * audio.time_base) == pytest.approx(2.0, abs=0.04)
        assert video.start_time == 0 and audio.start_time == 0
        assert (video.codec_context.name, audio.codec_context.name, video.pix_fmt) == ("h264", "aac", "yuv420p")
        assert video.average_rate == Fraction(25)


def test_colours_survive_and_odd_sizes_become_even(tmp_path):
    color = np.array([218, 182, 150], np.uint8)
    write_video(tmp_path / "a.mp4", (np.broadcast_to(color, (33, 47, 3)) for _ in range(5)), 25.0)
    images, _, samples, _ = read(tmp_path / "a.mp4")
    assert images.shape[1:3] == (34, 48) and samples is None
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        shown = frame.reformat(format="rgb24", src_colorspace="ITU709", dst_colorspace="ITU709").to_ndarray()
        assert frame.colorspace == 1, "the file says BT.709"
    assert np.abs(shown.mean((0, 1)) - color).max() < 4


def test_the_index_lies_in_front(tmp_path):
    write_video(tmp_path / "a.mp4", grey(10), 25.0)
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_pictures_are_drawn_one_by_one_and_ctrl_c_leaves_nothing(tmp_path):
    drawn = []

    def frames():
        for k in range(1000):
            drawn.append(k)
            if k == 5:
                raise KeyboardInterrupt
            yield np.zeros((32, 32, 3), np.uint8)

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", frames(), 25.0)
    assert drawn == list(range(6)) and not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise av.FFmpegError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("diffspeaker3d.rendering.video._encode", full)
    with pytest.raises(InputError, match="disk is full"):
        write_video(tmp_path / "a.mp4", grey(3), 25.0)
    assert not list(tmp_path.iterdir())


def test_without_pyav_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="pip install av"):
        write_video(tmp_path / "a.mp4", grey(3), 25.0)


@pytest.mark.parametrize("call, said", [
    (lambda p: write_video(p, iter(()), 25.0), "at least one picture"),
    (lambda p: write_video(p, grey(2), 0.0), "positive"),
    (lambda p: write_video(p, grey(2), 25.0, np.zeros(9, np.float32)), "both or neither"),
    (lambda p: write_video(p, iter([np.zeros((32, 32, 3), np.uint8), np.zeros((34, 32, 3), np.uint8)]), 25.0), "the first was"),
])  # fmt: skip
def test_what_cannot_be_a_video_is_refused_and_leaves_nothing(tmp_path, call, said):
    with pytest.raises(InputError, match=said):
        call(tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())
