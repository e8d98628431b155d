"""From the frame rate of a recording to that of the corpus, said out loud."""

from __future__ import annotations

import numpy as np

from diffspeaker3d.errors import InputError


def change_fps(motion: np.ndarray, source_fps: float, target_fps: float, resample: bool = False) -> np.ndarray:
    """Motion (T, ...) at `source_fps` to (T', ...) at `target_fps`; frame t of either is at t / fps seconds.

    An integral ratio keeps every n-th frame, untouched (60 to 30: frames 0, 2, 4, ...). Any other is refused, unless
    `resample` asks for linear interpolation between the two nearest frames.

    Raises:
        InputError: a rate is not positive, or the ratio is not integral and nobody asked to resample.
    """
    if not (source_fps > 0 and target_fps > 0):
        raise InputError(
            f"fps: must be positive, got {source_fps:g} for the recording and {target_fps:g} for the corpus"
        )
    ratio = source_fps / target_fps
    if abs(ratio - round(ratio)) < 1e-6 and round(ratio) >= 1:
        return motion[:: round(ratio)]
    if not resample:
        raise InputError(
            f"fps: {source_fps:g} to {target_fps:g} is no whole-number decimation; choose fps={source_fps:g}, a divisor of it, or resample=true"
        )
    num_frames = int((len(motion) - 1) / ratio + 1e-6) + 1
    source = np.minimum(np.arange(num_frames) * ratio, len(motion) - 1)
    low = source.astype(np.int64)
    high = np.minimum(low + 1, len(motion) - 1)
    weight = (source - low).astype(np.float32).reshape(-1, *[1] * (motion.ndim - 1))
    return motion[low] + weight * (motion[high] - motion[low])
