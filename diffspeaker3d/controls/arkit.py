"""The ARKit blendshape vocabulary, and the one place where lips are made to meet.

`mouthClose` is Apple's lip closure *on top of* an open jaw, so closed lips need `mouthClose == jawOpen` exactly, and
half a millimetre of gap is 1.4 % of the jaw's range: no regression lands there. Speech motor control has the same
problem and solves it by aiming *past* contact (virtual targets: Löfqvist & Gracco 1997): the lips are stopped by each
other. We do the same. A motion model works on **controls**: the 52 weights (and `tongueUp`) with one slot replaced,
`mouthClose` holds the *closure*, a fraction of the current opening that may exceed one. `close_lips` turns controls
into weights: at closure one or more the lips are exactly sealed, whatever the jaw does.
"""

from __future__ import annotations

from typing import Any

# Order A: Unreal's EARFaceBlendShape and NVIDIA's ACE (facts: UE and ACE documentation).
ARKIT_NAMES: tuple[str, ...] = (
    "eyeBlinkLeft",
    "eyeLookDownLeft",
    "eyeLookInLeft",
    "eyeLookOutLeft",
    "eyeLookUpLeft",
    "eyeSquintLeft",
    "eyeWideLeft",
    "eyeBlinkRight",
    "eyeLookDownRight",
    "eyeLookInRight",
    "eyeLookOutRight",
    "eyeLookUpRight",
    "eyeSquintRight",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawRight",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)

# The mannequin's own order: ARKit's 52 and a raised tongue, which ARKit lacks and /l/, /t/, /n/ need.
CONTROL_NAMES: tuple[str, ...] = (*ARKIT_NAMES, "tongueUp")

# Shapes that would part closed lips: the closure fades them out.
LIP_OPENERS: tuple[str, ...] = (
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "mouthFunnel",
    "tongueOut",
)


def close_lips(controls: Any, names: tuple[str, ...] = CONTROL_NAMES) -> Any:
    """Controls to blendshape weights: `mouthClose` from a closure fraction to Apple's weight, the lips stopped by contact.

    With s = clip(closure, 0, 1): mouthClose = s * jawOpen, and every shape that parts the lips is multiplied by 1 - s.
    All weights are clipped to [0, 1]. Works on NumPy arrays and torch tensors alike and is differentiable.

    Args:
        controls (array or Tensor (..., K)): weights with the closure (0 open, 1 or more sealed) in `mouthClose`.
        names: the K names; must contain `jawOpen` and `mouthClose`.

    Returns:
        array or Tensor (..., K): blendshape weights in [0, 1].
    """
    weights = controls.clip(0.0, 1.0)
    seal = weights[..., names.index("mouthClose")]
    closed = weights * 1.0  # a copy that keeps the array type and the gradient
    for name in LIP_OPENERS:
        if name in names:
            closed[..., names.index(name)] = weights[..., names.index(name)] * (1.0 - seal)
    closed[..., names.index("mouthClose")] = weights[..., names.index("jawOpen")] * seal
    return closed
