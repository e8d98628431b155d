"""Three renderers, one picture. OpenGL runs in processes of its own: one can hold one platform."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.rendering import RenderOptions, open_renderer, opengl
from diffspeaker3d.rendering.renderer import shows_inside
from diffspeaker3d.topology import Topology

ROOT = Path(__file__).resolve().parents[2]
DRAW = """
import resource, sys
import numpy as np
from diffspeaker3d.rendering import RenderOptions, open_renderer
from diffspeaker3d.topology import load_topology
backend, out, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
topology = load_topology(sys.argv[4]); v = topology.template()
pictures = []
for wireframe in (False, True):
    with open_renderer(topology, v, RenderOptions(size=(120, 96), renderer=backend, wireframe=wireframe)) as renderer:
        assert renderer.backend == backend, renderer.backend
        pictures += [renderer(v), renderer(v * np.float32(1.1))]
        for k in range(count):
            if k == count // 3:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            renderer(v * np.float32(1 + k * 1e-4))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before if count else 0
        pictures.append(renderer(v))
with open_renderer(topology, v, RenderOptions(size=(120, 96), renderer=backend)) as one:
    with open_renderer(topology, v, RenderOptions(size=(64, 64), renderer=backend)) as two:
        two(v)
    pictures.append(one(v))
np.savez(out, *pictures, grown=grown)
"""


def drawn_by(backend, topology_file, folder, count=0):
    """Arrays drawn in a fresh process: plain, grown, plain again; the same with wireframe; one of two open renderers."""
    out = folder / f"{backend}.npz"
    command = [sys.executable, "-c", DRAW, backend, str(out), str(count), str(topology_file)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    with np.load(out) as data:
        return [data[f"arr_{k}"].astype(int) for k in range(7)], int(data["grown"])


@pytest.fixture(scope="module")
def topology_file(head, tmp_path_factory):
    path = tmp_path_factory.mktemp("heads") / "egg.npz"
    head.save(path)
    return path


@pytest.fixture(scope="module")
def drawn_by_numpy(topology_file):
    return drawn_by("numpy", topology_file, topology_file.parent)[0]


@pytest.mark.parametrize("backend", ["egl", "osmesa"])
def test_opengl_draws_the_same_picture_as_numpy(topology_file, drawn_by_numpy, tmp_path, backend):
    if opengl.unavailable(backend) is not None:
        pytest.skip(opengl.unavailable(backend))
    theirs, grown = drawn_by(backend, topology_file, tmp_path, count=90)
    plain, bigger, again, wire, _, wire_again, shared = theirs
    assert plain.shape == (96, 120, 3)
    for k, limit in ((0, 0.5), (1, 0.5), (3, 8.0)):
        assert np.abs(theirs[k] - drawn_by_numpy[k]).mean() < limit, f"picture {k}"
    np.testing.assert_array_equal(plain, again, "vertex buffers are overwritten completely")
    np.testing.assert_array_equal(wire, wire_again)
    np.testing.assert_array_equal(plain, shared, "closing one renderer leaves the other alive")
    assert np.abs(plain - bigger).mean() > 1 and wire.mean() < plain.mean() - 1
    assert grown < 3000, f"{grown} KiB more after 60 frames: something is made per frame"


def test_the_wireframe_of_numpy_darkens_edges_only(head):
    def picture(wireframe):
        return open_renderer(
            head, head.template(), RenderOptions(size=(96, 96), renderer="numpy", wireframe=wireframe)
        )(head.template())

    plain, wire = picture(False).astype(int), picture(True).astype(int)
    darker = (wire < plain - 20).any(2)
    assert (wire <= plain).all() and 0.05 < darker.mean() < 0.7


def test_a_missing_library_is_named_with_its_package(head, monkeypatch):
    monkeypatch.setattr(opengl, "_loads", lambda name: False)
    monkeypatch.delitem(sys.modules, "OpenGL", raising=False)
    for backend, package in opengl.PACKAGES.items():
        with pytest.raises(InputError, match=package):
            open_renderer(head, head.template(), RenderOptions(renderer=backend))


def test_auto_falls_back_to_numpy_and_says_so(head, monkeypatch, caplog):
    monkeypatch.setattr(opengl, "_loads", lambda name: False)
    with caplog.at_level(logging.INFO), open_renderer(head, head.template(), RenderOptions(size=(32, 32))) as renderer:
        assert renderer.backend == "numpy"
    assert "renderer: numpy" in caplog.text


def test_a_driver_that_does_not_start_is_survived_by_auto_only(head, monkeypatch):
    monkeypatch.setattr(opengl, "unavailable", lambda platform: None)
    monkeypatch.setattr(opengl, "import_pyrender", lambda platform: (_ for _ in ()).throw(ImportError("no driver")))
    with open_renderer(head, head.template(), RenderOptions(size=(32, 32))) as renderer:
        assert renderer.backend == "numpy"
    with pytest.raises(InputError, match=r"renderer=egl.*no driver.*libegl1"):
        open_renderer(head, head.template(), RenderOptions(renderer="egl"))


def test_numpy_needs_no_graphics_library():
    program = "import sys; sys.modules['pyrender'] = None; sys.modules['OpenGL'] = None\n" + DRAW.split(
        "pictures = []"
    )[0].replace(
        "topology = load_topology(sys.argv[4]); v = topology.template()",
        "from diffspeaker3d.topology import Topology\nv = np.eye(3, dtype=np.float32)\n"
        "r = open_renderer(Topology('t', np.array([[0, 1, 2]], np.int32), 3), v, RenderOptions(size=(32, 32), renderer='numpy'))\n"
        "assert r(v).shape == (32, 32, 3)\n"
        "assert not {'trimesh', 'av'} & set(sys.modules)",
    )
    subprocess.run([sys.executable, "-c", program, "numpy", "", "0", ""], cwd=ROOT, check=True)


def test_the_background_is_what_was_asked_for(head):
    with open_renderer(
        head, head.template(), RenderOptions(size=(64, 64), renderer="numpy", background="#102030")
    ) as renderer:
        image = renderer(head.template())
    assert (image[0] == [16, 32, 48]).all() and (image[32, 32] > 60).all()


def test_heads_without_a_mouth_are_dark_inside(head):
    open_faces = head.faces[~(head.template()[head.faces][:, :, 2] > 0.06).all(1)]  # the front is missing
    open_head = Topology(name="open", faces=open_faces, num_vertices=head.num_vertices)
    bag = Topology(name="bag", faces=open_faces, num_vertices=head.num_vertices, regions={"inner_mouth": np.arange(3)})
    assert shows_inside(open_head) and not shows_inside(head) and not shows_inside(bag)
    options = RenderOptions(size=(64, 64), renderer="numpy", view="front", background="#ffffff")
    with open_renderer(open_head, head.template(), options) as renderer:
        seen = renderer(head.template())[32, 32]
    assert 40 < seen.mean() < 140, "neither the background nor lit clay"


def test_a_template_of_another_head_is_refused(head):
    with pytest.raises(InputError, match="egg"):
        open_renderer(head, np.zeros((5, 3), np.float32), RenderOptions())
