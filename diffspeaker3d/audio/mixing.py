"""Several channels to one, without losing a voice: which channels count, and how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffspeaker3d.audio.decode import Form

SILENT = 0.01  # of the loudest channel's power: a side without the voice
OPPOSED = -0.5  # correlation with the loudest channel; what is averaged with such a channel vanishes
CENTRE = 0.1  # of the loudest channel's power, from which the centre of a surround mix is taken to speak


@dataclass
class Moments:
    """Sums over the samples of one run of blocks: enough for every channel's power and how the channels go together.

    Attributes:
        form: rate and channels.
        count: samples.
        total (array (C,)) and product (array (C, C)): sums of samples and of their products, float64.
    """

    form: Form
    count: int
    total: np.ndarray
    product: np.ndarray

    @classmethod
    def empty(cls, form: Form) -> Moments:
        """Of no samples yet."""
        channels = len(form.channels)
        return cls(form, 0, np.zeros(channels), np.zeros((channels, channels)))

    def add(self, samples: np.ndarray) -> None:
        """Count samples (n, C); those that are not finite are somebody else's to refuse."""
        with np.errstate(over="ignore", invalid="ignore"):
            product = samples.T @ samples
        if not np.isfinite(product).all():
            samples = np.nan_to_num(samples, posinf=0.0, neginf=0.0).astype(np.float64)
            product = samples.T @ samples
        self.count += len(samples)
        self.total += samples.sum(0, dtype=np.float64)
        self.product += product

    @property
    def covariance(self) -> np.ndarray:
        """(C, C) of the channels."""
        mean = self.total / max(self.count, 1)
        return self.product / max(self.count, 1) - np.outer(mean, mean)


def plain_mean(channels: int) -> np.ndarray:
    """Weights (C,) of the mean."""
    return np.full(channels, 1.0 / channels, np.float32)


def mixing_weights(moments: Moments) -> tuple[np.ndarray, str]:
    """How channels become one.

    The mean of two channels, the power-weighted mean of more; without channels that are silent, that run in phase opposition to the
    loudest, or that carry bass effects only. The centre of a surround mix speaks alone.

    Returns:
        (array (C,) float32): weights that sum to 1.
        str: what a listener should know, or "".
    """
    names = moments.form.channels
    covariance = moments.covariance
    power = np.maximum(np.diag(covariance), 0.0)
    loudest = int(power.argmax())
    if len(names) == 1 or power[loudest] <= 0.0:
        return plain_mean(len(names)), ""
    bass = np.array([name.startswith("LFE") for name in names])
    if len(names) > 2 and "FC" in names and power[names.index("FC")] >= CENTRE * power[~bass].max():
        return _only(names.index("FC"), len(names)), f"{len(names)} channels: the centre speaks and is used alone"
    if bass.any() and not bass.all():
        power[bass] = 0.0
        loudest = int(power.argmax())
        if power[loudest] <= 0.0:
            return plain_mean(len(names)), ""
    together = covariance[loudest] / np.sqrt(np.maximum(power * power[loudest], 1e-300))
    silent, opposed = power < SILENT * power[loudest], together < OPPOSED
    kept = ~(silent | opposed)
    weights = np.where(kept, 1.0 if len(names) == 2 else power, 0.0)
    note = ""
    if (opposed & ~silent).any():
        note = f"channels in opposite phase would cancel out; {_listed(names, kept)} used"
    elif silent.any() and len(names) == 2:
        note = f"one side is silent; {_listed(names, kept)} used"
    return (weights / weights.sum()).astype(np.float32), note


def _only(channel: int, channels: int) -> np.ndarray:
    return np.eye(channels, dtype=np.float32)[channel]


def _listed(names: tuple[str, ...], kept: np.ndarray) -> str:
    used = [f"{i + 1} ({name})" if name not in ("", "NONE") else str(i + 1) for i, name in enumerate(names) if kept[i]]
    return f"channel{'s' * (len(used) > 1)} {', '.join(used)} {'are' if len(used) > 1 else 'is'}"
