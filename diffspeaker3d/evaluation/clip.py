"""One clip: a prediction laid over the recording, and what several predictions of it say together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.data.corpus import ClipRecord, Corpus, read_phones
from diffspeaker3d.errors import InputError
from diffspeaker3d.metrics import coverage_error, diversity, mean_vertex_error
from diffspeaker3d.metrics.metric import ClipPair, Measured

REGIONS = ("lips", "upper_face")
Numbers = dict[str, Measured]


def pair_clips(
    prediction: Animation, truth: Animation, waveform: np.ndarray, corpus: Corpus, clip: ClipRecord
) -> ClipPair:
    """Both motions over their common frames; the predicted one on the recorded speaker's own neutral face.

    Args:
        prediction, truth: predicted and recorded motion.
        waveform (array (N,)): the recording's sound at 16 kHz.
        corpus, clip: whose phones are read, where there are any.

    Raises:
        InputError: the two have different frame rates, so that frame by frame they show different moments.
    """
    if not math.isclose(prediction.fps, truth.fps, rel_tol=1e-3):
        raise InputError(
            f"the checkpoint moves at {prediction.fps:g} frames per second, the corpus at {truth.fps:g}: "
            "prepare the corpus at the checkpoint's rate"
        )
    count = min(len(prediction), len(truth))
    vertices = np.asarray(prediction.vertices[:count])
    if not np.array_equal(prediction.template, truth.template):
        vertices = vertices + (truth.template - prediction.template)
    phones = corpus.phones_path(clip)
    return ClipPair(
        predicted=vertices,
        recorded=np.asarray(truth.vertices[:count]),
        predicted_weights=None if prediction.weights is None else prediction.weights[:count],
        recorded_weights=None if truth.weights is None else truth.weights[:count],
        template=truth.template,
        topology=truth.topology,
        fps=corpus.fps,
        waveform=waveform,
        sample_rate=SAMPLE_RATE,
        phones=read_phones(phones) if phones.is_file() else None,
    )


def region_vertices(vertices: np.ndarray, truth: Animation) -> dict[str, np.ndarray]:
    """The vertices (T, n, 3) of the regions that seeds are compared on."""
    return {name: vertices[:, truth.topology.region(name)] for name in REGIONS if name in truth.topology.regions}


def measure_samples(samples: Sequence[dict[str, np.ndarray]], recorded: dict[str, np.ndarray]) -> Numbers:
    """What the seeds of one clip and style say together: `samples` hold the vertices (T, n, 3) of each region."""
    values: dict[str, float] = {}
    for region in recorded:
        values[f"diversity_{region}"] = diversity([sample[region] for sample in samples])
    if "lips" in recorded:
        lips = np.arange(recorded["lips"].shape[1])
        errors = coverage_error([sample["lips"] for sample in samples], recorded["lips"], lips)
        values |= {"coverage_best": errors.best, "coverage_mean": errors.mean, "coverage_of_mean": errors.of_mean}
    count = len(next(iter(recorded.values()), ()))
    return {name: Measured(value, count) for name, value in values.items()}


def measure_spread(recorded: dict[str, np.ndarray]) -> Numbers:
    """How far the recording's own unrelated frames are apart, region by region."""
    return {
        f"own_spread_{region}": Measured(own_spread(vertices), len(vertices)) for region, vertices in recorded.items()
    }


def own_spread(vertices: np.ndarray) -> float:
    """Mean distance between frames half a clip apart (the clip taken as a circle), in the unit."""
    return mean_vertex_error(vertices, np.roll(vertices, len(vertices) // 2, axis=0))
