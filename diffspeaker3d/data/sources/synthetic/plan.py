"""What clip number i of a corpus will be: drawn from (seed, i) alone, so that a corpus can grow and be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diffspeaker3d.controls.style import STYLE_NAMES, draw_style
from diffspeaker3d.data.sources.synthetic.sentences import foreign, languages, nonsense, sentences, shuffled_words
from diffspeaker3d.speech.synthesis.voices import Prosody, Voice, abroad, draw_voice

# Shares of what is said; "background" is no speech at all: the face stays quiet.
KINDS = {"sentence": 0.50, "two_sentences": 0.11, "shuffled": 0.15, "nonsense": 0.18, "background": 0.06}
BACKGROUNDS = ("silence", "noise", "hum", "music")
FOREIGN_SHARE = 0.35  # of what espeak says, in another language; test clips are English
_HYPER = STYLE_NAMES.index("hyper")


@dataclass(frozen=True)
class ClipPlan:
    """Everything that decides a clip.

    Attributes:
        id: file stem: voice and number.
        split: "train", "val" (known voice, new sentence) or "test" (new voice, sentence and head).
        subject: which head.
        texts: utterances, spoken one after the other.
        pauses: silence before, between and after them, seconds (len(texts) + 1); for a background its duration.
        background: one of BACKGROUNDS, or "" for speech.
        voice: None for a background.
        style: manner (S,).
        seed: of everything else.
    """

    id: str
    split: str
    subject: str
    texts: tuple[str, ...]
    pauses: tuple[float, ...]
    background: str
    voice: Voice | None
    prosody: Prosody
    style: tuple[float, ...]
    seed: int


def plan_clip(
    index: int,
    seed: int,
    training: Sequence[Voice],
    held_out: Sequence[Voice],
    subjects: Sequence[str],
    held_out_share: float,
) -> ClipPlan:
    """Draw clip `index`; `held_out_share` of all clips is val, and as much is test. The last two of five or more subjects only test."""
    rng = np.random.default_rng([seed, index])
    chance = rng.random()
    split = "val" if chance < held_out_share else "test" if chance < 2 * held_out_share else "train"
    style = draw_style(rng)
    known, unknown = (subjects[:-2], subjects[-2:]) if len(subjects) > 4 else (subjects, subjects)
    heads = unknown if split == "test" else known
    subject = heads[int(rng.integers(len(heads)))]
    kind = list(KINDS)[rng.choice(len(KINDS), p=list(KINDS.values()))]
    texts = _texts(kind, split, rng)
    clip_seed = int(rng.integers(2**31))
    if not texts:
        background = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
        duration = round(float(rng.uniform(2.0, 5.0)), 3)
        return ClipPlan(
            f"{background}-{index:05d}",
            split,
            subject,
            (),
            (duration,),
            background,
            None,
            Prosody(),
            tuple(style),
            clip_seed,
        )
    voice = draw_voice(rng, held_out if split == "test" else training, training=split != "test")
    travel = np.random.default_rng([seed, index, 1])  # its own chance: clips of earlier versions stay as they were
    if voice.engine == "espeak" and split != "test" and travel.random() < FOREIGN_SHARE:
        language = languages()[int(travel.integers(len(languages())))]
        voice, texts = abroad(voice, language), tuple(foreign(language, split, travel) for _ in texts)
    # Careful speakers are slower; otherwise the voice is free of the manner.
    rate = float(np.exp(rng.normal(0.0, 0.17) - 0.10 * style[_HYPER]))
    prosody = Prosody(float(np.clip(rate, 0.65, 1.5)), float(rng.uniform(0.75, 1.4)), float(rng.uniform(0.5, 1.6)))
    return ClipPlan(
        f"{voice.label}-{index:05d}",
        split,
        subject,
        texts,
        _pauses(len(texts), rng),
        "",
        voice,
        prosody,
        tuple(style),
        clip_seed,
    )


def _texts(kind: str, split: str, rng: np.random.Generator) -> tuple[str, ...]:
    if kind == "background":
        return ()
    if kind == "nonsense":
        return (nonsense(rng),)
    if kind == "shuffled":
        return (shuffled_words(rng, split),)
    own = sentences(split)
    picks = rng.choice(len(own), size=2 if kind == "two_sentences" else 1, replace=False)
    return tuple(own[i] for i in picks)


def _pauses(count: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Silence (seconds) around `count` utterances: none at most ends, 0.2 to 1.5 s otherwise."""
    found = [float(rng.uniform(0.2, 1.5)) * (0 < i < count or rng.random() < 0.4) for i in range(count + 1)]
    return tuple(round(pause, 3) for pause in found)
