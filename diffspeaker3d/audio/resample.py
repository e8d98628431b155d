"""Change of sample rate in blocks: memory does not grow with the length of the sound, nor the filter with odd rates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

import numpy as np

STOPBAND_DB = 90.0  # attenuation of what would alias; scipy's default filter leaves a 9 kHz tone at -31 dB
LARGEST_FACTOR = 50_000  # of an exact rational change; its filter has about 100 taps per unit
BLOCK = 1 << 18  # samples worked on at once


class Resampler(Protocol):
    """Takes a waveform piece by piece and gives it at another rate, aligned with the start of the first piece."""

    def push(self, block: np.ndarray) -> np.ndarray:
        """The next samples (n,) float32 in, as many (m,) float32 out as are certain by now."""
        ...

    def finish(self) -> np.ndarray:
        """The rest: all pieces together have ceil(N * target / source) samples."""
        ...


def resampler(source_rate: int, target_rate: int) -> Resampler:
    """The resampler for two rates in Hz: exact where their ratio has factors up to LARGEST_FACTOR, else interpolating."""
    divisor = math.gcd(source_rate, target_rate)
    up, down = target_rate // divisor, source_rate // divisor
    if up == down:
        return _Unchanged()
    return _Polyphase(up, down) if max(up, down) <= LARGEST_FACTOR else _Interpolating(source_rate, target_rate)


def resample(waveform: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Band-limited change of rate: (N,) at source_rate Hz -> (ceil(N * target / source),) float32 at target_rate Hz.

    Polyphase FIR with a Kaiser window, pass band to 0.89 of the lower Nyquist frequency, STOPBAND_DB beyond it.
    """
    waveform = np.ascontiguousarray(waveform, np.float32)
    if source_rate == target_rate:
        return waveform
    result = np.empty(-(-len(waveform) * target_rate // source_rate), np.float32)
    done = 0
    for piece in _pieces(resampler(source_rate, target_rate), waveform):
        result[done : done + len(piece)] = piece
        done += len(piece)
    return result


def _pieces(change: Resampler, waveform: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(waveform), BLOCK):
        yield change.push(waveform[start : start + BLOCK])
    yield change.finish()


class _Unchanged:
    def push(self, block: np.ndarray) -> np.ndarray:
        return block

    def finish(self) -> np.ndarray:
        return np.zeros(0, np.float32)


class _Polyphase:
    """Exact change by up / down: each block is filtered with the samples around it that the filter reaches."""

    def __init__(self, up: int, down: int) -> None:
        self.up, self.down = up, down
        self.taps = _low_pass(max(up, down))
        # The context is a multiple of `down`, so that every block begins on an output sample.
        self.margin = -(-(len(self.taps) // 2 // up + 1) // down) * down
        self.held = np.zeros(self.margin, np.float32)  # [context | not yet given]; silence before the sound

    def push(self, block: np.ndarray) -> np.ndarray:
        self.held = np.concatenate([self.held, np.asarray(block, np.float32)])
        ready = (len(self.held) - 2 * self.margin) // self.down * self.down
        return self._give(ready) if ready >= BLOCK // 2 else np.zeros(0, np.float32)

    def finish(self) -> np.ndarray:
        rest = len(self.held) - self.margin
        wanted = -(-rest * self.up // self.down)
        self.held = np.concatenate([self.held, np.zeros(self.margin + self.down, np.float32)])
        return self._give(-(-rest // self.down) * self.down)[:wanted]

    def _give(self, ready: int) -> np.ndarray:
        """Outputs of the first `ready` samples (a multiple of `down`) behind the context."""
        from scipy.signal import resample_poly

        skip = self.margin // self.down * self.up
        result = resample_poly(self.held[: ready + 2 * self.margin], self.up, self.down, window=self.taps)
        self.held = self.held[ready:]
        return result[skip : skip + ready // self.down * self.up]


class _Interpolating:
    """FFmpeg's windowed sinc, interpolated between 1024 phases: for ratios whose exact filter would not fit in memory."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        import av

        self.source_rate, self.target_rate = source_rate, target_rate
        self.graph = av.AudioResampler("flt", "mono", target_rate)
        self.taken = self.given = 0

    def push(self, block: np.ndarray) -> np.ndarray:
        import av

        if len(block) == 0:
            return np.zeros(0, np.float32)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block, np.float32)[None], "flt", "mono")
        frame.sample_rate, frame.pts = self.source_rate, self.taken
        self.taken += len(block)
        return self._collect(self.graph.resample(frame))

    def finish(self) -> np.ndarray:
        rest = self._collect(self.graph.resample(None)) if self.taken else np.zeros(0, np.float32)
        missing = -(-self.taken * self.target_rate // self.source_rate) - self.given
        return np.pad(rest, (0, missing)) if missing > 0 else rest[: len(rest) + missing]

    def _collect(self, frames: list) -> np.ndarray:
        pieces = [frame.to_ndarray()[0] for frame in frames]
        result = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
        self.given += len(result)
        return result


@lru_cache(maxsize=4)
def _low_pass(longest: int) -> np.ndarray:
    """Filter taps for a rate change whose larger factor is `longest`."""
    from scipy.signal import firwin, kaiserord

    taps, beta = kaiserord(STOPBAND_DB, 0.11 / longest)
    return firwin(taps | 1, 0.945 / longest, window=("kaiser", beta)).astype(np.float32)
