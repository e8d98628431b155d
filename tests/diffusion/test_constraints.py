"""Known values: met exactly, and nothing else is bent more than the covariance says."""

import pytest
import torch
from torch import Tensor

from diffspeaker3d.diffusion import LinearConstraint, NoiseSchedule, SamplingOptions, ddim_sample, smooth_covariance
from diffspeaker3d.errors import InputError

FRAMES = 40
ROWS = torch.eye(FRAMES)[[4, 20, 39]]  # key frames
VALUES = torch.tensor([[1.0, -2.0], [0.0, 0.5], [3.0, 0.0]])
SCHEDULE = NoiseSchedule("cosine", zero_terminal_snr=True)


def state(seed: int = 0) -> Tensor:
    return torch.randn(2, FRAMES, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_known_frames_are_met_exactly_at_the_end_of_any_walk(steps: int) -> None:
    """Whatever the network wants; and the last step returns what the constraint made."""
    constraint = LinearConstraint(ROWS, VALUES, smooth_covariance(FRAMES, 3.0), channels=[0, 2])
    sampled = ddim_sample(lambda x, t: torch.tanh(x), SCHEDULE, state(), SamplingOptions(steps), edit=constraint)
    torch.testing.assert_close(sampled[:, [4, 20, 39]][..., [0, 2]], VALUES.expand(2, -1, -1), atol=1e-4, rtol=1e-4)


def test_a_constraint_that_already_holds_changes_nothing() -> None:
    """An oracle's x_start that fits the values is returned as it is."""
    x_start = state()
    constraint = LinearConstraint(ROWS, ROWS @ x_start, smooth_covariance(FRAMES, 3.0))
    torch.testing.assert_close(constraint(x_start), x_start, atol=1e-5, rtol=1e-5)
    sampled = ddim_sample(lambda x, t: x_start, SCHEDULE, state(1), SamplingOptions(5), edit=constraint)
    torch.testing.assert_close(sampled, x_start, atol=1e-5, rtol=1e-5)


def test_neighbours_follow_and_what_is_far_or_another_channel_stays() -> None:
    constraint = LinearConstraint(torch.eye(FRAMES)[[20]], torch.ones(1, 1), smooth_covariance(FRAMES, 2.0), [1])
    moved = constraint(torch.zeros(1, FRAMES, 3))[0]
    assert not moved[:, [0, 2]].any()
    torch.testing.assert_close(moved[18:23, 1], torch.exp(-0.5 * (torch.arange(-2, 3.0) / 2).square()))
    assert moved[:8].abs().max() < 1e-6


def test_noise_leaves_room_for_the_network() -> None:
    """λ = the variance: half of the way."""
    constraint = LinearConstraint(torch.eye(FRAMES)[[20]], torch.ones(1, 3), torch.eye(FRAMES), noise=1.0)
    torch.testing.assert_close(constraint(torch.zeros(1, FRAMES, 3))[0, 20], torch.full((3,), 0.5))


def test_means_and_velocities_are_constraints_too() -> None:
    rows = torch.zeros(2, FRAMES)
    rows[0, 10:20] = 0.1  # the mean of ten frames
    rows[1, 30], rows[1, 29] = 1.0, -1.0  # a velocity
    constraint = LinearConstraint(rows, torch.tensor([[0.7], [0.0]]), smooth_covariance(FRAMES, 2.0), [0])
    x = constraint(state())
    torch.testing.assert_close(x[:, 10:20, 0].mean(1), torch.full((2,), 0.7), atol=1e-4, rtol=0)
    torch.testing.assert_close(x[:, 30, 0], x[:, 29, 0], atol=1e-4, rtol=0)


def test_senseless_constraints_are_refused() -> None:
    smooth = smooth_covariance(FRAMES, 3.0)
    for rows, values, covariance, channels, noise, message in (
        (ROWS, VALUES[:2], smooth, [0, 2], 0.0, "do not fit"),
        (ROWS, VALUES, torch.eye(3), [0, 2], 0.0, "do not fit"),
        (ROWS, VALUES, smooth, [0], 0.0, "2 values for 1 channels"),
        (ROWS, VALUES, smooth, [0, 2], float("nan"), "noise=nan"),
        (ROWS[[0, 0, 1]], VALUES, smooth, [0, 2], 0.0, "depend on each other"),
    ):
        with pytest.raises(InputError, match=message):
            LinearConstraint(rows, values, covariance, channels, noise)
