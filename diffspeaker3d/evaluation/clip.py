"""One clip, one prediction: its numbers, each with the weight it has among other clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.data.corpus import ClipRecord, Corpus, read_phones
from diffspeaker3d.errors import InputError
from diffspeaker3d.metrics import (
    Share,
    beat_alignment,
    bilabial_closure_recall,
    closure_threshold,
    coverage_error,
    diversity,
    false_closure,
    jitter,
    lip_vertex_error,
    mean_temporal_misalignment,
    mean_vertex_error,
    mouth_opening,
    upper_face_dynamics_deviation,
)
from diffspeaker3d.speech.phones import VISEMES, VOWELS, viseme_frames

MAX_LAG = 5  # frames either way in which the lag is looked for
BLINK = 0.5  # mean lid weight above which the eyes count as closed
STILL = 1e-3  # a mouth that moves less than this share of the recorded one has no timing
REGIONS = ("lips", "upper_face")


class Measured(NamedTuple):
    """A number and its weight: frames, or how many things it counts."""

    value: float
    weight: float


class Take(NamedTuple):
    """Frames of an animation that are compared: vertices (T, V, 3) on the recording's template, weights (T, K) or None."""

    vertices: np.ndarray
    weights: np.ndarray | None


Numbers = dict[str, Measured]


def aligned(prediction: Animation, truth: Animation) -> tuple[Take, Take]:
    """Both over their common frames; the predicted motion on the recorded speaker's own neutral face.

    Raises:
        InputError: the two have different frame rates, so that frame by frame they show different moments.
    """
    if not math.isclose(prediction.fps, truth.fps, rel_tol=1e-3):
        raise InputError(
            f"the checkpoint moves at {prediction.fps:g} frames per second, the corpus at {truth.fps:g}: prepare the corpus at the checkpoint's rate"
        )
    count = min(len(prediction), len(truth))
    vertices = np.asarray(prediction.vertices[:count])
    if not np.array_equal(prediction.template, truth.template):
        vertices = vertices + (truth.template - prediction.template)
    takes = ((vertices, prediction.weights), (np.asarray(truth.vertices[:count]), truth.weights))
    first, second = (Take(v, None if w is None else w[:count]) for v, w in takes)
    return first, second


def measure(
    prediction: Take, recorded: Take, truth: Animation, waveform: np.ndarray, corpus: Corpus, clip: ClipRecord
) -> Numbers:
    """All numbers of one prediction of one clip; what the topology or the corpus cannot tell is absent."""
    (p, weights), g, topology = prediction, recorded.vertices, truth.topology
    count = len(p)
    values = {"mve": mean_vertex_error(p, g), "jitter": jitter(p, corpus.fps)}
    if "lips" in topology.regions:
        values["lve"] = values["lve_by_clip"] = lip_vertex_error(p, g, topology.region("lips"))
    if "upper_face" in topology.regions:
        values["fdd"] = upper_face_dynamics_deviation(p, g, truth.template, topology.region("upper_face"))
        values["fdd_absolute"] = abs(values["fdd"])
    if weights is not None:
        values["blinks_per_minute"] = count_blinks(weights) * 60 * corpus.fps / count
    numbers = {name: Measured(value, count) for name, value in values.items()}
    if {"lip_upper_mid", "lip_lower_mid"} <= set(topology.regions):
        opening, wanted = mouth_opening(p, topology), mouth_opening(g, topology)
        numbers |= _mouth(opening, wanted, waveform, corpus.fps) | _closures(opening, wanted, corpus, clip, truth)
    return numbers


def _mouth(opening: np.ndarray, wanted: np.ndarray, waveform: np.ndarray, fps: float) -> Numbers:
    """Size and timing of the mouth's openings (T,), predicted and recorded."""
    values = {
        "mouth_opening_distance": float(np.abs(opening - wanted).mean()),
        "beat_alignment": beat_alignment(opening, waveform, SAMPLE_RATE, fps),
    }
    if opening.std() > STILL * wanted.std():  # a still mouth has no timing, and MTM would call it perfect
        values |= {"mtm_ms": mean_temporal_misalignment(opening, wanted, fps), "lag_frames": lag(opening, wanted)}
    return {name: Measured(value, len(opening)) for name, value in values.items()}


def _closures(opening: np.ndarray, wanted: np.ndarray, corpus: Corpus, clip: ClipRecord, truth: Animation) -> Numbers:
    """Whether the lips close where they must, and only there; nothing where the phones are not known."""
    path = corpus.phones_path(clip)
    if not path.is_file():
        return {}
    labels = viseme_frames(read_phones(path), clip.num_frames, corpus.fps)[: len(opening)]
    threshold = closure_threshold(truth.template, truth.topology)
    bilabial = labels == VISEMES.index("PP")
    near_bilabial = np.convolve(bilabial, np.ones(5), "same")[: len(labels)] > 0
    vowel = np.isin(labels, [VISEMES.index(v) for v in VOWELS]) & ~near_bilabial & (wanted > threshold)
    quiet = np.convolve(labels != VISEMES.index("sil"), np.ones(9), "same")[: len(labels)] < 0.5
    shares = {
        "closure_recall": bilabial_closure_recall(opening, bilabial, threshold),
        "false_closures": false_closure(opening, vowel, threshold),
        "closed_in_silence": Share(int((opening[quiet] <= threshold).sum()), int(quiet.sum())),
    }
    return {name: Measured(share.value, share.total) for name, share in shares.items() if share.total}


def measure_samples(samples: Sequence[dict[str, np.ndarray]], recorded: dict[str, np.ndarray]) -> Numbers:
    """What the seeds of one clip and style say together: `samples` hold the vertices (T, n, 3) of each region."""
    values: dict[str, float] = {}
    for region in recorded:
        values[f"diversity_{region}"] = diversity([sample[region] for sample in samples])
    if "lips" in recorded:
        errors = coverage_error(
            [sample["lips"] for sample in samples], recorded["lips"], np.arange(recorded["lips"].shape[1])
        )
        values |= {"coverage_best": errors.best, "coverage_mean": errors.mean, "coverage_of_mean": errors.of_mean}
    count = len(next(iter(recorded.values()), ()))
    return {name: Measured(value, count) for name, value in values.items()}


def measure_spread(recorded: dict[str, np.ndarray]) -> Numbers:
    """How far the recording's own unrelated frames are apart, region by region."""
    return {
        f"own_spread_{region}": Measured(own_spread(vertices), len(vertices)) for region, vertices in recorded.items()
    }


def region_vertices(take: Take, truth: Animation) -> dict[str, np.ndarray]:
    """The vertices (T, n, 3) of the regions that seeds are compared on."""
    return {name: take.vertices[:, truth.topology.region(name)] for name in REGIONS if name in truth.topology.regions}


def own_spread(vertices: np.ndarray) -> float:
    """Mean distance between frames half a clip apart (the clip taken as a circle), in the unit."""
    return mean_vertex_error(vertices, np.roll(vertices, len(vertices) // 2, axis=0))


def count_blinks(weights: np.ndarray) -> int:
    """How often the lids close: rising crossings of BLINK by the mean of both lids' weights (T, K)."""
    lids = weights[:, [CONTROL_NAMES.index("eyeBlinkLeft"), CONTROL_NAMES.index("eyeBlinkRight")]].mean(1)
    return int((np.diff((lids > BLINK).astype(np.int8), prepend=0) > 0).sum())


def lag(opening: np.ndarray, wanted: np.ndarray) -> float:
    """Frames by which the predicted opening (T,) comes late: the shift of best correlation; nan if either is still."""
    best = (-1.0, float("nan"))
    for shift in range(-MAX_LAG, MAX_LAG + 1):
        a, b = (opening[shift:], wanted[: len(wanted) - shift]) if shift >= 0 else (opening[:shift], wanted[-shift:])
        if len(a) > 2 * MAX_LAG and a.std() > 0 and b.std() > 0:
            best = max(best, (float(np.corrcoef(a, b)[0, 1]), float(shift)))
    return best[1]
