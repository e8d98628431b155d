"""Guidance: more or less of what a condition changes, in any linear space."""

import torch
from torch import Tensor

from diffspeaker3d.diffusion import NoiseSchedule, SamplingOptions, ddim_sample, guided

SCHEDULE = NoiseSchedule("cosine", zero_terminal_snr=True)
X_T = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0))


def network(offset: float, calls: list[int]):
    def denoise(x_t: Tensor, timestep: int) -> Tensor:
        calls.append(timestep)
        return torch.tanh(x_t) * 0.3 + offset

    return denoise


def test_scale_one_is_off_and_asks_nothing_more() -> None:
    full, without = [], []
    denoise = network(1.0, full)
    same = guided(denoise, [(network(0.0, without), 1.0)])
    torch.testing.assert_close(same(X_T, 5), denoise(X_T, 5))
    assert without == []


def test_scale_two_doubles_what_the_condition_changes_and_zero_removes_it() -> None:
    conditioned, free = network(1.0, []), network(0.25, [])
    torch.testing.assert_close(guided(conditioned, [(free, 0.0)])(X_T, 5), free(X_T, 5))
    got = guided(conditioned, [(free, 2.0)])(X_T, 5)
    torch.testing.assert_close(got - free(X_T, 5), 2.0 * (conditioned(X_T, 5) - free(X_T, 5)))


def test_conditions_have_scales_of_their_own() -> None:
    conditioned, no_style, no_mood = (network(offset, []) for offset in (1.0, 0.25, 0.5))
    got = guided(conditioned, [(no_style, 3.0), (no_mood, 0.0)])(X_T, 5)
    torch.testing.assert_close(got, conditioned(X_T, 5) + 2.0 * 0.75 - 0.5)


def test_it_commutes_with_a_linear_map_of_the_space() -> None:
    """The latent loop may run guided: W d(x) combined is W of the combination."""
    weight = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    pair = network(1.0, []), network(0.25, [])
    mapped = [lambda x, t, d=d: d(X_T, t) @ weight for d in pair]
    torch.testing.assert_close(
        guided(mapped[0], [(mapped[1], 1.7)])(X_T, 5), guided(pair[0], [(pair[1], 1.7)])(X_T, 5) @ weight
    )


def test_a_guided_walk_ends_where_its_oracle_says() -> None:
    target, other = torch.full((2, 7, 3), 0.5), torch.full((2, 7, 3), 0.2)
    walk = guided(lambda x, t: target, [(lambda x, t: other, 1.5)])
    sampled = ddim_sample(walk, SCHEDULE, X_T, SamplingOptions(6))
    torch.testing.assert_close(sampled, torch.full((2, 7, 3), 0.65))
