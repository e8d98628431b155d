"""Training step: noise on the left of the design's arrows, losses on the right."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from diffspeaker3d.diffusion import NoiseSchedule, SamplingOptions, ddim_sample, initial_noise
from diffspeaker3d.losses import ControlLoss, VertexLoss
from diffspeaker3d.models import DiffSpeaker

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
MakeRate = Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]
_STEP_STRIDE = 1_000_003  # distinct random streams for (seed, step)


class SpeechTraining(LightningModule):
    """Learns x_start from noisy motion and speech, and keeps an exponential moving average of the weights.

    All randomness of a step (timesteps, noise, dropout, warps) follows from (seed, step, rank), so a resumed run
    continues bit for bit.

    Args:
        model: what is trained.
        schedule: noise levels.
        losses: named terms on the prediction.
        optimizer: makes the optimiser from parameters.
        rate: makes the learning-rate schedule (stepped every batch) from the optimiser, or None for a constant rate.
        draws: noisy versions of each clip per step; the speech encoder runs once for all of them.
        ema_decay: of the average that is validated and exported.
        steps: DDIM steps of validation.
        seed: of everything random here.
    """

    def __init__(
        self, model: DiffSpeaker, schedule: NoiseSchedule, losses: ControlLoss | VertexLoss, optimizer: MakeOptimizer,
        rate: MakeRate | None = None, draws: int = 1, ema_decay: float = 0.999, steps: int = 10, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.model, self.schedule, self.losses = model, schedule, losses
        self.average = AveragedModel(model, avg_fn=functools.partial(moving_average, ema_decay))
        self.make_optimizer, self.make_rate = optimizer, rate
        self.draws, self.steps, self.seed = draws, steps, seed

    @property
    def averaged(self) -> DiffSpeaker:
        """The model with averaged weights."""
        module = self.average.module
        assert isinstance(module, DiffSpeaker)
        return module

    def training_step(self, batch: dict[str, Any], batch_index: int) -> Tensor:
        torch.manual_seed((self.seed * _STEP_STRIDE + self.global_step) * 64 + self.global_rank)
        terms = self.terms(self.model, batch)
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()}, batch_size=len(batch["clip"]))
        return terms["loss"]

    def terms(self, model: DiffSpeaker, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Loss terms of one batch at `draws` random noise levels per clip."""
        features = model.audio_encoder(batch["waveform"], batch["num_samples"], batch["num_frames"])
        x_start, mask, style, heard = (
            tensor.repeat_interleave(self.draws, 0)
            for tensor in (model.motion.encode(batch["motion"]), batch["frame_mask"], batch["style"], features)
        )
        # Density rising with t: at low noise the answer stands in x_t, and speech teaches nothing.
        timestep = (torch.rand(len(x_start), device=self.device).sqrt() * self.schedule.num_timesteps).long()
        x_t = self.schedule.add_noise(x_start, torch.randn_like(x_start), timestep)
        output = model.denoiser(x_t, timestep, heard, style, mask)
        prediction = self.schedule.x_start(output, x_t, timestep)
        if isinstance(self.losses, VertexLoss):
            return self.losses(prediction, x_start, mask, model.motion)
        logits, visemes = model.viseme_logits(features), batch.get("viseme")
        if logits is None or visemes is None:
            return self.losses(prediction, x_start, mask, model.motion)
        repeated = (tensor.repeat_interleave(self.draws, 0) for tensor in (logits, visemes))
        return self.losses(prediction, x_start, mask, model.motion, *repeated)

    def on_train_batch_end(self, *_: Any) -> None:
        self.average.update_parameters(self.model)

    def validation_step(self, batch: dict[str, Any], batch_index: int) -> None:
        """Full sampling with the averaged weights; the same seeds every time, so that epochs compare."""
        model = self.averaged
        x_start = self.sample(model, batch, seed=batch_index)
        terms = self.losses(x_start, model.motion.encode(batch["motion"]), batch["frame_mask"], model.motion)
        frames = int(batch["num_frames"].sum())
        self.log_dict({f"val/{name}": value for name, value in terms.items()}, batch_size=frames, sync_dist=True)

    def sample(self, model: DiffSpeaker, batch: dict[str, Any], seed: int) -> Tensor:
        """Sampled motion state (B, T, D) for a batch."""
        features = model.audio_encoder(batch["waveform"], batch["num_samples"], batch["num_frames"])
        options = SamplingOptions(steps=self.steps)
        timesteps = self.schedule.timesteps(options.steps, options.spacing)
        space = model.denoiser.in_space("auto", model.denoiser.condition(features, batch["style"], batch["frame_mask"], timesteps))
        count, frames = batch["frame_mask"].shape
        noise = initial_noise([(frames, model.motion.dim)] * count, [seed + k for k in range(count)]).to(features)
        return space.lift(ddim_sample(space, self.schedule, space.project(noise), options))

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(p for p in self.model.parameters() if p.requires_grad)
        if self.make_rate is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.make_rate(optimizer), "interval": "step"}}


def moving_average(decay: float, average: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
    """One step of an exponential moving average; early on it forgets faster, or it would remember the random start."""
    count = float(updates)
    return average.lerp(current, 1.0 - min(decay, (1.0 + count) / (10.0 + count)))
