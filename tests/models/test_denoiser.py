"""The plain denoiser: exact against a dense implementation, indifferent to padding, readable from outside."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_denoiser import VARIANTS, inputs, tiny
from torch import Tensor

from diffspeaker3d.diffusion import NoiseSchedule, SamplingOptions, official_sample
from diffspeaker3d.errors import InputError
from diffspeaker3d.models import Denoiser
from diffspeaker3d.models.attention import periodic_positions, self_attention_bias
from diffspeaker3d.models.convert import denoiser_weights
from diffspeaker3d.models.sampling import Prepared, open_space

GOLDEN = Path(__file__).parents[1] / "data" / "golden_denoiser.npz"  # of scripts/golden_denoiser.py
OFFICIAL = Path(__file__).parents[2].parent / "shared" / "data" / "official_denoiser_small.npz"
OFFICIAL_PERIOD = 5
SCHEDULE = NoiseSchedule()


def arrays(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as data:
        return {name: torch.from_numpy(data[name]) for name in data.files}


def loaded(data: dict[str, Tensor], *sizes: int, **options: Any) -> Denoiser:
    """A denoiser with the weights of official names in `data`."""
    denoiser = Denoiser(*sizes, period=OFFICIAL_PERIOD, reach=20.0, **options).eval()
    weights = {name.removeprefix("weight/"): value for name, value in data.items() if name.startswith("weight/")}
    denoiser.load_state_dict(denoiser_weights(weights, "npz"))
    return denoiser


def walked(denoiser: Denoiser, space: str, data: dict[str, Tensor], style: Tensor, timesteps: list[int]) -> Tensor:
    """The official sampler's answer after 50 steps from `x_t`."""
    prepared = Prepared(denoiser, data["audio_features"], {"style": style}, timesteps)
    walk = open_space(space, prepared)
    return walk.lift(official_sample(walk, SCHEDULE, walk.project(data["x_t"]), SamplingOptions(50)))


@pytest.mark.parametrize("space", ["motion", "latent"])
def test_numbers_of_the_dense_implementation(space: str) -> None:
    """One step, and a walk of 50, of the official equations in float64, dense, by other code."""
    data = arrays(GOLDEN)
    denoiser = loaded(data, 12, 8, 16, 24, layers=2, conditions={"style": 3})
    style = torch.eye(3)[data["style"]]
    with torch.no_grad():
        one = denoiser(data["x_t"], data["timestep"], data["audio_features"], {"style": style})
        torch.testing.assert_close(one, data["x_start"], atol=1e-5, rtol=1e-5)
        sampled = walked(denoiser, space, data, style, SCHEDULE.timesteps(50, "leading"))
    torch.testing.assert_close(sampled, data["walk"], atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(not OFFICIAL.is_file(), reason="needs ../shared")
@pytest.mark.parametrize("space", ["motion", "latent"])
def test_official_numbers(space: str) -> None:
    """The same from the official code itself, where its numbers lie beside the checkout."""
    official = arrays(OFFICIAL)
    frames = torch.arange(23)
    bias = torch.nn.functional.pad(self_attention_bias(frames, frames, 4, OFFICIAL_PERIOD), (2, 0))
    torch.testing.assert_close(bias, official["self_bias"])
    denoiser = loaded(official, 45, 24, 32, 64, conditions={"style": 3})
    style = torch.eye(3)[official["style"]]
    with torch.no_grad():
        one = denoiser(official["x_t"], official["timestep"], official["audio_features"], {"style": style})
        torch.testing.assert_close(one, official["x_start_pred"], atol=1e-5, rtol=0)
        timesteps = official["timesteps"].tolist()
        assert timesteps == SCHEDULE.timesteps(50, "leading")
        sampled = walked(denoiser, space, official, style, timesteps)
    torch.testing.assert_close(sampled, official["sample_50_steps"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("sizes", "styles", "count"),
    [((15069, 768, 512, 1024), 8, 19_654_877), ((70110, 768, 1024, 2048), 6, 158_887_390)],
)
def test_parameter_counts_are_the_papers(sizes: tuple[int, ...], styles: int, count: int) -> None:
    with torch.device("meta"):
        denoiser = Denoiser(*sizes, conditions={"style": styles})
    assert sum(parameter.numel() for parameter in denoiser.parameters()) == count


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_learns(variant: dict[str, Any]) -> None:
    """No weight that training never reaches: without tokens there is no query, key or norm in cross-attention."""
    denoiser = tiny(**variant, dropout=0.0).train()
    x_t, timestep, audio, conditions = inputs()
    denoiser(x_t, timestep, audio, conditions).square().mean().backward()
    silent = [n for n, p in denoiser.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-9]
    assert silent == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_and_batching_change_no_real_frame(variant: dict[str, Any]) -> None:
    denoiser = tiny(**variant)
    x_t, timestep, audio, conditions = inputs()
    mask = torch.arange(23) < torch.tensor([[23], [14]])
    with torch.no_grad():
        batched = denoiser(x_t, timestep, audio, conditions, mask)
        second = {"style": conditions["style"][1:]}
        alone = denoiser(x_t[1:, :14], timestep[1:], audio[1:, :14], second)
        torch.testing.assert_close(batched[1:, :14], alone, atol=1e-5, rtol=1e-5)
        noise, loud = torch.where(mask[..., None], x_t, 9.0), torch.where(mask[..., None], audio, -9.0)
        garbage = denoiser(noise, timestep, loud, conditions, mask)
    torch.testing.assert_close(batched[mask], garbage[mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_style_timestep_and_positions_matter(variant: dict[str, Any]) -> None:
    denoiser = tiny(**variant)
    x_t, timestep, audio, conditions = inputs()
    with torch.no_grad():
        base = denoiser(x_t, timestep, audio, conditions)
        other = denoiser(x_t, timestep, audio, {"style": conditions["style"].flip(0)})
        assert (other - base).abs().max() > 1e-3
        assert (denoiser(x_t, timestep.flip(0), audio, conditions) - base).abs().max() > 1e-3
    positions = periodic_positions(10, denoiser.width, denoiser.period, x_t.device)
    assert len({tuple(row) for row in positions[:5].tolist()}) == 5
    torch.testing.assert_close(positions[:5], positions[5:])
    torch.testing.assert_close(denoiser.positions(4, first_frame=3), positions[3:7])


def test_a_frame_hears_its_own_audio_only() -> None:
    """One layer: the gradient of frame k with respect to the audio of frame j is zero unless j = k."""
    denoiser = tiny(layers=1)
    x_t, timestep, audio, conditions = inputs(1)
    audio.requires_grad_()
    denoiser(x_t, timestep, audio, conditions)[0, 7].sum().backward()
    assert audio.grad is not None
    reached = audio.grad[0].abs().sum(-1) > 0
    assert reached.nonzero().flatten().tolist() == [7]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("self_bias", [True, False])
def test_a_frame_sees_as_far_as_the_reach_says_in_clips_of_any_length(layers: int, self_bias: bool) -> None:
    """Period 5, reach 2 periods: ten frames to either side in each layer, no more and no less."""
    denoiser = tiny(layers, reach=2.0, self_bias=self_bias)
    assert denoiser.receptive_frames == 10 * layers
    for length in (60, 140):
        x_t, timestep, audio, conditions = inputs(1, length)
        x_t.requires_grad_()
        denoiser(x_t, timestep, audio, conditions)[0, 30].sum().backward()
        assert x_t.grad is not None
        seen = (x_t.grad[0].abs().sum(-1) > 0).nonzero().flatten().tolist()
        assert seen == list(range(30 - 10 * layers, 30 + 10 * layers + 1))


def test_one_frame_more_changes_only_what_it_reaches() -> None:
    """There is no length at which attention is cut to another reach."""
    denoiser = tiny(reach=2.0)
    x_t, _, audio, conditions = inputs(1, 130)
    timestep = torch.tensor([500])
    with torch.no_grad():
        for length in (21, 99, 100, 101, 129):
            shorter = denoiser(x_t[:, :length], timestep, audio[:, :length], conditions)
            longer = denoiser(x_t[:, : length + 1], timestep, audio[:, : length + 1], conditions)
            untouched = length - denoiser.receptive_frames  # type: ignore[operator]
            torch.testing.assert_close(longer[:, :untouched], shorter[:, :untouched], atol=1e-5, rtol=1e-5)


def test_all_is_seen_without_a_reach_and_by_the_ablation() -> None:
    assert tiny(reach=None).receptive_frames is None and tiny(cross_bias=False).receptive_frames is None


def test_a_condition_that_training_dropped_may_be_left_out() -> None:
    x_t, timestep, audio, conditions = inputs()
    with torch.no_grad():
        with pytest.raises(InputError, match="give the condition a value"):
            tiny()(x_t, timestep, audio, {})
        denoiser = tiny(condition_drop={"style": 0.5})
        torch.nn.init.normal_(denoiser.conditions["style"].null)
        free, given = (denoiser(x_t, timestep, audio, known) for known in ({}, conditions))
        torch.testing.assert_close(denoiser(x_t, timestep, audio, {"style": None}), free)
        assert (free - given).abs().max() > 1e-3
        torch.manual_seed(0)
        vectors = denoiser.train().conditions["style"](conditions["style"][:1].expand(2000, -1))
        share = (vectors.flatten(1) - denoiser.conditions["style"].null).abs().amax(1).lt(1e-6).float().mean()
        assert share == pytest.approx(0.5, abs=0.05)
        with pytest.raises(InputError, match="unknown mood; this model knows: style"):
            denoiser(x_t, timestep, audio, {**conditions, "mood": torch.zeros(2, 1)})


def test_half_precision_is_near() -> None:
    denoiser = tiny()
    x_t, timestep, audio, conditions = inputs()
    with torch.no_grad():
        exact = denoiser(x_t, timestep, audio, conditions)
        with torch.autocast("cpu", torch.bfloat16):
            half = denoiser(x_t, timestep, audio, conditions)
    assert (half.float() - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("variant", [{}, {"tokens": ()}])
def test_the_plain_denoiser_is_exported_with_a_length_of_its_own(variant: dict[str, Any]) -> None:
    """What ONNX and other runtimes start from: one graph, any number of frames."""
    denoiser = tiny(1, **variant, reach=1.0)

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.denoiser = denoiser

        def forward(self, x_t: Tensor, timestep: Tensor, audio: Tensor, style: Tensor) -> Tensor:
            return self.denoiser(x_t, timestep, audio, {"style": style})

    x_t, timestep, audio, conditions = inputs(1, 23)
    frames = torch.export.Dim("frames", min=2, max=4096)
    exported = torch.export.export(
        Step(),
        (x_t, timestep, audio, conditions["style"]),
        dynamic_shapes={"x_t": {1: frames}, "timestep": None, "audio": {1: frames}, "style": None},
    )
    x_t, timestep, audio, conditions = inputs(1, 61)
    with torch.no_grad():
        want = denoiser(x_t, timestep, audio, conditions)
        got = exported.module()(x_t, timestep, audio, conditions["style"])
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_sizes_and_names_that_do_not_fit_are_refused() -> None:
    for bad, message in (
        ({"width": 18}, "width 18"),
        ({"tokens": ("mood",)}, "unknown tokens mood; known: style, timestep"),
        ({"condition_drop": {"mood": 0.1}}, "unknown condition_drop mood"),
        ({"condition_drop": {"style": 1.5}}, "drop must be 0 to 1"),
        ({"reach": 0.0}, "reach=0.0"),
        ({"reach": float("nan")}, "reach=nan"),
    ):
        with pytest.raises(InputError, match=message):
            tiny(**bad)
