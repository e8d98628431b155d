"""Seeded noise: random access."""

import pytest
import torch

from diffspeaker3d.diffusion import initial_noise
from diffspeaker3d.errors import InputError


def test_company_length_and_cuts_change_nothing() -> None:
    together = initial_noise([(150, 3), (90, 3)], [5, 7])
    assert torch.equal(together[1, :90], initial_noise([(90, 3)], [7])[0])
    assert torch.equal(together[1, 90:], torch.zeros(60, 3))
    assert torch.equal(together[0, :70], initial_noise([(70, 3)], [5])[0])
    pieces = [initial_noise([(n, 3)], [5], first_frame=start)[0] for start, n in ((0, 50), (50, 63), (113, 37))]
    assert torch.equal(torch.cat(pieces), together[0])


def test_is_standard_normal_and_independent_across_seeds_draws_and_blocks() -> None:
    noise = torch.stack([initial_noise([(4096, 4)], [seed], draw=draw)[0] for seed in (0, 1) for draw in (0, 1)])
    assert abs(float(noise.mean())) < 0.01 and float(noise.var()) == pytest.approx(1.0, abs=0.02)
    correlation = torch.corrcoef(torch.cat([noise.flatten(1), noise[:1].roll(64, 1).flatten(1)]))
    assert float((correlation - torch.eye(5)).abs().max()) < 0.03


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match="one dimension"):
        initial_noise([(3, 2), (3, 4)], [0, 1])
    with pytest.raises(InputError, match="seeds"):
        initial_noise([(3, 2)], [0, 1])
