"""Biases and both attentions against torch.nn.MultiheadAttention with dense masks."""

import pytest
import torch
from torch import Tensor, nn

from diffspeaker3d.models import Denoiser, attention
from diffspeaker3d.models.attention import (
    CrossAttention,
    FullCrossAttention,
    OwnAudio,
    SelfAttention,
    self_attention_bias,
)

B, T, C, H, P = 2, 17, 16, 4, 5


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def reference(ours: attention.Attention) -> nn.MultiheadAttention:
    module = nn.MultiheadAttention(C, H, batch_first=True).eval()
    for seed, part in enumerate((ours.query, ours.key_value, ours.output)):
        nn.init.normal_(part.bias, generator=torch.Generator().manual_seed(seed))
    module.load_state_dict({
        "in_proj_weight": torch.cat([ours.query.weight, ours.key_value.weight]),
        "in_proj_bias": torch.cat([ours.query.bias, ours.key_value.bias]),
        "out_proj.weight": ours.output.weight, "out_proj.bias": ours.output.bias,
    })  # fmt: skip
    return module


def dense_bias(length: int) -> Tensor:
    """The paper's bias, entry by entry."""
    bias = torch.zeros(H, length, length)
    for h in range(H):
        for i in range(length):
            for j in range(length):
                periods = (i - j) // P if j <= i else (j - i - 1) // P
                bias[h, i, j] = -(4.0 ** -(h + 1)) * periods
    return bias


def test_bias_is_the_papers_and_grows_by_extension() -> None:
    frames = torch.arange(T)
    bias = self_attention_bias(frames, frames, H, P)
    torch.testing.assert_close(bias, dense_bias(T))
    torch.testing.assert_close(self_attention_bias(frames[:9], frames[:9], H, P), bias[:, :9, :9])
    assert not bias.diagonal(dim1=1, dim2=2).any()
    near = self_attention_bias(frames, frames, H, P, reach=3)
    far = (frames[:, None] - frames).abs() > 3
    assert near[:, far].isneginf().all()
    torch.testing.assert_close(near[:, ~far], bias[:, ~far])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reach", [None, 1.0])
def test_self_attention_equals_dense(masked: bool, reach: float | None) -> None:
    """In full or within a reach: the dense masked map."""
    torch.manual_seed(0)
    ours = SelfAttention(C, H).eval()
    theirs = reference(ours)
    x, tokens = randn(B, T, C), randn(B, 2, C, seed=1)
    frame_mask = torch.arange(T) < torch.tensor([[T], [11]]) if masked else None
    denoiser = Denoiser(4, 4, C, C, H, period=P, reach=reach)
    got = ours(x, tokens, denoiser.attention_bias(T, frame_mask, x.device))
    dense = dense_bias(T)
    if reach is not None:
        dense = dense.masked_fill((torch.arange(T)[:, None] - torch.arange(T)).abs() > P, float("-inf"))
    dense = torch.cat([torch.zeros(H, T, 2), dense], 2).repeat(B, 1, 1)
    padding = torch.zeros(B, T + 2)
    if frame_mask is not None:
        padding[:, 2:] = padding[:, 2:].masked_fill(~frame_mask, float("-inf"))
    keys = torch.cat([tokens, x], 1)
    want = theirs(x, keys, keys, attn_mask=dense, key_padding_mask=padding, need_weights=False)[0]
    real = torch.ones(B, T, dtype=torch.bool) if frame_mask is None else frame_mask
    torch.testing.assert_close(got[real], want[real], atol=1e-6, rtol=1e-5)


def test_cross_attention_of_three_keys_equals_dense_mask() -> None:
    torch.manual_seed(0)
    ours = CrossAttention(C, H).eval()
    theirs = reference(ours)
    x, tokens, audio = randn(B, T, C), randn(B, 2, C, seed=1), randn(B, T, C, seed=2)
    blocked = torch.cat([torch.zeros(T, 2, dtype=torch.bool), ~torch.eye(T, dtype=torch.bool)], 1)
    keys = torch.cat([tokens, audio], 1)
    want = theirs(x, keys, keys, attn_mask=blocked, need_weights=False)[0]
    torch.testing.assert_close(ours(x, tokens, audio), want, atol=1e-6, rtol=1e-5)


def test_own_audio_is_cross_attention_to_one_key() -> None:
    """Whatever the queries and keys are, a softmax over one of them is one."""
    torch.manual_seed(0)
    ours, full = OwnAudio(C, H).eval(), CrossAttention(C, H).eval()
    full.key_value.weight.data[C:], full.key_value.bias.data[C:] = ours.value.weight.data, ours.value.bias.data
    full.output.load_state_dict(ours.output.state_dict())
    x, audio = randn(B, T, C), randn(B, T, C, seed=2)
    blocked = ~torch.eye(T, dtype=torch.bool)
    want = reference(full)(x, audio, audio, attn_mask=blocked, need_weights=False)[0]
    ours.value.bias.data, ours.output.bias.data = full.key_value.bias.data[C:], full.output.bias.data
    torch.testing.assert_close(ours(x, None, audio), want, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("with_tokens", [True, False])
def test_cross_attention_without_mask_equals_dense(with_tokens: bool) -> None:
    torch.manual_seed(0)
    ours = FullCrossAttention(C, H).eval()
    theirs = reference(ours)
    x, tokens, audio = randn(B, T, C), randn(B, 2, C, seed=1) if with_tokens else None, randn(B, T, C, seed=2)
    frame_mask = torch.arange(T) < torch.tensor([[T], [11]])
    keys, padding = audio, ~frame_mask
    if tokens is not None:
        keys = torch.cat([tokens, audio], 1)
        padding = torch.cat([torch.zeros(B, 2, dtype=torch.bool), padding], 1)
    want = theirs(x, keys, keys, key_padding_mask=padding, need_weights=False)[0]
    torch.testing.assert_close(ours(x, tokens, audio, frame_mask), want, atol=1e-6, rtol=1e-5)
