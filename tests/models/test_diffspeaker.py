"""The whole network, from waveform to motion: company and padding change nothing, everything learns."""

import pytest
import torch
from torch import Tensor

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.diffusion import NoiseSchedule
from diffspeaker3d.generation.sample import Sampling
from diffspeaker3d.generation.sample import sample as generate
from diffspeaker3d.losses import VertexLoss
from diffspeaker3d.models import ControlMotion, Denoiser, DiffSpeaker, MelEncoder

SCHEDULE = NoiseSchedule("cosine", zero_terminal_snr=True)
DIM = len(CONTROL_NAMES)
LENGTHS, FRAMES = torch.tensor([24000, 15000, 9000]), torch.tensor([45, 28, 17])


def network() -> DiffSpeaker:
    torch.manual_seed(0)
    denoiser = Denoiser(DIM, 16, 16, 32, layers=2, conditions={"style": 3}, period=30)
    torch.nn.init.normal_(denoiser.output.weight, std=0.3)
    return DiffSpeaker(
        MelEncoder(30, width=16, num_mels=20, dilations=(1, 2)),
        denoiser,
        ControlMotion(),
        fps=30,
        style_names=("a", "b", "c"),
        topology="mannequin",
        num_visemes=4,
    ).eval()


def sound() -> Tensor:
    return 0.1 * torch.randn(3, 24000, generator=torch.Generator().manual_seed(0))


def sample(model: DiffSpeaker, items: list[int], eta: float = 0.0) -> Tensor:
    """Motion states (B, T, D) of some of the three clips, each with its own seed."""
    length, frames = LENGTHS[items], FRAMES[items]
    features = model.audio_encoder(sound()[items, : int(length.max())], length, frames)
    mask = torch.arange(int(frames.max())) < frames[:, None]
    conditions, seeds = {"style": torch.eye(3)[items]}, [7 + item for item in items]
    return generate(model, SCHEDULE, features, conditions, Sampling(steps=6, eta=eta), seeds, mask)


@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_a_clip_is_animated_the_same_alone_and_in_company(eta: float) -> None:
    model = network()
    with torch.no_grad():
        together = sample(model, [0, 1, 2], eta)
        for i in (1, 2):
            alone = sample(model, [i], eta)[0]
            torch.testing.assert_close(together[i, : FRAMES[i]], alone, atol=1e-4, rtol=1e-4)
    assert together[0].std() > 0.1


def test_a_training_step_reaches_every_parameter_in_bf16_too() -> None:
    model = network().train()
    x_start = torch.randn(3, 45, DIM, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(45) < FRAMES[:, None]
    losses = VertexLoss({"vertex": 1.0, "velocity": 1.0})
    values = {}
    for half in (False, True):
        model.zero_grad()
        torch.manual_seed(3)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            timestep = torch.tensor([10, 500, 999])
            x_t = SCHEDULE.add_noise(x_start, torch.randn_like(x_start), timestep)
            features = model.audio_encoder(sound(), LENGTHS, FRAMES)
            motion = model.denoiser(x_t, timestep, features, {"style": torch.eye(3)}, mask)
            logits = model.viseme_logits(features)
        loss = losses(motion, x_start, mask, model.motion)["loss"] + logits.float().square().mean()
        loss.backward()
        values[half] = loss.item()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert values[True] == pytest.approx(values[False], rel=0.05)


def test_seeds_and_styles_make_different_motion_and_repeat_exactly() -> None:
    model = network()
    with torch.no_grad():
        assert torch.equal(sample(model, [1]), sample(model, [1]))
        assert (sample(model, [1, 2])[0, :17] - sample(model, [1, 2])[1, :17]).abs().max() > 0.1


def test_zero_initialised_output_predicts_rest() -> None:
    denoiser = Denoiser(DIM, 16, 16, 32, conditions={"style": 3})
    x_t = torch.randn(1, 9, DIM, generator=torch.Generator().manual_seed(0))
    assert denoiser(x_t, torch.tensor([5]), torch.randn(1, 9, 16), {"style": torch.eye(3)[:1]}).eq(0).all()
