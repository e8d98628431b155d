"""The designed edge loops: half rings around the mouth, full rings around the left eye, half rings down the neck.

Everywhere else the skin is triangulated freely; these rings are where the face has to open, close and fold.
A mouth ring runs from the top centre (phi = 90 degrees) over the corner (0) to the bottom centre (-90), so entry i and
entry -1 - i are the upper and lower partner. An eye ring starts at the outer corner and runs over the upper lid.
"""

from __future__ import annotations

import numpy as np

from diffspeaker3d.mannequin.form import EYE, EYE_RADIUS, MOUTH_Y, front_z, head_distance, smooth_min

PHI = np.linspace(np.pi / 2, -np.pi / 2, 31)  # mouth ring parameter
THETA = np.arange(36) / 36 * 2 * np.pi  # eye ring parameter
MOUTH_RINGS = (
    "mouth_outer",
    "mouth_near",
    "lip_border",
    "lip_body",
    "lip_inner",
    "lip_contact",
    "bag_front",
    "bag_teeth",
    "bag_middle",
    "bag_back",
)
EYE_RINGS = (
    "socket_outer",
    "socket_near",
    "lid_fold",
    "lid_crease",
    "lid_skin",
    "lid_edge",
    "lid_inner",
    "lid_back",
)
SEALED = ("lip_contact", "bag_front")  # rings where closed lips touch
LIP_GAP = 0.006  # cm between closed lips: less than a pixel, and still two lips for a program that merges points
LIP_PRESS = 0.016  # cm by which closed lips press into each other behind that gap: nobody sees the teeth between them
HALF_WIDTH = 2.12  # cm from the middle of the mouth to a corner
OUTER = (HALF_WIDTH + 0.9, 1.50, 1.85)  # semi-axes of the outermost mouth ring: sideways, up, down
SOCKET = (2.34, 1.72, 1.66)  # semi-axes of the outermost eye ring: sideways, up, down
NECK_Y = -13.6  # where free triangulation ends and neck rings begin


def lip_line(x: np.ndarray) -> np.ndarray:
    """Height (N,) of the meeting line of the lips above MOUTH_Y: a soft bow with corners that hint at a smile."""
    return -0.07 * np.exp(-((x / 0.60) ** 2)) - 0.05 * (x / HALF_WIDTH) ** 2 + 0.10 * (x / HALF_WIDTH) ** 6


def _mouth_ring(
    width: float,
    up: float,
    down: float,
    lift: tuple[float, float, float],
    bow: float = 0.0,
    line: tuple[float, float] = (1.0, 1.0),
    creased: bool = True,
) -> np.ndarray:
    """One half ring (31, 3).

    Args:
        width, up, down: semi-axes, cm.
        lift: z above the form at the top, the bottom and the corner, cm.
        bow: strength of the upper lip's bow.
        line: how far the upper and the lower half follow the line where the lips meet.
        creased: whether the lips begin at once beside the corner, as they do inside it, or smoothly, as skin does.
    """
    cosine, sine = np.maximum(np.cos(PHI), 0.0), np.sin(PHI)
    upper = PHI > 0
    x = width * cosine
    x[np.abs(x) < 1e-9] = 0
    y = np.where(upper, up, down) * sine + np.where(upper, line[0], line[1]) * lip_line(x)
    y = y + upper * bow * (0.6 * np.exp(-(((x - 0.62) / 0.40) ** 2)) - np.exp(-((x / 0.40) ** 2)))
    y = y + MOUTH_Y
    z = front_z(np.stack([x, y], 1))
    middle = np.abs(sine) ** 0.8 if creased else 1 - (1 - sine**2) ** 2
    z = z + np.where(upper, lift[0], lift[1]) * middle + lift[2] * (1 - middle)
    return np.stack([x, y, z], 1)


def mouth_rings() -> dict[str, np.ndarray]:
    """Mouth rings (31, 3) by name: skin, lips, the contact line, and the bag behind it."""
    rings = {
        "mouth_outer": _mouth_ring(*OUTER, (0.0, 0.0, 0.0), line=(0.0, 0.0)),
        "mouth_near": _mouth_ring(HALF_WIDTH + 0.50, 1.08, 1.36, (0.03, -0.10, -0.02), 0.05, (0.4, 0.4), creased=False),
        "lip_border": _mouth_ring(HALF_WIDTH + 0.17, 0.80, 1.02, (0.11, 0.05, 0.0), 0.19, (1.0, 0.4), creased=False),
        "lip_body": _mouth_ring(HALF_WIDTH + 0.07, 0.52, 0.68, (0.31, 0.33, -0.03), 0.11, (1.0, 0.6)),
        "lip_inner": _mouth_ring(HALF_WIDTH, 0.22, 0.30, (0.27, 0.30, -0.07), 0.02),
        "lip_contact": _mouth_ring(HALF_WIDTH - 0.06, 0.0, 0.0, (0.06, 0.06, -0.13)),
    }
    lip_z = rings["lip_contact"][:, 2]
    rings["bag_front"] = rings["lip_contact"] * [(HALF_WIDTH - 0.10) / (HALF_WIDTH - 0.06), 1, 1]
    rings["bag_front"] += np.stack([0 * PHI, 0.05 * np.abs(np.sin(PHI)), np.full(len(PHI), -0.20)], 1)
    sine = np.sin(PHI)
    rings["lip_contact"][:, 1] += LIP_GAP / 2 * np.sign(sine) * np.abs(sine) ** 0.3  # at once: no two points coincide
    rings["bag_front"][:, 1] -= LIP_PRESS / 2 * sine
    for name, width, up, down, depth in (
        ("bag_teeth", HALF_WIDTH + 0.05, 1.00, 1.10, 0.68),
        ("bag_middle", 2.50, 1.40, 1.75, 2.2),
        ("bag_back", 2.05, 1.1, 1.5, 4.2),
    ):
        x = width * np.maximum(np.cos(PHI), 0.0)
        x[np.abs(x) < 1e-9] = 0
        follow = 1.0 if depth < 1 else 0.0  # the bag starts along the curve of the lips and ends in a plane
        y = MOUTH_Y + np.where(sine > 0, up, down) * np.sign(sine) * np.abs(sine) ** 0.5 + follow * lip_line(x)
        z = lip_z[0] + (lip_z - lip_z[0]) * follow - depth
        rings[name] = np.stack([x, y, z], 1)
    return rings


def _almond(
    width: float, up: float, down: float, tilt: float = 0.10, power: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = np.cos(THETA), np.sin(THETA)
    x = width * cosine
    y = np.where(sine >= 0, up, down) * np.sign(sine) * np.abs(sine) ** power
    # The upper lid peaks towards the nose, the lower lid dips towards the temple: the classic almond.
    y = y * (1 - 0.10 * cosine * np.sign(sine))
    return x, y + tilt * x / width


def _on_eyeball(outline: tuple[np.ndarray, np.ndarray], radius: float) -> np.ndarray:
    x, y = outline
    z = np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0.02))
    return EYE + np.stack([x, y, z], 1)


def _on_skin(outline: tuple[np.ndarray, np.ndarray], lift: float = 0.0) -> np.ndarray:
    xy = np.stack([outline[0] + EYE[0], outline[1] + EYE[1]], 1)
    return np.concatenate([xy, (front_z(xy) + lift)[:, None]], 1)


def clear_of_eyeball(points: np.ndarray, gap: float) -> np.ndarray:
    """Points (N, 3) pushed forward, where needed, until they clear the left eyeball by `gap` cm."""
    offset = points - EYE
    sphere = (EYE_RADIUS + gap) ** 2 - offset[:, 0] ** 2 - offset[:, 1] ** 2
    front = np.sqrt(np.maximum(sphere, 0.0))
    pushed = -smooth_min(-offset[:, 2], -front, 0.18)
    result = points.copy()
    result[:, 2] = EYE[2] + np.where(sphere > 0, pushed, offset[:, 2])
    return result


def eye_rings() -> dict[str, np.ndarray]:
    """Rings (36, 3) by name around the left eye, from the socket to the back of the lid's rim."""
    upper = np.maximum(np.sin(THETA), 0.0)
    lower = np.maximum(-np.sin(THETA), 0.0)
    edge = _on_eyeball(_almond(1.36, 0.575, 0.60, power=0.85), EYE_RADIUS + 0.14)
    inner = _on_eyeball(_almond(1.30, 0.495, 0.555, power=0.85), EYE_RADIUS + 0.055)
    near = clear_of_eyeball(_on_skin(_almond(2.02, 1.42, 1.34)), 0.12)
    rings = {"socket_outer": _on_skin(_almond(*SOCKET, 0.05, 1.0)), "socket_near": near}
    # Between the lid's edge and the socket: name, share of the way, outline, height above the straight way.
    for name, share, outline, lift in (
        ("lid_fold", 0.62, (1.74, 1.12, 1.03), 0.05 * upper + 0.03 * lower),
        ("lid_crease", 0.40, (1.57, 0.89, 0.85), -0.20 * upper + 0.04 * lower),
        ("lid_skin", 0.16, (1.44, 0.74, 0.70), 0.04 * upper + 0.02),
    ):
        x, y = _almond(*outline)
        z = (1 - share) * edge[:, 2] + share * near[:, 2] + lift
        rings[name] = clear_of_eyeball(np.stack([x + EYE[0], y + EYE[1], z], 1), 0.12)
    return rings | {"lid_edge": edge, "lid_inner": inner, "lid_back": EYE + (inner - EYE) * 0.94}


def neck_rings() -> list[np.ndarray]:
    """Half rings (27, 3) from NECK_Y down to the bust's edge, front to back, and a hem turned inwards."""
    angles = np.linspace(np.pi / 2, -np.pi / 2, 27)
    directions = np.stack([np.cos(angles), np.zeros_like(angles), np.sin(angles)], 1)
    origin = np.array([0.0, NECK_Y, -3.7])
    low, high = np.full(len(angles), 0.5), np.full(len(angles), 12.0)
    for _ in range(40):
        middle = 0.5 * (low + high)
        inside = head_distance(origin + directions * middle[:, None]) < 0
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    rings = []
    for drop in (0.0, 0.7, 1.5, 2.4, 3.3, 4.1, 4.7):
        share = (drop / 4.7) ** 2
        flare = 1.0 + share * np.array([0.72, 0.0, 0.22])
        sag = drop * (
            1 + 0.14 * np.abs(directions[:, 2]) ** 1.5 * share
        )  # the hem hangs lower in front and at the back
        rings.append(origin + directions * low[:, None] * flare - np.stack([0 * sag, sag, 0 * sag], 1))
    hem = rings[-1] - [0, 0, origin[2]]
    for inset, drop in ((0.985, 0.22), (0.95, 0.32), (0.84, 0.32)):
        rings.append(hem * [inset, 1, inset] + [0, -drop, origin[2]])
    for ring in rings:
        ring[[0, -1], 0] = 0.0
    return rings
