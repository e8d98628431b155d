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
    assert torch.equal(bias, dense_bias(T))
    assert torch.equal(self_attention_bias(frames[:9], frames[:9], H, P), bias[:, :9, :9])
    assert bias.diagonal(dim1=1, dim2=2).eq(0).all()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("block", [256, 6])
@pytest.mark.parametrize("reach", [None, 1])
def test_self_attention_equals_dense(
    masked: bool, block: int, reach: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks or not, in full or within `reach` periods: the dense masked map."""
    monkeypatch.setattr(attention, "QUERY_BLOCK", block)
    monkeypatch.setattr(attention, "BLOCKS_AT_ONCE", 2)
    if reach is not None:
        monkeypatch.setattr(attention, "FULL_PERIODS", 2)
        monkeypatch.setattr(attention, "REACH_PERIODS", reach)
    torch.manual_seed(0)
    ours = SelfAttention(C, H).eval()
    theirs = reference(ours)
    x, tokens = randn(B, T, C), randn(B, 2, C, seed=1)
    frame_mask = torch.arange(T) < torch.tensor([[T], [11]]) if masked else None
    bias = SelfBias(T, 2, H, P, True, frame_mask, x.device)
    memory, front = ours.memory(x), ours.memory(tokens)
    blocks = [ours(x[:, q], memory.frames(k).behind(front), bias.of(q, k, x.dtype)) for q, k in bias.blocks()]
    assert len(blocks) == (1 if block == 256 else 3)
    asked: list[int] = []

    def frames(wanted: slice) -> Tensor:
        asked.extend(range(wanted.start, wanted.stop))
        return x[:, wanted]

    sliding = torch.cat([attended for _, attended in ours.blocks(frames, front, bias)], 1)
    torch.testing.assert_close(sliding, torch.cat(blocks, 1))
    assert asked == list(range(T))
    keys = torch.cat([tokens, x], 1)
    dense = dense_bias(T)
    if reach is not None:
        dense = dense.masked_fill((torch.arange(T)[:, None] - torch.arange(T)).abs() > reach * P, float("-inf"))
    dense = torch.cat([torch.zeros(H, T, 2), dense], 2).repeat(B, 1, 1)
    padding = (
        torch.zeros(B, T + 2)
        if frame_mask is None
        else torch.zeros(B, T + 2).masked_fill(
            torch.cat([torch.zeros(B, 2, dtype=torch.bool), ~frame_mask], 1), float("-inf")
        )
    )
    want = theirs(x, keys, keys, attn_mask=dense, key_padding_mask=padding, need_weights=False)[0]
    got = torch.cat(blocks, 1)
    real = torch.ones(B, T, dtype=torch.bool) if frame_mask is None else frame_mask
    torch.testing.assert_close(got[real], want[real], atol=1e-6, rtol=1e-5)


def test_inner_blocks_of_a_long_clip_share_one_bias() -> None:
    bias = SelfBias(3000, 2, H, 30, True, None, torch.device("cpu"))
    maps = {id(bias.of(queries, keys, torch.float32)) for queries, keys in bias.blocks()}
    assert len(bias.blocks()) == 24 and len(maps) <= 4
    assert max(keys.stop - keys.start for _, keys in bias.blocks()) == 128 + 2 * 4 * 30


def test_cross_attention_of_three_keys_equals_dense_mask() -> None:
    torch.manual_seed(0)
    ours = CrossAttention(C, H).eval()
    theirs = reference(ours)
    x, tokens, audio = randn(B, T, C), randn(B, 2, C, seed=1), randn(B, T, C, seed=2)
    got = ours(x, ours.memory(tokens), ours.memory(audio))
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
    got = ours.dense(x, ours.memory(tokens), ours.memory(audio), frame_mask)
    keys = torch.cat([tokens, audio], 1)
    padding = torch.cat([torch.zeros(B, 2, dtype=torch.bool), ~frame_mask], 1)
    want = theirs(x, keys, keys, key_padding_mask=padding, need_weights=False)[0]
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)
