"""Blendshape weights: from moving vertices, onto other heads, and to the fifteen mouth classes that avatar runtimes call visemes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from scipy.linalg import qr, solve_triangular
from scipy.optimize import lsq_linear, nnls

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.topology import Blendshapes, Topology

# OVRLipSync and OpenXR order.
VISEMES: tuple[str, ...] = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou")

# What the mouth does at the height of each class, as features of `_mouth_features`.
MOUTH_FEATURES = ("opening", "seal", "funnel", "pucker", "spread", "roll", "teeth", "tongue_up", "tongue_out")
VISEME_POSES: Mapping[str, Mapping[str, float]] = MappingProxyType({
    "PP": {"seal": 1.0},
    "FF": {"opening": 0.1, "roll": 0.75, "teeth": 0.2},
    "TH": {"opening": 0.16, "tongue_out": 0.55, "tongue_up": 0.3, "teeth": 0.2},
    "DD": {"opening": 0.14, "tongue_up": 0.9, "teeth": 0.15},
    "kk": {"opening": 0.18, "tongue_up": 0.2},
    "CH": {"opening": 0.09, "funnel": 0.65, "pucker": 0.35, "tongue_up": 0.5},
    "SS": {"opening": 0.05, "spread": 0.25, "teeth": 0.2, "tongue_up": 0.5},
    "nn": {"opening": 0.2, "tongue_up": 1.0},
    "RR": {"opening": 0.15, "pucker": 0.35, "funnel": 0.2, "tongue_up": 0.4},
    "aa": {"opening": 0.72, "teeth": 0.1},
    "E": {"opening": 0.42, "spread": 0.35},
    "ih": {"opening": 0.22, "spread": 0.5},
    "oh": {"opening": 0.4, "funnel": 0.5, "pucker": 0.4},
    "ou": {"opening": 0.14, "pucker": 0.95, "funnel": 0.1},
})  # fmt: skip
# Shapes that make a feature alone; the opening is jawOpen - mouthClose.
FEATURE_SHAPES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "seal": ("mouthPressLeft", "mouthPressRight"),
    "funnel": ("mouthFunnel",),
    "pucker": ("mouthPucker",),
    "spread": ("mouthStretchLeft", "mouthStretchRight", "mouthSmileLeft", "mouthSmileRight"),
    "roll": ("mouthRollLower",),
    "teeth": ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    "tongue_up": ("tongueUp",),
    "tongue_out": ("tongueOut",),
})  # fmt: skip
# An opening is small beside a pucker and seen first. On two recordings its rms error is .035 and .051 at weight 1, .020 and .022 at 4.
OPENING_WEIGHT = 4.0
TOTAL_WEIGHT = 0.3  # how strongly the classes of a frame are kept from summing past one


def solve(motion: Animation | np.ndarray, basis: Blendshapes | None = None) -> np.ndarray:
    """Weights in [0, 1] of the shapes that come closest to moving vertices, frame by frame.

    min_w |B w - d|^2 with B = Q R reduces to K unknowns and K equations, min |R w - Q^T d|^2: thousands of times faster
    than on the 3V rows, and the same answer (facts: bounded-variable least squares, Stark & Parker 1995).

    Args:
        motion: an animation, or displacements (T, V, 3) from the neutral face.
        basis: the shapes; by default those of the animation's topology.

    Returns:
        array (T, K) float32: weights in the order of `basis.names`; shapes that move nothing get 0.

    Raises:
        InputError: no basis, or one of another vertex count.
    """
    if basis is None and isinstance(motion, Animation):
        basis = motion.topology.blendshapes
    if basis is None:
        raise InputError("blendshapes: there are no shapes to solve for; give a topology or a basis that has some")
    displaced = motion.vertices if isinstance(motion, Animation) else motion
    if tuple(displaced.shape[1:]) != basis.deltas.shape[1:]:
        raise InputError(
            f"blendshapes: motion of shape {tuple(displaced.shape)} does not fit shapes of {basis.deltas.shape[1]} vertices"
        )
    moving = np.flatnonzero(np.abs(basis.deltas).max((1, 2)) > 0)
    orthogonal, triangle = qr(basis.deltas[moving].reshape(len(moving), -1).T, mode="economic")
    chunks = motion.chunks() if isinstance(motion, Animation) else [motion]
    rest = motion.template if isinstance(motion, Animation) else np.float32(0)
    reduced = np.concatenate([(chunk - rest).reshape(len(chunk), -1) @ orthogonal for chunk in chunks])
    weights = np.zeros((len(reduced), len(basis.names)), np.float32)
    weights[:, moving] = _bounded(triangle.astype(np.float64), reduced.astype(np.float64))
    return weights


def _bounded(triangle: np.ndarray, reduced: np.ndarray) -> np.ndarray:
    """min |R w - b|^2 over 0 <= w <= 1 for each row b; R (K, K) upper triangular (wider if there are more shapes
    than coordinates), b (T, K)."""
    square = triangle.shape[0] == triangle.shape[1]
    regular = square and np.abs(np.diag(triangle)).min() > 1e-9 * np.abs(triangle).max()
    solved = np.empty((len(reduced), triangle.shape[1]))
    for t, row in enumerate(reduced):
        if regular:
            free = solve_triangular(triangle, row)
            if free.min() >= 0 and free.max() <= 1:  # no bound is active
                solved[t] = free
                continue
        solved[t] = lsq_linear(triangle, row, bounds=(0.0, 1.0), method="bvls", tol=1e-8).x
    return solved


def performance(animation: Animation) -> tuple[np.ndarray, tuple[str, ...]]:
    """The weights (T, K) of an animation and their names: its own, or solved from its vertices; no names without shapes."""
    if animation.weights is not None:
        return animation.weights, animation.weight_names
    basis = animation.topology.blendshapes
    if basis is None:
        raise InputError(
            f"topology {animation.topology.name} has neither weights nor blendshapes, so nothing can be driven by it; "
            "animate the mannequin, or write .usdc or .npz"
        )
    return solve(animation), basis.names


def drive(animation: Animation, topology: Topology, template: np.ndarray | None = None) -> Animation:
    """The same performance on another head, through shapes of the same names.

    Args:
        animation: with weights, or on a topology with shapes to solve for.
        topology: the other head, with shapes; those the animation lacks stay still.
        template (array (V, 3)): its neutral face; the topology's first by default.

    Returns:
        Animation: on `topology`, with its own weights, the same sound, rate and provenance.

    Raises:
        InputError: the two share no shape name, or either has no shapes.
    """
    if topology.blendshapes is None:
        raise InputError(
            f"topology {topology.name} has no blendshapes, so nothing can drive it; fit it first (heads.fit.fit_head)"
        )
    weights, names = performance(animation)
    target = topology.blendshapes.names
    common = [name for name in target if name in names]
    if not common:
        raise InputError(
            f"topologies {animation.topology.name} and {topology.name} share no blendshape name; rename {topology.name}'s to ARKit's"
        )
    driven = np.zeros((len(weights), len(target)), np.float32)
    driven[:, [target.index(n) for n in common]] = weights[:, [names.index(n) for n in common]]
    return Animation.from_weights(
        driven,
        animation.fps,
        topology,
        topology.template() if template is None else template,
        waveform=animation.waveform,
        sample_rate=animation.sample_rate,
        phones=animation.phones,
        provenance=animation.provenance,
    )


def visemes(weights: np.ndarray, names: tuple[str, ...], classes: tuple[str, ...] = VISEMES) -> np.ndarray:
    """ARKit weights to the fifteen Oculus/OVRLipSync classes.

    Each frame's mouth (opening, seal, rounding, tongue ...) is explained by non-negative amounts of one pose per class
    that sum to at most one; `sil` is what remains.

    Args:
        weights (array (T, K)): ARKit weights in [0, 1].
        names: their K names.
        classes: those a head has; others stay 0, and a consonant then opens the vowel nearest to it.

    Returns:
        array (T, 15) float32 in [0, 1]: columns in the order of VISEMES, rows sum to one.
    """
    features = _mouth_features(np.asarray(weights, np.float64), names)
    struck = [k for k, v in enumerate(VISEMES) if v in classes and v != "sil"]
    importance = np.where(np.array(MOUTH_FEATURES) == "opening", OPENING_WEIGHT, 1.0)
    poses = viseme_poses()[:, struck] * importance[:, None]
    system = np.vstack([poses, np.full(poses.shape[1], TOTAL_WEIGHT)])
    target = np.hstack([features * importance, np.zeros((len(features), 1))])
    amounts = np.stack([nnls(system, row)[0] for row in target])
    # The pull towards small sums shrinks every amount of a pose struck in full; undo it for the pose as a whole.
    amounts *= 1 + TOTAL_WEIGHT**2 / (poses**2).sum(0)
    amounts /= np.maximum(amounts.sum(1, keepdims=True), 1.0)
    every = np.zeros((len(amounts), len(VISEMES)))
    every[:, struck] = amounts
    every[:, 0] = 1 - amounts.sum(1)
    return every.clip(0, 1).astype(np.float32)


def viseme_poses() -> np.ndarray:
    """The mouth at the height of each class: (9, 15), rows as MOUTH_FEATURES, columns as VISEMES; `sil` is at rest."""
    return np.array([[VISEME_POSES.get(v, {}).get(f, 0.0) for v in VISEMES] for f in MOUTH_FEATURES])


def unexplained(weights: np.ndarray, names: tuple[str, ...], amounts: np.ndarray) -> np.ndarray:
    """What visemes leave of the mouth's weights, for a head that has shapes of both kinds.

    A feature's shapes keep the share of it that the visemes do not make; shapes of no feature keep all.

    Args:
        weights (array (T, K)): ARKit weights in [0, 1].
        names: their K names.
        amounts (array (T, 15)): of the classes, as `visemes` gives them.

    Returns:
        array (T, K): the rest, in [0, 1]; `jawOpen` is the opening of the lips that is left, `mouthClose` zero.
    """
    features = _mouth_features(np.asarray(weights, np.float64), names)
    left = np.maximum(features - amounts @ viseme_poses().T, 0)
    share = left / np.maximum(features, 1e-6)
    rest = np.array(weights, np.float64)
    for feature, shapes in FEATURE_SHAPES.items():
        for column in (names.index(s) for s in shapes if s in names):
            rest[:, column] *= share[:, MOUTH_FEATURES.index(feature)]
    if "jawOpen" in names:
        rest[:, names.index("jawOpen")] = left[:, MOUTH_FEATURES.index("opening")]
    if "mouthClose" in names:
        rest[:, names.index("mouthClose")] = 0
    return rest.clip(0, 1)


def _mouth_features(weights: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """(T, K) weights to (T, 9) features; a shape that is not there counts as still."""

    def mean(*shapes: str) -> np.ndarray:
        columns = [weights[:, names.index(s)] for s in shapes if s in names]
        return np.mean(columns, 0) if columns else np.zeros(len(weights))

    jaw, closed = mean("jawOpen"), mean("mouthClose")
    sealed = np.clip(closed / np.maximum(jaw, 0.02), 0, 1)  # lips that meet although the jaw is down
    pressed = mean("mouthPressLeft", "mouthPressRight")
    spread = mean("mouthStretchLeft", "mouthStretchRight") + mean("mouthSmileLeft", "mouthSmileRight")
    others = [mean(*FEATURE_SHAPES[feature]) for feature in ("roll", "teeth", "tongue_up", "tongue_out")]
    return np.stack(
        [
            np.maximum(jaw - closed, 0),
            np.maximum(sealed, pressed),
            mean("mouthFunnel"),
            mean("mouthPucker"),
            spread,
            *others,
        ],
        1,
    )
