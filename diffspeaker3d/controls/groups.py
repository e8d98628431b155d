"""The motion groups: which controls move together. One table for training, generation and evaluation.

A group is learned with means, scale and loss weight of its own, sampled with a temperature of its own, and made either by
the network or by the process of `controls.expression`. Every control is in exactly one (a test).
"""

from __future__ import annotations

from dataclasses import dataclass

from diffspeaker3d.controls.arkit import CONTROL_NAMES

CHEEK_PUFF = "cheekPuff"  # air behind closed lips: of the mouth, though it is seen on the cheeks


@dataclass(frozen=True)
class MotionGroup:
    """Controls that belong together.

    Attributes:
        name: as used in losses, temperatures and `procedural`.
        controls: their names, in the order of `CONTROL_NAMES`.
        spoken: whether speech moves them: jaw, lips and tongue, not the upper face.
    """

    name: str
    controls: tuple[str, ...]
    spoken: bool = False


def _starting_with(*prefixes: str) -> tuple[str, ...]:
    return tuple(name for name in CONTROL_NAMES if name.startswith(prefixes))


GROUPS: tuple[MotionGroup, ...] = (
    MotionGroup("lids", _starting_with("eyeBlink", "eyeSquint", "eyeWide")),
    MotionGroup("gaze", _starting_with("eyeLook")),
    MotionGroup("mouth", _starting_with("jaw", "mouth", CHEEK_PUFF), spoken=True),
    MotionGroup("brows", _starting_with("brow", "cheekSquint", "noseSneer")),  # and what moves with them
    MotionGroup("tongue", _starting_with("tongue"), spoken=True),
)
CONTROLS_OF: dict[str, tuple[str, ...]] = {group.name: group.controls for group in GROUPS}
SPOKEN: frozenset[str] = frozenset(name for group in GROUPS if group.spoken for name in group.controls)
