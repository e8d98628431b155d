"""Training step: noise on the left of the design's arrows, losses on the right.

What noise is for is the motion model's affair: `learn` is given this module as its `Diffusion`, and may leave it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.distributed
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from diffspeaker3d.diffusion import NoiseSchedule
from diffspeaker3d.errors import InputError
from diffspeaker3d.generation.sample import Sampling, sample
from diffspeaker3d.losses import ControlLoss, VertexLoss
from diffspeaker3d.models import DiffSpeaker

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
MakeRate = Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]
_STEP_STRIDE = 1_000_003  # distinct random streams for (seed, step)
_RANKS = 64  # and rank
TIMESTEPS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "rising": torch.sqrt,  # density rising with t: at low noise the answer stands in x_t, and speech teaches nothing
    "uniform": torch.Tensor.clone,  # the paper's
    "last": torch.ones_like,  # pure noise only: regression in one step (ablation)
}
"""Name -> from a uniform share (B,) in [0, 1) to the share of `num_timesteps`."""


class SpeechTraining(LightningModule):
    """Learns to predict motion from speech, and keeps an exponential moving average of the weights.

    All randomness of a step (timesteps, noise, dropout, warps) follows from (seed, step, rank), so a resumed run
    continues bit for bit. Timesteps and noise are those of the global batch, each rank taking its part, so that n
    processes with batch B learn what one with batch n * B learns. Exactly so only
    with clips of one length (losses are means over a rank's own frames), no dropout, and an encoder without chance.

    Args:
        model: what is trained.
        schedule: noise levels.
        losses: named terms on the prediction.
        optimizer: makes the optimiser from parameters.
        rate: makes the learning-rate schedule (stepped every batch) from the optimiser, or None for a constant rate.
        draws: noisy versions of each clip per step; the speech encoder runs once for all of them. One without noise.
        ema_decay: of the average that is validated and exported.
        steps: DDIM steps of validation.
        seed: of everything random here.
        timesteps: a name of `TIMESTEPS`, how noise levels are drawn.

    Raises:
        InputError: unknown `timesteps`.
    """

    def __init__(
        self,
        model: DiffSpeaker,
        schedule: NoiseSchedule,
        losses: ControlLoss | VertexLoss,
        optimizer: MakeOptimizer,
        rate: MakeRate | None = None,
        draws: int = 1,
        ema_decay: float = 0.999,
        steps: int = 10,
        seed: int = 0,
        timesteps: str = "rising",
    ) -> None:
        super().__init__()
        if timesteps not in TIMESTEPS:
            raise InputError(f"timesteps={timesteps}: known: {', '.join(TIMESTEPS)}")
        self.model, self.schedule, self.losses = model, schedule, losses
        self.average = AveragedModel(model, avg_fn=functools.partial(moving_average, ema_decay)).requires_grad_(False)
        self.make_optimizer, self.make_rate = optimizer, rate
        self.draws = draws if model.denoiser.draws_noise else 1
        self.steps, self.seed = steps, seed
        self.timestep_of = TIMESTEPS[timesteps]
        self.step_seed = 0

    @property
    def averaged(self) -> DiffSpeaker:
        """The model with averaged weights."""
        module = self.average.module
        assert isinstance(module, DiffSpeaker)
        return module

    def training_step(self, batch: dict[str, Any], batch_index: int) -> Tensor:
        micro_batch = batch_index % self.trainer.accumulate_grad_batches
        self.step_seed = (self.seed * _STEP_STRIDE + self.global_step) * _RANKS + (micro_batch << 48)
        torch.manual_seed(self.step_seed + self.global_rank)
        terms = self.terms(self.model, batch)
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()}, batch_size=len(batch["clip"]))
        return terms["loss"]

    def terms(self, model: DiffSpeaker, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Loss terms of one batch at `draws` random noise levels per clip."""
        features = audio_features(model, batch)
        conditions = conditions_of(model, batch)
        x_start, mask, repeated = (
            repeat(model.motion.encode(batch["motion"]), self.draws),
            repeat(batch["frame_mask"], self.draws),
            {name: repeat(value, self.draws) for name, value in conditions.items()},
        )
        prediction = model.denoiser.learn(x_start, repeat(features, self.draws), repeated, mask, self)
        if isinstance(self.losses, VertexLoss):
            return self.losses(prediction, x_start, mask, model.motion)
        logits, visemes = model.viseme_logits(features), batch.get("viseme")
        if logits is None or visemes is None:
            return self.losses(prediction, x_start, mask, model.motion)
        spoken = (repeat(tensor, self.draws) for tensor in (logits, visemes))
        return self.losses(prediction, x_start, mask, model.motion, *spoken)

    def noisy(self, x_start: Tensor) -> tuple[Tensor, Tensor]:
        """x_t and timesteps of clean states, see `MotionModel.learn`."""
        timestep, noise = self.draw(x_start)
        return self.schedule.add_noise(x_start, noise, timestep), timestep

    def x_start(self, output: Tensor, x_t: Tensor, timestep: Tensor) -> Tensor:
        """What the network's output says of x_start."""
        return self.schedule.x_start(output, x_t, timestep)

    def draw(self, x_start: Tensor) -> tuple[Tensor, Tensor]:
        """Timesteps (B,) and noise (B, T, D) of this rank's states; with several ranks, its part of the global draw."""
        world_size, generator = self.world_size, None
        if world_size > 1:
            generator = torch.Generator(self.device).manual_seed(self.step_seed)
        share = torch.rand(len(x_start) * world_size, device=self.device, generator=generator).chunk(world_size)[
            self.global_rank
        ]
        for _ in range(self.global_rank + 1):  # one rank's noise at a time: memory does not grow with their number
            noise = torch.randn(x_start.shape, dtype=x_start.dtype, device=self.device, generator=generator)
        last = self.schedule.num_timesteps - 1
        return self.timestep_of(share).mul(last + 1).long().clamp(max=last), noise

    @property
    def world_size(self) -> int:
        """Processes that train together."""
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        return torch.distributed.get_world_size() if distributed else 1

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.average.update_parameters(self.model)  # here: a state that is saved after the step holds both

    def validation_step(self, batch: dict[str, Any], batch_index: int) -> None:
        """Full sampling with the averaged weights; the same seeds every time, so that epochs compare."""
        model = self.averaged
        x_start = self.sample(model, batch, seed=batch_index)
        terms = self.losses(x_start, model.motion.encode(batch["motion"]), batch["frame_mask"], model.motion)
        frames = int(batch["num_frames"].sum())
        self.log_dict({f"val/{name}": value for name, value in terms.items()}, batch_size=frames, sync_dist=True)

    def sample(self, model: DiffSpeaker, batch: dict[str, Any], seed: int) -> Tensor:
        """Sampled motion state (B, T, D) for a batch."""
        seeds = [seed + item for item in range(len(batch["frame_mask"]))]
        conditions = conditions_of(model, batch)
        features, options = audio_features(model, batch), Sampling(steps=self.steps)
        return sample(model, self.schedule, features, conditions, options, seeds, batch["frame_mask"])

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(p for p in self.model.parameters() if p.requires_grad)
        if self.make_rate is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.make_rate(optimizer), "interval": "step"}}


def audio_features(model: DiffSpeaker, batch: dict[str, Any]) -> Tensor:
    """Features (B, T, D_a): from what came with the batch (a frozen encoder heard it before), or from sound."""
    if "audio_features" in batch:
        return model.audio_encoder.refine(batch["audio_features"], batch["num_frames"])
    features: Tensor = model.audio_encoder(batch["waveform"], batch["num_samples"], batch["num_frames"])
    return features


def conditions_of(model: DiffSpeaker, batch: dict[str, Any]) -> dict[str, Tensor]:
    """What the model takes to be known of each clip, by name (B, n)."""
    return {name: batch[name] for name in model.denoiser.condition_sizes}


def repeat(values: Tensor, times: int) -> Tensor:
    """Each item so many times in a row (B times, ...)."""
    return values.repeat_interleave(times, 0)


def moving_average(decay: float, average: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
    """One step of an exponential moving average; early on it forgets faster, or it would remember the random start."""
    count = float(updates)
    return average.lerp(current, 1.0 - min(decay, (1.0 + count) / (10.0 + count)))
