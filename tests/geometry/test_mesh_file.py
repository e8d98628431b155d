"""Meshes and index lists as they are in the file, whatever the file brings along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from diffspeaker3d.data.regions import collect_regions, read_indices
from diffspeaker3d.errors import InputError
from diffspeaker3d.geometry.mesh_file import read_mesh

# Two triangles and a quad, texture seams (one corner, two texture coordinates), normals, groups, negative indices.
OBJ = """\
o head
v 0 0 0
v 1 0 0 1 0.5 0.5
v 1 1 0
v 0 1 0
v 9 9 9
vt 0 0
vt 1 1
vn 0 0 1
g face
f 1/1/1 2/2/1 3/1/1
f 1/2/1 3//1 4
f -5 -4 -3 -2
"""


def test_an_obj_keeps_order_seams_and_lonely_vertices(tmp_path: Path) -> None:
    path = tmp_path / "head.OBJ"
    path.write_text(OBJ)
    vertices, faces = read_mesh(path)
    assert vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [9, 9, 9]]
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize("suffix", [".ply", ".glb"])
def test_other_formats_keep_order_too(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    corners = rng.normal(size=(30, 3)).astype(np.float32)
    corners[7] = corners[3]  # a duplicate that tidy importers merge
    faces = rng.permutation(30).reshape(10, 3)
    trimesh.Trimesh(corners, faces, process=False).export(tmp_path / f"head{suffix}")
    read, triangles = read_mesh(tmp_path / f"head{suffix}")
    assert np.array_equal(read, corners) and np.array_equal(triangles, faces)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.obj", "v 0 0 0\nv 1 x 0\n", "not a readable obj"),
        ("a.obj", "v 0 0 0\n", "no triangles"),
        ("a.obj", "v 0 0 0\nf 1 2 3\n", "triangles without vertices"),
        ("a.ply", "ply\nformat nonsense\n", "not a readable mesh"),
        ("a.glb", "glTF?", "not a readable mesh"),
        ("a.fbx", "", r"unknown mesh format; known: \.obj, \.ply, \.glb, \.gltf"),
    ],
)
def test_a_broken_mesh_is_one_line(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words) as caught:
        read_mesh(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_index_lists_take_any_separator(tmp_path: Path) -> None:
    for text in ("3, 1, 2", "1\n2\n3\n", "[1 2 3]", "1,2,3,3"):
        (tmp_path / "a.txt").write_text(text)
        assert read_indices(tmp_path / "a.txt").tolist() == [1, 2, 3]
    for text in ("", "1.5, 2", "-1, 2", "one"):
        (tmp_path / "a.txt").write_text(text)
        with pytest.raises(InputError, match="not a list of vertex indices"):
            read_indices(tmp_path / "a.txt")


def test_a_region_file_of_unknown_content_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "lve.txt").write_text("1, 2, 3")
    regions, used = collect_regions("biwi", 23370, [tmp_path])
    assert set(regions) == {"lip_upper_mid", "lip_lower_mid"} and used == []
    assert "lve.txt: sha256" in caplog.text and "none of the known biwi region files" in caplog.text
