"""Engines: phones that cover the sound, closures that are silent, the same words every time."""

from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import ASPIRATION, SILENCE, Phone, phone_visemes, plain_name
from diffspeaker3d.speech.synthesis import espeak, festival, flite
from diffspeaker3d.speech.synthesis.voices import Prosody, Speakers, Voice, voices

TEXT = "Happy people keep a copy of the paper map, but Bob has both."
needs_espeak = pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="needs espeakng-loader (extra [synth])")
needs_flite = pytest.mark.skipif(not flite.installed_voices(), reason="needs flite")
needs_festival = pytest.mark.skipif(not festival.installed_voices(), reason="needs festival")


def check_cover(waveform: np.ndarray, rate: int, phones: list[Phone]) -> None:
    """Phones follow one another without overlap up to the end of the sound, and the words' labials are all there."""
    assert waveform.dtype == np.float32 and 0.05 < np.abs(waveform).max() <= 1.0
    assert phones[0].start == pytest.approx(0.0, abs=0.02) and phones[-1].end == pytest.approx(
        len(waveform) / rate, abs=0.011
    )
    for before, after in pairwise(phones):
        assert after.start == pytest.approx(before.end, abs=1e-6) and after.end > after.start
    labials = [plain_name(p.name) for p in phones if phone_visemes(p.name) == ("PP",)]
    assert labials == ["p", "p", "p", "p", "p", "p", "p", "m", "p", "b", "b", "b", "b"]


def level(waveform: np.ndarray, rate: int, start: float, end: float) -> float:
    """RMS in dB of a piece against the loudest tenth of a second."""
    piece = waveform[int(start * rate) : max(int(end * rate), int(start * rate) + 1)]
    window = np.ones(rate // 10) / (rate // 10)
    return 10 * np.log10((np.mean(piece**2) + 1e-9) / np.convolve(waveform**2, window, "valid").max())


@needs_espeak
@pytest.mark.parametrize("voice", ["en-us", "gmw/en+f3", "en-us+klatt4"])
def test_espeak_closures_are_where_the_sound_stops(voice: str) -> None:
    waveform, rate, phones = espeak.speak(TEXT, voice)
    check_cover(waveform, rate, phones)
    stops = [p for p in phones if p.name == "p"]
    closed = [level(waveform, rate, p.start + 0.005, p.end - 0.018) for p in stops]
    assert np.median(closed) < -35.0 and max(closed) < -25.0
    assert all(0.02 < p.end - p.start < 0.14 for p in stops)
    breaths = [p for p in phones if p.name == ASPIRATION]
    assert np.median([level(waveform, rate, p.start, p.end) for p in breaths]) > -35.0
    pause = [p for p in phones[1:-1] if p.name == SILENCE]  # the comma
    assert any(p.end - p.start > 0.09 for p in pause)


@needs_espeak
def test_espeak_stop_after_a_pause_opens_at_its_release() -> None:
    phones = espeak.speak("Stop, paper. Put it up.", "en-us")[2]
    for index, phone in enumerate(phones):
        if phone.name == "p" and index and phones[index - 1].name == SILENCE:
            assert 0.03 < phone.end - phone.start < 0.08 and phones[index + 1].name == ASPIRATION
    first = espeak.speak("Put it up.", "en-us")[2]
    assert [p.name for p in first if p.name != SILENCE][:2] == ["p", ASPIRATION]


@needs_espeak
def test_espeak_says_the_same_whatever_it_said_before() -> None:
    first = espeak.speak("Move the mob.", "en-us+whisper")
    espeak.speak("Something else entirely, and longer.", "gmw/en+f3", rate=220, pitch=80)
    again = espeak.speak("Move the mob.", "en-us+whisper")
    assert np.array_equal(first[0], again[0]) and first[2] == again[2]


@needs_espeak
def test_espeak_rate_and_pitch_act() -> None:
    slow, fast = (len(espeak.speak(TEXT, "en-us", rate=r)[0]) for r in (130, 210))
    assert 1.3 < slow / fast < 2.0


@needs_espeak
@pytest.mark.parametrize(("text", "voice"), [("Hello.", "xx-klingon"), ("", "en-us")])
def test_espeak_refusals_are_input_errors(text: str, voice: str) -> None:
    with pytest.raises(InputError):
        espeak.speak(text, voice)


@needs_espeak
def test_every_espeak_voice_speaks_or_is_left_out() -> None:
    training, held_out = voices(["espeak"])
    assert len(training) > 300 and len(held_out) > 30
    variants = [{v.name.partition("+")[2] for v in side} - {""} for side in (training, held_out)]
    accents = [{v.name.partition("+")[0] for v in side} for side in (training, held_out)]
    assert not variants[0] & variants[1] and not accents[0] & accents[1]
    for voice in [*training[:: len(training) // 12], *held_out[:: len(held_out) // 8]]:
        assert len(espeak.speak("Map.", voice.name)[0]) > 4000, voice


@needs_flite
def test_flite_phones_fit_the_sound() -> None:
    engine = flite.Flite()
    for voice in ("kal16", "slt"):
        waveform, rate, phones = engine.speak(TEXT, voice)
        check_cover(waveform, rate, phones)
        assert any(p.name.endswith("1") for p in phones)
        inner = [
            level(waveform, rate, p.start + 0.03, p.end - 0.02)
            for p in phones
            if p.name == "p" and p.end - p.start > 0.06
        ]
        assert np.median(inner) < -20.0


@needs_flite
def test_flite_settings_act_and_do_not_stick() -> None:
    engine = flite.Flite()
    first = engine.speak(TEXT, "rms")
    stretched = engine.speak(TEXT, "rms", stretch=1.4)
    again = engine.speak(TEXT, "rms")
    assert len(stretched[0]) > 1.3 * len(first[0])
    assert np.array_equal(first[0], again[0]) and first[2] == again[2]


@needs_festival
def test_festival_speaks_a_batch_in_order() -> None:
    spoken = festival.speak_all([(TEXT, "kal", 1.0), ('A "quoted" \\ word.', "slt", 1.0)])
    check_cover(*spoken[0])
    assert [rate for _, rate, _ in spoken] == [16_000, 32_000]


@needs_espeak
def test_one_bad_text_does_not_stop_the_others() -> None:
    voice = Voice("espeak", "en-us")
    good, bad, also_good = Speakers().speak_all([(t, voice, Prosody()) for t in ("Map.", "", "Bob.")])
    assert isinstance(bad, InputError) and not isinstance(good, InputError) and not isinstance(also_good, InputError)


def test_labels_are_file_names() -> None:
    assert Voice("espeak", "gmw/en-GB-scotland+Mr serious").label == "espeak-en-GB-scotland+Mr-serious"
