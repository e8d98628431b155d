"""The table of all metrics of an evaluation.

A metric is added by one entry, or one file, in `metrics/catalog/`: title, unit, meaning, and the function that computes it.
Evaluation, reports and glossary find it here.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from diffspeaker3d.metrics import catalog
from diffspeaker3d.metrics.metric import ClipPair, Measured, Metric


def _discover() -> tuple[Metric, ...]:
    """Every entry of every `METRICS` in `metrics/catalog/`, files in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(catalog.__path__))
    return tuple(metric for name in names for metric in import_module(f"{catalog.__name__}.{name}").METRICS)


METRICS: tuple[Metric, ...] = _discover()
BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}
PER_CLIP: tuple[str, ...] = tuple(metric.name for metric in METRICS if metric.compute is not None)


def measure(pair: ClipPair) -> dict[str, Measured]:
    """All numbers of one clip; what the topology or the corpus cannot tell is absent."""
    found = ((metric.name, metric.measure(pair)) for metric in METRICS)
    return {name: measured for name, measured in found if measured is not None}
