"""The log-mel encoder: time, padding, levels, warp."""

import numpy as np
import pytest
import torch
from torch import Tensor

from diffspeaker3d.models import MelEncoder
from diffspeaker3d.models.encoders.base import to_motion_frames
from diffspeaker3d.models.encoders.mel import mel_filters, normalise


@pytest.fixture(scope="module")
def encoder() -> MelEncoder:
    torch.manual_seed(0)
    return MelEncoder(fps=30, width=16, num_mels=20, dilations=(1, 2)).eval()


def speechlike(seconds: float, seed: int = 0) -> Tensor:
    """Noise whose loudness and colour wander, (N,)."""
    rng = np.random.default_rng(seed)
    n = int(seconds * 16000)
    knots = np.arange(0, n + 1600, 1600)
    envelope = np.interp(np.arange(n), knots, rng.random(len(knots)))
    return torch.from_numpy(
        (np.convolve(rng.standard_normal(n), [1, 0.9, 0.5], "same") * envelope * 0.1).astype(np.float32)
    )


def test_padding_and_batching_change_no_real_frame(encoder: MelEncoder) -> None:
    clips = [speechlike(5.37, 0), speechlike(2.119, 1), speechlike(0.03, 2)]
    frames = torch.tensor([161, 63, 1])
    lengths = torch.tensor([len(clip) for clip in clips])
    batch = torch.full((3, len(clips[0]) + 777), 0.5)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    with torch.no_grad():
        together = encoder(batch, lengths, frames)
        assert together.shape == (3, 161, 16)
        for index, clip in enumerate(clips):
            alone = encoder(clip[None], lengths[index : index + 1], frames[index : index + 1])[0]
            torch.testing.assert_close(together[index, : frames[index]], alone, atol=1e-5, rtol=1e-5)
            assert together[index, frames[index] :].eq(0).all()


def test_features_stand_at_their_time() -> None:
    """A ramp resampled from 50 Hz to 30 fps is t: no stretching of the ends; the last value is held."""
    ramp = (torch.arange(100.0) / 50)[None, :, None]
    rows = to_motion_frames(ramp, torch.tensor([100]), 50.0, 0.0, torch.tensor([65]), 30.0)[0, :, 0]
    torch.testing.assert_close(rows[:60], torch.arange(60.0) / 30)
    assert rows[60:].eq(99 / 50).all()
    late = to_motion_frames(ramp, torch.tensor([100]), 50.0, 0.5, torch.tensor([60]), 30.0)[0, :, 0]
    torch.testing.assert_close(late[1:], (torch.arange(1.0, 60) / 30 - 0.01).clamp(min=0), atol=1e-6, rtol=0)


def test_a_click_is_heard_when_it_happens() -> None:
    encoder = MelEncoder(fps=25, width=8, num_mels=20)
    waveform = 1e-3 * torch.randn(1, 32000, generator=torch.Generator().manual_seed(0))
    waveform[0, 16000:16160] += 0.5
    mel, count = encoder.eval().log_mel(waveform, torch.tensor([32000]))
    assert int(mel[0].mean(-1).argmax()) in (100, 101) and int(count) == 201


def test_loudness_hardly_matters(encoder: MelEncoder) -> None:
    clip = speechlike(3.0)[None]
    lengths, frames = torch.tensor([48000]), torch.tensor([90])
    with torch.no_grad():
        loud, quiet = encoder(clip, lengths, frames), encoder(clip * 0.3, lengths, frames)
    assert (loud - quiet).abs().mean() < 0.02 * loud.abs().mean()


def test_levels_over_four_seconds_are_exact_for_short_and_local_for_long() -> None:
    mel = torch.randn(1, 300, 6, generator=torch.Generator().manual_seed(0)) * 2 - 5
    flat = normalise(mel, torch.tensor([300]))
    torch.testing.assert_close(flat.mean(1), torch.zeros(1, 6), atol=1e-5, rtol=0)
    long = torch.cat([mel.repeat(1, 10, 1), mel.repeat(1, 10, 1) + 7], 1)
    local = normalise(long, torch.tensor([6000]))
    torch.testing.assert_close(local[:, 1000:2000], local[:, 4000:5000], atol=1e-4, rtol=0)


def test_filters_are_unit_sum_ordered_and_warp_moves_formants() -> None:
    filters = mel_filters(80, torch.tensor([0.76, 1.0, 1.3]))
    torch.testing.assert_close(filters.sum(-1), torch.ones(3, 80))
    centre = (filters * torch.arange(257)).sum(-1) * 16000 / 512
    assert (centre.diff(dim=1) > 0).all()
    middle = centre[1, 40]
    torch.testing.assert_close(centre[:, 40] / middle, torch.tensor([0.76, 1.0, 1.3]), atol=0.02, rtol=0)
    assert float(centre[:, -1].max() - centre[:, -1].min()) < 250


def test_augmentation_only_in_training(encoder: MelEncoder) -> None:
    clip, lengths, frames = speechlike(2.0)[None].repeat(6, 1), torch.tensor([32000] * 6), torch.tensor([60] * 6)
    with torch.no_grad():
        assert torch.equal(encoder(clip, lengths, frames), encoder(clip, lengths, frames))
        warped = encoder.hear(clip, lengths, frames, mel_warp=torch.tensor([1.0, 1.0, 1.0, 1.2, 0.8, 1.3]))
        plain = encoder(clip, lengths, frames)
        torch.testing.assert_close(warped[:3], plain[:3], atol=1e-5, rtol=1e-5)
        assert all((warped[i] - plain[i]).abs().max() > 0.05 for i in (3, 4, 5))
        encoder.train()
        torch.manual_seed(1)
        first = encoder(clip, lengths, frames)
        torch.manual_seed(1)
        again = encoder(clip, lengths, frames)
        encoder.eval()
    assert torch.equal(first, again)
    assert (first - plain).abs().max() > 0.05


def test_gradients_reach_every_parameter_and_half_precision_is_near(encoder: MelEncoder) -> None:
    clip, lengths, frames = speechlike(1.5)[None], torch.tensor([24000]), torch.tensor([45])
    exact = encoder(clip, lengths, frames)
    exact.square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = encoder(clip, lengths, frames)
    assert (half.float() - exact).abs().mean() < 0.05
