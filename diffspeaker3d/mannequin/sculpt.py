"""The tools that shape expressions: hold rings and patches of skin, let the rest follow smoothly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from diffspeaker3d.mannequin.fill import BiharmonicFill
from diffspeaker3d.mannequin.form import EYE, MOUTH_Y
from diffspeaker3d.mannequin.head import Head
from diffspeaker3d.mannequin.rings import MOUTH_RINGS, PHI

MOUTH_CENTRE = np.array([0.0, MOUTH_Y, 8.4])
RingMove = Callable[[str, np.ndarray], np.ndarray]  # ring name, its points (31, 3) relative to the mouth -> (31, 3)


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(x, 0, 1)
    return t * t * (3 - 2 * t)


class Sculptor:
    """Turns prescribed displacements on the left half into smooth symmetric displacements of the whole skin."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self.points = head.skin.vertices
        self.rings = head.skin.rings
        self._fill = BiharmonicFill(self.points, head.skin.faces)
        self.up = np.sin(PHI)  # +1 at the top centre of a mouth ring, -1 at the bottom
        self.side = np.maximum(np.cos(PHI), 0.0)  # 1 at a corner of the mouth

    def fill(self, held: dict[int, np.ndarray], still: np.ndarray) -> np.ndarray:
        """Field (S, 3) from left-half displacements `held`, mirrored; vertices in the mask `still` (S,) do not move."""
        values = np.full((len(self.points), 3), np.nan)
        values[still] = 0.0
        mirror = self.head.skin.mirror
        for index, value in held.items():
            values[index] = value
            if mirror[index] == index:
                values[index, 0] = 0.0
            else:
                values[mirror[index]] = value * [-1, 1, 1]
        known = np.flatnonzero(~np.isnan(values[:, 0]))
        field = self._fill(known, values[known])
        return 0.5 * (field + self.mirrored(field))

    def lips(
        self,
        move: RingMove,
        strength: dict[str, float],
        still: np.ndarray | None = None,
        patches: dict[int, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Field (S, 3) from a movement of the mouth rings, each scaled by its `strength`."""
        held = dict(patches or {})
        for name, amount in strength.items():
            index = self.rings[name]
            values = move(name, self.points[index] - [0, MOUTH_Y, 0]) * amount
            held.update(zip(index.tolist(), values, strict=True))
        return self.fill(held, self.beyond(4.6) if still is None else still)

    def patch(
        self, centre: tuple[float, float, float], radius: float, move: tuple[float, float, float]
    ) -> dict[int, np.ndarray]:
        """Hold the left-half skin within `radius` of a point at one displacement."""
        near = np.linalg.norm(self.points - np.array(centre), axis=1) < radius
        near &= self.points[:, 0] >= 0
        return {int(i): np.array(move) for i in np.flatnonzero(near & ~self.in_rings())}

    def swelling(
        self, centre: tuple[float, float, float], radius: float, move: tuple[float, float, float]
    ) -> dict[int, np.ndarray]:
        """Hold the left-half skin around a point at a displacement that fades to a tenth over `radius`."""
        distance = np.linalg.norm(self.points - np.array(centre), axis=1) / radius
        near = (distance < 1) & (self.points[:, 0] >= 0) & ~self.in_rings()
        return {int(i): np.exp(-2.3 * distance[i] ** 2) * np.array(move) for i in np.flatnonzero(near)}

    def beyond(self, radius: float) -> np.ndarray:
        """Mask (S,) of skin farther than `radius` from the mouth; the rings of the mouth are never in it."""
        far = np.linalg.norm(self.points - MOUTH_CENTRE, axis=1) > radius
        return far & ~self.in_rings()

    def in_rings(self) -> np.ndarray:
        """Mask (S,) of the vertices on the mouth rings, both halves."""
        mask = np.zeros(len(self.points), bool)
        for name in MOUTH_RINGS:
            mask[self.rings[name]] = True
        return mask | mask[self.head.skin.mirror]

    def bump(self, centre: tuple[float, float, float], radius: float, move: tuple[float, float, float]) -> np.ndarray:
        """Field (S, 3): a soft push of the left skin around one point, fading before the eyelids and the lips."""
        scaled = (self.points - np.array(centre)) * [0.85, 1.0, 0.7]
        push = np.exp(-((np.linalg.norm(scaled, axis=1) / radius) ** 2))
        push = np.maximum(push - 0.01, 0) / 0.99
        from_eye = np.linalg.norm((self.points - EYE) * [0.75, 1, 0], axis=1)
        lids = smoothstep((from_eye - 0.75) / 1.0)
        front = self.points[:, 2] > EYE[2] - 1
        return (push * np.where(front, lids, 1.0))[:, None] * np.array(move)

    def mirrored(self, field: np.ndarray) -> np.ndarray:
        """A field (S, 3) seen in the mirror x -> -x."""
        return field[self.head.skin.mirror] * [-1, 1, 1]

    def left_and_right(self, fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every symmetric field (S, 3) as two, named `...Left` and `...Right`."""
        split = {name: self.halves(field) for name, field in fields.items()}
        return {
            f"{name}{side}": halves[k] for name, halves in split.items() for k, side in enumerate(("Left", "Right"))
        }

    def halves(self, field: np.ndarray, blend: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """A symmetric field (S, 3) split into its left and right share; they sum to the whole."""
        left = smoothstep((self.points[:, 0] + blend) / (2 * blend))[:, None]
        return field * left, field * (1 - left)
