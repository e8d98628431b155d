"""Numbers about faces that move, each with its formula, unit, reduction and source in its docstring.

vertex       LVE, FDD, MVE, jitter                            pooling   many clips, one number, and how sure
mouth        opening, MTM, closures, beat alignment  regions   which vertices a number was computed on
samples      diversity, coverage error                        frechet   distance between crowds of motion
baselines    what any number must beat                        line      one animated line, without a recording
metric       what a metric of an evaluation is, and may look at   catalog, registry   all of them, found by file
frames       checks and pieces of sequences
"""

from diffspeaker3d.metrics.frechet import MotionFeatures, frechet_distance
from diffspeaker3d.metrics.mouth import (
    Rate,
    Share,
    beat_alignment,
    bilabial_closure_recall,
    closure_threshold,
    false_closure,
    lip_speeds,
    mean_temporal_misalignment,
    mouth_opening,
    other_speech,
    wrong_closures,
)
from diffspeaker3d.metrics.pooling import confidence_interval, pool
from diffspeaker3d.metrics.regions import describe_region, region_hash
from diffspeaker3d.metrics.samples import CoverageError, coverage_error, diversity
from diffspeaker3d.metrics.vertex import (
    jitter,
    lip_vertex_error,
    mean_vertex_error,
    upper_face_dynamics_deviation,
)

__all__ = [
    "CoverageError",
    "MotionFeatures",
    "Rate",
    "Share",
    "beat_alignment",
    "bilabial_closure_recall",
    "closure_threshold",
    "confidence_interval",
    "coverage_error",
    "describe_region",
    "diversity",
    "false_closure",
    "frechet_distance",
    "jitter",
    "lip_speeds",
    "lip_vertex_error",
    "mean_temporal_misalignment",
    "mean_vertex_error",
    "mouth_opening",
    "other_speech",
    "pool",
    "region_hash",
    "upper_face_dynamics_deviation",
    "wrong_closures",
]
