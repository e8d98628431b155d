"""Frame rates: kept frames are untouched, instants agree, what cannot be had is refused."""

from __future__ import annotations

import numpy as np
import pytest

from diffspeaker3d.data.framerate import change_fps
from diffspeaker3d.errors import InputError


def test_sixty_to_thirty_keeps_every_second_frame() -> None:
    motion = np.random.default_rng(0).normal(size=(7, 4, 3)).astype(np.float32)
    assert np.array_equal(change_fps(motion, 60, 30), motion[[0, 2, 4, 6]])
    assert np.array_equal(change_fps(motion, 60, 60), motion)


@pytest.mark.parametrize(("source", "target"), [(60, 25), (25, 30), (30, 60), (60, 29.97)])
def test_other_ratios_are_refused_or_interpolated_at_the_same_instants(source: float, target: float) -> None:
    line = (np.arange(61) / source).astype(np.float32)[:, None]  # each frame holds its own time
    with pytest.raises(InputError, match=f"{source:g} to {target:g} is no whole-number decimation"):
        change_fps(line, source, target)
    resampled = change_fps(line, source, target, resample=True)
    np.testing.assert_allclose(resampled[:, 0], np.arange(len(resampled)) / target, atol=1e-6)
    assert 0 <= 60 / source - (len(resampled) - 1) / target < 1 / target
