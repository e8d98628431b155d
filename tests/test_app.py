"""The page: what its buttons do, how it refuses, and a real browser on it."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import FORMATS
from diffspeaker3d.generation.pipeline import SpeechAnimator
from diffspeaker3d.models import DiffSpeaker, build, save_checkpoint
from diffspeaker3d.page import Page, blended, frame, said

CLIENTS = Path(__file__).parent / "clients"
CONFIG = {
    "model": {
        "_target_": "diffspeaker3d.models.DiffSpeaker",
        "audio_encoder": {"_target_": "diffspeaker3d.models.MelEncoder", "fps": 30, "width": 8, "num_mels": 10, "dilations": [1, 2]},
        "denoiser": {"_target_": "diffspeaker3d.models.Denoiser", "motion_dim": 53, "audio_dim": 8, "width": 16, "feedforward": 16, "conditions": {"style": 2}},
        "motion": {"_target_": "diffspeaker3d.models.ControlMotion", "names": list(CONTROL_NAMES), "mean": [0.3] * 53, "scale": [0.2] * 53},
        "fps": 30, "style_names": ["calm", "wild"], "topology": "mannequin",
    },
    "schedule": {"kind": "cosine", "zero_terminal_snr": True}, "sampling": {"steps": 3},
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained model of the mannequin."""
    torch.manual_seed(0)
    model: DiffSpeaker = build(CONFIG["model"]).eval()
    torch.nn.init.normal_(model.denoiser.output.weight, std=0.3)
    folder = tmp_path_factory.mktemp("page") / "checkpoint"
    save_checkpoint(folder, model, CONFIG, "# untrained\n")
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "one line.wav"
    tone = 0.3 * np.sin(np.arange(24_000) / 16_000 * 2 * np.pi * 200)
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(16_000)
        target.writeframes((tone * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def page(checkpoint: Path, tmp_path: Path) -> Page:
    return Page(SpeechAnimator.from_pretrained(checkpoint), tmp_path)


def test_animate_gives_a_player_and_the_same_motion_as_the_command(page: Page, sound: Path) -> None:
    animation, player, words = page.animate(str(sound), "maya", "calm", "wild", 0.25, 7, 2, 1.0, "")
    same = page.animator(sound, style="calm:0.75+wild:0.25", template="maya", seed=7, steps=2)
    np.testing.assert_array_equal(animation.weights, same.weights)
    np.testing.assert_array_equal(animation.template, page.animator.topology.template("maya"))
    document = html.unescape(re.search(r'srcdoc="([^"]*)"', player)[1])
    takes = json.loads(re.search(r'id="takes">(.*?)</script>', document, re.S)[1])
    assert takes[0]["frames"] == 45 and takes[0]["sound"] and takes[0]["notes"]["seed"] == "7"
    assert "1.5 seconds, 45 frames" in words


def test_every_head_and_style_of_the_model_is_offered(page: Page) -> None:
    assert page.styles == ["calm", "wild"] and page.heads == list(page.animator.topology.templates)
    assert "footer" in page.still(page.heads[-1]) and "onload" not in page.still(page.heads[0])


@pytest.mark.parametrize("suffix", [s for s in FORMATS if s in (".npz", ".glb", ".csv", ".json", ".html", ".mdd")])
def test_files_carry_the_recordings_name(page: Page, sound: Path, suffix: str) -> None:
    animation = page.animate(str(sound), None, None, "none", 0.5, None, None, None, None)[0]
    files, words = page.make_file(animation, suffix)
    assert Path(files[0]).name == f"one line{suffix}" and all(Path(f).stat().st_size > 0 for f in files)
    assert f"one line{suffix}" in words
    assert page.make_file(animation, suffix)[0] != files  # two visitors do not meet in one file


def test_refusals_are_one_line_without_paths_of_the_server(page: Page, sound: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_text("no sound")
    for audio, text, words in (
        (None, "", "no recording yet"),
        (str(tmp_path / "broken.wav"), "", "^broken.wav: "),
        (str(sound), "secret.txt", "paste the words"),
    ):
        with pytest.raises(InputError, match=words) as refusal:
            page.animate(audio, None, "calm", "none", 0.5, 0, 2, 1.0, text)
        assert str(tmp_path) not in str(refusal.value)
    with pytest.raises(InputError, match="press Animate first"):
        page.make_file(None, ".glb")
    assert said("a <b>\nc", good=False) == '<p role="status" class="bad">a &lt;b&gt; c</p>'


def test_styles_blend_by_share() -> None:
    assert blended("a", "b", 0.3) == "a:0.70+b:0.30"
    assert [blended("a", "none", 0.3), blended("a", "a", 0.3), blended("a", "b", 0.0), blended(None, "b", 0.3)] == [
        "a",
        "a",
        "a",
        None,
    ]
    assert frame('</iframe><script>"', plays=False).count("<") == 2


def door(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = f"import sys, runpy; {before}; sys.argv = ['app', *{list(arguments)!r}]; runpy.run_module('diffspeaker3d.app', run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "before", "message"),
    [
        ((), "sys.modules['gradio'] = None", "pip install diffspeaker3d[app]"),
        (("port=99999",), "", "port=99999: must be 1 to 65535"),
        (("checkpoint=nowhere",), "", "nowhere: no such checkpoint"),
    ],
)
def test_the_door_refuses_in_one_line(arguments: tuple[str, ...], before: str, message: str) -> None:
    if not before:
        pytest.importorskip("gradio")
    done = door(*arguments, before=before or "pass")
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.fixture
def address(checkpoint: Path) -> Iterator[str]:
    """The page, served by its own command until the test ends."""
    pytest.importorskip("gradio")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "diffspeaker3d.app", f"checkpoint={checkpoint}", f"port={port}"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as server:
        assert server.stderr is not None
        first = server.stderr.readline()
        try:
            assert first.startswith(f"open http://127.0.0.1:{port}/"), first
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.send_signal(signal.SIGINT)
    assert server.returncode in (0, 130)


@pytest.mark.clients
def test_a_visitor_in_chromium(address: str, sound: Path, tmp_path: Path) -> None:
    chromium = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if chromium is None or shutil.which("node") is None or not (CLIENTS / "node_modules").is_dir():
        pytest.skip("needs Chromium or Chrome, node and `npm install` in tests/clients: run make test-clients")
    (tmp_path / "bad.wav").write_text("no sound")
    command = ["node", "app.mjs", chromium, address, str(sound), str(tmp_path / "bad.wav"), str(tmp_path)]
    done = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert result["errors"] == [] and result["foreign"] == []
    assert (
        result["empty"].startswith("there is no recording yet")
        and result["answer"] == "1.5 seconds, 45 frames at 30 fps"
    )
    assert result["duration"] == pytest.approx(1.5, abs=0.01) and result["sought"] == pytest.approx(0.4, abs=0.01)
    assert result["started"] and result["moves"] > 1e-4
    assert 0.1 < result["advanced"] <= result["elapsed"] + 0.1  # the sound is the clock
    assert result["file"].endswith(".glb") and (tmp_path / result["file"]).read_bytes()[:4] == b"glTF"
    assert result["refusal"].startswith("bad.wav: not a sound file") and not result["overflow"]
