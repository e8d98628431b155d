"""Samplers against an oracle, against diffusers and against the published iteration's numbers."""

import math

import diffusers
import pytest
import torch
from torch import Tensor

from diffspeaker3d.diffusion import NoiseSchedule, SamplingOptions, ddim_sample, official_sample
from diffspeaker3d.errors import InputError

SHAPE = (2, 11, 6)


def randn(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def curved(x_t: Tensor, timestep: int) -> Tensor:
    """A deterministic network stand-in that depends on everything."""
    return torch.tanh(x_t + math.sin(timestep)) * 0.7


@pytest.mark.parametrize("steps", [1, 2, 7, 50, 1000])
@pytest.mark.parametrize("kind", ["scaled_linear", "cosine"])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_oracle_gives_x_start_exactly(steps: int, kind: str, spacing: str) -> None:
    x_start = randn(1)
    schedule = NoiseSchedule(kind, zero_terminal_snr=spacing == "trailing")
    sampled = ddim_sample(lambda x_t, t: x_start, schedule, randn(0), SamplingOptions(steps, spacing=spacing))
    assert torch.equal(sampled, x_start)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_oracle_in_other_parametrisations(prediction_type: str) -> None:
    """The oracle answers for the x_t it is given: ε and v follow from x_t and the true x_start."""
    schedule, x_start = NoiseSchedule(prediction_type=prediction_type), randn(1)

    def oracle(x_t: Tensor, t: int) -> Tensor:
        alpha = schedule.alpha_cumprod(t)
        epsilon = (x_t - math.sqrt(alpha) * x_start) / math.sqrt(1 - alpha)
        return epsilon if prediction_type == "epsilon" else math.sqrt(alpha) * epsilon - math.sqrt(1 - alpha) * x_start

    sampled = ddim_sample(oracle, schedule, randn(0), SamplingOptions(20))
    torch.testing.assert_close(sampled, x_start, atol=1e-5, rtol=0)


@pytest.mark.parametrize("prediction_type", ["sample", "epsilon", "v_prediction"])
@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_equals_diffusers(prediction_type: str, eta: float, spacing: str) -> None:
    theirs = diffusers.DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type=prediction_type,
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
        timestep_spacing=spacing,
    )
    theirs.set_timesteps(10)
    x_t = randn(0)
    for step, t in enumerate(theirs.timesteps.tolist(), start=1):
        last = step == 10
        x_t = theirs.step(
            curved(x_t, t),
            t,
            x_t,
            eta=0.0 if last else eta,
            variance_noise=None if last else randn(step) if eta else None,
        ).prev_sample
    schedule = NoiseSchedule(prediction_type=prediction_type)
    ours = ddim_sample(curved, schedule, randn(0), SamplingOptions(10, eta, spacing), randn)
    torch.testing.assert_close(ours, x_t, atol=2e-5, rtol=1e-5)


def test_official_iteration_has_the_published_gains() -> None:
    """x <- g x_start with g from 1.0817 up to √2 and down to 1.0287; x_T reaches the first evaluation only."""
    seen: list[Tensor] = []

    def network(x_t: Tensor, timestep: int) -> Tensor:
        seen.append(x_t)
        return torch.ones_like(x_t)

    sampled = official_sample(network, NoiseSchedule(), randn(0), SamplingOptions(50))
    gains = [float(x.mean()) for x in (*seen[1:], sampled)]
    assert torch.equal(seen[0], randn(0))
    assert gains[0] == pytest.approx(1.0817, abs=1e-4)
    assert max(gains) == pytest.approx(1.4141, abs=2e-4)
    assert gains[-1] == pytest.approx(1.0287, abs=1e-4)


def test_x_T_is_left_alone_and_eta_needs_noise() -> None:
    x_T = randn(0)
    ddim_sample(curved, NoiseSchedule(), x_T, SamplingOptions(5))
    assert torch.equal(x_T, randn(0))
    with pytest.raises(InputError, match="noise source"):
        ddim_sample(curved, NoiseSchedule(), x_T, SamplingOptions(5, eta=1.0))


@pytest.mark.parametrize("sampler", [ddim_sample, official_sample])
def test_every_step_is_shown_and_may_be_edited(sampler) -> None:
    """The watcher sees x_t and the edited x_start of each step; the last edit is the answer of DDIM."""
    seen: list[tuple[int, Tensor, Tensor]] = []
    sampled = sampler(
        lambda x_t, t: torch.tanh(x_t),
        NoiseSchedule(),
        randn(0),
        SamplingOptions(5),
        edit=lambda x_start: x_start.clamp(-0.1, 0.1),
        watch=lambda step, x_t, x_start: seen.append((step, x_t.clone(), x_start)),
    )
    assert [step for step, _, _ in seen] == [1, 2, 3, 4, 5]
    torch.testing.assert_close(seen[0][1], randn(0))
    assert all(x_start.abs().max() <= 0.1 for _, _, x_start in seen)
    if sampler is ddim_sample:
        torch.testing.assert_close(sampled, seen[-1][2])
