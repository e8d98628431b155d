"""Windows: equal to the whole where the network looks no further than they do."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from diffspeaker3d.diffusion import NoiseSchedule, SamplingOptions, ddim_sample, window_frames, windowed
from diffspeaker3d.diffusion.ddim import Denoise
from diffspeaker3d.diffusion.windows import window_starts
from diffspeaker3d.errors import InputError

AUDIO = torch.randn(1, 107, 2, generator=torch.Generator().manual_seed(3))
X_T = torch.randn(1, 107, 2, generator=torch.Generator().manual_seed(0))


def framewise(start: int, stop: int) -> Denoise:
    return lambda x_t, t: torch.tanh(x_t + AUDIO[:, start:stop])


def neighbours(start: int, stop: int) -> Denoise:
    """Each frame sees three to either side, and silence beyond its window's edges."""

    def denoise(x_t: Tensor, timestep: int) -> Tensor:
        padded = F.pad(torch.tanh(x_t + AUDIO[:, start:stop]), (0, 0, 3, 3))
        return torch.stack([padded[:, i : i + x_t.shape[1]] for i in range(7)]).mean(0)

    return denoise


@pytest.mark.parametrize(("window", "hop"), [(200, None), (107, None), (20, None), (20, 7), (16, 16)])
def test_framewise_network_does_not_notice(window: int, hop: int | None) -> None:
    options = SamplingOptions(8)
    whole = ddim_sample(framewise(0, 107), NoiseSchedule(), X_T, options)
    parts = ddim_sample(windowed(framewise, 107, window, hop), NoiseSchedule(), X_T, options)
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=0)


def test_context_cut_by_edges_is_a_small_difference_without_jumps() -> None:
    options = SamplingOptions(8)
    whole = ddim_sample(neighbours(0, 107), NoiseSchedule(), X_T, options)
    parts = ddim_sample(windowed(neighbours, 107, 40), NoiseSchedule(), X_T, options)
    alone = torch.cat(
        [
            ddim_sample(neighbours(a, b), NoiseSchedule(), X_T[:, a:b], options)
            for a, b in ((0, 40), (40, 80), (80, 107))
        ],
        1,
    )
    assert (parts - whole).abs().max() < 0.2 * (alone - whole).abs().max()


def test_hop_is_checked() -> None:
    with pytest.raises(InputError, match="hop"):
        windowed(framewise, 107, 20, 30)


@pytest.mark.parametrize("length", [100, 101, 190, 191, 1000])
def test_equal_windows_cover_all_frames_and_waste_none(length: int) -> None:
    window = window_frames(length, 100, 10)
    assert window <= 100
    if length > 100:
        starts = window_starts(length, window, window - 10)
        assert starts[-1] + window == length and all(0 < b - a <= window - 10 for a, b in pairwise(starts))
        assert len(starts) * window <= length + 10 * (len(starts) - 1) + len(starts)
