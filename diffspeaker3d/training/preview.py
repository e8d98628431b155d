"""A clip to look at: what the averaged model makes of the first validation clip, beside the truth."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.controls.arkit import close_lips
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.errors import InputError
from diffspeaker3d.rendering import RenderOptions, render_animation
from diffspeaker3d.training.module import SpeechTraining

log = logging.getLogger(__name__)

SECONDS = 6.0  # the longest preview
SIZE = (192, 192)  # pixels of one panel


class Preview(Callback):
    """Writes `previews/step-<n>.mp4` in the run's folder: prediction on the left, ground truth on the right, with sound.

    A preview that cannot be drawn is reported once and ends the previews, not the training.

    Args:
        folder: of the run.
        corpus: gives topology and templates.
        every_n_validations: how often.
    """

    def __init__(self, folder: str | Path, corpus: Corpus, every_n_validations: int) -> None:
        self.folder, self.corpus, self.every = Path(folder) / "previews", corpus, every_n_validations
        self.count = 0

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.count += 1
        if not trainer.is_global_zero or self.every < 1 or self.count % self.every:
            return
        assert isinstance(module, SpeechTraining)
        loader: Any = trainer.val_dataloaders
        path = self.folder / f"step-{trainer.global_step:06d}.mp4"
        try:
            self.render(module, loader.collate_fn([loader.dataset[0]]), path)
        except InputError as error:
            log.warning("no preview: %s; training goes on without", error)
            self.every = 0
            return
        log.info("%s: prediction and ground truth", path)

    @torch.no_grad()
    def render(self, module: SpeechTraining, batch: dict[str, Any], path: Path) -> None:
        """Sample the clip of a batch and write the video."""
        model = module.averaged
        batch = {
            name: value.to(module.device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()
        }
        prediction = model.motion.decode(module.sample(model, batch, seed=0))[0]
        pair = (self.animation(motion.float().cpu(), batch) for motion in (prediction, batch["motion"][0]))
        render_animation(next(pair), path, RenderOptions(size=SIZE), compare=next(pair))

    def animation(self, motion: torch.Tensor, batch: dict[str, Any]) -> Animation:
        """Motion (T, D) in its own units on the clip's head, with its sound."""
        fps, topology, subject = self.corpus.fps, self.corpus.topology, batch["subject"][0]
        frames = motion.numpy()[: max(round(SECONDS * fps), 1)]
        sound = {
            "waveform": batch["waveform"][0].cpu().numpy()[: round(len(frames) / fps * SAMPLE_RATE)],
            "sample_rate": SAMPLE_RATE,
        }
        template = topology.template(subject if subject in topology.templates else None)
        if self.corpus.motion == "controls":
            return Animation.from_weights(close_lips(frames), fps, topology, template, **sound)
        return Animation(template + frames.reshape(len(frames), -1, 3), fps, topology, template, **sound)
