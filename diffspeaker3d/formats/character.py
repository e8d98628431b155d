"""A user's own character (.glb) made to talk: their file, with one animation track added and everything else untouched.

Every mesh whose morph targets carry ARKit names is driven: head, teeth, tongue, lashes.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import ARKIT_NAMES
from diffspeaker3d.controls.blendshapes import drive
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.formats import save
from diffspeaker3d.formats.common.arkit_curves import arkit_curves
from diffspeaker3d.geometry.gltf import BufferBuilder, pack, read_accessor, unpack
from diffspeaker3d.heads.character import Character
from diffspeaker3d.heads.open import CustomHead


def save_on_head(animation: Animation, head: CustomHead, output: str, options: Any = None) -> None:
    """Write the mannequin's performance on a user's head in the format that the suffix names; errors as `formats.save`.

    A character with shapes of its own is written to .glb as its own file plus one animation.
    """
    if head.character is not None and output.lower().endswith(".glb"):
        write(animation, Path(output), head.character)
    else:
        save(drive(animation, head.topology), output, options)


def write(animation: Animation, path: Path, character: Character) -> tuple[Path, ...]:
    """Write the character with an animation `speech` appended, and reopen it; its own bytes come first, unchanged.

    Raises:
        InputError: the animation has no ARKit curves, or `path` is not a .glb or is the character itself.
    """
    if path.suffix.lower() != ".glb":
        raise InputError(f"{path}: a character is written as .glb only; choose that suffix")
    if path.resolve() == character.path.resolve():
        raise InputError(f"{path}: would overwrite the character itself; choose another name")
    document, data = unpack(character.path)
    document = copy.deepcopy(document)
    length = document["buffers"][0]["byteLength"]
    buffer = BufferBuilder()
    buffer.accessors, buffer.views, buffer.data = (
        document["accessors"],
        document["bufferViews"],
        bytearray(data[:length]),
    )
    document.setdefault("animations", []).append(_track(animation, character, document, buffer))
    own = document.pop("buffers")[0]
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack(document, bytes(buffer.data), ".glb", own))
        _verify(animation, temporary, character)
    return (path,)


def _track(
    animation: Animation, character: Character, document: dict[str, Any], buffer: BufferBuilder
) -> dict[str, Any]:
    """The animation: one weights channel per node that shows a driven mesh; targets that are not ours keep their weight."""
    curves = dict(zip(ARKIT_NAMES, arkit_curves(animation).T, strict=True))
    if animation.weights is not None and "tongueUp" in animation.weight_names:
        curves["tongueUp"] = animation.weights[:, animation.weight_names.index("tongueUp")]
    times = buffer.accessor((np.arange(len(animation)) / animation.fps).astype(np.float32), "SCALAR", bounds=True)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    for index, node in enumerate(document["nodes"]):
        if node.get("mesh") not in character.meshes:
            continue
        names = character.meshes[node["mesh"]]
        resting = node.get("weights") or document["meshes"][node["mesh"]].get("weights") or [0.0] * len(names)
        columns = [
            curves[n] if n in curves else np.full(len(animation), rest) for n, rest in zip(names, resting, strict=True)
        ]
        output = buffer.accessor(np.stack(columns, 1).astype(np.float32).reshape(-1), "SCALAR")
        channels.append({"sampler": len(samplers), "target": {"node": index, "path": "weights"}})
        samplers.append({"input": times, "output": output, "interpolation": "LINEAR"})
    return {
        "name": "speech",
        "samplers": samplers,
        "channels": channels,
        "extras": {"provenance": json.loads(animation.provenance_json)},
    }


def _verify(animation: Animation, path: Path, character: Character) -> None:
    """Reopen the file: the character's own bytes and JSON are still there, and the track has every frame."""
    before, old = unpack(character.path)
    after, new = unpack(path)
    length = before["buffers"][0]["byteLength"]
    untouched = all(
        before[key] == after.get(key)
        for key in before
        if key not in ("accessors", "bufferViews", "buffers", "animations")
    )
    kept = after["accessors"][: len(before["accessors"])] == before["accessors"] and new[:length] == old[:length]
    frames = [len(read_accessor(after, new, s["input"])) for s in after["animations"][-1]["samplers"]]
    if not (untouched and kept and frames and set(frames) == {len(animation)}):
        raise InputError(f"{path}: the character reads back differently; write it again, and report this")
