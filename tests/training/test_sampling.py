"""Validation samples: every parametrisation, also where the motion is wider than the network."""

from __future__ import annotations

import pytest
import torch

from diffspeaker3d.diffusion import NoiseSchedule
from diffspeaker3d.losses import VertexLoss
from diffspeaker3d.models import Denoiser, DiffSpeaker, MelEncoder, VertexMotion
from diffspeaker3d.training.module import SpeechTraining


@pytest.mark.parametrize("prediction_type", ["sample", "epsilon", "v_prediction"])
def test_validation_samples_what_the_network_predicts(prediction_type: str) -> None:
    """With the output layer at zero x_start is nothing; ε and v leave the noise in the answer, all of it."""
    torch.manual_seed(0)
    encoder, motion = MelEncoder(25.0, width=16, dilations=(1,)), VertexMotion(12)
    denoiser = Denoiser(motion.dim, 16, width=8, feedforward=8, heads=2, conditions={"style": 2}, period=25)
    model = DiffSpeaker(
        encoder, denoiser, motion, fps=25.0, style_names=["a", "b"], topology="tetra", topology_hash="", num_visemes=0
    ).eval()
    training = SpeechTraining(
        model, NoiseSchedule(prediction_type=prediction_type), VertexLoss({"vertex": 1.0}), torch.optim.AdamW, steps=4
    )
    batch = {
        "waveform": torch.randn(2, 9600), "num_samples": torch.tensor([9600, 9600]), "num_frames": torch.tensor([15, 15]),
        "frame_mask": torch.ones(2, 15, dtype=torch.bool), "style": torch.eye(2),
    }  # fmt: skip
    with torch.no_grad():
        first, again = (training.sample(model, batch, seed=3) for _ in range(2))
    assert first.shape == (2, 15, 36) and torch.equal(first, again)
    if prediction_type == "sample":
        assert not first.any()
    else:
        assert (
            first.std() > 0.1 and torch.linalg.matrix_rank(first[0]) > 8
        )  # all of the noise is in it, not what W_in sees
