"""The parts of a glTF 2.0 document that are read here, as checked types: wrong types, ranges and indices are named before use.

What is not listed is ignored, as the format asks; the JSON as it came is kept beside it and written back untouched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from diffspeaker3d.errors import InputError

MOST_PARTS = 100_000  # nodes, accessors, ... of one document
MOST_BYTES = 2**40


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 3.0 is an integer, "3" and true are not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("should be a number")
    return value


Index = Annotated[int, BeforeValidator(_whole), Field(ge=0, lt=2**31)]
Size = Annotated[int, BeforeValidator(_whole), Field(ge=0, lt=MOST_BYTES)]
Count = Annotated[int, BeforeValidator(_whole), Field(ge=1, lt=2**32)]
Number = Annotated[float, BeforeValidator(_whole), Field(allow_inf_nan=False)]
Vector2 = tuple[Number, Number]
Vector3 = tuple[Number, Number, Number]
Vector4 = tuple[Number, Number, Number, Number]
Component = Literal[5120, 5121, 5122, 5123, 5125, 5126]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class Asset(_Part):
    version: str
    generator: str = ""


class Fallback(_Part):
    fallback: bool = False


class BufferExtensions(_Part):
    meshopt: Fallback | None = Field(default=None, alias="EXT_meshopt_compression")
    meshopt_khr: Fallback | None = Field(default=None, alias="KHR_meshopt_compression")


class Buffer(_Part):
    byte_length: Size
    uri: str | None = None
    extensions: BufferExtensions = BufferExtensions()


class CompressedView(_Part):
    """EXT_meshopt_compression of a buffer view."""

    buffer: Index
    byte_offset: Size = 0
    byte_length: Size
    byte_stride: Annotated[int, BeforeValidator(_whole), Field(ge=1, le=256)]
    count: Count
    mode: Literal["ATTRIBUTES", "TRIANGLES", "INDICES"]
    filter: Literal["NONE", "OCTAHEDRAL", "QUATERNION", "EXPONENTIAL", "COLOR"] = "NONE"


class ViewExtensions(_Part):
    meshopt: CompressedView | None = Field(default=None, alias="EXT_meshopt_compression")
    meshopt_khr: CompressedView | None = Field(default=None, alias="KHR_meshopt_compression")


class BufferView(_Part):
    buffer: Index
    byte_offset: Size = 0
    byte_length: Size
    byte_stride: Annotated[int, BeforeValidator(_whole), Field(ge=1, le=2**16)] | None = None
    extensions: ViewExtensions = ViewExtensions()

    @property
    def compressed(self) -> CompressedView | None:
        """How meshopt packed it, if it did."""
        return self.extensions.meshopt or self.extensions.meshopt_khr


class SparseIndices(_Part):
    buffer_view: Index
    byte_offset: Size = 0
    component_type: Literal[5121, 5123, 5125]


class SparseValues(_Part):
    buffer_view: Index
    byte_offset: Size = 0


class Sparse(_Part):
    count: Count
    indices: SparseIndices
    values: SparseValues


class Accessor(_Part):
    buffer_view: Index | None = None
    byte_offset: Size = 0
    component_type: Component
    normalized: bool = False
    count: Count
    type: Literal["SCALAR", "VEC2", "VEC3", "VEC4", "MAT2", "MAT3", "MAT4"]
    sparse: Sparse | None = None


class DracoPrimitive(_Part):
    """KHR_draco_mesh_compression of a primitive: the view with the stream, and the stream's number of each attribute."""

    buffer_view: Index
    attributes: dict[str, Index]


class PrimitiveExtensions(_Part):
    draco: DracoPrimitive | None = Field(default=None, alias="KHR_draco_mesh_compression")


class Primitive(_Part):
    attributes: dict[str, Index]
    indices: Index | None = None
    material: Index | None = None
    mode: Annotated[int, BeforeValidator(_whole), Field(ge=0, le=6)] = 4
    targets: Annotated[tuple[dict[str, Index], ...], Field(max_length=4096)] = ()
    extras: Any = None
    extensions: PrimitiveExtensions = PrimitiveExtensions()


class Mesh(_Part):
    primitives: Annotated[tuple[Primitive, ...], Field(min_length=1, max_length=MOST_PARTS)]
    weights: tuple[Number, ...] | None = None
    name: str = ""
    extras: Any = None


class Visibility(_Part):
    visible: bool = True


class NodeExtensions(_Part):
    visibility: Visibility = Field(default=Visibility(), alias="KHR_node_visibility")


class Node(_Part):
    children: tuple[Index, ...] = ()
    mesh: Index | None = None
    skin: Index | None = None
    matrix: Annotated[tuple[Number, ...], Field(min_length=16, max_length=16)] | None = None
    translation: Vector3 = (0.0, 0.0, 0.0)
    rotation: Vector4 = (0.0, 0.0, 0.0, 1.0)
    scale: Vector3 = (1.0, 1.0, 1.0)
    weights: tuple[Number, ...] | None = None
    name: str = ""
    extensions: NodeExtensions = NodeExtensions()


class Scene(_Part):
    nodes: tuple[Index, ...] = ()


class Skin(_Part):
    joints: Annotated[tuple[Index, ...], Field(min_length=1, max_length=MOST_PARTS)]
    inverse_bind_matrices: Index | None = None


class SamplerOfAnimation(_Part):
    input: Index
    output: Index


class ChannelTarget(_Part):
    node: Index | None = None
    path: str


class Channel(_Part):
    sampler: Index
    target: ChannelTarget


class Clip(_Part):
    """An animation of the document."""

    name: str = ""
    samplers: tuple[SamplerOfAnimation, ...]
    channels: tuple[Channel, ...]
    extras: Any = None


class Image(_Part):
    uri: str | None = None
    mime_type: str = ""
    buffer_view: Index | None = None


class TextureSource(_Part):
    source: Index


class TextureExtensions(_Part):
    webp: TextureSource | None = Field(default=None, alias="EXT_texture_webp")


class Texture(_Part):
    source: Index | None = None
    extensions: TextureExtensions = TextureExtensions()


class TextureTransform(_Part):
    offset: Vector2 = (0.0, 0.0)
    rotation: Number = 0.0
    scale: Vector2 = (1.0, 1.0)
    tex_coord: Index | None = None


class TextureReferenceExtensions(_Part):
    transform: TextureTransform | None = Field(default=None, alias="KHR_texture_transform")


class TextureReference(_Part):
    index: Index
    tex_coord: Index = 0
    extensions: TextureReferenceExtensions = TextureReferenceExtensions()


class Metallic(_Part):
    base_color_factor: Vector4 = (1.0, 1.0, 1.0, 1.0)
    base_color_texture: TextureReference | None = None


class Material(_Part):
    pbr_metallic_roughness: Metallic = Metallic()
    alpha_mode: str = "OPAQUE"
    name: str = ""


class Document(_Part):
    """A whole document; every index in it names something that exists, and its nodes form trees."""

    asset: Asset
    scene: Index | None = None
    scenes: tuple[Scene, ...] = ()
    nodes: Annotated[tuple[Node, ...], Field(max_length=MOST_PARTS)] = ()
    meshes: Annotated[tuple[Mesh, ...], Field(max_length=MOST_PARTS)] = ()
    skins: Annotated[tuple[Skin, ...], Field(max_length=MOST_PARTS)] = ()
    animations: Annotated[tuple[Clip, ...], Field(max_length=MOST_PARTS)] = ()
    materials: tuple[Material, ...] = ()
    textures: tuple[Texture, ...] = ()
    images: tuple[Image, ...] = ()
    accessors: Annotated[tuple[Accessor, ...], Field(max_length=MOST_PARTS)] = ()
    buffer_views: Annotated[tuple[BufferView, ...], Field(max_length=MOST_PARTS)] = ()
    buffers: Annotated[tuple[Buffer, ...], Field(max_length=MOST_PARTS)] = ()
    extensions_used: tuple[str, ...] = ()
    extensions_required: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _indices_exist(self) -> Document:
        for what, number, indices, parts in self.references():
            for index in indices:
                if index is not None and index >= len(parts):
                    raise ValueError(f"{what} {number} refers to number {index} of {len(parts)}")
        parents: dict[int, int] = {}
        for number, node in enumerate(self.nodes):
            for child in node.children:
                if child in parents:
                    raise ValueError(f"node {child} hangs below node {parents[child]} and node {number}")
                parents[child] = number
        self._no_circle(parents)
        return self

    def references(self) -> Iterable[tuple[str, int, Iterable[int | None], Sequence[Any]]]:
        """(what, its number, the indices it holds, the list they point into) of everything that points somewhere."""
        yield "the document's scene", 0, [self.scene], self.scenes
        for n, scene in enumerate(self.scenes):
            yield "scene", n, scene.nodes, self.nodes
        for n, node in enumerate(self.nodes):
            yield "node", n, node.children, self.nodes
            yield "the mesh of node", n, [node.mesh], self.meshes
            yield "the skin of node", n, [node.skin], self.skins
        for n, mesh in enumerate(self.meshes):
            for primitive in mesh.primitives:
                held = [
                    primitive.indices,
                    *primitive.attributes.values(),
                    *(i for t in primitive.targets for i in t.values()),
                ]
                yield "mesh", n, held, self.accessors
                yield "the material of mesh", n, [primitive.material], self.materials
                if primitive.extensions.draco is not None:
                    yield "the compression of mesh", n, [primitive.extensions.draco.buffer_view], self.buffer_views
        for n, skin in enumerate(self.skins):
            yield "skin", n, skin.joints, self.nodes
            yield "the bind matrices of skin", n, [skin.inverse_bind_matrices], self.accessors
        for n, clip in enumerate(self.animations):
            yield "animation", n, [i for s in clip.samplers for i in (s.input, s.output)], self.accessors
            yield "a channel of animation", n, [channel.sampler for channel in clip.channels], clip.samplers
            yield "a target of animation", n, [channel.target.node for channel in clip.channels], self.nodes
        for n, material in enumerate(self.materials):
            painted = material.pbr_metallic_roughness.base_color_texture
            yield "material", n, [painted.index if painted else None], self.textures
        for n, texture in enumerate(self.textures):
            webp = texture.extensions.webp
            yield "texture", n, [texture.source, webp.source if webp else None], self.images
        for n, image in enumerate(self.images):
            yield "image", n, [image.buffer_view], self.buffer_views
        for n, accessor in enumerate(self.accessors):
            sparse = accessor.sparse
            held = [sparse.indices.buffer_view, sparse.values.buffer_view] if sparse else []
            yield "accessor", n, [accessor.buffer_view, *held], self.buffer_views
        for n, view in enumerate(self.buffer_views):
            yield "bufferView", n, [view.buffer, view.compressed.buffer if view.compressed else None], self.buffers

    def _no_circle(self, parents: dict[int, int]) -> None:
        """Every node has one parent at most, so whatever cannot be reached from a root lies in a circle."""
        pending = [n for n in range(len(self.nodes)) if n not in parents]
        reached = 0
        while pending:
            node = self.nodes[pending.pop()]
            reached += 1
            pending += node.children
        if reached < len(self.nodes):
            raise ValueError("some nodes hang below themselves")


def check_document(document: Any, name: str) -> Document:
    """The document of a parsed JSON; a wrong one raises InputError naming the first place that is wrong."""
    try:
        return Document.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{name}: not a sound glTF 2.0 file ({f'{place}: ' if place else ''}{reason}); export it again"
        ) from error
