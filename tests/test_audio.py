import wave

import av
import numpy as np
import pytest
import soundfile

from diffspeaker3d.audio import load_audio, num_motion_frames, read_audio, resample
from diffspeaker3d.errors import InputError

RATE = 48_000


def tone(frequency, rate, seconds=0.5):
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def level_db(signal):
    inner = signal[len(signal) // 4 : -len(signal) // 4]
    return 20 * np.log10(np.sqrt((inner**2).mean()) / (0.5 / 2**0.5) + 1e-12)


@pytest.mark.parametrize(("name", "kind"), [("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.flac", "PCM_16"), ("a.ogg", "VORBIS"), ("a.opus", "OPUS"), ("a.mp3", "MPEG_LAYER_III")])  # fmt: skip
def test_what_libsndfile_reads(tmp_path, name, kind):
    path = tmp_path / name
    format_ = {"opus": "OGG"}.get(path.suffix[1:])
    soundfile.write(path, tone(440, RATE), RATE, subtype=kind, format=format_)
    waveform = load_audio(path)
    assert waveform.dtype == np.float32 and abs(len(waveform) - 8000) <= 900  # mp3 pads
    assert abs(level_db(waveform)) < 0.5


@pytest.mark.parametrize("suffix", [".m4a", ".mp4"])
def test_what_only_ffmpeg_reads(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE, layout="stereo")
        samples = np.repeat(tone(440, RATE)[None], 2, 0)
        for start in range(0, samples.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, start : start + 1024]), "fltp", "stereo")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    waveform = load_audio(path)
    assert abs(len(waveform) - 8000) < 800 and abs(level_db(waveform)) < 0.5


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000])
def test_resampling_keeps_speech_and_removes_what_would_alias(rate):
    kept = resample(tone(1000, rate), rate, 16_000)
    assert len(kept) == -(-len(tone(1000, rate)) * 16_000 // rate)
    reference = tone(1000, 16_000)[1000:7000]
    assert ((kept[1000:7000] - reference) ** 2).mean() < 1e-7 * (reference**2).mean()  # 70 dB
    if rate > 20_000:
        assert level_db(resample(tone(9_000, rate), rate, 16_000)) < -80


def test_channels_are_averaged_and_integers_scaled(tmp_path):
    left, right = tone(300, 16_000), tone(500, 16_000)
    soundfile.write(tmp_path / "8.wav", np.stack([left, right] * 4, 1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "8.wav"), (left + right) / 2, atol=1e-6)
    samples, rate = read_audio(((left * 32767).astype(np.int16), 16_000))
    np.testing.assert_allclose(samples, left, atol=1e-4)
    assert rate == 16_000


def make_rubbish(folder):
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is not sound")
    soundfile.write(folder / "whole.wav", tone(440, 16_000), 16_000)
    (folder / "cut.wav").write_bytes((folder / "whole.wav").read_bytes()[:20])
    with wave.open(str(folder / "zero.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
    bad = tone(440, 16_000)
    bad[77] = np.nan
    soundfile.write(folder / "nan.wav", bad, 16_000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.wav", "no such file"),
        ("empty.wav", "is empty"),
        ("text.wav", "not a sound file"),
        ("cut.wav", "not a sound file"),
        ("zero.wav", "zero samples"),
        ("nan.wav", "sample 77 is not a finite"),
        (".", "is a folder"),
    ],
)
def test_rubbish_is_refused_in_one_line(tmp_path, name, message):
    make_rubbish(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load_audio(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_video_without_sound_is_refused(tmp_path):
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 16
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="without a sound track"):
        load_audio(tmp_path / "mute.mp4")


def test_samples_in_memory_are_checked_too():
    with pytest.raises(InputError, match="shape"):
        load_audio((np.zeros((2, 3, 4)), 16_000))
    with pytest.raises(InputError, match="positive"):
        load_audio((np.zeros(10), 0))
    with pytest.raises(InputError, match="zero samples"):
        load_audio((np.zeros(0), 16_000))


def test_whole_seconds_give_whole_frames():
    assert [num_motion_frames(16_000 * s, 16_000, 30) for s in (1, 2, 3600)] == [30, 60, 108_000]
    assert num_motion_frames(533, 16_000, 30) == 0 and num_motion_frames(534, 16_000, 30) == 1
