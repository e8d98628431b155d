"""What every number of an evaluation means: its unit, how clips become one number, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        name: in metrics.json and clips.csv.
        title: for people.
        unit: "u" stands for the topology's unit.
        good: `low`, `high`, `zero`, `recorded`: as close as possible to the recording's own value,
            or nothing where a number is neither good nor bad by itself.
        meaning: one or two plain sentences.
        region: the vertices it looks at, if not all.
        pooling: `frames` weighs a clip by its length (or by what it counts), `clips` not at all, `median` over clips;
            `whole` numbers exist only for all clips together.
    """

    name: str
    title: str
    unit: str
    good: str
    meaning: str
    region: str = ""
    pooling: str = "frames"


METRICS: tuple[Metric, ...] = (
    Metric(
        "lve",
        "Lip vertex error (LVE)",
        "u²",
        "low",
        "Squared distance of the worst lip vertex of each frame, mean over all frames, as if all clips were one (CodeTalker). Its square root is a length.",
        "lips",
    ),
    Metric(
        "lve_by_clip",
        "LVE, every clip alike",
        "u²",
        "low",
        "The same, but the mean over clips of each clip's mean (DiffSpeaker's code).",
        "lips",
        "clips",
    ),
    Metric(
        "mve",
        "Mean vertex error (MVE)",
        "u",
        "low",
        "Distance between predicted and recorded vertices, mean over the whole head and all frames.",
    ),
    Metric(
        "fdd",
        "Upper-face dynamics deviation (FDD), signed",
        "u²",
        "zero",
        "How much livelier the recorded upper face is than the predicted; negative is too lively. Mean over clips, so clips may cancel.",
        "upper_face",
        "clips",
    ),
    Metric(
        "fdd_absolute",
        "FDD, magnitude",
        "u²",
        "low",
        "The same, but without the sign of each clip: clips do not cancel.",
        "upper_face",
        "clips",
    ),
    Metric(
        "mouth_opening_distance",
        "Mouth opening distance",
        "m",
        "low",
        "Difference of the lips' distance between prediction and recording, mean over frames.",
    ),
    Metric(
        "mtm_ms",
        "Mean temporal misalignment (MTM)",
        "ms",
        "low",
        "How early or late the mouth's turning points are, after the best alignment. Absent for a mouth that does not move.",
    ),
    Metric(
        "lag_frames",
        "Lag",
        "frames",
        "zero",
        "Shift at which the predicted mouth opening fits best; positive is late. Median over clips.",
        "",
        "median",
    ),
    Metric(
        "beat_alignment",
        "Beat alignment",
        "0 to 1",
        "recorded",
        "Whether the mouth opens on the syllables of the sound: 1 is on every one. Looks at the prediction only.",
    ),
    Metric(
        "closure_recall",
        "Closures on p, b, m",
        "share",
        "high",
        "How many of the spoken p, b and m show closed lips (within half a millimetre of the neutral mouth).",
    ),
    Metric(
        "false_closures",
        "False closures",
        "share",
        "low",
        "How many vowel frames in which the recorded mouth is open show closed lips.",
    ),
    Metric(
        "closed_in_silence", "Closed in silence", "share", "recorded", "How many frames of silence show closed lips."
    ),
    Metric(
        "jaw_correlation",
        "Jaw correlation",
        "-1 to 1",
        "high",
        "Correlation of the predicted and the recorded jawOpen weight over all frames.",
        "",
        "whole",
    ),
    Metric(
        "mouth_correlation",
        "Mouth correlation",
        "-1 to 1",
        "high",
        "The same, mean over all controls of jaw and mouth that move in the recording.",
        "",
        "whole",
    ),
    Metric(
        "upper_correlation",
        "Upper-face correlation",
        "-1 to 1",
        "",
        "The same for eyes, brows, cheeks and nose. Sound does not determine them: near 0 is no fault.",
        "",
        "whole",
    ),
    Metric(
        "blinks_per_minute",
        "Blinks per minute",
        "1/min",
        "recorded",
        "How often both lids close beyond half (mean of eyeBlinkLeft and eyeBlinkRight).",
    ),
    Metric(
        "jitter",
        "Jitter",
        "u/s³",
        "recorded",
        "Mean jerk. Far above the recording: trembling; far below: over-smoothed.",
    ),
    Metric(
        "frechet",
        "Fréchet distance",
        "",
        "low",
        "Distance between the crowds of predicted and recorded frames (16 principal coordinates and their speeds, in standard deviations, squared). 0: same poses, same speeds, as a crowd. Grows when there are few frames.",
        "",
        "whole",
    ),
    Metric(
        "coverage_best",
        "Coverage error, best seed",
        "u²",
        "low",
        "LVE of the seed that comes closest, chosen per clip.",
        "lips",
    ),
    Metric("coverage_mean", "Coverage error, mean seed", "u²", "low", "LVE of a seed on average.", "lips"),
    Metric(
        "coverage_of_mean",
        "Coverage error, mean face of the seeds",
        "u²",
        "low",
        "LVE of the mean of all seeds' faces.",
        "lips",
    ),
    Metric(
        "diversity_lips",
        "Diversity of the lips",
        "u",
        "",
        "Distance between two seeds, mean over pairs, frames and vertices. Sound determines the lips: little is right.",
        "lips",
    ),
    Metric(
        "diversity_upper_face",
        "Diversity of the upper face",
        "u",
        "",
        "The same for the upper face, which sound leaves free.",
        "upper_face",
    ),
    Metric(
        "own_spread_lips",
        "Recorded spread of the lips",
        "u",
        "",
        "Distance between recorded frames half a clip apart: how far frames differ that have nothing to do with each other.",
        "lips",
    ),
    Metric(
        "own_spread_upper_face",
        "Recorded spread of the upper face",
        "u",
        "",
        "The same for the upper face.",
        "upper_face",
    ),
    Metric(
        "seed_share_lips",
        "Seed share of the lips",
        "ratio",
        "low",
        "Diversity over recorded spread: 0, all seeds agree; 1, seeds differ as unrelated frames do.",
        "lips",
        "whole",
    ),
    Metric(
        "seed_share_upper_face",
        "Seed share of the upper face",
        "ratio",
        "high",
        "The same for the upper face; near 0 means a face that does the same whatever the seed.",
        "upper_face",
        "whole",
    ),
)

BY_NAME = {metric.name: metric for metric in METRICS}
PER_CLIP = tuple(metric.name for metric in METRICS if metric.pooling != "whole")


def unit_of(metric: Metric, unit: str) -> str:
    """The metric's unit where lengths of the topology are in `unit`."""
    if metric.name == "mouth_opening_distance":
        return "m" if unit in ("m", "cm", "mm") else unit
    return metric.unit.replace("u", unit, 1) if metric.unit[:1] == "u" else metric.unit
