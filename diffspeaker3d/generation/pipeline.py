"""SpeechAnimator: a checkpoint, and speech in, animation out. The one place that joins model, sampler and topology."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffspeaker3d import __version__
from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import SAMPLE_RATE, num_motion_frames, read_audio, resample
from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.controls.expression import MOTION_GROUPS, expressions
from diffspeaker3d.controls.lipsync import guide_controls, seal_heard
from diffspeaker3d.controls.style import Manner
from diffspeaker3d.diffusion import (
    NoiseSchedule,
    SamplingOptions,
    ddim_sample,
    initial_noise,
    official_sample,
    window_frames,
    windowed,
)
from diffspeaker3d.errors import InputError
from diffspeaker3d.models import (
    ControlMotion,
    Denoiser,
    DiffSpeaker,
    Generator,
    checkpoint_hash,
    in_precision,
    load_checkpoint,
    read_config,
)
from diffspeaker3d.speech.phones import VISEMES, VOWELS, Phone
from diffspeaker3d.speech.transcript import guiding_phones
from diffspeaker3d.topology import ASSETS, Topology, load_topology

DEFAULT_CHECKPOINT = ASSETS / "checkpoint"
SAMPLERS: Mapping[str, Callable[..., Tensor]] = {"ddim": ddim_sample, "official": official_sample}
MAX_SOUND_RATE = 48_000  # Hz; the animation keeps the sound at its own rate up to this
MAX_STRENGTH = 2.0
ENCODE_SECONDS = 60  # speech encoded at once
ENCODE_MARGIN = 4  # s heard on either side of it: more than the encoder's reach
WINDOW_FRAMES, WINDOW_OVERLAP = 36_000, 300  # denoised at once (20 min); longer clips run in overlapping windows
MAX_TEMPERATURE = 2.0
Style = int | str | Sequence[float] | None
Temperature = float | Mapping[str, float] | None
Audio = str | Path | tuple[np.ndarray, int]


class SpeechAnimator:
    """Turns speech into an `Animation` with a trained model.

    Args:
        model: in eval mode, on its device.
        schedule: the noise schedule it was trained with.
        topology: of its motion.
        config: the checkpoint's; `styles`, `sampling` and `provenance` are read here.

    Example:
        animator = SpeechAnimator.from_pretrained()
        animation = animator("speech.wav", style="smiling", seed=1)
    """

    def __init__(
        self, model: DiffSpeaker, schedule: NoiseSchedule, topology: Topology, config: Mapping[str, Any]
    ) -> None:
        if model.topology_hash and model.topology_hash != topology.hash:
            raise InputError(
                f"topology {topology.name} has hash {topology.hash}, the checkpoint was trained on {model.topology_hash}: another vertex order"
            )
        self.model, self.schedule, self.topology, self.config = model, schedule, topology, config
        self.styles: dict[str, list[float]] = dict(config.get("styles", {}))
        self._spread(None)

    @classmethod
    def from_pretrained(
        cls, checkpoint: str | Path | None = None, device: str = "cpu", precision: str = "float32"
    ) -> SpeechAnimator:
        """A checkpoint folder, or a hub id (`user/name`), or the default that ships with the package.

        Args:
            checkpoint: which; None is the default.
            device: cpu or cuda.
            precision: of the denoiser's numbers, see `models.in_precision`; what they cost in accuracy is in docs/performance.md.

        Raises:
            InputError: no such checkpoint, or it is damaged or of another version; a precision that is not known or
                not for this checkpoint.
        """
        folder = _find_checkpoint(checkpoint)
        config = read_config(folder)
        model, config = load_checkpoint(folder, _device(device))
        own = folder / "topology.npz"
        topology = load_topology(own if own.is_file() else model.topology)
        if precision != "float32":
            if not isinstance(model.denoiser, Denoiser):
                raise InputError(
                    f"precision={precision}: is for diffusion checkpoints, this one generates frame by frame; leave it out"
                )
            model.denoiser = in_precision(model.denoiser, precision)
        provenance = {
            "checkpoint": checkpoint_hash(folder),
            "version": __version__,
            "precision": precision,
            **config.get("provenance", {}),
        }
        return cls(model, NoiseSchedule(**config["schedule"]), topology, config | {"provenance": provenance})

    def options(
        self,
        style: Style = None,
        template: str | None = None,
        seed: int = 0,
        steps: int | None = None,
        fps: float | None = None,
        strength: float = 1.0,
        temperature: Temperature = None,
    ) -> dict[str, Any]:
        """Check the options of a call once, before many calls; returns them for `animator(audio, **options)`.

        Raises:
            InputError: an unknown style or template (the known are listed), or a senseless number.
        """
        self.style_vector(style)
        self.topology.template(template)
        if steps is not None and not 1 <= steps <= self.schedule.num_timesteps:
            raise InputError(f"steps={steps}: must be 1 to {self.schedule.num_timesteps}")
        if fps is not None and not 1 <= fps <= 240:
            raise InputError(f"fps={fps}: must be 1 to 240")
        if not 0 <= strength <= MAX_STRENGTH:
            raise InputError(f"strength={strength}: must be 0 (a still face) to {MAX_STRENGTH:g}")
        self._spread(temperature)
        return {
            "style": style,
            "template": template,
            "seed": seed,
            "steps": steps,
            "fps": fps,
            "strength": strength,
            "temperature": temperature,
        }

    @torch.inference_mode()
    def __call__(
        self,
        audio: Audio,
        *,
        style: Style = None,
        template: str | None = None,
        seed: int = 0,
        steps: int | None = None,
        fps: float | None = None,
        strength: float = 1.0,
        temperature: Temperature = None,
        text: str | Path | None = None,
        track: int | None = None,
    ) -> Animation:
        """Animate one utterance.

        Args:
            audio: path, or (samples (N,) or (N, channels), rate in Hz).
            style: a name, an index, a vector, or a blend such as "smiling:0.5+mumbled:0.5"; None is the default manner.
            template: identity of the topology; None is its first.
            seed: decides what the sound does not.
            steps: DDIM steps; None is the checkpoint's own.
            fps: output frames per second; None is the model's own. Other rates interpolate.
            strength: how far the face moves from rest, 1 as sampled; lips seal and eyes blink at any strength.
            temperature: factor on the standard deviation of the initial noise, 0 (what is likeliest, the same for every
                seed) to 2; one number, or one for each of some motion groups by name; None is the checkpoint's own.
            text: what is said (English), a .txt file that holds it, or "auto": its phones then guide the lips (extra `align`).
            track: which sound track of a file with several, counted from 1; None is its default one.

        Raises:
            InputError: unusable sound (too short, empty, broken), unknown style or template, text that is not what is
                said or that meets a model of bare vertices.
        """
        if text is not None and not isinstance(self.model.motion, ControlMotion):
            raise InputError(
                "text: guides blendshape controls only, this checkpoint moves bare vertices; leave text out, or use the default checkpoint"
            )
        self.options(style, template, seed, steps, fps, strength, temperature)
        # 1. waveform, at 16 kHz for the model and at its own rate for the outputs
        sound, rate = read_audio(audio, max_rate=MAX_SOUND_RATE, track=track)
        waveform = resample(sound, rate, SAMPLE_RATE)
        num_frames = num_motion_frames(len(waveform), SAMPLE_RATE, self.model.fps)
        if num_frames < 1:
            raise InputError(
                f"{_name(audio)}: {len(sound) / rate:.4f} s is less than one motion frame ({1 / self.model.fps:.4f} s); give more sound"
            )
        phones = None if text is None else guiding_phones(waveform, text)
        # 2. audio features, one row per motion frame
        features = self._encode(torch.from_numpy(waveform), num_frames)
        # 3. motion state by DDIM
        state = self._sample(features, torch.tensor([self.style_vector(style)]), seed, steps, temperature)
        # 4. motion in the face's own units, + template
        motion = self.model.motion.decode(state)[0].cpu().numpy()
        motion = self._finish(
            motion, features, style, zlib.crc32(waveform.tobytes(), seed & 0xFFFFFFFF)
        )  # lines of one seed differ
        if phones is not None and isinstance(self.model.motion, ControlMotion):
            motion = guide_controls(motion, phones, self.model.fps, self.model.motion.names)
        motion = self._scaled(motion, strength)
        rest = {
            "waveform": sound, "sample_rate": rate,
            "provenance": {**self.config["provenance"], "seed": seed, "style": style, "steps": steps, "strength": strength, "audio": _name(audio), **({} if temperature is None else {"temperature": temperature}), **({} if text is None else {"text": str(text)})},
        }  # fmt: skip
        return self._animation(motion, fps, self.topology.template(template), rest)

    def style_vector(self, style: Style) -> list[float]:
        """Style vector (S,) of a name, index, vector or blend; see `__call__`."""
        names = self.model.style_names
        if style is None:
            return self.styles[next(iter(self.styles))] if self.styles else [1.0, *[0.0] * (len(names) - 1)]
        if isinstance(style, str):
            return _blend(style, self.styles or dict(zip(names, np.eye(len(names)).tolist(), strict=True)))
        if isinstance(style, int) and self.styles:
            if not 0 <= style < len(self.styles):
                raise InputError(f"style={style}: known: 0 to {len(self.styles) - 1} ({', '.join(self.styles)})")
            return list(self.styles.values())[style]
        return self.model.style_vectors([style])[0].tolist()

    def _encode(self, waveform: Tensor, num_frames: int) -> Tensor:
        """Audio features (1, T, D_a), a long clip in pieces that overlap by more than the encoder's reach."""
        encoder, fps = self.model.audio_encoder, self.model.fps
        device = next(self.model.parameters()).device
        whole_seconds = float(fps).is_integer()  # otherwise pieces would not begin on a frame
        if not whole_seconds or len(waveform) <= (ENCODE_SECONDS + 2 * ENCODE_MARGIN) * SAMPLE_RATE:
            return encoder(
                waveform[None].to(device),
                torch.tensor([len(waveform)], device=device),
                torch.tensor([num_frames], device=device),
            )
        pieces = []
        for start in range(0, -(-len(waveform) // SAMPLE_RATE), ENCODE_SECONDS):
            first = max(start - ENCODE_MARGIN, 0)
            piece = waveform[first * SAMPLE_RATE : (start + ENCODE_SECONDS + ENCODE_MARGIN) * SAMPLE_RATE].to(device)
            skip = int((start - first) * fps)
            count = min(int(ENCODE_SECONDS * fps), num_frames - int(start * fps))
            if count > 0:
                features = encoder(
                    piece[None], torch.tensor([len(piece)], device=device), torch.tensor([skip + count], device=device)
                )
                pieces.append(features[:, skip:])
        return torch.cat(pieces, 1)

    def _sample(
        self, features: Tensor, style: Tensor, seed: int, steps: int | None, temperature: Temperature
    ) -> Tensor:
        """Motion state (1, T, D)."""
        if isinstance(self.model.denoiser, Generator):
            return self.model.denoiser.generate(features, style.to(features))
        sampling = dict(self.config.get("sampling", {})) | ({"steps": steps} if steps else {})
        sample = SAMPLERS[sampling.pop("sampler", "ddim")]
        sampling.pop("temperature", None)
        options = SamplingOptions(**sampling)
        spacing = "leading" if sample is official_sample else options.spacing
        denoiser, num_frames = self.model.denoiser, features.shape[1]
        condition = denoiser.condition(
            features, style.to(features), None, self.schedule.timesteps(options.steps, spacing)
        )
        # A prediction of ε or v leaves in the motion what the network does not see of the noise: that has to be there.
        sees_all = self.schedule.prediction_type == "sample"
        space = denoiser.in_space("auto" if sees_all else "vertex", condition)
        window = window_frames(num_frames, WINDOW_FRAMES, WINDOW_OVERLAP)
        denoise = space if window == num_frames else windowed(space.frames, num_frames, window, window - WINDOW_OVERLAP)
        spread = self._spread(temperature)

        def noise(draw: int) -> Tensor:
            scale = spread if draw == 0 else None
            normal = initial_noise(
                [(num_frames, denoiser.noise_dim if sees_all else denoiser.motion_dim)], [seed], draw=draw
            ).to(features)
            return space.start(normal, scale) if sees_all else normal * (1.0 if scale is None else scale)

        return space.lift(sample(denoise, self.schedule, noise(0), options, noise))

    def _spread(self, temperature: Temperature) -> Tensor | None:
        """Standard deviation (D,) of the initial noise: `temperature`, or the checkpoint's `sampling.temperature`; None = 1."""
        if temperature is None:
            temperature = dict(self.config.get("sampling", {})).get("temperature")
        if temperature is None:
            return None
        if isinstance(self.model.denoiser, Generator):
            raise InputError(
                "temperature: is for diffusion checkpoints, this one generates frame by frame and draws nothing; leave it out"
            )
        motion = self.model.motion
        factors = dict(temperature) if isinstance(temperature, Mapping) else dict.fromkeys(motion.groups, temperature)
        spread = torch.ones(motion.dim, device=next(self.model.parameters()).device)
        for group, factor in factors.items():
            if group not in motion.groups:
                raise InputError(f"temperature: unknown motion group {group!r}; known: {', '.join(motion.groups)}")
            if not isinstance(factor, int | float) or not 0 <= factor <= MAX_TEMPERATURE:
                raise InputError(f"temperature={factor} of {group}: must be 0 to {MAX_TEMPERATURE:g}")
            spread[motion.groups[group]] = factor
        return spread

    def _finish(self, motion: np.ndarray, features: Tensor, style: Style, chance: int) -> np.ndarray:
        """Sampled controls (T, K) with what the checkpoint's configuration adds, told by the viseme head.

        `seal: [low, high]` closes the lips where p, b, m is heard. `procedural: [lids, gaze, brows]` gives those groups
        to the process that made them in the training corpus: blinks drawn to the pauses that are heard, raised brows
        to the long vowels.
        """
        logits = self.model.viseme_logits(features)
        if logits is None or not isinstance(self.model.motion, ControlMotion):
            return motion
        heard, fps = logits[0].softmax(-1).cpu().numpy(), self.model.fps
        if "seal" in self.config:
            low, high = self.config["seal"]
            motion = seal_heard(motion, heard[:, VISEMES.index("PP")], low, high, self.model.motion.names)
        if groups := self.config.get("procedural"):
            manner = Manner.from_style(self.style_vector(style))
            lively = expressions(_runs(heard.argmax(-1), fps), len(motion) / fps, fps, manner, chance)
            columns = [CONTROL_NAMES.index(name) for group in groups for name in MOTION_GROUPS[group]]
            motion[:, columns] = lively[:, columns]
        return motion

    def _scaled(self, motion: np.ndarray, strength: float) -> np.ndarray:
        """Motion (T, D) further from rest or nearer to it; closure is a fraction of the opening, and blinks are whole."""
        if strength == 1.0:
            return motion
        names = self.model.motion.names if isinstance(self.model.motion, ControlMotion) else ()
        whole = [k for k, name in enumerate(names) if name == "mouthClose" or name in MOTION_GROUPS["lids"]]
        factors = np.full(motion.shape[1], strength, np.float32)
        factors[whole] = 1.0
        return motion * factors

    def _animation(
        self, motion: np.ndarray, fps: float | None, template: np.ndarray, rest: dict[str, Any]
    ) -> Animation:
        """Motion (T, D) in its own units, at the model's rate, to an animation at `fps`."""
        own = self.model.fps
        rate = fps or own
        if rate != own:
            motion = _at_rate(motion, own, rate)
        if isinstance(self.model.motion, ControlMotion):
            weights = close_lips(motion, self.model.motion.names)
            return Animation.from_weights(weights, rate, self.topology, template, **rest)
        vertices = motion.reshape(len(motion), -1, 3)
        vertices += template  # in place: motion is this call's own, and as large as the animation
        return Animation(vertices.astype(np.float32, copy=False), rate, self.topology, template, **rest)


def _runs(labels: np.ndarray, fps: float) -> list[Phone]:
    """Runs of equal viseme labels (T,) as phones; a vowel longer than half of the clip's counts as stressed."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1), len(labels)]
    runs = [(VISEMES[labels[a]], int(a), int(b)) for a, b in pairwise(edges)]
    usual = float(np.median([b - a for name, a, b in runs if name in VOWELS] or [0]))
    return [Phone(name + "1" if name in VOWELS and b - a > usual else name, a / fps, b / fps) for name, a, b in runs]


def set_threads(threads: int | None) -> None:
    """CPU threads of torch; None leaves the default (all cores)."""
    if threads is not None:
        if threads < 1:
            raise InputError(f"threads={threads}: must be at least 1")
        torch.set_num_threads(threads)


def _find_checkpoint(checkpoint: str | Path | None) -> Path:
    if checkpoint is None:
        return DEFAULT_CHECKPOINT
    if Path(checkpoint).exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(checkpoint)):
        return Path(checkpoint)
    return _from_hub(str(checkpoint))


def _from_hub(name: str) -> Path:
    """Download (or find in the cache) a checkpoint published on the hub."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise InputError(
            f"checkpoint={name}: no such folder; to load it from the hub: pip install diffspeaker3d[encoders]"
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=["*.yaml", "*.safetensors", "*.md", "*.npz"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"checkpoint={name}: no such folder, and the hub does not give it ({type(error).__name__}); check the name or the network"
        ) from error


def _device(device: str) -> torch.device:
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device={device}: not available here; known: cpu{', cuda' if torch.cuda.is_available() else ''}"
        ) from error
    return found


def _blend(text: str, known: Mapping[str, Sequence[float]]) -> list[float]:
    """ "smiling:0.5+mumbled:0.5" to the weighted sum of the named vectors; a bare name weighs 1."""
    total = np.zeros(len(next(iter(known.values()))))
    for part in text.split("+"):
        name, _, share = part.strip().partition(":")
        if name not in known:
            raise InputError(f"style={text}: unknown style {name!r}; known: {', '.join(known)}")
        try:
            total += float(share or 1.0) * np.asarray(known[name])
        except ValueError as error:
            raise InputError(f"style={text}: {share!r} is not a number; write name:0.5+name:0.5") from error
    return total.tolist()


def _name(audio: Audio) -> str:
    return "samples in memory" if isinstance(audio, tuple) else Path(audio).name


def _at_rate(motion: np.ndarray, source_fps: float, target_fps: float) -> np.ndarray:
    """Motion (T, D) at other instants: monotone cubic (no overshoot, so closed lips stay closed), the last pose is held."""
    from scipy.interpolate import PchipInterpolator

    times = np.arange(max(int(len(motion) * target_fps / source_fps + 1e-6), 1)) / target_fps
    if len(motion) == 1:
        return np.repeat(motion, len(times), 0)
    own = np.arange(len(motion)) / source_fps
    return PchipInterpolator(own, motion, axis=0)(np.minimum(times, own[-1])).astype(np.float32)
