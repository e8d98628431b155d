"""Biases and both attentions against torch.nn.MultiheadAttention with dense masks."""

import pytest
import torch
from torch import Tensor, nn

from diffspeaker3d.models import attention
from diffspeaker3d.models.attention import CrossAttention, SelfAttention, SelfBias, self_attention_bias

B, T, C, H, P = 2, 17, 16, 4, 5


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def reference(ours: attention.Attention) -> nn.MultiheadAttention:
    module = nn.MultiheadAttention(C, H, batch_first=True).eval()
    for parameter, name in ((ours.in_proj.bias, "b"), (ours.out_proj.bias, "o")):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(ord(name)))
    module.load_state_dict({
        "in_proj_weight": ours.in_proj.weight, "in_proj_bias": ours.in_proj.bias,
        "out_proj.weight": ours.out_proj.weight, "out_proj.bias": ours.out_proj.bias,
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
    assert torch.equal(bias, dense_bias(T))
    assert torch.equal(self_attention_bias(frames[:9], frames[:9], H, P), bias[:, :9, :9])
    assert bias.diagonal(dim1=1, dim2=2).eq(0).all()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("block", [1024, 6])
def test_self_attention_equals_dense(masked: bool, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "QUERY_BLOCK", block)
    torch.manual_seed(0)
    ours = SelfAttention(C, H).eval()
    theirs = reference(ours)
    x, tokens = randn(B, T, C), randn(B, 2, C, seed=1)
    frame_mask = torch.arange(T) < torch.tensor([[T], [11]]) if masked else None
    got = ours(x, ours.key_value(tokens), SelfBias(T, 2, H, P, frame_mask, x.device))
    keys = torch.cat([tokens, x], 1)
    bias = torch.cat([torch.zeros(H, T, 2), dense_bias(T)], 2).repeat(B, 1, 1)
    padding = torch.zeros(B, T + 2) if frame_mask is None else torch.zeros(B, T + 2).masked_fill(
        torch.cat([torch.zeros(B, 2, dtype=torch.bool), ~frame_mask], 1), float("-inf")
    )  # fmt: skip
    want = theirs(x, keys, keys, attn_mask=bias, key_padding_mask=padding, need_weights=False)[0]
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)


def test_cross_attention_of_three_keys_equals_dense_mask() -> None:
    torch.manual_seed(0)
    ours = CrossAttention(C, H).eval()
    theirs = reference(ours)
    x, tokens, audio = randn(B, T, C), randn(B, 2, C, seed=1), randn(B, T, C, seed=2)
    got = ours(x, ours.key_value(tokens), ours.key_value(audio))
    blocked = torch.cat([torch.zeros(T, 2, dtype=torch.bool), ~torch.eye(T, dtype=torch.bool)], 1)
    keys = torch.cat([tokens, audio], 1)
    want = theirs(x, keys, keys, attn_mask=blocked, need_weights=False)[0]
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)


def test_cross_attention_without_mask_equals_dense() -> None:
    torch.manual_seed(0)
    ours = CrossAttention(C, H).eval()
    theirs = reference(ours)
    x, tokens, audio = randn(B, T, C), randn(B, 2, C, seed=1), randn(B, T, C, seed=2)
    frame_mask = torch.arange(T) < torch.tensor([[T], [11]])
    got = ours.dense(x, ours.key_value(tokens), ours.key_value(audio), frame_mask)
    keys = torch.cat([tokens, audio], 1)
    padding = torch.cat([torch.zeros(B, 2, dtype=torch.bool), ~frame_mask], 1)
    want = theirs(x, keys, keys, key_padding_mask=padding, need_weights=False)[0]
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)
