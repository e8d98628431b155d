"""Styles by name, index, vector or blend, to the vector that the model takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.generation.options import Style


class Styles:
    """What `style=` may say to a model.

    Args:
        presets: name -> vector (S,), the checkpoint's named manners; may be empty.
        speakers: names of the training speakers; without presets each is a one-hot vector.
    """

    def __init__(self, presets: Mapping[str, Sequence[float]], speakers: Sequence[str]) -> None:
        one_hot = dict(zip(speakers, np.eye(len(speakers)).tolist(), strict=True))
        self.vectors: dict[str, list[float]] = {k: list(v) for k, v in (presets or one_hot).items()}
        self.dim = len(next(iter(self.vectors.values()), []))

    @property
    def names(self) -> tuple[str, ...]:
        """The known names, the default first."""
        return tuple(self.vectors)

    def vector(self, style: Style) -> list[float]:
        """Style vector (S,) of a name, index, vector or blend; None is the first name's.

        Raises:
            InputError: an unknown name or index (the known are listed), or a vector of another length or not finite.
        """
        if style is None:
            return self.vectors[self.names[0]]
        if isinstance(style, str):
            return self._blend(style)
        if isinstance(style, int) and not isinstance(style, bool):
            if not 0 <= style < len(self.names):
                raise InputError(f"style={style}: known: 0 to {len(self.names) - 1} ({', '.join(self.names)})")
            return self.vectors[self.names[style]]
        if not isinstance(style, Sequence | np.ndarray) or not all(
            isinstance(x, int | float | np.number) for x in style
        ):
            raise InputError(
                f"style={style}: must be a name, an index, a vector, or a blend; known: {', '.join(self.names)}"
            )
        values = [float(x) for x in style]
        if len(values) != self.dim or not all(math.isfinite(x) for x in values):
            raise InputError(f"style={style}: a vector must have {self.dim} finite numbers")
        return values

    def _blend(self, text: str) -> list[float]:
        """ "smiling:0.5+mumbled:0.5" to the weighted sum of the named vectors; a bare name weighs 1."""
        total = np.zeros(self.dim)
        for part in text.split("+"):
            name, _, share = part.strip().partition(":")
            if name not in self.vectors:
                raise InputError(f"style={text}: unknown style {name!r}; known: {', '.join(self.names)}")
            try:
                amount = float(share or 1.0)
            except ValueError:
                amount = math.nan
            if not abs(amount) <= 10:
                raise InputError(f"style={text}: {share!r} is not a share; write name:0.5+name:0.5")
            total += amount * np.asarray(self.vectors[name])
        return total.tolist()
