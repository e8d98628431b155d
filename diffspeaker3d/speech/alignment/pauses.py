"""Where a recording is quiet: places to cut it, and silence that an aligner has given to a neighbouring phone."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.audio import SAMPLE_RATE

HOP_SECONDS = 0.01
WINDOW_SECONDS = 0.025
QUIET_SHARE = 0.35  # of the way from the noise floor to the speech level, in dB
SILENT_DB = -60.0  # of full scale
SHORTEST_RANGE_DB = 12.0  # less between floor and speech: nothing is called quiet


def levels(waveform: np.ndarray) -> np.ndarray:
    """Level (F,) in dB every HOP_SECONDS, of windows centred there."""
    hop, half = round(HOP_SECONDS * SAMPLE_RATE), round(0.5 * WINDOW_SECONDS * SAMPLE_RATE)
    energy = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    centres = np.arange(len(waveform) // hop + 1) * hop
    low, high = np.maximum(centres - half, 0), np.minimum(centres + half, len(waveform))
    return 10.0 * np.log10((energy[high] - energy[low]) / np.maximum(high - low, 1) + 1e-9)


def quiet_frames(waveform: np.ndarray) -> np.ndarray:
    """(F,) bool: closer to the noise floor than to speech, every HOP_SECONDS."""
    level = levels(waveform)
    floor, speech = np.percentile(level, [5.0, 95.0])
    if speech - floor < SHORTEST_RANGE_DB:
        return np.zeros(len(level), bool)
    return level < floor + QUIET_SHARE * (speech - floor)


def is_silent(waveform: np.ndarray) -> bool:
    """No part of the sound is loud enough to be speech."""
    return len(waveform) == 0 or float(levels(waveform).max()) < SILENT_DB


def runs(flags: np.ndarray) -> np.ndarray:
    """Starts and ends (n, 2) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2)


def pieces(waveform: np.ndarray, longest: float) -> list[tuple[float, float]]:
    """A recording in pieces of at most `longest` seconds, cut where it pauses longest, or is least loud.

    Returns:
        start and end of each piece, seconds; together they cover the recording.
    """
    duration = len(waveform) / SAMPLE_RATE
    if duration <= longest:
        return [(0.0, duration)]
    level, quiet = levels(waveform), runs(quiet_frames(waveform))
    cuts = [0.0]
    while duration - cuts[-1] > longest:
        earliest, latest = cuts[-1] + 0.4 * longest, cuts[-1] + longest
        middles, lengths = quiet.mean(1) * HOP_SECONDS, quiet[:, 1] - quiet[:, 0]
        inside = (middles > earliest) & (middles < latest)
        if inside.any():
            cuts.append(float(middles[inside][np.argmax(lengths[inside])]))
        else:
            first, last = int(earliest / HOP_SECONDS), int(latest / HOP_SECONDS)
            cuts.append((first + int(np.argmin(level[first:last]))) * HOP_SECONDS)
    return list(zip(cuts, [*cuts[1:], duration], strict=True))
