"""The numbers of many clips, accumulated one by one: memory does not grow with the corpus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.groups import SPOKEN
from diffspeaker3d.metrics import MotionFeatures, confidence_interval, frechet_distance
from diffspeaker3d.metrics.metric import ClipPair, Measured
from diffspeaker3d.metrics.registry import BY_NAME

LEAST_MOTION = 0.01  # controls that move less than this are left out of correlations


class MeanAccumulator:
    """One number per metric from any number of clips, pooled as the metric says; nan is not counted."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}
        self._values: dict[str, Counter[float]] = defaultdict(Counter)

    def add(self, numbers: Mapping[str, Measured]) -> None:
        for name, (value, weight) in numbers.items():
            if not np.isfinite(value):
                continue
            pooling = BY_NAME[name].pooling
            if pooling == "median":
                self._values[name][value] += 1
            else:
                share = 1.0 if pooling == "clips" else weight
                total, weights = self._sums.get(name, (0.0, 0.0))
                self._sums[name] = (total + share * value, weights + share)

    def summary(self) -> dict[str, float]:
        found = {name: total / weight for name, (total, weight) in self._sums.items() if weight > 0}
        found |= {name: float(np.median(list(values.elements()))) for name, values in self._values.items()}
        return found


class CorrelationAccumulator:
    """Correlation of predicted and recorded weights over all frames, from running sums."""

    def __init__(self) -> None:
        self._count = 0
        self._sums = np.zeros((5, len(CONTROL_NAMES)))

    def add(self, pair: ClipPair) -> None:
        if pair.predicted_weights is None or pair.recorded_weights is None:
            return
        p, g = pair.predicted_weights.astype(np.float64), pair.recorded_weights.astype(np.float64)
        self._count += len(p)
        self._sums += [p.sum(0), g.sum(0), np.square(p).sum(0), np.square(g).sum(0), (p * g).sum(0)]

    def by_control(self) -> dict[str, float]:
        """Control -> correlation, of those that move in the recording; 0 where the prediction stands still."""
        if self._count == 0:
            return {}
        p, g, pp, gg, pg = self._sums / self._count
        spread_p, spread_g = np.sqrt(np.maximum(pp - p**2, 0)), np.sqrt(np.maximum(gg - g**2, 0))
        moves = spread_p > 1e-6
        values = np.where(moves, (pg - p * g) / np.where(moves, spread_p * np.maximum(spread_g, 1e-12), 1), 0.0)
        return {
            name: float(np.clip(value, -1, 1))
            for name, value, spread in zip(CONTROL_NAMES, values, spread_g, strict=True)
            if spread > LEAST_MOTION
        }

    def summary(self) -> dict[str, float]:
        controls = self.by_control()
        mouth = [value for name, value in controls.items() if name in SPOKEN]
        upper = [value for name, value in controls.items() if name not in SPOKEN]
        found = {"jaw_correlation": controls["jawOpen"]} if "jawOpen" in controls else {}
        found |= {"mouth_correlation": float(np.mean(mouth))} if mouth else {}
        return found | ({"upper_correlation": float(np.mean(upper))} if upper else {})


class FrechetAccumulator:
    """Motion features of every n-th frame, predicted and recorded, for the Fréchet distance.

    Args:
        features: fitted on recordings; None when there are too few frames.
        stride: keeps every `stride`-th frame of both.
    """

    def __init__(self, features: MotionFeatures | None, stride: int) -> None:
        self._features, self._stride = features, stride
        self._predicted: list[np.ndarray] = []
        self._recorded: list[np.ndarray] = []

    def add(self, predicted: np.ndarray, recorded: np.ndarray) -> None:
        """Motion (T, D) of one clip, as the features were fitted on."""
        if self._features is not None and len(predicted) > 1:
            self._predicted.append(self._features(predicted)[:: self._stride].astype(np.float32))
            self._recorded.append(self._features(recorded)[:: self._stride].astype(np.float32))

    def summary(self) -> dict[str, float]:
        if sum(map(len, self._predicted)) < 2:
            return {}
        return {
            "frechet": frechet_distance(
                *(np.concatenate(side).astype(np.float64) for side in (self._predicted, self._recorded))
            )
        }


def seed_shares(over_seeds: Mapping[str, float], recorded: Mapping[str, float]) -> dict[str, float]:
    """Diversity of the seeds over the recording's own spread, region by region; absent where nothing moves."""
    regions = [name.removeprefix("diversity_") for name in over_seeds if name.startswith("diversity_")]
    return {
        f"seed_share_{region}": over_seeds[f"diversity_{region}"] / recorded[f"own_spread_{region}"]
        for region in regions
        if recorded.get(f"own_spread_{region}", 0.0) > 0
    }


def across_seeds(summaries: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Means of whole evaluations under different seeds, and half widths of their 95 % intervals (none for one seed)."""
    means, widths = {}, {}
    for name in dict.fromkeys(name for summary in summaries for name in summary):
        values = [summary[name] for summary in summaries if name in summary]
        mean, width = confidence_interval(values)
        means[name] = mean
        if np.isfinite(width):
            widths[name] = width
    return means, widths
