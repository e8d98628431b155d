"""Who speaks: the engines a machine has, their voices, and which of them are kept for testing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import Phone
from diffspeaker3d.speech.synthesis import espeak, festival, flite

ENGINES = ("espeak", "flite", "festival")
TRAINING_SHARE = {"espeak": 0.6, "flite": 0.4}  # festival only tests
ACCENTS = (
    "en-us",
    "en-us",
    "gmw/en",
    "gmw/en",
    "en-us-nyc",
    "gmw/en-GB-x-rp",
    "gmw/en-GB-x-gbclan",
    "gmw/en-GB-x-gbcwmd",
)
HELD_OUT_ACCENTS = ("gmw/en-GB-scotland", "gmw/en-029")
HELD_OUT_FLITE = frozenset({"slt"})
# Not somebody's voice, or with an echo that fills the closures of p, t and k.
_UNUSED = re.compile("robo|demonic|fast|croak|whisper|announcer|alicia|marco|ricishay", re.IGNORECASE)


@dataclass(frozen=True)
class Voice:
    """A voice of an engine. `name` is the engine's own, `label` is fit for a file name."""

    engine: str
    name: str

    @property
    def label(self) -> str:
        return f"{self.engine}-" + re.sub(r"[^A-Za-z0-9+]+", "-", self.name.removeprefix("gmw/"))


@dataclass(frozen=True)
class Prosody:
    """How the voice is used: rate and pitch relative to its own, pitch_range relative (1 = its own)."""

    rate: float = 1.0
    pitch: float = 1.0
    pitch_range: float = 1.0


def resolve_engines(engines: Sequence[str] | str) -> tuple[str, ...]:
    """Names of engines to use, in the order of ENGINES; "auto" takes all that are installed.

    Raises:
        InputError: an unknown engine, or one (or all) not installed.
    """
    if engines == "auto":
        found = tuple(name for name in ENGINES if _installed(name))
        if not set(found) & set(TRAINING_SHARE):
            raise InputError("no speech synthesiser is installed; install the extra: pip install diffspeaker3d[synth]")
        return found
    wanted = (engines,) if isinstance(engines, str) else tuple(engines)
    for name in wanted:
        if name not in ENGINES:
            raise InputError(f"engines: {name!r} is unknown; known: auto, {', '.join(ENGINES)}")
        if not _installed(name):
            how = "pip install diffspeaker3d[synth]" if name == "espeak" else f"apt-get install {name}"
            raise InputError(f"engines: {name} is not installed; {how}, or leave it out")
    if not set(wanted) & set(TRAINING_SHARE):
        raise InputError(f"engines: {', '.join(wanted)} only tests; add one of {', '.join(TRAINING_SHARE)}")
    return tuple(name for name in ENGINES if name in wanted)


def _installed(engine: str) -> bool:
    if engine == "espeak":
        return espeak.library_paths() is not None
    return bool((flite if engine == "flite" else festival).installed_voices())


def voices(engines: Sequence[str]) -> tuple[list[Voice], list[Voice]]:
    """(voices to train on, voices held out) of the engines.

    Held out: flite's slt and everything festival says (slt again, and two men), a quarter of the espeak variants, and
    two accents.
    """
    training, held_out = [], []
    if "espeak" in engines:
        plain, kept = _espeak_variants()
        training += [Voice("espeak", accent + variant) for accent in dict.fromkeys(ACCENTS) for variant in plain]
        held_out += [Voice("espeak", accent + variant) for accent in HELD_OUT_ACCENTS for variant in kept]
    if "flite" in engines:
        for name in flite.installed_voices():
            (held_out if name in HELD_OUT_FLITE else training).append(Voice("flite", name))
    if "festival" in engines:
        held_out += [Voice("festival", name) for name in festival.installed_voices()]
    return training, held_out


def _espeak_variants() -> tuple[list[str], list[str]]:
    """Suffixes of the espeak variants, every fourth held out; only the plain voice where there is no data folder to list."""
    paths = espeak.library_paths()
    folder = Path(paths[1]) / "voices" / "!v" if paths and paths[1] else None
    names = (
        sorted(p.name for p in folder.iterdir() if not _UNUSED.search(p.name))
        if folder and folder.is_dir()
        else ["f2", "m3", "f4", "m1", "klatt2"]
    )
    return ["", *("+" + n for i, n in enumerate(names) if i % 4 != 3)], ["+" + n for n in names[3::4]]


def draw_voice(rng: np.random.Generator, choices: Sequence[Voice], *, training: bool) -> Voice:
    """An engine by its share (evenly when testing), then one of its voices (espeak accents by their weight in ACCENTS)."""
    present = list(dict.fromkeys(voice.engine for voice in choices))
    shares = np.array([TRAINING_SHARE[name] if training else 1.0 for name in present])
    engine = present[rng.choice(len(present), p=shares / shares.sum())]
    own = [voice for voice in choices if voice.engine == engine]
    if training and engine == "espeak":
        accent = ACCENTS[rng.integers(len(ACCENTS))]
        own = [voice for voice in own if voice.name.partition("+")[0] == accent]
    return own[rng.integers(len(own))]


def abroad(voice: Voice, language: str) -> Voice:
    """An espeak voice with another language in the place of its accent."""
    return Voice(voice.engine, language + "".join(voice.name.partition("+")[1:]))


class Speakers:
    """The engines of one process; flite is loaded on first use."""

    def __init__(self) -> None:
        self._flite: flite.Flite | None = None

    def speak(self, text: str, voice: Voice, prosody: Prosody) -> tuple[np.ndarray, int, list[Phone]]:
        """Text to (waveform (N,) float32, sample_rate in Hz, phones). Raises InputError as the engines do."""
        if voice.engine == "espeak":
            pitch, pitch_range = (
                float(np.clip(50 + 60 * np.log2(x), 0, 99)) for x in (prosody.pitch, prosody.pitch_range)
            )
            return espeak.speak(text, voice.name, 165.0 * prosody.rate, pitch, pitch_range)
        if voice.engine == "flite":
            self._flite = self._flite or flite.Flite()
            f0 = flite.MEAN_F0[voice.name] * prosody.pitch
            return self._flite.speak(text, voice.name, 1.0 / prosody.rate, f0, 0.15 * f0 * prosody.pitch_range)
        return festival.speak_all([(text, voice.name, 1.0 / prosody.rate)])[0]

    def speak_all(
        self, requests: Sequence[tuple[str, Voice, Prosody]]
    ) -> list[tuple[np.ndarray, int, list[Phone]] | InputError]:
        """Many at once (festival starts only once); a text that fails yields its error in its place."""
        spoken: list[tuple[np.ndarray, int, list[Phone]] | InputError] = []
        for text, voice, prosody in requests:
            try:
                spoken.append(InputError("pending") if voice.engine == "festival" else self.speak(text, voice, prosody))
            except InputError as error:
                spoken.append(error)
        batch = [i for i, (_, voice, _) in enumerate(requests) if voice.engine == "festival"]
        if batch:
            try:
                results = festival.speak_all(
                    [(requests[i][0], requests[i][1].name, 1.0 / requests[i][2].rate) for i in batch]
                )
                for index, result in zip(batch, results, strict=True):
                    spoken[index] = result
            except InputError as error:
                for index in batch:
                    spoken[index] = error
        return spoken
