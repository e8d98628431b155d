"""Latent sampling: the same numbers as in the motion's own space, and the same noise."""

from typing import Any

import pytest
import torch
from tiny_denoiser import VARIANTS, inputs, tiny
from torch import Tensor

from diffspeaker3d.diffusion import NoiseSchedule, SamplingOptions, ddim_sample, initial_noise
from diffspeaker3d.errors import InputError
from diffspeaker3d.models import Denoiser
from diffspeaker3d.models.sampling import Prepared, Space, noise_dim, open_space
from diffspeaker3d.models.sampling.spaces import LatentSpace, cholesky_of_rows

SCHEDULE = NoiseSchedule()


def space(name: str, denoiser: Denoiser) -> Space:
    _, _, audio, conditions = inputs(1)
    return open_space(name, Prepared(denoiser, audio, conditions, [500]))


@pytest.mark.parametrize("eta", [0.0, 0.8])
@pytest.mark.parametrize("variant", VARIANTS)
def test_latent_sampling_is_exact(eta: float, variant: dict[str, Any]) -> None:
    denoiser = tiny(**variant)
    _, _, audio, conditions = inputs()
    options = SamplingOptions(20, eta)
    mask = torch.arange(23) < torch.tensor([[23], [14]])
    results = {}
    with torch.no_grad():
        prepared = Prepared(denoiser, audio, conditions, SCHEDULE.timesteps(20), mask)
        for name in ("motion", "latent"):
            walk = open_space(name, prepared)

            def fresh(draw: int, walk: Space = walk) -> Tensor:
                return walk.start(initial_noise([(23, 16), (14, 16)], [4, 5], draw=draw))

            results[name] = walk.lift(ddim_sample(walk, SCHEDULE, fresh(0), options, fresh))
    difference = (results["latent"] - results["motion"])[mask].abs().max() / results["motion"][mask].abs().max()
    assert difference < 1e-5
    assert results["motion"].abs().max() > 0.1


def wide(spread: bool) -> tuple[Denoiser, Tensor | None]:
    """Five times more motion channels than width, and a standard deviation for each channel."""
    torch.manual_seed(0)
    denoiser = Denoiser(80, 12, width=16, feedforward=24, conditions={"style": 3}, period=5).eval()
    torch.nn.init.normal_(denoiser.output.weight, std=0.3)
    return denoiser, torch.linspace(0.2, 1.5, 80) if spread else None


@pytest.mark.parametrize("spread", [False, True])
def test_latent_noise_is_distributed_as_projected_noise(spread: bool) -> None:
    """L n of N(0, 1) numbers n has the covariance of W_in S ε, whole and in a sample; the motion's space starts from its preimage."""
    denoiser, std = wide(spread)
    assert (noise_dim(denoiser), noise_dim(tiny()), noise_dim(Denoiser(9, 8, width=16))) == (16, 16, 9)
    with torch.no_grad():
        latent, motion = space("latent", denoiser), space("motion", denoiser)
        scaled = denoiser.input.weight * (1.0 if std is None else std)
        want = scaled @ scaled.T
        root = latent.start(torch.eye(16)[None], std)[0]  # rows: images of the unit vectors
        torch.testing.assert_close(root.T @ root, want, atol=1e-5, rtol=1e-5)
        sample = latent.start(initial_noise([(40_000, 16)], [0]), std)[0]
        assert (sample.T @ sample / 40_000 - want).abs().max() < 0.03 * want.diagonal().max()
        normal = initial_noise([(23, 16)], [3])
        projected = latent.project(motion.start(normal, std))
        torch.testing.assert_close(projected, latent.start(normal, std), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("motion_dim", [9, 80])
def test_a_uniform_spread_is_a_factor_and_none_is_silence(motion_dim: int) -> None:
    denoiser = Denoiser(motion_dim, 12, width=16, feedforward=24, conditions={"style": 3}, period=5).eval()
    normal = initial_noise([(23, noise_dim(denoiser))], [3])
    with torch.no_grad():
        for name in ("latent", "motion"):
            walk = space(name, denoiser)
            half, none = (walk.start(normal, torch.full((motion_dim,), factor)) for factor in (0.5, 0.0))
            torch.testing.assert_close(half, 0.5 * walk.start(normal))
            assert not none.any()


def test_noise_of_an_input_layer_with_dependent_rows() -> None:
    rows = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    for degenerate in (torch.cat([rows, rows]), torch.zeros(12, 40)):
        root = cholesky_of_rows(degenerate)
        torch.testing.assert_close(root @ root.T, degenerate @ degenerate.T, atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match="not finite"):
        cholesky_of_rows(torch.full((2, 3), float("nan")))


def test_latent_product_follows_the_weights() -> None:
    denoiser = tiny()
    with torch.no_grad():
        before = space("latent", denoiser)
        assert isinstance(before, LatentSpace) and space("auto", denoiser).product is before.product  # type: ignore[attr-defined]
        denoiser.output.weight.mul_(2.0)
        after = space("latent", denoiser)
    assert isinstance(after, LatentSpace)
    torch.testing.assert_close(after.product.weight, 2.0 * before.product.weight)


def test_unknown_spaces_are_refused() -> None:
    with pytest.raises(InputError, match="auto, latent, motion"):
        space("pixel", tiny())
