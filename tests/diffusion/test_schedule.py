"""Schedules and conversions."""

import diffusers
import pytest
import torch

from diffspeaker3d.diffusion import NoiseSchedule
from diffspeaker3d.errors import InputError


@pytest.mark.parametrize("kind", ["scaled_linear", "linear", "cosine"])
@pytest.mark.parametrize("zero", [False, True])
def test_alphas_fall_strictly_and_end_at_zero_when_asked(kind: str, zero: bool) -> None:
    alphas = torch.tensor(NoiseSchedule(kind, zero_terminal_snr=zero).alphas_cumprod, dtype=torch.float64)
    assert (alphas.diff() < 0).all() and alphas[0] < 1
    assert (alphas[-1] == 0) == zero


def test_paper_schedule_has_the_papers_numbers() -> None:
    schedule = NoiseSchedule()
    assert schedule.alpha_cumprod(0) == pytest.approx(0.99915, abs=1e-9)
    assert schedule.alpha_cumprod(999) == pytest.approx(0.00466, abs=5e-6)
    assert schedule.timesteps(50, "leading") == list(range(981, 0, -20))


def test_zero_terminal_snr_equals_diffusers() -> None:
    theirs = diffusers.DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, rescale_betas_zero_snr=True
    )
    ours = torch.tensor(NoiseSchedule(zero_terminal_snr=True).alphas_cumprod)
    torch.testing.assert_close(ours, theirs.alphas_cumprod.float(), atol=2e-6, rtol=0)


@pytest.mark.parametrize("prediction_type", ["sample", "epsilon", "v_prediction"])
def test_target_converts_back_to_x_start_and_noise(prediction_type: str) -> None:
    schedule = NoiseSchedule(prediction_type=prediction_type)
    generator = torch.Generator().manual_seed(0)
    x_start, noise = torch.randn(4, 7, 5, generator=generator), torch.randn(4, 7, 5, generator=generator)
    timestep = torch.tensor([3, 250, 500, 900])
    x_t = schedule.add_noise(x_start, noise, timestep)
    output = schedule.target(x_start, noise, timestep)
    torch.testing.assert_close(schedule.x_start(output, x_t, timestep), x_start, atol=1e-5, rtol=0)
    torch.testing.assert_close(schedule.epsilon(output, x_t, timestep), noise, atol=2e-5, rtol=0)
    torch.testing.assert_close(schedule.x_start(output[1:2], x_t[1:2], 250), x_start[1:2], atol=1e-5, rtol=0)


def test_noised_unit_data_has_unit_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    x_start, noise = torch.randn(3, 100_000, generator=generator), torch.randn(3, 100_000, generator=generator)
    x_t = NoiseSchedule().add_noise(x_start, noise, torch.tensor([0, 500, 999]))
    torch.testing.assert_close(x_t.var(1), torch.ones(3), atol=0.02, rtol=0)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", [1, 3, 10, 50, 1000])
def test_timesteps_fall_within_range(spacing: str, steps: int) -> None:
    timesteps = NoiseSchedule().timesteps(steps, spacing)
    assert len(set(timesteps)) == len(timesteps) == steps
    assert timesteps == sorted(timesteps, reverse=True) and timesteps[-1] >= 0 and timesteps[0] <= 999


@pytest.mark.parametrize(
    "settings",
    [{"kind": "sigmoid"}, {"prediction_type": "score"}, {"prediction_type": "epsilon", "zero_terminal_snr": True}],
)
def test_bad_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError):
        NoiseSchedule(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [0, 1001])
def test_bad_step_counts_are_refused(steps: int) -> None:
    with pytest.raises(InputError, match="1 to 1000"):
        NoiseSchedule().timesteps(steps)
