"""What a picture of a head is about: the face on a body, the whole of a head that stands alone."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.topology import Topology

FOCUSES = ("auto", "face", "head", "all")
STIRRED = 0.08  # of the largest movement: what moves less is no part of the face
FACE_MARGIN, HEAD_MARGIN = 0.15, 0.55  # of the face's height, around it: eyebrows to chin, and crown to throat
BODY = 2.6  # times the face's height: a mesh that is larger has a body


def focus_points(topology: Topology, template: np.ndarray, focus: str) -> np.ndarray:
    """The points (P, 3) of a neutral head (V, 3) that a picture must hold.

    The face is what the head's shapes move. `auto` shows all of a head, its neck running out of the picture, and of a body
    the head alone. Without shapes the whole mesh is shown.
    """
    everything = template[np.setdiff1d(np.arange(topology.num_vertices), topology.regions.get("neck", ()))]
    if focus == "all" or topology.blendshapes is None:
        return template if focus == "all" else everything
    moved = np.abs(topology.blendshapes.deltas).max((0, 2))
    face = template[moved > STIRRED * moved.max()] if moved.max() > 0 else template
    low, high = face.min(0), face.max(0)
    height = float(high[1] - low[1])
    if focus == "face":
        margin = FACE_MARGIN * height
    elif focus == "head" or np.ptp(everything, axis=0).max() > BODY * height:
        margin = HEAD_MARGIN * height
    else:
        return everything
    inside = ((template > low - margin) & (template < high + margin)).all(1)
    return template[inside]
