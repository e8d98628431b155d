"""Runs inside Blender, never imported by the package: `write SOURCE TARGET FPS FRAMES` or `read SOURCE ANSWER FPS FRAME...`.

SOURCE of `write` is a .pc2 with its .obj beside it (-> Alembic) or a .glb (-> FBX). `read` writes {frame: [x, y, z, ...]} in
metres, Y up, for .abc, .fbx, .glb, .usdc, and .pc2 or .mdd with their .obj.
"""

import json
import sys
from pathlib import Path

import bpy


def main(verb: str, source: str, target: str, fps: float, *frames: int) -> None:
    """Do what the command line says."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = round(fps)  # before any import, or keys land between frames
    scene.render.fps_base = round(fps) / fps
    face = load(Path(source))
    if verb == "read":
        later = 1 if source.endswith(".fbx") else 0  # Blender's FBX importer puts the first key on frame 1
        answer = {frame: positions(face, frame + later) for frame in frames}
        Path(target).write_text(json.dumps(answer))
        return
    scene.frame_start, scene.frame_end = 0, frames[0] - 1
    if target.endswith(".abc"):
        # Normals of every corner and frame would be five sixths of the file; readers compute them.
        bpy.ops.wm.alembic_export(
            filepath=target, start=0, end=frames[0] - 1, as_background_job=False, normals=False, uvs=False, packuv=False
        )
    else:
        # With the last three at their defaults the animation of the shapes is lost without a word.
        bpy.ops.export_scene.fbx(
            filepath=target,
            bake_anim=True,
            bake_anim_simplify_factor=0,
            bake_anim_use_nla_strips=False,
            bake_anim_use_all_actions=False,
        )


def load(source: Path) -> "bpy.types.Object":
    """Import a file and return its mesh object."""
    importers = {
        ".glb": bpy.ops.import_scene.gltf, ".fbx": bpy.ops.import_scene.fbx, ".abc": bpy.ops.wm.alembic_import,
        ".usdc": bpy.ops.wm.usd_import, ".obj": bpy.ops.wm.obj_import,
    }  # fmt: skip
    cached = source.suffix in (".pc2", ".mdd")
    file = source.with_suffix(".obj") if cached else source
    importers[file.suffix](filepath=str(file))
    face = max((o for o in bpy.data.objects if o.type == "MESH"), key=lambda o: len(o.data.vertices))
    if cached:
        modifier = face.modifiers.new("cache", "MESH_CACHE")
        modifier.cache_format = source.suffix[1:].upper()
        modifier.filepath = str(source)
        modifier.frame_start = 0
    return face


def positions(face: "bpy.types.Object", frame: int) -> list[float]:
    """World positions of a frame, turned from Blender's Z up to Y up."""
    bpy.context.scene.frame_set(frame)
    evaluated = face.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = [evaluated.matrix_world @ vertex.co for vertex in evaluated.data.vertices]
    return [value for p in points for value in (p.x, p.z, -p.y)]


if __name__ == "__main__":
    verb, source, target, fps, *frames = sys.argv[sys.argv.index("--") + 1 :]
    main(verb, source, target, float(fps), *map(int, frames))
