"""Any sound a user has -> one waveform at a known rate."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.audio.decode import Block, Form, decode
from diffspeaker3d.audio.mixing import Moments, mixing_weights, plain_mean
from diffspeaker3d.audio.resample import Resampler, resampler
from diffspeaker3d.errors import InputError
from diffspeaker3d.limits import BUDGET

log = logging.getLogger(__name__)

SAMPLE_RATE = 16_000  # Hz, what every audio encoder here listens to
LOUDEST = 16.0  # of full scale; beyond it the numbers are not sound
GROWTH = 1 << 22  # samples by which a waveform grows at most

AudioSource = str | Path | tuple[np.ndarray, int]


def load_audio(source: AudioSource, sample_rate: int = SAMPLE_RATE, *, track: int | None = None) -> np.ndarray:
    """A waveform for the encoders: (N,) float32, one channel, `sample_rate` Hz.

    Args:
        source: a path, or (samples (N,) or (N, channels), rate in Hz).
        sample_rate: wanted rate, Hz.
        track: which sound track of a file with several, counted from 1; None is its default one.

    Raises:
        InputError: missing, empty, undecodable, beyond the budget, or with samples that are no sound.
    """
    return _read(source, sample_rate, sample_rate, track)[0]


def read_audio(source: AudioSource, *, max_rate: int | None = None, track: int | None = None) -> tuple[np.ndarray, int]:
    """One channel (N,) float32 at its own rate, or at `max_rate` if that is lower, and the rate in Hz; else as `load_audio`."""
    return _read(source, 1, max_rate, track)


def _read(source: AudioSource, lowest: int, highest: int | None, track: int | None) -> tuple[np.ndarray, int]:
    """A waveform at a rate between two bounds, as near as they allow to its own, and that rate."""
    if isinstance(source, tuple):
        name = "audio samples"
        blocks = iter([_from_array(*source)])
        weights = [_weights(name, iter([_from_array(*source)]))[0]]
    else:
        path = Path(source)
        name = str(path)
        blocks, weights = decode(path, track, lambda words: log.warning("%s: %s", path, words)), []
    waveform, rate, count = _Waveform(), 0, 0
    change: Resampler | None = None
    form: Form | None = None
    run = -1
    for new_form, samples in blocks:
        if not rate:
            rate = max(lowest, new_form.rate if highest is None else min(new_form.rate, highest))
        if new_form != form:
            if change is not None:
                waveform.append(change.finish())
            form, change, run = new_form, resampler(new_form.rate, rate), run + 1
            if len(form.channels) > 1 and not weights:
                weights = _weights(name, decode(Path(name), track, lambda _: None))
        assert change is not None
        mixed = (
            samples[:, 0]
            if samples.shape[1] == 1
            else samples @ (weights[run] if run < len(weights) else plain_mean(samples.shape[1]))
        )
        _check(mixed, name, count)
        count += len(mixed)
        waveform.append(change.push(mixed))
    if count == 0 or change is None:
        raise InputError(f"{name}: holds no sound (zero samples); record or copy it again")
    waveform.append(change.finish())
    return waveform.finished(), rate


def _weights(name: str, blocks: Iterator[Block]) -> list[np.ndarray]:
    """Mixing weights (C,) of every run of equal form, from all of its samples; says what is unusual."""
    runs: list[Moments] = []
    for form, samples in blocks:
        if not runs or runs[-1].form != form:
            runs.append(Moments.empty(form))
        runs[-1].add(samples)
    answers = [mixing_weights(moments) for moments in runs]
    for note in dict.fromkeys(note for _, note in answers if note):
        log.warning("%s: %s", name, note)
    return [weights for weights, _ in answers]


def _check(mixed: np.ndarray, name: str, done: int) -> None:
    """Refuse numbers that are no sound; `done` samples came before these."""
    peak = max(float(mixed.max(initial=0.0)), -float(mixed.min(initial=0.0)))
    if peak <= LOUDEST:
        return
    if not np.isfinite(mixed).all():
        first = done + int(np.argmin(np.isfinite(mixed)))
        raise InputError(f"{name}: sample {first} is not a finite number; repair or export the sound again")
    raise InputError(f"{name}: samples reach {peak:.3g}, where full scale is 1; divide them by their full scale")


def _from_array(samples: Any, rate: Any) -> Block:
    """Samples in memory as one block."""
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= BUDGET.channels):
        raise InputError(f"audio samples: expected (N,) or (N, channels), got shape {samples.shape}")
    if not isinstance(rate, int | float | np.integer | np.floating) or not rate > 0 or int(rate) != rate:
        raise InputError(f"audio samples: the sample rate must be a positive whole number, got {rate!r}")
    samples = samples[:, None] if samples.ndim == 1 else samples
    BUDGET.check_sound("audio samples", int(rate), samples.shape[1])
    BUDGET.check_seconds("audio samples", len(samples) / int(rate))
    if np.issubdtype(samples.dtype, np.integer):
        kind = np.iinfo(samples.dtype)
        middle = 0.0 if kind.min < 0 else (kind.max + 1) / 2
        samples = (samples - middle) / (float(kind.max + 1) - middle)
    elif not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"audio samples: expected real numbers, got an array of {samples.dtype}")
    with np.errstate(over="ignore"):
        return Form(int(rate), ("",) * samples.shape[1]), samples.astype(np.float32)


class _Waveform:
    """Samples that grow in place: the whole is never held twice."""

    def __init__(self) -> None:
        self.buffer = np.empty(0, np.float32)
        self.length = 0

    def append(self, samples: np.ndarray) -> None:
        end = self.length + len(samples)
        if end > len(self.buffer):
            self.buffer.resize(end + min(self.length, GROWTH), refcheck=False)  # nobody else has seen it
        self.buffer[self.length : end] = samples
        self.length = end

    def finished(self) -> np.ndarray:
        self.buffer.resize(self.length, refcheck=False)
        return self.buffer


def num_motion_frames(num_samples: int, sample_rate: int, fps: float) -> int:
    """How many motion frames a sound needs: floor(duration * fps), robust against rounding of whole numbers."""
    return int(num_samples * fps / sample_rate + 1e-6)
