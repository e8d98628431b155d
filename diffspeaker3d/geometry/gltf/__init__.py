"""The glTF 2.0 container: written and read by hand, since libraries break sparse morph targets or drop shapes and animations."""

from diffspeaker3d.geometry.gltf.container import ARRAY_BUFFER as ARRAY_BUFFER
from diffspeaker3d.geometry.gltf.container import ELEMENT_ARRAY_BUFFER as ELEMENT_ARRAY_BUFFER
from diffspeaker3d.geometry.gltf.container import BufferBuilder as BufferBuilder
from diffspeaker3d.geometry.gltf.container import pack as pack
from diffspeaker3d.geometry.gltf.reader import GLTF_SUFFIXES as GLTF_SUFFIXES
from diffspeaker3d.geometry.gltf.reader import Gltf as Gltf
from diffspeaker3d.geometry.gltf.reader import open_gltf as open_gltf
from diffspeaker3d.geometry.gltf.scene import Piece as Piece
from diffspeaker3d.geometry.gltf.scene import pieces as pieces
from diffspeaker3d.geometry.gltf.scene import visible_nodes as visible_nodes
from diffspeaker3d.geometry.gltf.scene import world_matrices as world_matrices
