"""The one sampling function: clips are independent, options are checked."""

from typing import Any

import pytest
import torch
from torch import Tensor

from diffspeaker3d.diffusion import LinearConstraint, NoiseSchedule, smooth_covariance
from diffspeaker3d.errors import InputError
from diffspeaker3d.generation.sample import Sampling, noise_scale, sample
from diffspeaker3d.models import AutoregressiveModel, ControlMotion, Denoiser, DiffSpeaker, MelEncoder, VertexMotion

SCHEDULE = NoiseSchedule("cosine", zero_terminal_snr=True)
FRAMES = (23, 14)


def model(denoiser: type = Denoiser, **options: Any) -> DiffSpeaker:
    torch.manual_seed(0)
    motion = VertexMotion(8)
    network = denoiser(motion.dim, 12, width=16, feedforward=24, conditions={"style": 3}, period=5, **options)
    torch.nn.init.normal_(network.output.weight, std=0.3)
    encoder = MelEncoder(25.0, width=12, dilations=(1,))
    return DiffSpeaker(encoder, network, motion, fps=25.0, style_names=("a", "b", "c"), topology="tetra").eval()


def sampled(network: DiffSpeaker, items: list[int], sampling: Sampling, seeds: list[int] | None = None) -> Tensor:
    """States of some of two clips."""
    features = torch.randn(2, FRAMES[0], 12, generator=torch.Generator().manual_seed(1))[items]
    lengths = torch.tensor(FRAMES)[items]
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    with torch.no_grad():
        conditions = {"style": torch.eye(3)[items]}
        return sample(
            network, SCHEDULE, features[:, : mask.shape[1]], conditions, sampling, seeds or [7 + i for i in items], mask
        )


@pytest.mark.parametrize("eta", [0.0, 0.6])
@pytest.mark.parametrize("denoiser", [Denoiser, AutoregressiveModel])
def test_a_clip_moves_the_same_alone_and_beside_a_longer_one(denoiser: type, eta: float) -> None:
    network, sampling = model(denoiser), Sampling(steps=6, eta=eta)
    together, alone = sampled(network, [0, 1], sampling), sampled(network, [1], sampling)
    assert together.shape == (2, 23, 24) and together.std() > 0.1
    torch.testing.assert_close(together[1, :14], alone[0], atol=1e-4, rtol=1e-4)


def test_seeds_make_different_motion_unless_the_temperature_is_zero() -> None:
    network = model()
    first, other = (sampled(network, [0], Sampling(steps=4), [seed]) for seed in (1, 2))
    assert (first - other).abs().max() > 0.1
    cold = Sampling(steps=4, temperature=0.0)
    torch.testing.assert_close(sampled(network, [0], cold, [1]), sampled(network, [0], cold, [2]))


def test_the_temperature_of_one_group_leaves_the_others() -> None:
    motion = ControlMotion(("a", "b", "c"), groups={"lips": ("a", "b"), "eyes": ("c",)})
    scale = noise_scale(motion, {"eyes": 0.25})
    assert scale is not None and scale.tolist() == [1.0, 1.0, 0.25] and noise_scale(motion, None) is None
    with pytest.raises(InputError, match=r"unknown motion group 'ears'; known: lips, eyes"):
        noise_scale(motion, {"ears": 0.5})
    for bad in (3.0, -1.0, float("nan"), "cold"):
        with pytest.raises(InputError, match="must be 0 to 2"):
            noise_scale(motion, {"lips": bad})  # type: ignore[dict-item]


def test_senseless_options_are_refused() -> None:
    for bad in ({"sampler": "euler"}, {"eta": 2.0}, {"eta": float("nan")}):
        with pytest.raises(InputError, match=next(iter(bad))):
            Sampling(**bad)
    with pytest.raises(InputError, match="frame by frame"):
        sampled(model(AutoregressiveModel), [0], Sampling(temperature=0.5))


def test_a_long_clip_in_pieces_is_the_clip_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces have a margin of all that a frame depends on, so that no seam is left, with fresh noise at each step too."""
    network = model(reach=1.0)
    features = torch.randn(1, 200, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for sampling in (Sampling(steps=2), Sampling(steps=3, eta=0.7)):
            monkeypatch.setattr("diffspeaker3d.generation.sample.WINDOW_FRAMES", 36_000)
            whole = sample(network, SCHEDULE, features, {"style": torch.eye(3)[:1]}, sampling, [5])
            monkeypatch.setattr("diffspeaker3d.generation.sample.WINDOW_FRAMES", 70)
            pieces = sample(network, SCHEDULE, features, {"style": torch.eye(3)[:1]}, sampling, [5])
            torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=1e-4)


def test_a_constraint_is_met_and_keeps_the_seed() -> None:
    """It works on the motion itself, though the sampler would choose the latent space; far from it nothing changes."""
    network, sampling = model(reach=0.5), Sampling(steps=2)
    features = torch.randn(1, 60, 12, generator=torch.Generator().manual_seed(1))
    values = torch.full((1, 24), 2.0)
    constraint = LinearConstraint(torch.eye(60)[[7]], values, smooth_covariance(60, 1.0))
    steps: list[int] = []
    with torch.no_grad():
        conditions = {"style": torch.eye(3)[:1]}
        free = sample(network, SCHEDULE, features, conditions, sampling, [5])
        bound = sample(
            network, SCHEDULE, features, conditions, sampling, [5], edit=constraint,
            watch=lambda step, x_t, x_start: steps.append(x_start.shape[-1]),
        )  # fmt: skip
    torch.testing.assert_close(bound[0, 7], values[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(bound[:, 40:], free[:, 40:], atol=1e-4, rtol=1e-3)
    assert (bound[0, 8] - free[0, 8]).abs().max() > 0.1 and steps == [24, 24]


def test_guidance_needs_a_condition_that_was_dropped_and_changes_the_motion() -> None:
    network = model(condition_drop={"style": 0.1})
    plain, more = (sampled(network, [0], Sampling(steps=3, guidance={"style": scale})) for scale in (1.0, 3.0))
    assert (plain - more).abs().max() > 1e-3
    with pytest.raises(InputError, match="trained without leaving it out"):
        sampled(model(), [0], Sampling(steps=3, guidance={"style": 3.0}))
    with pytest.raises(InputError, match="unknown mood"):
        sampled(network, [0], Sampling(steps=3, guidance={"mood": 3.0}))
