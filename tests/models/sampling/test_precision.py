"""Reduced precision: near, and the sampler's own state stays float32."""

import pytest
import torch
from tiny_denoiser import inputs, tiny

from diffspeaker3d.diffusion import NoiseSchedule, SamplingOptions, ddim_sample
from diffspeaker3d.errors import InputError
from diffspeaker3d.models.sampling import Prepared, in_precision, open_space

SCHEDULE = NoiseSchedule()


@pytest.mark.parametrize("tokens", [("style", "timestep"), ()])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 0.0), ("bfloat16", 0.03), ("float16", 0.01), ("int8", 0.05)]
)
def test_cheaper_numbers_are_near(precision: str, tolerance: float, tokens: tuple[str, ...]) -> None:
    denoiser = tiny(tokens=tokens)
    x_t, _, audio, conditions = inputs()
    results = []
    with torch.no_grad():
        for network in (denoiser, in_precision(denoiser, precision)):
            walk = open_space("latent", Prepared(network, audio, conditions, SCHEDULE.timesteps(10)))
            state = open_space("latent", Prepared(denoiser, audio, conditions, [1])).project(x_t)
            results.append(walk.lift(ddim_sample(walk, SCHEDULE, state, SamplingOptions(10))))
    exact, near = results
    assert near.dtype == torch.float32
    assert float((near - exact).square().mean().sqrt()) <= tolerance * float(exact.square().mean().sqrt())


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match="bfloat16, float16, int8"):
        in_precision(tiny(), "int4")
