"""How seeds differ, and how near the best of them comes; computed over the seeds of a clip by `evaluation.clip`."""

from __future__ import annotations

from diffspeaker3d.metrics.metric import Metric

METRICS = (
    Metric(
        "coverage_best",
        "Coverage error, best seed",
        "u²",
        "low",
        "LVE of the seed that comes closest, chosen per clip.",
        region="lips",
    ),
    Metric(
        "coverage_mean",
        "Coverage error, mean seed",
        "u²",
        "low",
        "LVE of a seed on average.",
        region="lips",
    ),
    Metric(
        "coverage_of_mean",
        "Coverage error, mean face of the seeds",
        "u²",
        "low",
        "LVE of the mean of all seeds' faces.",
        region="lips",
    ),
    Metric(
        "diversity_lips",
        "Diversity of the lips",
        "u",
        "",
        "Distance between two seeds, mean over pairs, frames and vertices. Sound determines the lips: little is right.",
        region="lips",
    ),
    Metric(
        "diversity_upper_face",
        "Diversity of the upper face",
        "u",
        "",
        "The same for the upper face, which sound leaves free.",
        region="upper_face",
    ),
    Metric(
        "own_spread_lips",
        "Recorded spread of the lips",
        "u",
        "",
        "Distance between recorded frames half a clip apart: how far frames differ that have nothing to do with each other.",
        region="lips",
    ),
    Metric(
        "own_spread_upper_face",
        "Recorded spread of the upper face",
        "u",
        "",
        "The same for the upper face.",
        region="upper_face",
    ),
    Metric(
        "seed_share_lips",
        "Seed share of the lips",
        "ratio",
        "low",
        "Diversity over recorded spread: 0, all seeds agree; 1, seeds differ as unrelated frames do.",
        region="lips",
        pooling="whole",
    ),
    Metric(
        "seed_share_upper_face",
        "Seed share of the upper face",
        "ratio",
        "high",
        "The same for the upper face; near 0 means a face that does the same whatever the seed.",
        region="upper_face",
        pooling="whole",
    ),
)
