"""What a performance is asked for: frozen, typed, and checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffspeaker3d.errors import InputError

MAX_STRENGTH = 2.0
FPS_RANGE = (1.0, 240.0)
Style = int | str | Sequence[float] | None


@dataclass(frozen=True)
class Options:
    """How one utterance is animated; what needs a model to be checked (style, template, steps) is checked by `SpeechAnimator`.

    Attributes:
        style: a name, an index, a vector, or a blend such as "smiling:0.5+mumbled:0.5"; None is the default manner.
        template: identity of the topology; None is its first.
        seed: of everything that the sound does not determine: blinks, gaze, brows, sampling noise.
        steps: DDIM steps; None is the checkpoint's own.
        fps: output frames per second; None is the model's own. Other rates interpolate.
        strength: how far the face moves from rest, 1 as sampled, 0 (a still face) to 2; lips seal and eyes blink at any strength.
        temperature: factor on the standard deviation of the initial noise, 0 (what is likeliest, the same for every seed)
            to 2; one number, or one for each of some motion groups by name; None is the checkpoint's own.
        text: what is said (English), a .txt file that holds it, or "auto": its phones then guide the lips (extra `align`).
        track: which sound track of a file with several, counted from 1; None is the one flagged as default.

    Raises:
        InputError: a value of another type, or out of range.
    """

    style: Style = None
    template: str | None = None
    seed: int = 0
    steps: int | None = None
    fps: float | None = None
    strength: float = 1.0
    temperature: float | Mapping[str, float] | None = None
    text: str | Path | None = None
    track: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int) or isinstance(self.seed, bool):
            raise InputError(f"seed={self.seed}: must be a whole number")
        if self.template is not None and not isinstance(self.template, str):
            raise InputError(f"template={self.template}: must be a name")
        for name, value in (("steps", self.steps), ("track", self.track)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InputError(f"{name}={value}: must be a whole number of at least 1")
        if self.fps is not None:
            _check_range("fps", self.fps, *FPS_RANGE)
        _check_range("strength", self.strength, 0.0, MAX_STRENGTH)

    @property
    def provenance(self) -> dict[str, Any]:
        """What is worth keeping beside the motion; options left alone are left out where they are rarely given."""
        kept: dict[str, Any] = {"seed": self.seed, "style": self.style, "steps": self.steps, "strength": self.strength}
        if self.temperature is not None:
            kept["temperature"] = dict(self.temperature) if isinstance(self.temperature, Mapping) else self.temperature
        if self.text is not None:
            kept["text"] = str(self.text)
        if self.track is not None:
            kept["track"] = self.track
        return kept


def _check_range(name: str, value: Any, least: float, most: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not least <= value <= most:
        raise InputError(f"{name}={value}: must be a number from {least:g} to {most:g}")
