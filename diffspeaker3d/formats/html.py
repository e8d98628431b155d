"""One web page with the talking head in it (.html): opens from disk, without network, playing against the sound's own clock.

The page is `player.html` with the data put in: template, shapes as 16-bit steps of the vertices they move, 16-bit weights,
sound. Error of the quantisation: half a step of 1/32767 of each shape's reach.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.formats.common.morphs import MorphOptions, find_morphs
from diffspeaker3d.formats.common.sound import wav_bytes
from diffspeaker3d.geometry.surface import close_seams
from diffspeaker3d.topology import Texture

SUFFIXES = {
    ".html": "one web page that plays it, without network",
}


TEMPLATE = Path(__file__).with_name("player.html")
STEPS = 32767
# The page blends on the CPU: no limit of graphics cards, and directions may be signed.
MORPHS = MorphOptions(max_targets=384, signed=True)
SHOWN = ("style", "seed", "checkpoint", "steps", "guidance_scale", "audio")  # provenance that gets a label of its own


@dataclass(frozen=True)
class HtmlOptions:
    """What the page shows beside the animation.

    Attributes:
        title: heading; the file's name by default.
        compare: a second take to play beside the first, on the same clock.
        labels: names of the takes.
    """

    title: str = ""
    compare: Animation | None = None
    labels: tuple[str, str] = ("A", "B")


def write(animation: Animation, path: Path, options: HtmlOptions | None = None) -> tuple[Path, ...]:
    """Write the page."""
    options = options or HtmlOptions()
    with atomic_path(path) as temporary:
        temporary.write_text(
            page(animation, dataclasses.replace(options, title=options.title or path.stem)), encoding="utf-8"
        )
    return (path,)


def page(animation: Animation, options: HtmlOptions | None = None) -> str:
    """The page as text, e.g. for an iframe's srcdoc."""
    options = options or HtmlOptions()
    takes = [animation] if options.compare is None else [animation, options.compare]
    seconds = max(take.duration for take in takes)
    data = json.dumps([_take(take, label, seconds) for take, label in zip(takes, options.labels, strict=False)])
    # No "<" in the data: nothing there may end the script element or open a comment in it.
    parts = {"title": html.escape(options.title or "diffspeaker3d"), "takes": data.replace("<", "\\u003c")}
    return re.sub(r"\{\{(title|takes)\}\}", lambda found: parts[found[1]], TEMPLATE.read_text(encoding="utf-8"))


def _take(animation: Animation, label: str, seconds: float) -> dict[str, Any]:
    """Everything the player knows of one animation, arrays as base64 of little-endian bytes."""
    topology, morphs = animation.topology, find_morphs(animation, MORPHS)
    reach = np.abs(morphs.deltas).max((1, 2)).clip(1e-12)
    steps = np.rint(morphs.deltas / reach[:, None, None] * STEPS).astype("<i2")
    shapes, rows = np.nonzero(steps.any(2))
    notes = {key: str(animation.provenance[key]) for key in SHOWN if animation.provenance.get(key) is not None}
    return {
        "label": label, "fps": animation.fps, "frames": len(animation), "topology": topology.name, "unit": topology.unit,
        "notes": notes, "provenance": animation.provenance,
        "template": _encode(animation.template, "<f4"), "faces": _encode(topology.faces, "<u4"),
        "frame": _frame(animation), "texture": _picture(topology.texture), "joined": _joined(animation),
        "colors": None if topology.colors is None else _encode(topology.colors[:, :3], "u1"),
        "reach": _encode(reach, "<f4"), "counts": _encode(np.bincount(shapes, minlength=len(reach)), "<u4"),
        "rows": _encode(rows, "<u4"), "steps": _encode(steps[shapes, rows], "<i2"),
        "weights": _encode(np.rint(morphs.weights * STEPS), "<i2"),
        "sound": None if animation.waveform is None else base64.b64encode(wav_bytes(_lengthened(animation, seconds))).decode("ascii"),
    }  # fmt: skip


def _frame(animation: Animation) -> list[float]:
    """Corners of the box that the page shows at first: of a body, its head."""
    from diffspeaker3d.rendering.focus import focus_points

    own = not animation.topology.regions
    shown = focus_points(animation.topology, animation.template, "auto") if own else animation.template
    return [*map(float, shown.min(0)), *map(float, shown.max(0))]


def _joined(animation: Animation) -> str | None:
    """For every vertex of a stranger's mesh the one that light takes it for, where a texture seam has split it."""
    if animation.topology.regions:
        return None
    surface, place = close_seams(animation.template.astype(np.float64), animation.topology.faces)
    if len(surface.vertices) == animation.topology.num_vertices:
        return None
    return _encode(np.unique(place, return_index=True)[1][place], "<u4")


def _picture(texture: Texture | None) -> dict[str, str] | None:
    """A texture as places in it and a PNG."""
    if texture is None:
        return None
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(texture.image).save(stream, "PNG")
    return {"places": _encode(texture.places, "<f4"), "image": base64.b64encode(stream.getvalue()).decode("ascii")}


def _encode(array: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode("ascii")


def _lengthened(animation: Animation, seconds: float) -> Animation:
    """The sound padded with silence to the end of the longest motion: it is the clock, so it must last."""
    assert animation.waveform is not None and animation.sample_rate is not None
    missing = max(0, round(seconds * animation.sample_rate) - len(animation.waveform))
    return dataclasses.replace(animation, waveform=np.pad(animation.waveform, (0, missing)))


def read_take(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Template (V, 3), shapes (K, V, 3) and weights (T, K) of the first take as the page holds them.

    Raises:
        InputError: not a page that this module wrote.
    """
    try:
        text = path.read_text(encoding="utf-8")
        start = text.index('id="takes">') + len('id="takes">')
        take = json.loads(text[start : text.index("</script>", start)])[0]

        def decode(key: str, dtype: str) -> np.ndarray:
            return np.frombuffer(base64.b64decode(take[key]), dtype)

        template, reach = decode("template", "<f4").reshape(-1, 3), decode("reach", "<f4")
        deltas = np.zeros((len(reach), *template.shape), np.float32)
        shapes = np.repeat(np.arange(len(reach)), decode("counts", "<u4"))
        deltas[shapes, decode("rows", "<u4")] = decode("steps", "<i2").reshape(-1, 3) * (reach[shapes] / STEPS)[:, None]
        return template, deltas, decode("weights", "<i2").reshape(take["frames"], -1) / np.float32(STEPS)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{path}: not a page written by this program ({error})") from error


def verify(animation: Animation, path: Path) -> None:
    """Reopen the page and decode five frames within 0.1 mm."""
    from diffspeaker3d.formats import check_frames
    from diffspeaker3d.formats.common.mesh import in_units

    template, deltas, weights = read_take(path)
    if len(weights) != len(animation):
        raise InputError(
            f"{path}: reads back {len(weights)} frames of {len(animation)}; write it again, and report this"
        )
    slack = in_units(1e-4, animation.topology, animation.template)
    check_frames(path, animation, lambda t: template + np.tensordot(weights[t], deltas, 1), slack)
