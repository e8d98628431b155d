"""Distances between predicted and recorded vertices: LVE, FDD, MVE; and jitter, which needs no recording.

Notation: p predicted and g recorded vertices, templ the neutral face, L lip and U upper-face vertices, T frames.
Every function takes (T, V, 3) arrays or tensors of one clip. Names of the numbers follow the papers; note that LVE and
FDD are *squared* lengths whatever a paper's table says in its head line: sqrt(LVE) is a length.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diffspeaker3d.metrics.frames import as_array, check_pair, check_region, paired_chunks


def lip_vertex_error(pred: Any, target: Any, lips: np.ndarray) -> float:
    """LVE: the worst lip vertex of each frame, squared, mean over frames.

    LVE = 1/T sum_t max_{v in L} |p_tv - g_tv|^2, in squared units (m^2 for VOCASET). See MeshTalk (Richard et al. 2021)
    and the evaluation of CodeTalker (Xing et al. 2023).

    Args:
        pred, target (array or Tensor (T, V, 3)): one clip.
        lips (array (n,)): vertex indices, e.g. `topology.region("lips")`.
    """
    check_region(lips, "lips")
    worst = [np.square(p - g).sum(-1).max(1) for p, g in paired_chunks(pred, target, lips)]
    return float(np.concatenate(worst).mean())


def upper_face_dynamics_deviation(
    pred: Any, target: Any, template: Any, upper: np.ndarray, absolute: bool = False
) -> float:
    """FDD: how much livelier the recorded upper face is than the predicted one; 0 is best, negative is too lively.

    FDD = mean_{v in U} [ std_t(|g_tv - templ_v|^2) - std_t(|p_tv - templ_v|^2) ], population standard deviation, in
    squared units. Blind to timing: only the amount of motion counts. See CodeTalker (Xing et al. 2023), who report the
    signed mean over clips; FaceDiffuser (Stan et al. 2023) also its magnitude.

    Args:
        pred, target (array or Tensor (T, V, 3)): one clip.
        template (array or Tensor (V, 3)): the subject's neutral face.
        upper (array (n,)): vertex indices, e.g. `topology.region("upper_face")`.
        absolute: the magnitude of this clip's deviation, so that clips do not cancel.
    """
    check_region(upper, "upper_face")
    neutral = as_array(template).astype(np.float64)[upper]
    motion = [[np.square(x - neutral).sum(-1) for x in pair] for pair in paired_chunks(pred, target, upper)]
    predicted, recorded = (np.concatenate(part).std(0) for part in zip(*motion, strict=True))
    deviation = float((recorded - predicted).mean())
    return abs(deviation) if absolute else deviation


def mean_vertex_error(pred: Any, target: Any) -> float:
    """MVE: the mean distance over all vertices and frames, in the vertices' unit.

    MVE = 1/(T V) sum_tv |p_tv - g_tv|. See FaceDiffuser (Stan et al. 2023).
    """
    total = sum(float(np.linalg.norm(p - g, axis=-1).sum()) for p, g in paired_chunks(pred, target))
    return total / (target.shape[0] * target.shape[1])


def jitter(vertices: Any, fps: float) -> float:
    """Mean jerk: |third difference| * fps^3 over vertices and frames, unit/s^3; needs no recording.

    Recorded faces have jerk too: compare with the recording's own value, below it is over-smoothed. 0 for fewer than
    four frames. See Flash & Hogan 1985; used for motion capture by TransPose (Yi et al. 2021).
    """
    check_pair(vertices, vertices)
    count, step = len(vertices), 125
    total = 0.0
    for start in range(0, count - 3, step):  # pieces overlap by the three frames that a third difference needs
        piece = as_array(vertices[start : min(start + step + 3, count)]).astype(np.float64)
        total += float(np.linalg.norm(np.diff(piece, 3, axis=0), axis=-1).sum())
    return total * fps**3 / (max(count - 3, 1) * vertices.shape[1])
