"""SpeechAnimator: a checkpoint, and speech in, animation out. The one place that joins model, sampler and topology."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import SAMPLE_RATE, AudioSource, num_motion_frames, read_audio, resample
from diffspeaker3d.diffusion import NoiseSchedule
from diffspeaker3d.errors import InputError
from diffspeaker3d.generation.encode import encode
from diffspeaker3d.generation.load import load_parts
from diffspeaker3d.generation.options import Options, Style
from diffspeaker3d.generation.sample import Sampling, noise_scale, sample
from diffspeaker3d.generation.stages import Performance, build_stages
from diffspeaker3d.generation.styles import Styles
from diffspeaker3d.models import ControlMotion, DiffSpeaker
from diffspeaker3d.topology import Topology

MAX_SOUND_RATE = 48_000  # Hz; the animation keeps the sound at its own rate up to this


class SpeechAnimator:
    """Turns speech into an `Animation` with a trained model.

    Args:
        model: in eval mode, on its device.
        schedule: the noise schedule it was trained with.
        topology: of its motion.
        config: the checkpoint's; `styles`, `sampling`, `provenance` and what `build_stages` takes are read here.

    Example:
        animator = SpeechAnimator.from_pretrained()
        animation = animator("speech.wav", style="smiling", seed=1)
    """

    def __init__(
        self, model: DiffSpeaker, schedule: NoiseSchedule, topology: Topology, config: Mapping[str, Any]
    ) -> None:
        if model.topology_hash and model.topology_hash != topology.hash:
            raise InputError(
                f"topology {topology.name} has hash {topology.hash}, the checkpoint was trained on "
                f"{model.topology_hash}: another vertex order"
            )
        self.model, self.schedule, self.topology, self.config = model, schedule, topology, config
        self.of_controls = isinstance(model.motion, ControlMotion)
        self.styles = Styles(config.get("styles", {}), model.style_names)
        self.sampling = Sampling(**config.get("sampling", {}))
        noise_scale(model.motion, self.sampling.temperature)  # a group that is not there is found now
        self.stages = build_stages(config, self.of_controls)

    @classmethod
    def from_pretrained(
        cls, checkpoint: str | Path | None = None, device: str = "cpu", precision: str = "float32"
    ) -> SpeechAnimator:
        """An animator from a checkpoint folder, a hub id (`user/name`), or the default that ships with the package.

        Args:
            checkpoint: which; None is the default.
            device: cpu or cuda.
            precision: of the denoiser's numbers, see `models.sampling.in_precision`; what they cost in accuracy is in docs/performance.md.

        Raises:
            InputError: see `load.load_parts`.
        """
        return cls(*load_parts(checkpoint, device, precision))

    def check(self, options: Options) -> Options:
        """Refuse options that this model cannot follow, before many calls; returns them.

        Raises:
            InputError: an unknown style, template (the known are listed) or motion group, more steps than noise levels,
                or text for a model of bare vertices.
        """
        self.styles.vector(options.style)
        self.topology.template(options.template)
        self._sampling(options)
        if options.text is not None and not self.of_controls:
            raise InputError(
                "text: guides blendshape controls only, this checkpoint moves bare vertices; leave text out, "
                "or use the default checkpoint"
            )
        return options

    @torch.inference_mode()
    def __call__(self, audio: AudioSource, options: Options | None = None, **changes: Any) -> Animation:
        """Animate one utterance.

        Args:
            audio: path, or (samples (N,) or (N, channels), rate in Hz).
            options: how; None is the defaults.
            **changes: fields of `Options` given by name: `animator("speech.wav", style="smiling", seed=1)`.

        Raises:
            InputError: unusable sound (too short, empty, broken), options that `Options` or `check` refuses, text that is
                not what is said.
        """
        options = self.check(replace(options or Options(), **changes))
        fps, device = self.model.fps, next(self.model.parameters()).device
        # 1. waveform, at 16 kHz for the model and at its own rate for the outputs
        sound, rate = read_audio(audio, max_rate=MAX_SOUND_RATE, track=options.track)
        waveform = resample(sound, rate, SAMPLE_RATE)
        num_frames = num_motion_frames(len(waveform), SAMPLE_RATE, fps)
        if num_frames < 1:
            raise InputError(
                f"{_name(audio)}: {len(sound) / rate:.4f} s is less than one motion frame ({1 / fps:.4f} s); "
                "give more sound"
            )
        # 2. audio features, one row per motion frame, and the phones of a transcript
        features = encode(self.model.audio_encoder, torch.from_numpy(waveform).to(device), num_frames, fps)
        phones = _phones(waveform, options)
        # 3. motion state by DDIM, in unit variance
        style = self.styles.vector(options.style)
        conditions = {"style": torch.tensor([style], device=device)}
        state = sample(self.model, self.schedule, features, conditions, self._sampling(options), [options.seed])
        # 4. motion in the face's own units, through the stages
        logits = self.model.viseme_logits(features) if self.of_controls else None
        performance = Performance(
            fps=fps,
            output_fps=options.fps or fps,
            names=self.model.motion.names if isinstance(self.model.motion, ControlMotion) else (),
            style=style,
            visemes=None if logits is None else logits[0].softmax(-1).cpu().numpy(),
            phones=phones,
            strength=options.strength,
            seed=zlib.crc32(waveform.data, options.seed & 0xFFFFFFFF),  # lines of one seed differ
        )
        motion = self.model.motion.decode(state)[0].cpu().numpy()
        for stage in self.stages:
            motion = stage(motion, performance)
        # 5. + template
        provenance = {**self.config["provenance"], **options.provenance, "audio": _name(audio)}
        return self._animation(
            motion,
            performance.output_fps,
            self.topology.template(options.template),
            waveform=sound,
            sample_rate=rate,
            phones=phones,
            provenance=provenance,
        )

    def style_vector(self, style: Style) -> list[float]:
        """Style vector (S,) of a name, index, vector or blend; see `Options.style`."""
        return self.styles.vector(style)

    def _sampling(self, options: Options) -> Sampling:
        """The checkpoint's sampling with what the options change."""
        if options.steps is not None and options.steps > self.schedule.num_timesteps:
            raise InputError(f"steps={options.steps}: must be 1 to {self.schedule.num_timesteps}")
        sampling = self.sampling
        if options.steps is not None:
            sampling = replace(sampling, steps=options.steps)
        if options.temperature is not None:
            sampling = replace(sampling, temperature=options.temperature)
        noise_scale(self.model.motion, sampling.temperature)
        return sampling

    def _animation(self, motion: np.ndarray, fps: float, template: np.ndarray, **rest: Any) -> Animation:
        """Finished motion (T, D), controls or displacements, as an animation."""
        if self.of_controls:
            return Animation.from_weights(motion, fps, self.topology, template, **rest)
        vertices = motion.reshape(len(motion), -1, 3)
        vertices += template  # in place: motion is this call's own, and as large as the animation
        return Animation(vertices.astype(np.float32, copy=False), fps, self.topology, template, **rest)


def set_threads(threads: int | None) -> None:
    """CPU threads of torch; None leaves the default (all cores)."""
    if threads is not None:
        if threads < 1:
            raise InputError(f"threads={threads}: must be at least 1")
        torch.set_num_threads(threads)


def _phones(waveform: np.ndarray, options: Options) -> tuple[Any, ...] | None:
    """Phones of the transcript, aligned; None without one."""
    if options.text is None:
        return None
    from diffspeaker3d.speech.transcript import guiding_phones

    return tuple(guiding_phones(waveform, options.text))


def _name(audio: AudioSource) -> str:
    return "samples in memory" if isinstance(audio, tuple) else Path(audio).name
