"""The examples run as they stand, on a second of the sample recording, in an empty folder."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from diffspeaker3d import load_animation, load_topology

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    samples, rate = soundfile.read(ROOT / "data" / "sample" / "speech.wav", frames=40_000, start=20_000)
    (folder / "lines").mkdir()
    soundfile.write(folder / "speech.wav", samples, rate)
    soundfile.write(folder / "lines" / "a.wav", samples, rate)
    (folder / "lines" / "broken.wav").write_bytes(b"not a sound")
    return folder


def run(folder, script, *arguments):
    command = [sys.executable, str(script), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_listed_and_tested():
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    tested = Path(__file__).read_text("utf-8")
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or (path.name in listed and path.name in tested), path.name


def test_a_file(folder):
    assert "frames at 30 fps" in run(folder, EXAMPLES / "animate_file.py", "speech.wav", "one")
    assert {p.suffix for p in (folder / "one").iterdir()} == {".glb", ".csv", ".png"}


def test_an_own_head_keeps_its_vertices(folder):
    mannequin = load_topology()
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in mannequin.template("maya")]
    lines += [f"f {a} {b} {c}" for a, b, c in np.asarray(mannequin.faces) + 1]
    (folder / "head.obj").write_text("\n".join(lines), "utf-8")
    assert "53 shapes" in run(folder, EXAMPLES / "own_head.py", "head.obj", "speech.wav", "own")
    animation = load_animation(folder / "own" / "talking.npz")
    assert animation.vertices.shape[1] == mannequin.num_vertices
    assert np.ptp(np.asarray(animation.vertices), axis=0).max() > 0.001


def test_dialogue_goes_on_after_a_broken_line(folder):
    said = run(folder, EXAMPLES / "dialogue.py", "lines", "scene")
    assert "a.wav done" in said and "broken.wav" in said and "broken.wav done" not in said
    assert {p.name for p in (folder / "scene").iterdir()} == {"a.csv", "report.html", "report.json"}


def test_live_link_packets_arrive(folder):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        said = run(folder, EXAMPLES / "live_link.py", "speech.wav", f"127.0.0.1:{receiver.getsockname()[1]}")
        assert len(receiver.recv(4096)) > 244
    assert "packets sent" in said


def test_open_the_box(folder):
    assert "vertices" in run(folder, EXAMPLES / "open_the_box.py", "speech.wav")


def test_the_notebook_runs_from_top_to_bottom(folder):
    cells = json.loads((EXAMPLES / "tour.ipynb").read_text("utf-8"))["cells"]
    program = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (folder / "data" / "sample").mkdir(parents=True)
    (folder / "data" / "sample" / "speech.wav").write_bytes((folder / "speech.wav").read_bytes())
    (folder / "tour.py").write_text(program, "utf-8")
    run(folder, folder / "tour.py")
    assert (folder / "outputs" / "tour" / "speech.glb").stat().st_size > 10_000
