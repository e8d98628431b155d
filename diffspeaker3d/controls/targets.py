"""What each viseme aims at: gesture targets and how strongly it insists, per articulator.

The gestures are the controls of arkit.CONTROL_NAMES with left and right joined; `close` is the closure fraction. A
target past contact (close 1.25) is deliberate, see arkit.py. Numbers are our own, tuned on the mannequin.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diffspeaker3d.speech.phones import VOWELS

GESTURES: tuple[str, ...] = (
    "jawOpen",
    "jawForward",
    "close",
    "rollLower",
    "rollUpper",
    "press",
    "upperUp",
    "lowerDown",
    "shrugLower",
    "cheekPuff",
    "funnel",
    "pucker",
    "stretch",
    "smile",
    "tongueUp",
    "tongueOut",
)
ARTICULATORS: tuple[str, ...] = ("jaw", "aperture", "shape", "tongue")
# Which articulator carries each gesture: an index into ARTICULATORS.
CARRIER = np.array([0] * 2 + [1] * 8 + [2] * 4 + [3] * 2)

SEAL = 1.25  # closure aimed at in p, b, m
PAUSE_CLOSURE = 1.1  # closure of a resting mouth
OPEN = -0.15  # closure aimed at in open vowels


class Target(NamedTuple):
    """Dominance of the four articulators, and the gestures aimed at (unnamed ones at 0)."""

    dominance: tuple[float, float, float, float]
    gestures: dict[str, float]


# Cohen and Massaro (1993), with a dominance per articulator: labials insist on the lips and leave jaw and tongue
# alone, t d n l k insist on the tongue, rounded vowels reach far over their neighbours' lips.
TARGETS: dict[str, Target] = {
    "sil": Target((0.30, 0.40, 0.25, 0.2), {"close": PAUSE_CLOSURE}),
    "PP": Target((0.80, 3.0, 0.10, 0.1), {
        "jawOpen": 0.06, "close": SEAL, "press": 0.30, "rollLower": 0.16, "rollUpper": 0.14, "shrugLower": 0.10, "cheekPuff": 0.07}),
    "FF": Target((0.80, 2.6, 0.25, 0.1), {
        "jawOpen": 0.07, "rollLower": 0.80, "upperUp": 0.26, "close": 0.30, "shrugLower": 0.12}),
    "TH": Target((0.60, 0.5, 0.20, 2.0), {"jawOpen": 0.13, "lowerDown": 0.25, "upperUp": 0.10, "tongueOut": 0.48, "tongueUp": 0.20}),
    "DD": Target((0.55, 0.20, 0.06, 1.7), {"jawOpen": 0.10, "lowerDown": 0.18, "upperUp": 0.06, "tongueUp": 0.90}),
    "kk": Target((0.40, 0.15, 0.06, 0.9), {"jawOpen": 0.13, "lowerDown": 0.08, "tongueUp": 0.25}),
    "CH": Target((1.0, 1.0, 1.6, 1.1), {
        "jawOpen": 0.07, "jawForward": 0.22, "funnel": 0.62, "pucker": 0.30, "lowerDown": 0.18, "upperUp": 0.16, "tongueUp": 0.55}),
    "SS": Target((1.2, 0.7, 0.55, 1.1), {
        "jawOpen": 0.04, "jawForward": 0.06, "stretch": 0.24, "smile": 0.06, "lowerDown": 0.30, "upperUp": 0.12, "tongueUp": 0.60}),
    "nn": Target((0.50, 0.15, 0.06, 1.5), {"jawOpen": 0.09, "lowerDown": 0.14, "tongueUp": 0.90}),
    "RR": Target((0.50, 0.5, 0.90, 0.9), {"jawOpen": 0.13, "pucker": 0.38, "funnel": 0.26, "lowerDown": 0.10, "tongueUp": 0.40}),
    "ll": Target((0.45, 0.25, 0.10, 1.7), {"jawOpen": 0.14, "lowerDown": 0.16, "tongueUp": 1.0}),
    "hh": Target((0.10, 0.10, 0.04, 0.1), {"jawOpen": 0.16}),
    "ww": Target((1.10, 1.3, 2.1, 0.3), {"jawOpen": 0.06, "close": 0.40, "pucker": 0.95, "funnel": 0.12}),
    "aa": Target((1.10, 1.0, 0.95, 0.5), {"jawOpen": 0.64, "close": OPEN, "lowerDown": 0.18}),
    "ae": Target((1.05, 1.0, 1.15, 0.5), {"jawOpen": 0.54, "close": OPEN, "stretch": 0.32, "upperUp": 0.18, "lowerDown": 0.24, "smile": 0.08}),
    "ah": Target((0.75, 0.8, 0.55, 0.4), {"jawOpen": 0.36, "close": OPEN, "lowerDown": 0.14, "upperUp": 0.04}),
    "eh": Target((0.85, 0.9, 1.05, 0.5), {"jawOpen": 0.38, "close": OPEN, "stretch": 0.30, "smile": 0.12, "upperUp": 0.12, "lowerDown": 0.18}),
    "ih": Target((0.65, 0.7, 0.95, 0.6), {"jawOpen": 0.21, "stretch": 0.34, "smile": 0.14, "upperUp": 0.08, "lowerDown": 0.16, "tongueUp": 0.15}),
    "iy": Target((0.75, 0.8, 1.45, 0.8), {"jawOpen": 0.14, "stretch": 0.55, "smile": 0.30, "upperUp": 0.10, "lowerDown": 0.24, "tongueUp": 0.30}),
    "ao": Target((0.95, 1.0, 1.15, 0.4), {"jawOpen": 0.50, "close": OPEN, "funnel": 0.55, "pucker": 0.12}),
    "oh": Target((0.85, 0.9, 1.40, 0.4), {"jawOpen": 0.30, "close": 0.08, "funnel": 0.48, "pucker": 0.50}),
    "uw": Target((0.95, 1.0, 1.70, 0.5), {"jawOpen": 0.11, "close": 0.28, "pucker": 0.95, "funnel": 0.14}),
    "uh": Target((0.65, 0.7, 0.90, 0.4), {"jawOpen": 0.22, "pucker": 0.45, "funnel": 0.24}),
    "er": Target((0.65, 0.7, 0.90, 0.7), {"jawOpen": 0.22, "pucker": 0.34, "funnel": 0.28, "tongueUp": 0.25}),
}  # fmt: skip

OPEN_VOWELS = frozenset({"aa", "ae", "ah", "ao", "eh"})
# The most closure a sound between two labials may keep at its centre; rounded ones are narrow by themselves.
MOST_CLOSURE = {
    name: -0.05 if name in OPEN_VOWELS else max(target.gestures.get("close", 0.0), 0.1 if name in VOWELS else 0.4)
    for name, target in TARGETS.items()
}
# JALI (Edwards et al. 2016): these shape the lips early and let go late.
LIP_HEAVY = frozenset({"uw", "oh", "ww", "SS", "CH", "RR", "ao"})


def target_arrays(visemes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Targets (P, G) and dominances (P, 4) of a sequence of visemes."""
    rows = {name: np.array([target.gestures.get(g, 0.0) for g in GESTURES]) for name, target in TARGETS.items()}
    return np.stack([rows[v] for v in visemes]), np.array([TARGETS[v].dominance for v in visemes])
