"""The denoiser: exact against the official one, indifferent to padding, the same in both spaces."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from diffspeaker3d.diffusion import (
    NoiseSchedule,
    SamplingOptions,
    ddim_sample,
    initial_noise,
    official_sample,
    windowed,
)
from diffspeaker3d.errors import InputError
from diffspeaker3d.models import Denoiser, attention, in_precision
from diffspeaker3d.models.attention import periodic_positions, self_attention_bias
from diffspeaker3d.models.convert import denoiser_weights
from diffspeaker3d.models.latent import cholesky_of_rows

OFFICIAL = Path(__file__).parents[2].parent / "shared" / "data" / "official_denoiser_small.npz"
OFFICIAL_PERIOD = 5
SCHEDULE = NoiseSchedule()


def tiny(layers: int = 2, **ablation: Any) -> Denoiser:
    torch.manual_seed(0)
    denoiser = Denoiser(18, 12, width=16, feedforward=24, layers=layers, style_dim=3, period=5, **ablation).eval()
    torch.nn.init.normal_(denoiser.output.weight, std=0.3)
    torch.nn.init.normal_(denoiser.output.bias, std=0.3)
    return denoiser


def inputs(batch: int = 2, length: int = 23) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_t, audio = (
        torch.randn(batch, length, 18, generator=generator),
        torch.randn(batch, length, 12, generator=generator),
    )
    return x_t, torch.tensor([900, 30][:batch]), audio, torch.eye(3)[:batch]


@pytest.mark.parametrize(
    ("sizes", "count"),
    [((15069, 768, 512, 1024, 4, 1, 8, 30), 19_654_877), ((70110, 768, 1024, 2048, 4, 1, 6, 25), 158_887_390)],
)
def test_parameter_counts_are_the_papers(sizes: tuple[int, ...], count: int) -> None:
    with torch.device("meta"):
        denoiser = Denoiser(*sizes)
    assert sum(parameter.numel() for parameter in denoiser.parameters()) == count


@pytest.mark.skipif(not OFFICIAL.is_file(), reason="needs ../shared")
@pytest.mark.parametrize("space", ["vertex", "latent"])
def test_official_numbers(space: str) -> None:
    with np.load(OFFICIAL, allow_pickle=False) as data:
        official = {name: torch.from_numpy(data[name]) for name in data.files}
    frames = torch.arange(23)
    bias = torch.nn.functional.pad(self_attention_bias(frames, frames, 4, OFFICIAL_PERIOD), (2, 0))
    assert torch.equal(bias, official["self_bias"])
    blocked = torch.nn.functional.pad(frames[:, None] != frames, (2, 0))
    assert torch.equal(blocked, official["cross_blocked"])
    denoiser = Denoiser(45, 24, 32, 64, style_dim=3, period=OFFICIAL_PERIOD).eval()
    weights = {name.removeprefix("weight/"): value for name, value in official.items() if name.startswith("weight/")}
    denoiser.load_state_dict(denoiser_weights(weights, "npz"))
    style = torch.eye(3)[official["style"]]
    with torch.no_grad():
        one = denoiser(official["x_t"], official["timestep"], official["audio_features"], style)
        torch.testing.assert_close(one, official["x_start_pred"], atol=1e-5, rtol=0)
        timesteps = official["timesteps"].tolist()
        assert timesteps == SCHEDULE.timesteps(50, "leading")
        walk = denoiser.in_space(space, denoiser.condition(official["audio_features"], style, None, timesteps))
        sampled = walk.lift(official_sample(walk, SCHEDULE, walk.project(official["x_t"]), SamplingOptions(50)))
    torch.testing.assert_close(sampled, official["sample_50_steps"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("ablation", [{}, {"self_bias": False}, {"cross_bias": False}, {"condition_tokens": False}])
def test_padding_and_batching_change_no_real_frame(ablation: dict[str, bool]) -> None:
    denoiser = tiny(**ablation)
    x_t, timestep, audio, style = inputs()
    mask = torch.arange(23) < torch.tensor([[23], [14]])
    with torch.no_grad():
        batched = denoiser(x_t, timestep, audio, style, mask)
        alone = denoiser(x_t[1:, :14], timestep[1:], audio[1:, :14], style[1:])
        torch.testing.assert_close(batched[1:, :14], alone, atol=1e-5, rtol=1e-5)
        garbage = denoiser(
            torch.where(mask[..., None], x_t, 9.0), timestep, torch.where(mask[..., None], audio, -9.0), style, mask
        )
    torch.testing.assert_close(batched[mask], garbage[mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ablation", [{}, {"condition_tokens": False}])
def test_style_timestep_and_positions_matter(ablation: dict[str, bool]) -> None:
    denoiser = tiny(**ablation)
    x_t, timestep, audio, style = inputs()
    with torch.no_grad():
        base = denoiser(x_t, timestep, audio, style)
        assert (denoiser(x_t, timestep, audio, style.flip(0)) - base).abs().max() > 1e-3
        assert (denoiser(x_t, timestep.flip(0), audio, style) - base).abs().max() > 1e-3
    positions = periodic_positions(10, denoiser.width, denoiser.period, x_t.device)
    assert len({tuple(row) for row in positions[:5].tolist()}) == 5
    assert torch.equal(positions[:5], positions[5:])


def test_a_frame_hears_its_own_audio_only() -> None:
    """One layer: the gradient of frame k with respect to the audio of frame j is zero unless j = k."""
    denoiser = tiny(layers=1)
    x_t, timestep, audio, style = inputs(1)
    audio.requires_grad_()
    denoiser(x_t, timestep, audio, style)[0, 7].sum().backward()
    assert audio.grad is not None
    reached = audio.grad[0].abs().sum(-1) > 0
    assert reached.nonzero().flatten().tolist() == [7]


@pytest.mark.parametrize("eta", [0.0, 0.8])
@pytest.mark.parametrize("ablation", [{}, {"cross_bias": False}, {"condition_tokens": False}])
def test_latent_sampling_is_exact(eta: float, ablation: dict[str, bool]) -> None:
    denoiser = tiny(**ablation)
    _, _, audio, style = inputs()
    options = SamplingOptions(20, eta)
    mask = torch.arange(23) < torch.tensor([[23], [14]])
    results = {}
    with torch.no_grad():
        condition = denoiser.condition(audio, style, mask, SCHEDULE.timesteps(20))
        for space in ("vertex", "latent"):
            walk = denoiser.in_space(space, condition)

            def fresh(draw: int, walk=walk) -> Tensor:  # type: ignore[no-untyped-def]
                return walk.start(initial_noise([(23, 16), (14, 16)], [4, 5], draw=draw))

            results[space] = walk.lift(ddim_sample(walk, SCHEDULE, fresh(0), options, fresh))
    difference = (results["latent"] - results["vertex"])[mask].abs().max() / results["vertex"][mask].abs().max()
    assert difference < 1e-5
    assert results["vertex"].abs().max() > 0.1


def test_condition_computed_once_equals_forward() -> None:
    denoiser = tiny()
    x_t, _, audio, style = inputs()
    with torch.no_grad():
        walk = denoiser.in_space("vertex", denoiser.condition(audio, style, None, [500, 20, 900]))
        for t in (900, 20):
            torch.testing.assert_close(
                walk(x_t, t), denoiser(x_t, torch.tensor([t, t]), audio, style), atol=1e-6, rtol=1e-6
            )


def wide(spread: bool) -> tuple[Denoiser, Tensor | None]:
    """Five times more motion channels than width, and a spread for each channel."""
    torch.manual_seed(0)
    denoiser = Denoiser(80, 12, width=16, feedforward=24, style_dim=3, period=5).eval()
    torch.nn.init.normal_(denoiser.output.weight, std=0.3)
    return denoiser, torch.linspace(0.2, 1.5, 80) if spread else None


@pytest.mark.parametrize("spread", [False, True])
def test_latent_noise_is_distributed_as_projected_noise(spread: bool) -> None:
    """L n of N(0, 1) numbers n has the covariance of W_in S ε, whole and in a sample; the vertex space starts from its preimage."""
    denoiser, scale = wide(spread)
    _, _, audio, style = inputs(1)
    assert (denoiser.noise_dim, tiny().noise_dim, Denoiser(9, 8, width=16).noise_dim) == (16, 16, 9)
    with torch.no_grad():
        latent, vertex = (
            denoiser.in_space(space, denoiser.condition(audio, style, None, [500])) for space in ("latent", "vertex")
        )
        scaled = denoiser.input.weight * (1.0 if scale is None else scale)
        want = scaled @ scaled.T
        root = latent.start(torch.eye(16)[None], scale)[0]  # rows: images of the unit vectors
        torch.testing.assert_close(root.T @ root, want, atol=1e-5, rtol=1e-5)
        sample = latent.start(initial_noise([(40_000, 16)], [0]), scale)[0]
        assert (sample.T @ sample / 40_000 - want).abs().max() < 0.03 * want.diagonal().max()
        normal = initial_noise([(23, 16)], [3])
        torch.testing.assert_close(
            latent.project(vertex.start(normal, scale)), latent.start(normal, scale), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("motion_dim", [9, 80])
def test_a_uniform_spread_is_a_factor_and_none_is_silence(motion_dim: int) -> None:
    denoiser = Denoiser(motion_dim, 12, width=16, feedforward=24, style_dim=3, period=5).eval()
    _, _, audio, style = inputs(1)
    normal = initial_noise([(23, denoiser.noise_dim)], [3])
    with torch.no_grad():
        for space in ("latent", "vertex"):
            walk = denoiser.in_space(space, denoiser.condition(audio, style, None, [500]))
            half, none = (walk.start(normal, torch.full((motion_dim,), factor)) for factor in (0.5, 0.0))
            torch.testing.assert_close(half, 0.5 * walk.start(normal))
            assert none.eq(0).all()


def test_noise_of_an_input_layer_with_dependent_rows() -> None:
    rows = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    for degenerate in (torch.cat([rows, rows]), torch.zeros(12, 40)):
        root = cholesky_of_rows(degenerate)
        torch.testing.assert_close(root @ root.T, degenerate @ degenerate.T, atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match="not finite"):
        cholesky_of_rows(torch.full((2, 3), float("nan")))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("length", [23, 140])
def test_folded_cross_attention_gives_the_same_sample(
    layers: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one block and in many, alone and beside a shorter clip."""
    monkeypatch.setattr(attention, "QUERY_BLOCK", 16)
    denoiser = tiny(layers=layers)
    x_t, _, audio, style = inputs(2, length)
    mask = torch.arange(length) < torch.tensor([[length], [14]])
    results = []
    with torch.no_grad():
        for most in (2**29, 0):
            monkeypatch.setattr("diffspeaker3d.models.denoiser.FOLDED_BYTES", most)
            condition = denoiser.condition(audio, style, mask, SCHEDULE.timesteps(7))
            assert isinstance(condition.layers[0].audio, attention.Folded) == (most > 0)
            walk = denoiser.in_space("latent", condition)
            results.append(walk.lift(ddim_sample(walk, SCHEDULE, walk.project(x_t), SamplingOptions(7))))
    folded, plain = results
    assert (folded - plain)[mask].abs().max() < 1e-5 * plain[mask].abs().max()


def test_without_tokens_cross_attention_is_a_linear_map_of_the_audio() -> None:
    """Sampling takes the answer, training the softmax over one key: the same without dropout."""
    denoiser = tiny(condition_tokens=False, dropout=0.0)
    x_t, timestep, audio, style = inputs()
    with torch.no_grad():
        assert isinstance(denoiser.condition(audio, style, None, [500]).layers[0].audio, attention.Alone)
        sampling = denoiser(x_t, timestep, audio, style)
        assert isinstance(denoiser.train().condition(audio, style, None, [500]).layers[0].audio, attention.KeyValue)
        torch.testing.assert_close(denoiser(x_t, timestep, audio, style), sampling, atol=1e-5, rtol=1e-5)


def test_latent_product_follows_the_weights() -> None:
    denoiser = tiny()
    _, _, audio, style = inputs()
    with torch.no_grad():
        condition = denoiser.condition(audio, style, None, [500])
        before = denoiser.in_space("latent", condition)
        denoiser.output.weight.mul_(2.0)
        after = denoiser.in_space("latent", condition)
        assert not torch.equal(before.product.weight, after.product.weight)  # type: ignore[attr-defined]


@pytest.mark.parametrize("ablation", [{}, {"condition_tokens": False}])
def test_windows_keep_positions_and_equal_the_whole_when_they_see_it(ablation: dict[str, bool]) -> None:
    denoiser = tiny(**ablation)
    x_t, _, audio, style = inputs(1)
    with torch.no_grad():
        walk = denoiser.in_space("latent", denoiser.condition(audio, style, None, [500]))
        state = walk.project(x_t)
        whole = walk(state, 500)
        torch.testing.assert_close(windowed(walk.frames, 23, 23)(state, 500), whole)
        part = denoiser.frames(denoiser.condition(audio, style, None, [500]), 7, 20)
        assert torch.equal(part.positions, periodic_positions(23, denoiser.width, denoiser.period, audio.device)[7:20])
        near = windowed(walk.frames, 23, 20, 3)(state, 500)
    assert (near - whole).abs().max() < 0.5 * whole.abs().max()


def test_half_precision_is_near() -> None:
    denoiser = tiny()
    x_t, timestep, audio, style = inputs()
    with torch.no_grad():
        exact = denoiser(x_t, timestep, audio, style)
        with torch.autocast("cpu", torch.bfloat16):
            half = denoiser(x_t, timestep, audio, style)
    assert (half.float() - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 0.0), ("bfloat16", 0.03), ("float16", 0.01), ("int8", 0.05)]
)
def test_cheaper_numbers_are_near(precision: str, tolerance: float) -> None:
    denoiser = tiny()
    x_t, _, audio, style = inputs()
    results = []
    with torch.no_grad():
        for network in (denoiser, in_precision(denoiser, precision)):
            walk = network.in_space("latent", network.condition(audio, style, None, SCHEDULE.timesteps(10)))
            state = denoiser.in_space("latent", denoiser.condition(audio, style, None, [1])).project(x_t)
            results.append(walk.lift(ddim_sample(walk, SCHEDULE, state, SamplingOptions(10))))
    exact, near = results
    assert near.dtype == torch.float32
    assert float((near - exact).square().mean().sqrt()) <= tolerance * float(exact.square().mean().sqrt())


def test_long_clips_reach_four_periods_and_short_ones_everything() -> None:
    """Period 5: up to 100 frames the paper's full map; beyond, a frame is moved by those within 20 frames only."""
    denoiser = tiny(layers=1)
    for length, reached in ((100, range(100)), (140, range(50, 91))):
        x_t, timestep, audio, style = inputs(1, length)
        x_t.requires_grad_()
        denoiser(x_t, timestep, audio, style)[0, 70].sum().backward()
        assert x_t.grad is not None
        assert (x_t.grad[0].abs().sum(-1) > 0).nonzero().flatten().tolist() == list(reached)
    with torch.no_grad():
        walks = [
            denoiser.in_space("vertex", denoiser.condition(audio, style, None, [500], full_attention=full))
            for full in (False, True)
        ]
        near, full = (walk(x_t, 500) for walk in walks)
    difference = (near - full).square().mean().sqrt() / full.square().mean().sqrt()
    assert 1e-4 < difference < 0.1  # stated: the two are not the same, and not far


def test_unknown_names_and_odd_width_are_refused() -> None:
    denoiser = tiny()
    _, _, audio, style = inputs()
    with pytest.raises(InputError, match="auto, latent, vertex"):
        denoiser.in_space("pixel", denoiser.condition(audio, style, None, [1]))
    with pytest.raises(InputError, match="bfloat16, float16, int8"):
        in_precision(denoiser, "int4")
    with pytest.raises(InputError, match="width 18"):
        Denoiser(9, 8, width=18)
