"""Door: `python -m diffspeaker3d.benchmark`: how fast every part runs here, against this machine's matmul peak.

Random weights: speed does not depend on what was learned. The fastest of several runs counts, so that a busy machine
disturbs less.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.config import door
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path

if TYPE_CHECKING:
    import torch
    from omegaconf import DictConfig

    from diffspeaker3d.config.schema import Benchmark
    from diffspeaker3d.diffusion import NoiseSchedule
    from diffspeaker3d.models import AudioEncoder, Denoiser
    from diffspeaker3d.models.sampling import Space

log = logging.getLogger(__name__)

AUDIO_WIDTH = 768  # wav2vec2-base
PEAK_SIZE = 2048  # of the square matrices whose product is called the peak
PIECE_SECONDS = 60  # sound encoded at once
DECODED_FRAMES = 256  # frames decoded at once, as a writer would
PICTURES = 24  # frames drawn and encoded per measurement
SHORT_SECONDS = 10  # measured `repeats` times; longer ones once
BASE = {"model_type": "wav2vec2"}  # the library's default configuration is the base size


@door("benchmark")
def main(options: Benchmark) -> None:
    from diffspeaker3d.config import as_config

    cfg = as_config(options)
    for name in cfg.sizes:
        if name not in cfg.models:
            raise InputError(f"sizes={name}: unknown; known: {', '.join(cfg.models)}")
    report = measure(cfg)
    with atomic_path(cfg.out) as temporary:
        temporary.write_text(json.dumps(report, indent=1), "utf-8")
    log.info("%s\n%s: all numbers", table(report), cfg.out)


def measure(cfg: DictConfig) -> dict[str, Any]:
    """Everything asked for: JSON types only, seconds and bytes."""
    import torch
    from omegaconf import OmegaConf

    from diffspeaker3d.generation.pipeline import set_threads

    set_threads(cfg.threads)
    torch.manual_seed(0)
    clock = Clock(cfg.device)
    with torch.inference_mode():
        encoders = [row for name in cfg.encoders for row in measure_encoder(name, cfg, clock)]
        samplers = [measure_sampler(name, seconds, cfg, clock) for name in cfg.sizes for seconds in cfg.seconds]
        paces = (
            [measure_pace(name, cfg, clock) for name in cfg.sizes]
            if max(cfg.seconds, default=0) > SHORT_SECONDS
            else []
        )
    pictures = [measure_pictures(name, cfg, clock) for name in cfg.sizes] if cfg.picture else []
    return {
        "machine": {
            "threads": torch.get_num_threads(), "device": str(cfg.device), "torch": torch.__version__,
            "name": torch.cuda.get_device_name() if cfg.device == "cuda" else "cpu",
        },
        "settings": OmegaConf.to_container(cfg, resolve=True),
        "encoders": encoders, "samplers": samplers, "paces": paces, "pictures": pictures,
        "bars": bars(encoders, samplers, paces, cfg),
    }  # fmt: skip


class Clock:
    """Wall time and peak memory on a device."""

    def __init__(self, device: str) -> None:
        import torch

        if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
            raise InputError(
                f"device={device}: not available here; known: cpu{', cuda' if torch.cuda.is_available() else ''}"
            )
        self.device = torch.device(device)

    def fastest(self, work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
        """Seconds of the fastest of `repeats` runs, and what the last returned."""
        best, result = math.inf, None
        for _ in range(max(repeats, 1)):
            start = self.now()
            result = work()
            best = min(best, self.now() - start)
        return best, result

    def peak_gflops(self) -> float:
        """Dense float32 matrix product, 10^9 operations per second."""
        import torch

        a, b = torch.randn(2, PEAK_SIZE, PEAK_SIZE, device=self.device)
        seconds, _ = self.fastest(lambda: a @ b, 5)
        return 2 * PEAK_SIZE**3 / seconds / 1e9

    def reset_memory(self) -> None:
        """Start a new maximum, where the system can."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        elif Path("/proc/self/clear_refs").is_file():
            with contextlib.suppress(PermissionError):  # then it is the maximum since the start
                Path("/proc/self/clear_refs").write_text("5")

    def peak_memory(self) -> int:
        """Bytes: the most this process held since the reset (of the device, on a GPU), libraries and weights included."""
        import torch

        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated())
        status = Path("/proc/self/status")
        if status.is_file():
            return next(
                int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM")
            )
        import resource

        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)

    def now(self) -> float:
        """Seconds, of all work asked for so far."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def measure_encoder(name: str, cfg: DictConfig, clock: Clock) -> list[dict[str, Any]]:
    """One speech encoder on every length; an empty list, with the reason logged, where its library is missing."""
    import torch

    from diffspeaker3d.models import MelEncoder, TransformersEncoder

    encoder: AudioEncoder
    try:
        encoder = (
            MelEncoder(30.0)
            if name == "mel"
            else TransformersEncoder("", 30.0, hidden_architecture={**BASE, "model_type": name})
        )
    except ImportError:
        log.warning("encoder %s: needs transformers: pip install diffspeaker3d[encoders]", name)
        return []
    encoder = encoder.eval().to(clock.device)
    rows = []
    for seconds in cfg.seconds:
        waveform = torch.randn(1, int(seconds * SAMPLE_RATE), device=clock.device) * 0.1
        clock.reset_memory()
        pieces = waveform.split(PIECE_SECONDS * SAMPLE_RATE, 1)

        def encode(pieces: tuple[torch.Tensor, ...] = pieces) -> None:
            for piece in pieces:
                samples = torch.tensor([piece.shape[1]], device=clock.device)
                encoder(piece, samples, (samples / SAMPLE_RATE * encoder.fps).long())

        spent, _ = clock.fastest(encode, _repeats(cfg, seconds))
        rows.append({"encoder": name, "seconds": seconds, "spent": spent, "peak_memory": clock.peak_memory()})
    return rows


def measure_sampler(name: str, seconds: float, cfg: DictConfig, clock: Clock) -> dict[str, Any]:
    """Condition, noise, steps and decode of one size and length, in latent space and for short ones in vertex space."""
    from diffspeaker3d.diffusion import NoiseSchedule
    from diffspeaker3d.models.sampling import Prepared, open_space

    denoiser, schedule, repeats = _denoiser(name, cfg, clock), NoiseSchedule(), _repeats(cfg, seconds)
    features, style = _inputs(name, seconds, cfg, clock)
    frames = features.shape[1]
    clock.reset_memory()
    before = clock.peak_gflops()
    timesteps = schedule.timesteps(cfg.steps)
    prepare, prepared = clock.fastest(lambda: Prepared(denoiser, features, {"style": style}, timesteps), repeats)
    product, _ = clock.fastest(lambda: _started(open_space("latent", prepared), 1), 1)
    space = open_space("latent", prepared)
    noise, x_T = clock.fastest(lambda: _started(space, frames), repeats)
    loop, sampled = clock.fastest(lambda: _sample(space, schedule, x_T, cfg.steps), repeats)
    decode, _ = clock.fastest(lambda: _decoded(space, sampled), repeats)
    peak = max(before, clock.peak_gflops())
    flops = cfg.steps * step_flops(denoiser, frames) - 2 * frames * denoiser.width**2  # the last step needs no M
    row = {
        "size": name, "seconds": seconds, "frames": frames, "steps": cfg.steps, "condition": prepare, "product_once": product,
        "noise": noise, "step": loop / cfg.steps, "decode": decode, "spent": prepare + noise + loop + decode,
        "gflops": flops / loop / 1e9, "peak_gflops": peak, "peak_memory": clock.peak_memory(), "precisions": [],
    }  # fmt: skip
    if seconds <= cfg.vertex_seconds:
        few = min(cfg.steps, 5)
        vertex = open_space("motion", Prepared(denoiser, features, {"style": style}, schedule.timesteps(few)))
        own_x_T = _started(vertex, frames)
        spent, _ = clock.fastest(lambda: _sample(vertex, schedule, own_x_T, few), repeats)
        row["vertex_step"] = spent / few
        steps = cfg.reference_steps
        row["speedup"] = steps * row["vertex_step"] / (noise + steps * row["step"] + decode)
        row["precisions"] = [
            measure_precision(p, denoiser, features, style, x_T, sampled, cfg, clock) for p in cfg.precisions
        ]
    return row


def measure_precision(
    precision: str,
    denoiser: Denoiser,
    features: torch.Tensor,
    style: torch.Tensor,
    x_T: torch.Tensor,
    exact: torch.Tensor,
    cfg: DictConfig,
    clock: Clock,
) -> dict[str, Any]:
    """The latent loop and decode in another number format, and their error relative to float32 in the motion."""
    from diffspeaker3d.diffusion import NoiseSchedule
    from diffspeaker3d.models.sampling import Prepared, in_precision, open_space

    schedule = NoiseSchedule()
    try:
        reduced = in_precision(denoiser, precision)
        space = open_space("latent", Prepared(reduced, features, {"style": style}, schedule.timesteps(cfg.steps)))
        spent, sampled = clock.fastest(lambda: _sample(space, schedule, x_T, cfg.steps), cfg.repeats)
    except (RuntimeError, NotImplementedError) as error:
        return {"precision": precision, "unavailable": str(error).splitlines()[0]}
    decode, motion = clock.fastest(lambda: space.lift(sampled), cfg.repeats)
    wanted = open_space("latent", Prepared(denoiser, features, {"style": style}, [0])).lift(exact)
    difference = (motion - wanted).square().mean().sqrt() / wanted.square().mean().sqrt()
    return {"precision": precision, "step": spent / cfg.steps, "decode": decode, "relative_error": float(difference)}


def measure_pace(name: str, cfg: DictConfig, clock: Clock) -> dict[str, Any]:
    """What a second of sound costs behind the encoder: in the longest clip, and in short ones one after another.

    As much sound both ways, in turns: a shared machine's pace changes within a minute, and the fastest of many short runs
    is not to be compared with one long run.
    """
    denoiser, long = _denoiser(name, cfg, clock), max(cfg.seconds)
    row: dict[str, Any] = {"size": name, "seconds": long}
    clips = {
        "short": (_inputs(name, SHORT_SECONDS, cfg, clock), math.ceil(long / SHORT_SECONDS)),
        "long": (_inputs(name, long, cfg, clock), 1),
    }
    for _ in range(max(cfg.repeats, 1)):
        for label, ((features, style), count) in clips.items():
            times = [_animated(denoiser, features, style, cfg, clock) for _ in range(count)]
            sound = count * (SHORT_SECONDS if label == "short" else long)
            for key, spent in zip((f"{label}_steps", label), map(sum, zip(*times, strict=True)), strict=True):
                row[key] = min(row.get(key, math.inf), spent / sound)
    return row


def measure_pictures(name: str, cfg: DictConfig, clock: Clock) -> dict[str, Any]:
    """Drawing and video encoding per frame, of a ball with as many vertices as the size has."""
    import numpy as np

    from diffspeaker3d.rendering import RenderOptions, open_renderer, write_video

    size = cfg.models[name]
    topology, template = ball(size.vertices)
    options = RenderOptions(size=(cfg.picture, cfg.picture), renderer=cfg.renderer)
    try:
        renderer = open_renderer(topology, template, options)
    except InputError as error:
        return {"size": name, "unavailable": str(error)}
    with renderer:
        swell = 1.0 + 0.02 * np.sin(np.arange(PICTURES))
        renderer(template)
        draw, images = clock.fastest(lambda: [renderer(template * scale) for scale in swell], 1)
        row = {"size": name, "backend": renderer.backend, "draw_frame": draw / PICTURES}
    with tempfile.TemporaryDirectory() as folder:
        try:
            encode, _ = clock.fastest(lambda: write_video(Path(folder) / "a.mp4", images, size.fps), 1)
            row["encode_frame"] = encode / PICTURES
        except InputError as error:
            row["encode_unavailable"] = str(error)
    return row


def ball(num_vertices: int) -> tuple[Any, Any]:
    """A head-sized ball with exactly `num_vertices` vertices (points of a spiral, their hull): topology and template."""
    import numpy as np
    from scipy.spatial import ConvexHull

    from diffspeaker3d.topology import Topology

    index = np.arange(num_vertices) + 0.5
    height, angle = 1 - 2 * index / num_vertices, index * math.pi * (1 + 5**0.5)
    radius = np.sqrt(1 - height**2)
    points = np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], 1)
    faces = ConvexHull(points).simplices
    corners = points[faces]
    inward = (
        np.einsum("fk,fk->f", np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), corners[:, 0]) < 0
    )
    faces[inward] = faces[inward][:, ::-1]
    return Topology(f"ball{num_vertices}", faces.astype(np.int32), num_vertices), (0.12 * points).astype(np.float32)


def step_flops(denoiser: Denoiser, frames: int) -> float:
    """Operations of one latent step: projections, M, self-attention to the keys each frame may see, and cross-attention to three."""
    from diffspeaker3d.models.sampling.prepared import attended_pairs

    width, hidden = denoiser.width, int(denoiser.layers[0].feedforward[0].out_features)  # type: ignore[union-attr,index]
    linear = frames * (12 * width**2 + 4 * width * hidden)
    return len(denoiser.layers) * (linear + 4 * attended_pairs(denoiser, frames) * width) + frames * 2 * width**2


def bars(
    encoders: list[dict[str, Any]], samplers: list[dict[str, Any]], paces: list[dict[str, Any]], cfg: DictConfig
) -> list[dict[str, Any]]:
    """What this project promises, as far as this run can tell: name, value, bar, and whether it holds."""
    found = []

    def promise(name: str, value: float, bar: float, at_least: bool) -> None:
        found.append({"bar": name, "value": value, "limit": bar, "holds": value >= bar if at_least else value <= bar})

    wav2vec2 = {row["seconds"]: row["spent"] for row in encoders if row["encoder"] == "wav2vec2"}
    for row in samplers:
        label = f"{row['size']} {row['seconds']:g} s"
        if row["seconds"] == SHORT_SECONDS:
            promise(f"{label}: share of matmul peak", row["gflops"] / row["peak_gflops"], 0.5, True)
            if "speedup" in row and row["size"] in (limits := {"vocaset": 4.5, "biwi": 9.0}):
                promise(
                    f"{label}: latent over vertex space, {cfg.reference_steps} steps",
                    row["speedup"],
                    limits[row["size"]],
                    True,
                )
            if SHORT_SECONDS in wav2vec2:
                for numbers in [{"precision": "float32", "step": row["step"]}, *row["precisions"]]:
                    if "step" in numbers:
                        share = (row["noise"] + numbers["step"] * row["steps"]) / wav2vec2[SHORT_SECONDS]
                        promise(
                            f"{label}: noise and {cfg.steps} steps in {numbers['precision']} over wav2vec2 in float32",
                            share,
                            0.25,
                            False,
                        )
    for row in paces:
        for what, key in (("steps", "_steps"), ("condition, noise, steps and decode", "")):
            label = f"{row['size']}: time per second of sound of {what}, {row['seconds']:g} s over {SHORT_SECONDS} s"
            promise(label, row[f"long{key}"] / row[f"short{key}"], 1.10, False)
    return found


def table(report: dict[str, Any]) -> str:
    """The report for a reader."""
    machine = report["machine"]
    lines = [
        f"{machine['name']}, {machine['threads']} threads, torch {machine['torch']}",
        "",
        "encoder     sound s   spent s   real time x   memory MB",
    ]
    for row in report["encoders"]:
        lines.append(
            f"{row['encoder']:10s} {row['seconds']:8g} {row['spent']:9.3f} {row['seconds'] / row['spent']:13.1f} {row['peak_memory'] / 1e6:11.0f}"
        )
    lines += [
        "",
        "sampler    sound s  step ms  vertex ms   noise s  decode s  total s  real time x  GFLOP/s  peak  memory MB",
    ]
    for row in report["samplers"]:
        vertex = f"{row['vertex_step'] * 1e3:9.1f}" if "vertex_step" in row else "        -"
        lines.append(
            f"{row['size']:10s} {row['seconds']:7g} {row['step'] * 1e3:8.2f}  {vertex} {row['noise']:9.3f} {row['decode']:9.3f} {row['spent']:8.3f}"
            f" {row['seconds'] / row['spent']:12.1f} {row['gflops']:8.1f} {row['peak_gflops']:5.0f} {row['peak_memory'] / 1e6:10.0f}"
        )
        for other in row["precisions"]:
            told = (
                other.get("unavailable")
                or f"{other['step'] * 1e3:.2f} ms per step, decode {other['decode']:.3f} s, relative error {other['relative_error']:.1e}"
            )
            lines.append(f"  {other['precision']}: {told}")
    for row in report["pictures"]:
        told = (
            row.get("unavailable")
            or f"draw {row['draw_frame'] * 1e3:.1f} ms ({row['backend']}), encode {row.get('encode_frame', math.nan) * 1e3:.1f} ms per frame"
        )
        lines.append(f"{row['size']} pictures: {told}")
    lines += [
        "",
        *(
            f"{'holds' if b['holds'] else 'FAILS'}  {b['bar']}: {b['value']:.2f} (bar {b['limit']:g})"
            for b in report["bars"]
        ),
    ]
    return "\n".join(lines)


def _denoiser(name: str, cfg: DictConfig, clock: Clock) -> Denoiser:
    """One of `models`, random weights."""
    import torch

    from diffspeaker3d.models import Denoiser

    size = cfg.models[name]
    conditions = {"style": size.styles}
    denoiser = Denoiser(
        3 * size.vertices, AUDIO_WIDTH, size.width, size.feedforward, conditions=conditions, period=size.fps
    )
    torch.nn.init.normal_(denoiser.output.weight, std=0.02)
    return denoiser.eval().to(clock.device)


def _inputs(name: str, seconds: float, cfg: DictConfig, clock: Clock) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and style of one clip."""
    import torch

    size = cfg.models[name]
    frames = int(seconds * size.fps)
    return torch.randn(1, frames, AUDIO_WIDTH, device=clock.device), torch.eye(size.styles, device=clock.device)[:1]


def _animated(
    denoiser: Denoiser, features: torch.Tensor, style: torch.Tensor, cfg: DictConfig, clock: Clock
) -> tuple[float, float]:
    """Seconds that the steps took, and everything behind the encoder."""
    from diffspeaker3d.diffusion import NoiseSchedule
    from diffspeaker3d.models.sampling import Prepared, open_space

    schedule, begin = NoiseSchedule(), clock.now()
    space = open_space("latent", Prepared(denoiser, features, {"style": style}, schedule.timesteps(cfg.steps)))
    x_T = _started(space, features.shape[1])
    first = clock.now()
    sampled = _sample(space, schedule, x_T, cfg.steps)
    last = clock.now()
    _decoded(space, sampled)
    return last - first, clock.now() - begin


def _sample(space: Space, schedule: NoiseSchedule, state: torch.Tensor, steps: int) -> torch.Tensor:
    from diffspeaker3d.diffusion import SamplingOptions, ddim_sample

    return ddim_sample(space, schedule, state, SamplingOptions(steps))


def _started(space: Space, frames: int) -> torch.Tensor:
    """Seeded noise in the sampler's space, drawn as `generation.sample` draws it."""
    from diffspeaker3d.diffusion import initial_noise
    from diffspeaker3d.models.sampling import noise_dim

    denoiser = space.prepared.denoiser
    return space.start(initial_noise([(frames, noise_dim(denoiser))], [0]).to(denoiser.input.weight.device))


def _decoded(space: Space, sampled: torch.Tensor) -> None:
    """Lift in pieces and let each go: ten minutes of vertices would not fit in memory."""
    for part in sampled.split(DECODED_FRAMES, 1):
        space.lift(part)


def _repeats(cfg: DictConfig, seconds: float) -> int:
    return int(cfg.repeats) if seconds <= SHORT_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
