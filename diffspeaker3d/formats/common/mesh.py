"""What several writers need to know of a mesh: its scale in metres and its colours."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.topology import METRES_PER_UNIT, Topology

HEAD_HEIGHT = 0.25  # metres, chin to crown; gives tolerances to heads whose unit is not a length


def metres_per_unit(topology: Topology) -> float:
    """Factor from the topology's unit to metres; a unit that is not a length ("unit area") is kept as it is: 1."""
    return METRES_PER_UNIT.get(topology.unit, 1.0)


def in_units(metres: float, topology: Topology, template: np.ndarray) -> float:
    """A length such as a tolerance, metres -> the topology's unit; judged by the head's height where it has no metres."""
    if topology.unit in METRES_PER_UNIT:
        return metres / METRES_PER_UNIT[topology.unit]
    return metres / HEAD_HEIGHT * float(np.ptp(template[:, 1]))


def linear_colors(colors: np.ndarray) -> np.ndarray:
    """sRGB bytes (V, 3) -> linear light (V, 3) float32 in [0, 1] (IEC 61966-2-1)."""
    srgb = colors[:, :3].astype(np.float64) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)
