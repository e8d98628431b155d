"""The autoregressive decoder: it looks back only, remembers exactly, and learns from what it will meet in use."""

import pytest
import torch
from torch import Tensor, nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models import AutoregressiveModel, Denoiser
from diffspeaker3d.models.attention import slopes
from diffspeaker3d.models.autoregressive import CausalLayer

PERIOD = 5


def tiny(dropout: float = 0.1) -> AutoregressiveModel:
    torch.manual_seed(0)
    decoder = AutoregressiveModel(
        18, 12, width=16, feedforward=24, layers=2, conditions={"style": 3}, period=PERIOD, dropout=dropout
    ).eval()
    nn.init.normal_(decoder.output.weight, std=0.1)
    nn.init.normal_(decoder.output.bias, std=0.1)
    return decoder


def inputs(batch: int = 2, length: int = 23) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    motion, audio = (
        torch.randn(batch, length, 18, generator=generator),
        torch.randn(batch, length, 12, generator=generator),
    )
    return motion, audio, {"style": torch.eye(3)[:batch]}


def learn(decoder: AutoregressiveModel, audio: Tensor, style: dict[str, Tensor]) -> Tensor:
    """A training prediction; neither the recording nor noise is asked for."""
    return decoder.learn(torch.empty(0), audio, style, None, diffusion=None)  # type: ignore[arg-type]


def test_it_generates_by_itself_and_the_denoiser_does_not() -> None:
    assert not tiny().draws_noise and Denoiser(18, 12, 16, 24).draws_noise


def test_it_begins_at_the_mean_face() -> None:
    """W_out = 0: before any step the state is zero, in a chain of any length."""
    _, audio, style = inputs()
    assert AutoregressiveModel(18, 12, 16, 24, conditions={"style": 3}).generate(audio, style).abs().max() == 0


def test_a_frame_depends_on_its_own_sound_and_on_earlier_frames_only() -> None:
    decoder = tiny()
    motion, audio, style = inputs(batch=1)
    motion.requires_grad_()
    audio.requires_grad_()
    for t in (0, 1, 11, 22):
        seen, heard = torch.autograd.grad(decoder(motion, audio, style)[0, t].sum(), (motion, audio))
        seen, heard = seen[0].abs().sum(-1), heard[0].abs().sum(-1)
        assert seen[t:].max() == 0 and (seen[:t] > 0).all(), "motion: all of the past, nothing else"
        assert heard[t] > 0 and heard[t + 1 :].sum() == 0, "nothing to come"
        # Earlier sound comes in through the layers: what a past frame heard is in its key and value.
        assert (heard[:t] > 0).all()


def test_what_is_to_come_does_not_change_what_was() -> None:
    decoder = tiny()
    _, audio, style = inputs()
    whole = decoder.generate(audio, style)
    other = audio.clone()
    other[:, 10:] = 0
    torch.testing.assert_close(decoder.generate(other, style)[:, :10], whole[:, :10], atol=0, rtol=0)
    torch.testing.assert_close(decoder.generate(audio[:, :10], style), whole[:, :10], atol=1e-6, rtol=0)
    assert (decoder.generate(other, style)[:, 10] - whole[:, 10]).abs().max() > 1e-3


@pytest.mark.parametrize("length", [1, 2, 23, 230])
def test_cached_generation_is_full_recomputation(length: int) -> None:
    """Frame by frame without a cache, over histories shorter and longer than the reach (100 frames)."""
    decoder = tiny()
    _, audio, style = inputs(length=length)
    generated = decoder.generate(audio, style)
    assert generated.shape == (2, length, 18) and generated.isfinite().all()
    with torch.no_grad():
        motion = torch.zeros(2, 0, 18)
        for t in range(length) if length < 30 else ():
            step = decoder(torch.cat([motion, torch.zeros(2, 1, 18)], 1), audio[:, : t + 1], style)
            motion = torch.cat([motion, step[:, -1:]], 1)
            torch.testing.assert_close(generated[:, t], motion[:, t], atol=1e-6, rtol=1e-6)
        # A chain that reproduces itself frame by frame is the only one there is.
        torch.testing.assert_close(decoder(generated, audio, style), generated, atol=1e-5, rtol=1e-5)


def test_far_beyond_training_it_sees_so_many_periods_and_forgets_the_rest() -> None:
    decoder = tiny()
    motion, audio, style = inputs(batch=1, length=230)
    motion.requires_grad_()
    one_layer = AutoregressiveModel(18, 12, 16, 24, conditions={"style": 3}, period=PERIOD).eval()
    nn.init.normal_(one_layer.output.weight)
    seen = torch.autograd.grad(one_layer(motion, audio, style)[0, 200].sum(), motion)[0][0].abs().sum(-1)
    # Query 200 sees tokens 101 ... 200, and token j holds motion j - 1.
    assert seen.nonzero().flatten().tolist() == list(range(100, 200))
    assert decoder.history == 100


def test_padding_and_batching_change_no_real_frame() -> None:
    decoder = tiny()
    _, audio, style = inputs()
    together = decoder.generate(audio, style)
    padded = torch.cat([audio[:1, :13], torch.full((1, 10, 12), 1e3)], 1)
    torch.testing.assert_close(
        decoder.generate(padded, {"style": style["style"][:1]})[:, :13], together[:1, :13], atol=1e-6, rtol=0
    )
    torch.testing.assert_close(
        decoder.generate(audio[1:], {"style": style["style"][1:]}), together[1:], atol=1e-6, rtol=0
    )


def test_a_layer_is_pytorchs_with_the_papers_masks() -> None:
    """Against torch.nn.MultiheadAttention: ALiBi in whole periods over the past; cross-attention to the own frame only."""
    torch.manual_seed(0)
    layer = CausalLayer(16, 24, 4, 0.0).eval()
    x, audio = torch.randn(1, 12, 16), torch.randn(1, 12, 16)
    age = torch.arange(12)[:, None] - torch.arange(12)
    mask = torch.where(age >= 0, -slopes(4)[:, None, None] * (age // PERIOD), float("-inf"))

    def reference(query: nn.Linear, key_value: nn.Linear, output: nn.Linear) -> nn.MultiheadAttention:
        attention = nn.MultiheadAttention(16, 4, batch_first=True).eval()
        attention.in_proj_weight.data = torch.cat([query.weight, key_value.weight])
        attention.in_proj_bias.data = torch.cat([query.bias, key_value.bias])
        attention.out_proj.weight.data, attention.out_proj.bias.data = output.weight.data, output.bias.data
        return attention

    own, value, output = layer.self_attention, layer.cross_attention.value, layer.cross_attention.output
    key_value = nn.Linear(16, 32)
    key_value.weight.data[16:], key_value.bias.data[16:] = value.weight.data, value.bias.data  # any query, any key
    normed = layer.norm1(x)
    expected = x + reference(own.query, own.key_value, own.output)(normed, normed, normed, attn_mask=mask)[0]
    expected = expected + reference(nn.Linear(16, 16), key_value, output)(expected, audio, audio, attn_mask=age != 0)[0]
    expected = expected + layer.feedforward(layer.norm2(expected))
    torch.testing.assert_close(layer(x, layer.cross_attention(None, None, audio), mask), expected, atol=1e-5, rtol=1e-5)


def test_it_learns_from_its_own_past_which_leaves_no_gap_between_training_and_use() -> None:
    decoder = tiny(dropout=0.0).train()
    _, audio, style = inputs()
    prediction = learn(decoder, audio, style)
    torch.testing.assert_close(prediction, decoder.generate(audio, style), atol=1e-5, rtol=1e-5)
    prediction.square().mean().backward()
    assert decoder.training and all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


def test_half_precision_training_reaches_every_weight_and_generation_draws_no_chance() -> None:
    """Autocast would keep the weights that generation cast without gradient."""
    decoder = tiny(dropout=0.5).train()
    _, audio, style = inputs()
    state = torch.get_rng_state()
    first, again = decoder.generate(audio, style), decoder.generate(audio, style)
    assert torch.equal(first, again) and torch.equal(state, torch.get_rng_state())
    with torch.autocast("cpu", torch.bfloat16):
        learn(decoder, audio.bfloat16(), style).float().square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


def test_styles_matter_and_sizes_must_fit() -> None:
    decoder = tiny()
    _, audio, _ = inputs(batch=1)
    assert (
        decoder.generate(audio, {"style": torch.eye(3)[:1]}) - decoder.generate(audio, {"style": torch.eye(3)[1:2]})
    ).abs().max() > 1e-3
    with pytest.raises(InputError, match="multiple of heads"):
        AutoregressiveModel(18, 12, width=18, heads=4)
