"""Faster, and the same numbers."""

from typing import Any

import pytest
import torch
from tiny_denoiser import VARIANTS, inputs, tiny

from diffspeaker3d.models.sampling import Prepared, prepared


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("variant", VARIANTS)
def test_one_piece_or_many_give_what_forward_gives(
    variant: dict[str, Any], layers: int, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoiser = tiny(layers, reach=3.0, **variant)
    x_t, _, audio, conditions = inputs(2, 97)
    mask = torch.arange(97) < torch.tensor([[97], [44]]) if masked else None
    real = torch.ones(2, 97, dtype=torch.bool) if mask is None else mask
    with torch.no_grad():
        for piece, block in ((512, 128), (32, 8), (32, 13)):
            monkeypatch.setattr(prepared, "PIECE", piece)
            monkeypatch.setattr(prepared, "BLOCK", block)
            step = Prepared(denoiser, audio, conditions, [500, 20, 900], mask)
            for t in (900, 20):
                want = denoiser(x_t, torch.tensor([t, t]), audio, conditions, mask)
                torch.testing.assert_close(step(x_t, t)[real], want[real], atol=1e-5, rtol=1e-5)


def test_inner_blocks_of_a_long_clip_share_one_bias() -> None:
    denoiser = tiny(1, period=30)
    x_t, _, audio, conditions = inputs(1, 3000)
    with torch.no_grad():
        step = Prepared(denoiser, audio, conditions, [500])
        step(x_t, 500)
    seen = list(prepared.blocks(denoiser, 3000, slice(0, 3000)))
    assert len(seen) == 24 and len(step._biases) <= 4
    assert max(keys.stop - keys.start for _, keys in seen) == 128 + 2 * 4 * 30
    assert prepared.attended_pairs(denoiser, 3000) < 3000 * (128 + 240 + 2)


def test_a_piece_of_a_clip_keeps_its_place() -> None:
    """Away from its edges, a piece says what the whole says there."""
    denoiser = tiny(reach=1.0)
    x_t, _, audio, conditions = inputs(1, 60)
    margin = denoiser.receptive_frames
    assert margin == 10
    with torch.no_grad():
        whole = Prepared(denoiser, audio, conditions, [500])(x_t, 500)
        part = Prepared(denoiser, audio[:, 13:50], conditions, [500], first_frame=13)(x_t[:, 13:50], 500)
    torch.testing.assert_close(part[:, margin:-margin], whole[:, 13 + margin : 50 - margin], atol=1e-5, rtol=1e-5)
