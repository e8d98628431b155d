"""Agreement of controls over the whole corpus, and of crowds of frames; computed by `evaluation.accumulators`."""

from __future__ import annotations

from diffspeaker3d.metrics.metric import Metric

METRICS = (
    Metric(
        "jaw_correlation",
        "Jaw correlation",
        "-1 to 1",
        "high",
        "Correlation of the predicted and the recorded jawOpen weight over all frames.",
        pooling="whole",
    ),
    Metric(
        "mouth_correlation",
        "Mouth correlation",
        "-1 to 1",
        "high",
        "The same, mean over all controls of jaw and mouth that move in the recording.",
        pooling="whole",
    ),
    Metric(
        "upper_correlation",
        "Upper-face correlation",
        "-1 to 1",
        "",
        "The same for eyes, brows, cheeks and nose. Sound does not determine them: near 0 is no fault.",
        pooling="whole",
    ),
    Metric(
        "frechet",
        "Fréchet distance",
        "",
        "low",
        "Distance between the distributions of predicted and recorded frames (16 principal coordinates and their speeds, "
        "in standard deviations, squared). 0: same poses, same speeds. Grows when there are few frames.",
        pooling="whole",
    ),
)
