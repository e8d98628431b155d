"""Speaker manner: how somebody articulates, as a vector of named numbers. 0 is neutral, plus or minus 1 the typical range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from diffspeaker3d.errors import InputError

STYLE_NAMES: tuple[str, ...] = (
    "jaw_gain",  # how far the jaw drops
    "lip_gain",  # how much the lips do
    "tongue_gain",
    "hyper",  # + every vowel reaches its target, - short vowels undershoot (hyper- and hypo-articulation)
    "anticipation",  # how early a gesture starts
    "rounding",  # how far the lips protrude on oo, w, sh
    "smile",  # + corners up, - corners down, all the time
    "rest_jaw",  # how far the jaw hangs between words
    "asymmetry",  # + the left side does more, - the right
    "loudness",  # how much the jaw follows the loudness of the voice
    "tension",  # tight, pressed lips
    "brow_gain",
    "blink_rate",
    "gaze_range",
)

_NAMED: dict[str, dict[str, float]] = {
    "neutral": {},
    "hyper_articulated": {"jaw_gain": 0.8, "lip_gain": 1.2, "tongue_gain": 1.0, "hyper": 1.4, "rounding": 0.8},
    "mumbled": {"jaw_gain": -1.4, "lip_gain": -1.2, "tongue_gain": -1.0, "hyper": -1.4, "rounding": -0.8, "brow_gain": -0.8},
    "whisper": {"jaw_gain": -0.5, "lip_gain": 0.6, "rounding": 0.5, "loudness": -1.5, "rest_jaw": 0.3, "gaze_range": 0.8},
    "smiling": {"smile": 1.6, "rounding": -0.5, "brow_gain": 0.6, "blink_rate": 0.3},
    "broad": {"jaw_gain": 1.6, "lip_gain": 0.8, "hyper": 0.8, "loudness": 1.5, "anticipation": 0.5, "brow_gain": 1.2},
    "tense": {"tension": 1.6, "jaw_gain": -0.8, "smile": -0.6, "rest_jaw": -0.8, "blink_rate": 1.0, "anticipation": -0.5},
    "sad": {"smile": -1.4, "jaw_gain": -0.6, "lip_gain": -0.4, "hyper": -0.6, "brow_gain": -0.5, "gaze_range": -0.5},
    "lopsided": {"asymmetry": 1.6, "smile": 0.5},
    "excited": {"jaw_gain": 0.9, "lip_gain": 0.5, "smile": 0.7, "loudness": 1.0, "brow_gain": 1.6, "gaze_range": 0.8},
}  # fmt: skip


def style_vector(values: Mapping[str, float]) -> list[float]:
    """Named numbers to a full style vector; what is not named is neutral."""
    unknown = sorted(set(values) - set(STYLE_NAMES))
    if unknown:
        raise InputError(f"manner: unknown {', '.join(unknown)}; known: {', '.join(STYLE_NAMES)}")
    return [float(values.get(name, 0.0)) for name in STYLE_NAMES]


PRESETS: dict[str, list[float]] = {name: style_vector(values) for name, values in _NAMED.items()}


@dataclass(frozen=True)
class Manner:
    """The physical numbers behind a style vector: gains as factors, offsets as control weights.

    `undershoot` and `loudness` are added to those of the rules.
    """

    jaw: float
    lips: float
    tongue: float
    undershoot: float
    anticipation: float
    rounding: float
    smile: float
    rest_jaw: float
    asymmetry: float
    loudness: float
    tension: float
    brows: float
    blinks: float
    gaze: float

    @classmethod
    def from_style(cls, style: str | np.ndarray | list[float] | None = None) -> Manner:
        """A preset's name or a vector (S,) to physical numbers; None is neutral.

        Raises:
            InputError: an unknown preset, or a vector of another length.
        """
        if isinstance(style, str):
            if style not in PRESETS:
                raise InputError(f"manner {style!r} is unknown; known: {', '.join(PRESETS)}")
            style = PRESETS[style]
        vector = np.zeros(len(STYLE_NAMES)) if style is None else np.asarray(style, np.float64)
        if vector.shape != (len(STYLE_NAMES),):
            raise InputError(
                f"manner: {len(STYLE_NAMES)} numbers expected ({', '.join(STYLE_NAMES)}), got shape {vector.shape}"
            )
        s = dict(zip(STYLE_NAMES, vector.tolist(), strict=True))
        return cls(
            jaw=1.28 ** s["jaw_gain"],
            lips=1.22 ** s["lip_gain"],
            tongue=1.2 ** s["tongue_gain"],
            undershoot=-0.22 * s["hyper"],
            anticipation=1.22 ** s["anticipation"],
            rounding=1.28 ** s["rounding"],
            smile=0.16 * s["smile"],
            rest_jaw=float(np.clip(0.03 + 0.025 * s["rest_jaw"], 0.0, 0.12)),
            asymmetry=0.14 * s["asymmetry"],
            loudness=0.12 * s["loudness"],
            tension=max(0.0, 0.12 * s["tension"]),
            brows=1.4 ** s["brow_gain"],
            blinks=1.2 ** s["blink_rate"],
            gaze=1.3 ** s["gaze_range"],
        )


def draw_style(rng: np.random.Generator) -> list[float]:
    """A random manner: 30 % exactly neutral, 35 % around a preset, 35 % anywhere in the typical range."""
    kind = rng.random()
    if kind < 0.30:
        return list(PRESETS["neutral"])
    noise = rng.standard_normal(len(STYLE_NAMES))
    if kind < 0.65:
        names = [name for name in PRESETS if name != "neutral"]
        preset = np.asarray(PRESETS[names[rng.integers(len(names))]])
        vector = preset * rng.uniform(0.6, 1.15) + 0.25 * noise
    else:
        vector = 0.75 * noise
    return [round(float(x), 3) for x in np.clip(vector, -2.0, 2.0)]
