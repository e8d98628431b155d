"""A user's own character made to talk: their file, with one animation added and everything else untouched.

Every mesh whose morph targets are understood is driven: head, teeth, tongue, lashes. Compressed geometry stays compressed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.blendshapes import drive, performance
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.formats import STREAMS, output_suffix, save
from diffspeaker3d.geometry.gltf import GLTF_SUFFIXES, BufferBuilder, Gltf, open_gltf, pack, visible_nodes
from diffspeaker3d.geometry.gltf.editing import gathered, remove_clips, same_content
from diffspeaker3d.heads.character import Character
from diffspeaker3d.heads.open import CustomHead
from diffspeaker3d.heads.vrm import is_avatar

SUFFIXES = {".vrm": "a VRM avatar of yours, with the animation added"}
TRACK = "speech"
CURVES_ONLY = (".csv", ".json", *(f"{scheme}://" for scheme in STREAMS))


def save_on_head(animation: Animation, head: CustomHead, output: str, options: Any = None) -> None:
    """Write the mannequin's performance on a user's head in the format that the suffix names; errors as `formats.save`.

    A character with shapes of its own is written to .glb, .gltf and .vrm as its own file plus one animation. Formats of ARKit curves
    alone hold the whole performance, whatever shapes the head has.
    """
    if head.character is not None and Path(output).suffix.lower() in GLTF_SUFFIXES:
        write(animation, Path(output), head.character)
    elif head.character is None:
        save(drive(animation, head.topology), output, options)
    elif output_suffix(output) in CURVES_ONLY:
        save(animation, output, options)
    else:
        save(head.character.perform(animation, head.topology), output, options)


def write(animation: Animation, path: Path, character: Character | None = None) -> tuple[Path, ...]:
    """Write the character with an animation `speech` added, and reopen it; an older one of ours is replaced.

    The character's own bytes come first, unchanged, unless they lay in several buffers or files: those are gathered in one.

    Raises:
        InputError: the animation has nothing to drive shapes with, `path` is not a glTF file or is the character itself, or a .vrm is
            asked of what is no VRM avatar.
    """
    if character is None:
        raise InputError(f"{path}: a .vrm is an avatar of yours with our animation added; give template=avatar.vrm")
    if path.suffix.lower() not in GLTF_SUFFIXES:
        raise InputError(f"{path}: a character is written as {', '.join(GLTF_SUFFIXES)} only; choose such a suffix")
    if path.resolve() == character.gltf.path.resolve():
        raise InputError(f"{path}: would overwrite the character itself; choose another name")
    if path.suffix.lower() == ".vrm" and not is_avatar(character.gltf.json):
        raise InputError(f"{path}: {character.gltf.path} is no VRM avatar; write .glb")
    document, data = gathered(character.gltf)
    remove_clips(document, data, _is_ours)
    buffer = BufferBuilder(document, data)
    document.setdefault("animations", []).append(_track(animation, character, document, buffer))
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack(document, bytes(buffer.data), path.suffix.lower()))
        _verify(animation, temporary, character.gltf)
    return (path,)


def verify(animation: Animation, path: Path) -> None:
    """Raise InputError unless the file's last animation is ours, with every frame; `write` has compared the rest."""
    written = open_gltf(path)
    ours = [clip for clip in written.document.animations[-1:] if clip.name == TRACK]
    frames = {len(written.accessor(sampler.input)) for clip in ours for sampler in clip.samplers}
    if frames != {len(animation)}:
        raise InputError(f"{path}: reads back without the animation; write it again, and report this")


def _is_ours(document: dict[str, Any], clip: dict[str, Any]) -> bool:
    """Whether an animation was written by this program: on a character, or on the mannequin."""
    made_here = document.get("asset", {}).get("generator") == "diffspeaker3d"
    extras = clip.get("extras")
    return clip.get("name") == TRACK and (made_here or (isinstance(extras, dict) and "provenance" in extras))


def _track(
    animation: Animation, character: Character, document: dict[str, Any], buffer: BufferBuilder
) -> dict[str, Any]:
    """The animation: one weights channel per node that shows a driven mesh; targets that are not ours keep their weight.

    Bones that are turned follow as rotations (x, y, z, w).
    """
    sources = character.binding.curves(*performance(animation))
    curves = dict(zip(character.binding.recipes, character.binding.mix(sources).T, strict=True))
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
    for turn in character.turns:
        output = buffer.accessor(turn.rotations(sources).as_quat().astype(np.float32), "VEC4")
        channels.append({"sampler": len(samplers), "target": {"node": turn.node, "path": "rotation"}})
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
