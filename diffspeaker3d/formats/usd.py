"""Universal Scene Description (.usda, .usdc, .usdz): time-sampled points, exact to the bit, or UsdSkel blend shapes.

Points (the default) are the lossless road to Omniverse, Houdini, Maya and Unreal's USD stage; blend shapes are small and can
be edited as a rig. Metres, Y up, one time code per frame, sound beside the stage (inside a .usdz). Extra `[usd]`.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.errors import InputError, missing_extra
from diffspeaker3d.files import atomic_path
from diffspeaker3d.formats.common.mesh import linear_colors, metres_per_unit
from diffspeaker3d.formats.common.morphs import MorphOptions, Morphs, find_morphs
from diffspeaker3d.formats.common.sound import write_wav

SUFFIXES = {
    ".usda": "exact points for Omniverse, Houdini, Maya, as text",
    ".usdc": "exact points for Omniverse, Houdini, Maya",
    ".usdz": "the same in one package with its sound",
}
COMPANIONS = {".usda": ".wav", ".usdc": ".wav"}


POSITION_EPSILON = 5e-7  # metres; smaller offsets of a blend shape are not stored


@dataclass(frozen=True)
class UsdOptions:
    """What moves in the stage.

    Attributes:
        usd_mode: "points" for every vertex of every frame, "skel" for UsdSkel blend shapes and their weights.
        morphs: how closely blend shapes follow where the head has none of its own.
    """

    usd_mode: Literal["points", "skel"] = "points"
    morphs: MorphOptions = field(default_factory=MorphOptions)


def write(animation: Animation, path: Path, options: UsdOptions | None = None) -> tuple[Path, ...]:
    """Write the stage; .usda and .usdc refer to `<stem>.wav` beside them, .usdz holds the sound."""
    options = options or UsdOptions()
    if options.usd_mode not in ("points", "skel"):
        raise InputError(f"usd_mode={options.usd_mode}: unknown; known: points, skel")
    if path.suffix.lower() == ".usdz":
        return _write_package(animation, path, options)
    sound = path.with_suffix(".wav")
    with atomic_path(path) as temporary:
        _build(animation, temporary, options, sound.name if animation.waveform is not None else None)
    if animation.waveform is None:
        return (path,)
    write_wav(sound, animation)
    return path, sound


def _write_package(animation: Animation, path: Path, options: UsdOptions) -> tuple[Path, ...]:
    from pxr import UsdUtils

    with atomic_path(path) as temporary, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        stage = Path(folder) / "face.usdc"
        if animation.waveform is not None:
            write_wav(Path(folder) / "speech.wav", animation)
        _build(animation, stage, options, "speech.wav" if animation.waveform is not None else None)
        package = Path(folder) / "package.usdz"
        if not UsdUtils.CreateNewUsdzPackage(str(stage), str(package)):
            raise InputError(f"{path}: USD could not make the package; write .usdc instead")
        shutil.move(package, temporary)
    return (path,)


def _build(animation: Animation, path: Path, options: UsdOptions, sound: str | None) -> None:
    """Fill a new layer at `path`."""
    try:
        from pxr import Usd, UsdGeom
    except ImportError as error:
        raise missing_extra("usd", "usd-core", "usd") from error
    path.unlink(missing_ok=True)  # USD insists on making the file itself
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(animation.fps)
    stage.SetFramesPerSecond(animation.fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(len(animation) - 1)
    stage.GetRootLayer().customLayerData = {"diffspeaker3d": animation.provenance_json}
    if options.usd_mode == "skel":
        _skel(stage, animation, options.morphs)
    else:
        root = UsdGeom.Xform.Define(stage, "/Head")
        stage.SetDefaultPrim(root.GetPrim())
        mesh = _mesh(stage, animation)
        _sample_points(mesh, animation)
    if sound is not None:
        _attach_sound(stage, sound)
    stage.GetRootLayer().Save()


def _mesh(stage: Any, animation: Animation) -> Any:
    """/Head/Face: the neutral mesh with its material."""
    from pxr import Gf, Sdf, UsdGeom, UsdShade, Vt

    topology = animation.topology
    mesh = UsdGeom.Mesh.Define(stage, "/Head/Face")
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(topology.faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(topology.faces, np.int32).reshape(-1)))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateDoubleSidedAttr(True)
    rest = _metres(animation.template, animation)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(rest))
    mesh.CreateExtentAttr(_extent(rest))
    material = UsdShade.Material.Define(stage, "/Head/Clay")
    shader = UsdShade.Shader.Define(stage, "/Head/Clay/Surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(0.75)
    colour = shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f)
    colour.Set(Gf.Vec3f(0.70, 0.57, 0.45))
    if topology.colors is not None:
        shown = mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
        shown.Set(Vt.Vec3fArray.FromNumpy(linear_colors(topology.colors)))
        reader = UsdShade.Shader.Define(stage, "/Head/Clay/Colour")
        reader.CreateIdAttr("UsdPrimvarReader_float3")
        reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("displayColor")
        colour.ConnectToSource(reader.ConnectableAPI().CreateOutput("result", Sdf.ValueTypeNames.Float3))
    material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)
    return mesh


def _metres(vertices: np.ndarray, animation: Animation) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(vertices, np.float32) * np.float32(metres_per_unit(animation.topology)))


def _extent(points: np.ndarray) -> Any:
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.stack([points.min(0), points.max(0)]))


def _sample_points(mesh: Any, animation: Animation) -> None:
    from pxr import Vt

    points, extent = mesh.GetPointsAttr(), mesh.GetExtentAttr()
    frame = 0
    for chunk in animation.chunks():
        for vertices in _metres(chunk, animation):
            points.Set(Vt.Vec3fArray.FromNumpy(vertices), frame)
            extent.Set(_extent(vertices), frame)
            frame += 1


def _skel(stage: Any, animation: Animation, options: MorphOptions) -> None:
    """SkelRoot > one-joint Skeleton, mesh with blend shapes, SkelAnimation with their weights."""
    from pxr import Gf, UsdSkel, Vt

    morphs = find_morphs(animation, options)
    root = UsdSkel.Root.Define(stage, "/Head")
    stage.SetDefaultPrim(root.GetPrim())
    mesh = _mesh(stage, animation)
    skeleton = UsdSkel.Skeleton.Define(stage, "/Head/Skeleton")
    identity = Vt.Matrix4dArray([Gf.Matrix4d(1.0)])
    skeleton.CreateJointsAttr(["head"])
    skeleton.CreateBindTransformsAttr(identity)
    skeleton.CreateRestTransformsAttr(identity)
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateJointIndicesPrimvar(False, 1).Set(Vt.IntArray(animation.topology.num_vertices, 0))
    binding.CreateJointWeightsPrimvar(False, 1).Set(Vt.FloatArray(animation.topology.num_vertices, 1.0))
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1.0))

    _blend_shapes(stage, animation, morphs, binding)
    motion = UsdSkel.Animation.Define(stage, "/Head/Speech")
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([motion.GetPath()])
    motion.CreateJointsAttr(["head"])
    motion.CreateTranslationsAttr(Vt.Vec3fArray([Gf.Vec3f(0)]))
    motion.CreateRotationsAttr(Vt.QuatfArray([Gf.Quatf(1)]))
    motion.CreateScalesAttr(Vt.Vec3hArray([Gf.Vec3h(1)]))
    motion.CreateBlendShapesAttr(list(morphs.names))
    weights = motion.CreateBlendShapeWeightsAttr()
    for frame, row in enumerate(morphs.weights):
        weights.Set(Vt.FloatArray.FromNumpy(np.ascontiguousarray(row)), frame)
    reach = np.abs(_metres(morphs.deltas, animation)).sum(0).max(0)
    rest = _metres(animation.template, animation)
    root.CreateExtentAttr(_extent(np.stack([rest.min(0) - reach, rest.max(0) + reach])))


def _blend_shapes(stage: Any, animation: Animation, morphs: Morphs, binding: Any) -> None:
    """One BlendShape prim per morph under the mesh, offsets for the points that move only."""
    from pxr import Sdf, UsdSkel, Vt

    paths = []
    for name, delta in zip(morphs.names, _metres(morphs.deltas, animation), strict=True):
        moved = np.flatnonzero(np.abs(delta).max(1) > POSITION_EPSILON)
        moved = moved if len(moved) else np.zeros(1, int)  # Blender warns of shapes without offsets
        shape = UsdSkel.BlendShape.Define(stage, Sdf.Path(f"/Head/Face/{name}"))
        shape.CreateOffsetsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(delta[moved])))
        shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(moved.astype(np.int32)))
        shape.CreateNormalOffsetsAttr(Vt.Vec3fArray(len(moved)))
        paths.append(shape.GetPath())
    binding.CreateBlendShapesAttr(list(morphs.names))
    binding.CreateBlendShapeTargetsRel().SetTargets(paths)


def _attach_sound(stage: Any, name: str) -> None:
    """/Head/Speech sound, once from the first frame, not spatial."""
    from pxr import Sdf, UsdMedia

    sound = UsdMedia.SpatialAudio.Define(stage, "/Head/Sound")
    sound.CreateFilePathAttr(Sdf.AssetPath(f"./{name}"))
    sound.CreateAuralModeAttr(UsdMedia.Tokens.nonSpatial)
    sound.CreatePlaybackModeAttr(UsdMedia.Tokens.onceFromStart)  # start time 0 is the schema's default


def verify(animation: Animation, path: Path) -> None:
    """Reopen the stage: time range, vertex count and, for points, five frames."""
    from pxr import Usd, UsdGeom

    from diffspeaker3d.formats import check_frames

    stage = Usd.Stage.Open(str(path))
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Head/Face"))
    points = mesh.GetPointsAttr()
    if stage.GetEndTimeCode() != len(animation) - 1 or len(points.Get()) != animation.topology.num_vertices:
        raise InputError(f"{path}: the stage reads back differently; write it again, and report this")
    if points.GetNumTimeSamples():
        scale = metres_per_unit(animation.topology)
        slack = 1e-6 * float(np.ptp(animation.template))
        check_frames(path, animation, lambda t: np.array(points.Get(t)) / scale, slack)
