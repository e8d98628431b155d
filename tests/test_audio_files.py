"""Sound as it comes: cut, joined, damaged, late, in opposite phase, of odd rates, and not sound at all."""

from __future__ import annotations

import logging
import os
import struct
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from diffspeaker3d.audio import SAMPLE_RATE, load_audio, read_audio, resample
from diffspeaker3d.errors import InputError

RATE = 48_000
SECONDS = 3.0
KINDS = {
    "a.mp3": ("libmp3lame", "mp3"), "a.aac": ("aac", "adts"), "fast.m4a": ("aac", "mp4"), "a.flac": ("flac", "flac"),
    "a.opus": ("libopus", "ogg"), "a.webm": ("libopus", "webm"), "a.mkv": ("libmp3lame", "matroska"), "a.wav": ("pcm_s16le", "wav"),
    "f32.wav": ("pcm_f32le", "wav"), "u8.wav": ("pcm_u8", "wav"), "s24.wav": ("pcm_s24le", "wav"), "ulaw.wav": ("pcm_mulaw", "wav"),
    "adpcm.wav": ("adpcm_ms", "wav"), "a.aiff": ("pcm_s16be", "aiff"), "a.caf": ("pcm_s16be", "caf"), "alac.m4a": ("alac", "ipod"),
}  # fmt: skip
CODED = ("a.mp3", "fast.m4a", "a.flac", "a.opus")


def speech(rate: int = RATE, seconds: float = SECONDS) -> np.ndarray:
    """A tone that swells like syllables (N,) float32."""
    times = np.arange(int(rate * seconds)) / rate
    return (0.4 * np.sin(2 * np.pi * 220 * times) * (0.3 + 0.7 * np.abs(np.sin(4 * times)))).astype(np.float32)


def encode(
    path: Path,
    channels: np.ndarray,
    codec: str,
    kind: str,
    layout: str = "mono",
    late: float = 0.0,
    video: bool = False,
) -> None:
    """Channels (C, N) at RATE as a file; `late` seconds after the pictures, if there are any."""
    fast = {"movflags": "faststart"} if kind in ("mp4", "ipod") else {}
    with av.open(str(path), "w", format=kind, container_options=fast) as container:
        if video:
            picture = container.add_stream("libx264", rate=10)
            picture.width = picture.height = 16
        stream = container.add_stream(codec, rate=RATE, layout=layout)
        change = av.AudioResampler(stream.codec_context.format.name, layout, RATE)
        for number in range(int((channels.shape[1] / RATE + late) * 10) if video else 0):
            image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
            image.pts, image.time_base = number, Fraction(1, 10)
            container.mux(picture.encode(image))
        if video:
            container.mux(picture.encode(None))
        for start in range(0, channels.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels[:, start : start + 1024]), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, start + round(late * RATE), Fraction(1, RATE)
            for part in change.resample(frame):
                container.mux(stream.encode(part))
        for part in change.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same three seconds in every kind of file."""
    folder = tmp_path_factory.mktemp("sounds")
    for name, (codec, kind) in KINDS.items():
        encode(folder / name, speech()[None], codec, kind)
    return folder


def lag(found: np.ndarray, expected: np.ndarray) -> float:
    """Seconds by which a sound comes later than expected."""
    size = len(found) + len(expected)
    peaks = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(expected, size)), size)
    shift = int(peaks.argmax())
    return (shift if shift < size // 2 else shift - size) / SAMPLE_RATE


@pytest.mark.parametrize("name", KINDS)
def test_whole_and_cut(files: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    expected = resample(speech(), RATE, SAMPLE_RATE)
    whole = load_audio(files / name)
    assert not caplog.records and abs(len(whole) / SAMPLE_RATE - SECONDS) < 0.05
    assert abs(lag(whole, expected)) < 0.03 and whole.std() == pytest.approx(expected.std(), rel=0.1)
    if name == "a.caf":  # FFmpeg takes what is there for the whole
        return
    content = (files / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 6 // 10])
    cut = load_audio(tmp_path / name)
    assert 0.25 * SECONDS < len(cut) / SAMPLE_RATE < 0.75 * SECONDS
    assert "is cut off" in caplog.text


@pytest.mark.parametrize("name", ["a.mp3", "a.aac", "a.opus", "a.flac"])
def test_joined_files_are_whole(files: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    content = (files / name).read_bytes()
    (tmp_path / name).write_bytes(content * 3)
    assert len(load_audio(tmp_path / name)) / SAMPLE_RATE == pytest.approx(3 * SECONDS, abs=0.2)
    (tmp_path / "b.mp3").write_bytes((files / "a.mp3").read_bytes()[2000:])  # no header, begins within a frame
    assert len(load_audio(tmp_path / "b.mp3")) / SAMPLE_RATE > 0.85 * SECONDS
    assert "cut off" not in caplog.text


@pytest.mark.parametrize("name", CODED)
def test_damage_in_the_middle_is_said_and_what_follows_keeps_its_place(
    files: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    content = bytearray((files / name).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = np.random.default_rng(3).integers(0, 256, 300, dtype=np.uint8).tobytes()
    (tmp_path / name).write_bytes(content)
    sound = load_audio(tmp_path / name)
    assert len(sound) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.15)
    assert "is damaged" in caplog.text
    last = resample(speech(), RATE, SAMPLE_RATE)[-SAMPLE_RATE // 2 :]
    assert abs(lag(sound[-SAMPLE_RATE // 2 :], last)) < 0.15


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 30_000])
def test_a_wav_whose_header_does_not_know_its_length(
    files: Path, tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    content = bytearray((files / "a.wav").read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", size)
    (tmp_path / "a.wav").write_bytes(content)
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav"), load_audio(files / "a.wav"))
    assert not caplog.records


def test_channels_that_would_cancel_out_or_halve_the_voice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    voice = speech(SAMPLE_RATE)
    rng = np.random.default_rng(0)
    for channels, word in [
        ([voice, -voice], "opposite phase"),
        ([-0.6 * voice, voice], "opposite phase"),
        ([np.zeros_like(voice), voice], "one side is silent"),
        ([voice, 1e-4 * rng.standard_normal(len(voice))], "one side is silent"),
    ]:
        caplog.clear()
        soundfile.write(tmp_path / "a.wav", np.stack(channels, 1), SAMPLE_RATE, subtype="FLOAT")
        np.testing.assert_allclose(load_audio(tmp_path / "a.wav"), voice, atol=1e-6)
        assert word in caplog.text and len(caplog.records) == 1
        memory = load_audio((np.stack(channels, 1), SAMPLE_RATE))
        np.testing.assert_allclose(memory, voice, atol=1e-6)


def test_the_centre_of_a_surround_mix_keeps_its_level(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    voice, bed = speech(), 0.03 * np.random.default_rng(0).standard_normal((6, len(speech()))).astype(np.float32)
    bed[2] = voice
    encode(tmp_path / "a.flac", bed, "flac", "flac", "5.1")
    np.testing.assert_allclose(read_audio(tmp_path / "a.flac")[0], voice, atol=1e-4)
    assert "the centre speaks" in caplog.text
    soundfile.write(tmp_path / "a.wav", bed.T, RATE)  # no layout: the loudest counts most
    assert read_audio(tmp_path / "a.wav")[0].std() == pytest.approx(voice.std(), rel=0.2)


@pytest.mark.parametrize(("name", "kind", "codec"), [("a.mp4", "mp4", "aac"), ("a.mkv", "matroska", "libmp3lame")])
def test_sound_that_starts_late_keeps_its_place(tmp_path: Path, name: str, kind: str, codec: str, caplog) -> None:
    encode(tmp_path / name, speech()[None], codec, kind, late=1.5, video=True)
    sound = load_audio(tmp_path / name)
    assert not sound[: int(1.4 * SAMPLE_RATE)].any()
    assert lag(sound, resample(speech(), RATE, SAMPLE_RATE)) == pytest.approx(1.5, abs=0.06)
    assert "starts at 1." in caplog.text


def test_which_track(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono") for _ in range(3)]
        streams[0].disposition, streams[2].disposition = 0, 0
        streams[1].disposition = 1
        for number, stream in enumerate(streams, 1):
            samples = np.full((1, 16_000), 1000 * number, np.int16)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate = SAMPLE_RATE
            container.mux(stream.encode(frame))
    level = [float(load_audio(tmp_path / "a.mkv", track=t)[8000]) * 32768 for t in (None, 1, 2, 3)]
    assert level == [2000, 1000, 2000, 3000] and "track 2, the default, is used" in caplog.text
    with pytest.raises(InputError, match="track=4: it has 3 sound tracks"):
        load_audio(tmp_path / "a.mkv", track=4)


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("list.m3u8", "#EXTM3U\n#EXTINF:1,\n/etc/sound.mp3\n", "is a playlist"),
        ("near.m4a", "ffconcat version 1.0\nfile a.mp3\n", "is a playlist"),
        ("words.wav", "Hello, wörld. " * 9, "is text"),
    ],
)
def test_text_is_no_sound(tmp_path: Path, name: str, text: str, word: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(InputError, match=word):
        load_audio(tmp_path / name)


def test_no_file_that_never_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", Path("/dev/zero"), tmp_path / ("n" * 300), tmp_path / "a\0b"):
        with pytest.raises(InputError) as caught:
            load_audio(path)
        assert "\n" not in str(caught.value) and "\0" not in str(caught.value)


def test_rates_and_numbers_out_of_bounds(tmp_path: Path) -> None:
    for rate in (1, 999, 9_999_991, 2**31 - 1):
        header = b"RIFF" + struct.pack("<I", 4036) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate, 2, 16)
        (tmp_path / "a.wav").write_bytes(header + b"data" + struct.pack("<I", 4000) + bytes(4000))
        with pytest.raises(InputError, match=r"sample rate|not a sound file"):
            load_audio(tmp_path / "a.wav")
    for value, word in ((1e38, "full scale"), (32767.0, "full scale"), (np.inf, "not a finite")):
        with pytest.raises(InputError, match=word):
            load_audio((np.array([0.0, value]), SAMPLE_RATE))
        soundfile.write(tmp_path / "f.wav", np.array([0.0, value], np.float32), SAMPLE_RATE, subtype="FLOAT")
        with pytest.raises(InputError, match=word):
            load_audio(tmp_path / "f.wav")
    assert load_audio((np.full(4, 128, np.uint8), SAMPLE_RATE)).tolist() == [0.0] * 4


@pytest.mark.parametrize("rate", [96_001, 767_957])
def test_a_prime_rate_needs_no_giant_filter(rate: int) -> None:
    times = np.arange(rate // 2) / rate
    found = resample(0.5 * np.sin(2 * np.pi * 1000 * times), rate, SAMPLE_RATE)
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(len(found)) / SAMPLE_RATE)
    assert len(found) == -(-len(times) * SAMPLE_RATE // rate)
    assert np.abs(found - expected)[500:-500].max() < 1e-3


def test_only_words_or_sound_come_from_mutated_files(files: Path, tmp_path: Path) -> None:
    """Three hundred mutations, one seed: a waveform of bounded length, or one line."""
    rng = np.random.default_rng(11)
    originals = [(name, (files / name).read_bytes()[:24_000]) for name in KINDS]
    logging.disable(logging.WARNING)
    try:
        for number in range(300):
            name, content = originals[number % len(originals)]
            mutated = bytearray(content)
            for _ in range(rng.integers(1, 12)):
                place = int(min(rng.integers(0, len(mutated)), rng.integers(0, len(mutated))) * rng.random())
                mutated[place : place + 4] = rng.integers(0, 256, 4, dtype=np.uint8).tobytes()
            path = tmp_path / name
            path.write_bytes(mutated[: int(len(mutated) * rng.choice([1.0, rng.random()]))])
            start = time.process_time()
            try:
                sound = load_audio(path)
            except InputError as error:
                assert "\n" not in str(error) and str(error).startswith(str(path)), number
            else:
                assert np.isfinite(sound).all() and len(sound) < 3600 * SAMPLE_RATE, number
            assert time.process_time() - start < 20, number
    finally:
        logging.disable(logging.NOTSET)
