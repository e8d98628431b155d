"""How far predicted vertices are from recorded ones."""

from __future__ import annotations

from diffspeaker3d.metrics.metric import ClipPair, Metric
from diffspeaker3d.metrics.vertex import lip_vertex_error, mean_vertex_error


def _lip_vertex_error(pair: ClipPair) -> float | None:
    if "lips" not in pair.topology.regions:
        return None
    return lip_vertex_error(pair.predicted, pair.recorded, pair.topology.region("lips"))


METRICS = (
    Metric(
        "lve",
        "Lip vertex error (LVE)",
        "u²",
        "low",
        "Squared distance of the worst lip vertex of each frame, mean over all frames, as if all clips were one "
        "(CodeTalker). Its square root is a length.",
        region="lips",
        compute=_lip_vertex_error,
    ),
    Metric(
        "lve_by_clip",
        "LVE, every clip alike",
        "u²",
        "low",
        "The same, but the mean over clips of each clip's mean (DiffSpeaker's code).",
        region="lips",
        pooling="clips",
        compute=_lip_vertex_error,
    ),
    Metric(
        "mve",
        "Mean vertex error (MVE)",
        "u",
        "low",
        "Distance between predicted and recorded vertices, mean over the whole head and all frames.",
        compute=lambda pair: mean_vertex_error(pair.predicted, pair.recorded),
    ),
)
