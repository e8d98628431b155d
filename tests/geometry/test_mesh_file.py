"""Meshes and index lists as they are in the file, whatever the file brings along."""

from __future__ import annotations

import os
import re
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
    mesh = read_mesh(path)
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [9, 9, 9]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 3]]


MARKS = {
    "mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "windows": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    "old mac": lambda text: text.replace("\n", "\r").encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "indented": lambda text: text.replace("v ", "\tv  ").replace("f ", " f\t").encode(),
    "continued": lambda text: text.replace("v 1 1 0", "v 1 \\\n1 \\\n0").replace("f -5 -4", "f -5 \\\n-4").encode(),
    "continued windows": lambda text: text.replace("v 1 1 0", "v 1 \\\n1 \\\n0").replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("how", MARKS)
def test_an_obj_reads_the_same_however_its_lines_end(tmp_path: Path, how: str) -> None:
    path = tmp_path / "head.obj"
    text = OBJ.removeprefix("o head\n")  # the first vertex stands right behind the mark
    path.write_bytes(MARKS[how](text))
    mesh = read_mesh(path)
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [9, 9, 9]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize("largest", [1.0, 255.0])
def test_an_obj_may_bring_vertex_colours(tmp_path: Path, largest: float) -> None:
    path = tmp_path / "head.obj"
    path.write_text("".join(f"v {k} {k * k} 0 {largest} 0 {largest * k / 2}\n" for k in range(3)) + "f 1 2 3\n")
    assert read_mesh(path).colors.tolist() == [[255, 0, 0], [255, 0, 128], [255, 0, 255]]


@pytest.mark.parametrize("suffix", [".ply", ".stl", ".glb"])
def test_the_unit_is_that_of_a_head(suffix: str, tmp_path: Path) -> None:
    vertices = np.array([[0, 0, 0], [20, 0, 0], [0, 20, 0], [0, 0, 20]], float)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / f"a{suffix}")
    mesh = read_mesh(tmp_path / f"a{suffix}")
    assert mesh.unit == "cm" and len(mesh.vertices) == 4
    corners = np.sort(mesh.vertices[mesh.faces].reshape(-1, 9), 0)
    assert np.allclose(corners, np.sort(vertices[faces].reshape(-1, 9), 0), atol=1e-5)


def test_ply_colours_are_kept(tmp_path: Path) -> None:
    rows = "\n".join(f"{k} {k * k} 0 {100 * k} 0 7" for k in range(3))
    head = "ply\nformat ascii 1.0\nelement vertex 3\n" + "".join(f"property float {a}\n" for a in "xyz")
    head += "".join(f"property uchar {c}\n" for c in ("red", "green", "blue"))
    (tmp_path / "a.ply").write_text(
        f"{head}element face 1\nproperty list uchar int vertex_indices\nend_header\n{rows}\n3 0 1 2\n"
    )
    assert read_mesh(tmp_path / "a.ply").colors.tolist() == [[0, 0, 7], [100, 0, 7], [200, 0, 7]]


def test_only_ordinary_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.obj")
    (tmp_path / "zero.ply").symlink_to("/dev/zero")
    (tmp_path / "folder.glb").mkdir()
    for name in ("pipe.obj", "zero.ply", "folder.glb"):
        with pytest.raises(InputError, match="not an ordinary file"):
            read_mesh(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_mesh(tmp_path / "absent.stl")


MUTATED = ("obj", "ply", "ply ascii", "stl", "stl ascii")


@pytest.mark.parametrize("kind", MUTATED)
def test_mutated_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    """Every mutation is a mesh or one line that says why not; nothing else comes out, and nothing takes long."""
    ball = trimesh.creation.icosphere(1)
    encoding = {"encoding": "ascii"} if kind == "ply ascii" else {}
    suffix = kind.split()[0]
    written = ball.export(file_type="stl_ascii" if kind == "stl ascii" else suffix, **encoding)
    original = written.encode() if isinstance(written, str) else written
    generator = np.random.default_rng(MUTATED.index(kind))
    path, read = tmp_path / f"m.{suffix}", 0
    for _ in range(60):
        path.write_bytes(mutated(original, generator))
        try:
            mesh = read_mesh(path)
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 400 + len(str(path))
        else:
            read += 1
            assert np.isfinite(mesh.vertices).all() and 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices)
    assert read < 60


def mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """The bytes with one to four faults: cut, doubled, removed, zeroed, other bytes, or another number in the text."""
    changed = bytearray(data)
    for _ in range(generator.integers(1, 5)):
        a, b = sorted(generator.integers(0, len(changed) + 1, 2))
        b = min(b, a + 200)
        kind = generator.integers(0, 6)
        if kind == 0 and generator.random() < 0.3:
            del changed[a:]
        elif kind == 1:
            changed[a:a] = changed[a:b]
        elif kind == 2:
            del changed[a:b]
        elif kind == 3:
            changed[a:b] = bytes(b - a)
        elif kind == 4:
            for at in generator.integers(0, len(changed), 8) if changed else []:
                changed[at] = generator.integers(0, 256)
        else:
            numbers = [m.span() for m in re.finditer(rb"-?\d+", bytes(changed[:2000]))]
            if numbers:
                start, end = numbers[generator.integers(0, len(numbers))]
                odd = [b"4294967297", b"-9", b"1e400", b"99999999999999999999", b"nan", b"0", b"", b"1e30"]
                changed[start:end] = odd[generator.integers(0, len(odd))]
    return bytes(changed)


@pytest.mark.parametrize("suffix", [".ply", ".glb"])
def test_other_formats_keep_order_too(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    corners = rng.normal(size=(30, 3)).astype(np.float32)
    corners[7] = corners[3]  # a duplicate that tidy importers merge
    faces = rng.permutation(30).reshape(10, 3)
    trimesh.Trimesh(corners, faces, process=False).export(tmp_path / f"head{suffix}")
    mesh = read_mesh(tmp_path / f"head{suffix}")
    assert np.array_equal(mesh.vertices, corners) and np.array_equal(mesh.faces, faces)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.obj", "v 0 0 0\nv 1 x 0\n", r"not a readable \.obj \(line 2"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no triangles"),
        ("a.obj", "v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "vertex 1 is not a finite number"),
        ("a.obj", "v 0 0 0\nf 1 2 3\n", "refers to vertex 3 of 1"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4294967297\n", "refers to vertex 4294967297 of 3"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 -4\n", r"line 4: a face refers to vertex -4, 3 are there so far"),
        ("a.obj", "v 0 0 0\nf 0 0 0\n", "line 2: a face refers to vertex 0"),
        ("a.obj", "v 0 0\nv 1 0 0\nf 1 2 1\n", "line 1: a vertex of 2 numbers"),
        ("a.obj", "v 0 0 0\nv 1 0 0 \\\n 0\nf 1 2 x\n", "line 4"),
        ("a.ply", "hello", r"not a readable \.ply"),
        ("a.ply", "ply\nformat nonsense\n", r"not a readable \.ply"),
        (
            "a.ply",
            "ply\nformat ascii 1.0\nelement vertex 4000000000\nproperty float x\nend_header\n",
            "announces 4000000000 parts",
        ),
        ("a.glb", "glTF?", "not a readable glTF"),
        ("a.max", "hello", r"known: \.obj \.ply"),
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
