"""Sounds that nobody speaks: silence, noise, mains hum and chords. The face must stay quiet on them."""

from __future__ import annotations

import numpy as np


def background(kind: str, duration: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A sound of `kind` (see plan.BACKGROUNDS), (N,) float32, N = duration * sample_rate."""
    count = round(duration * sample_rate)
    if kind == "silence":
        return (1e-4 * rng.random() * rng.standard_normal(count)).astype(np.float32)
    makers = {"noise": _noise, "hum": _hum, "music": _music}
    sound = makers[kind](count, sample_rate, rng)
    return (sound * rng.uniform(0.02, 0.4) / max(float(np.abs(sound).max()), 1e-6)).astype(np.float32)


def _noise(count: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls by 0 to 2 orders per decade, swelling slowly."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** (0.5 * rng.uniform(0.0, 2.0))
    swell = 1.0 + rng.uniform(0.0, 0.8) * np.sin(2 * np.pi * rng.uniform(0.1, 3.0) * np.arange(count) / sample_rate)
    return np.fft.irfft(spectrum, count) * swell


def _hum(count: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum with harmonics."""
    times, base = np.arange(count) / sample_rate, float(rng.choice([50.0, 60.0]))
    parts = [
        rng.uniform(0.1, 1.0) / k * np.sin(2 * np.pi * base * k * times + rng.uniform(0, 6.3)) for k in range(1, 12)
    ]
    return np.sum(parts, 0) + 0.02 * rng.standard_normal(count)


def _music(count: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Plucked and held chords of a major scale, with clicks for drums."""
    sound, beat = np.zeros(count), int(sample_rate * rng.uniform(0.25, 0.6))
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    root, decay = rng.uniform(110.0, 330.0), rng.uniform(0.5, 6.0)
    for start in range(0, count, beat):
        times = np.arange(min(2 * beat, count - start)) / sample_rate
        for note in rng.choice(scale, size=3, replace=False):
            pitch = root * 2 ** (note / 12)
            tone = sum(np.sin(2 * np.pi * pitch * k * times) / k**1.5 for k in range(1, 6))
            sound[start : start + len(times)] += np.exp(-decay * times) * np.minimum(times / 0.01, 1.0) * tone
        if rng.random() < 0.5:
            sound[start : start + len(times)] += 0.8 * rng.standard_normal(len(times)) * np.exp(-60 * times)
    return sound
