"""A user's own character made to talk: their file, with one animation added and everything else untouched.

Every mesh whose morph targets carry ARKit names is driven: head, teeth, tongue, lashes. Compressed geometry stays compressed.
"""

from __future__ import annotations

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
from diffspeaker3d.geometry.gltf import GLTF_SUFFIXES, BufferBuilder, Gltf, open_gltf, pack, visible_nodes
from diffspeaker3d.geometry.gltf.editing import gathered, remove_clips, same_content
from diffspeaker3d.heads.character import Character
from diffspeaker3d.heads.open import CustomHead

TRACK = "speech"


def save_on_head(animation: Animation, head: CustomHead, output: str, options: Any = None) -> None:
    """Write the mannequin's performance on a user's head in the format that the suffix names; errors as `formats.save`.

    A character with shapes of its own is written to .glb, .gltf and .vrm as its own file plus one animation.
    """
    if head.character is not None and Path(output).suffix.lower() in GLTF_SUFFIXES:
        write(animation, Path(output), head.character)
    else:
        save(drive(animation, head.topology), output, options)


def write(animation: Animation, path: Path, character: Character) -> tuple[Path, ...]:
    """Write the character with an animation `speech` added, and reopen it; an older one of ours is replaced.

    The character's own bytes come first, unchanged, unless they lay in several buffers or files: those are gathered in one.

    Raises:
        InputError: the animation has no ARKit curves, or `path` is not a glTF file or is the character itself.
    """
    if path.suffix.lower() not in GLTF_SUFFIXES:
        raise InputError(f"{path}: a character is written as {', '.join(GLTF_SUFFIXES)} only; choose such a suffix")
    if path.resolve() == character.gltf.path.resolve():
        raise InputError(f"{path}: would overwrite the character itself; choose another name")
    document, data = gathered(character.gltf)
    remove_clips(document, data, _is_ours)
    buffer = BufferBuilder(document, data)
    document.setdefault("animations", []).append(_track(animation, character, document, buffer))
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack(document, bytes(buffer.data), path.suffix.lower()))
        _verify(animation, temporary, character.gltf)
    return (path,)


def _is_ours(document: dict[str, Any], clip: dict[str, Any]) -> bool:
    """Whether an animation was written by this program: on a character, or on the mannequin."""
    made_here = document.get("asset", {}).get("generator") == "diffspeaker3d"
    extras = clip.get("extras")
    return clip.get("name") == TRACK and (made_here or (isinstance(extras, dict) and "provenance" in extras))


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
    for index in sorted(visible_nodes(character.gltf.document)):
        node = document["nodes"][index]
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
        "name": TRACK,
        "samplers": samplers,
        "channels": channels,
        "extras": {"provenance": json.loads(animation.provenance_json)},
    }


def _verify(animation: Animation, path: Path, before: Gltf) -> None:
    """Reopen the file: the character's JSON and the bytes of all its views are still there, and the track has every frame."""
    after = open_gltf(path)
    kept = [clip for clip in before.json.get("animations", []) if not _is_ours(before.json, clip)]
    changed = ("accessors", "bufferViews", "buffers", "animations", "images")
    untouched = all(before.json[key] == after.json.get(key) for key in before.json if key not in changed)
    untouched &= after.json["animations"][:-1] == kept
    frames = [len(after.accessor(s.input)) for s in after.document.animations[-1].samplers]
    if not (untouched and same_content(before, after) and frames and set(frames) == {len(animation)}):
        raise InputError(f"{path}: the character reads back differently; write it again, and report this")
