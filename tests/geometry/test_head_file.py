"""Head files keep their vertex order and say what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.heads.fit import load_head

OBJ = """# seams, quads, negative indices
v 0 0 0
v 0 0 0
v 0.2 0 0
v 0.2 0.2 0
v 0 0.2 0
vt 0 0
vn 0 0 1
f 1/1/1 3/1/1 4/1/1 5/1/1
f -1//1 -2//1 -4//1
"""


def test_obj_keeps_order_and_doubles(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(OBJ)
    head = load_head(tmp_path / "a.obj")
    assert len(head.vertices) == 5 and head.unit == "m"
    assert head.faces.tolist() == [[0, 2, 3], [0, 3, 4], [4, 3, 1]]


@pytest.mark.parametrize("suffix", [".ply", ".stl", ".glb"])
def test_other_formats(suffix: str, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    vertices = np.array([[0, 0, 0], [20, 0, 0], [0, 20, 0], [0, 0, 20]], float)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / f"a{suffix}")
    head = load_head(tmp_path / f"a{suffix}")
    assert head.unit == "cm" and len(head.vertices) == 4
    assert np.allclose(
        np.sort(head.vertices[head.faces].reshape(-1, 9), 0), np.sort(vertices[faces].reshape(-1, 9), 0), atol=1e-5
    )
    if suffix != ".stl":
        assert np.allclose(head.vertices, vertices) and np.array_equal(head.faces, faces)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no triangles"),
        ("a.obj", "v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "vertex 1 is not a finite number"),
        ("a.obj", "v 0 0 0\nf 1 2 3\n", "refers to vertex 2 of 1"),
        ("a.obj", "v 0 0\nv 1 0 0\nf 1 2 1\n", "not a readable .obj"),
        ("a.ply", "hello", "not a readable .ply"),
        ("a.max", "hello", r"known: \.obj \.ply"),
    ],
)
def test_broken_files_are_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        load_head(tmp_path / name)
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match=r"no such file|known"):
        load_head(tmp_path / f"absent{name}")
