"""The ARKit curves of an animation, in the orders that engines expect."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import ARKIT_NAMES
from diffspeaker3d.controls.blendshapes import solve
from diffspeaker3d.errors import InputError

# Live Link adds head and eye rotations, radians.
ROTATION_NAMES: tuple[str, ...] = (
    "HeadYaw",
    "HeadPitch",
    "HeadRoll",
    "LeftEyeYaw",
    "LeftEyePitch",
    "LeftEyeRoll",
    "RightEyeYaw",
    "RightEyePitch",
    "RightEyeRoll",
)
# Order B: the recordings of the Live Link Face app have right before left for jaw and mouth (header of a real capture);
# Unreal's UDP stream goes by index in order A.
_SWAPPED = {"jawLeft": "jawRight", "jawRight": "jawLeft", "mouthLeft": "mouthRight", "mouthRight": "mouthLeft"}
CSV_NAMES: tuple[str, ...] = tuple(_SWAPPED.get(name, name) for name in ARKIT_NAMES)


def pascal_case(name: str) -> str:
    """jawOpen -> JawOpen, as Unreal and the Live Link Face app write it."""
    return name[0].upper() + name[1:]


def arkit_curves(animation: Animation) -> np.ndarray:
    """Weights (T, 52) float32 in [0, 1] in ARKIT_NAMES order; names that the head lacks stay 0.

    From the animation's own weights, or solved from its vertices where the topology has shapes of these names.

    Raises:
        InputError: the animation has no weights and its topology no ARKit shapes.
    """
    basis = animation.topology.blendshapes
    if animation.weights is not None and set(animation.weight_names) & set(ARKIT_NAMES):
        names, weights = animation.weight_names, animation.weights
    elif basis is not None and set(basis.names) & set(ARKIT_NAMES):
        names, weights = basis.names, solve(animation, basis)
    else:
        raise InputError(
            f"topology {animation.topology.name} has neither weights nor ARKit shapes, so ARKit curves cannot be written; "
            "animate the mannequin or a head with ARKit morph targets, or write .glb, .usdc or .npz"
        )
    curves = np.zeros((len(weights), len(ARKIT_NAMES)), np.float32)
    for column, name in enumerate(ARKIT_NAMES):
        if name in names:
            curves[:, column] = np.clip(weights[:, names.index(name)], 0, 1)
    return curves
