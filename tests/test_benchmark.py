"""The benchmark: measures what it says, on a size that takes no time."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from diffspeaker3d.benchmark import ball, bars, measure, step_flops, table
from diffspeaker3d.config import CONF_DIR
from diffspeaker3d.errors import InputError
from diffspeaker3d.models import Denoiser

TINY = "{vertices: 60, width: 16, feedforward: 16, fps: 10, styles: 2}"


def configuration(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose(
            "benchmark", [f"+models.tiny={TINY}", "sizes=[tiny]", "encoders=[mel]", "repeats=1", "steps=2", *overrides]
        )


def test_measures_every_part_and_reports_json(tmp_path: Path) -> None:
    report = json.loads(
        json.dumps(measure(configuration("seconds=[1,70]", "picture=32", "renderer=numpy", "vertex_seconds=1")))
    )
    assert [row["seconds"] for row in report["encoders"]] == [1, 70]
    short, long = report["samplers"]
    assert short["frames"] == 10 and long["frames"] == 700
    assert short["vertex_step"] > 0 and "vertex_step" not in long
    assert {row["precision"] for row in short["precisions"]} == {"bfloat16", "int8"}
    assert all(row["relative_error"] < 0.1 for row in short["precisions"] if "step" in row)
    assert 0 < short["spent"] < 60 and short["gflops"] > 0 and short["peak_memory"] > 1e6
    (pace,) = report["paces"]
    assert pace["seconds"] == 70 and all(0 < pace[f"{length}_steps"] < pace[length] < 1 for length in ("short", "long"))
    assert report["pictures"][0]["backend"] == "numpy" and report["pictures"][0]["draw_frame"] > 0
    text = table(report)
    assert "tiny" in text and "mel" in text


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="device=abacus"):
        measure(configuration("device=abacus"))


def test_operations_of_a_step_are_counted() -> None:
    """VOCASET size, 10 s: 1.9 G, the layer of the facts; keys and values of audio and tokens are not in it."""
    with torch.device("meta"):
        denoiser = Denoiser(30, 768, 512, 1024).eval()
    frames, width = 300, 512
    want = frames * 2 * (6 * width**2 + 2 * width * 1024 + width**2) + 4 * frames * 302 * width
    assert step_flops(denoiser, frames) == pytest.approx(want)
    assert step_flops(denoiser, 18000) / 60 == pytest.approx(want, rel=0.12)


def test_bars_compare_with_their_limits() -> None:
    row = {"size": "vocaset", "gflops": 40.0, "peak_gflops": 100.0, "speedup": 5.0, "steps": 10, "noise": 0.1}
    row["precisions"] = [{"precision": "bfloat16", "step": 0.2}, {"precision": "int8", "unavailable": "no"}]
    samplers = [{**row, "seconds": 10, "step": 0.1}]
    paces = [{"size": "vocaset", "seconds": 600, "short": 0.12, "short_steps": 0.1, "long": 0.15, "long_steps": 0.105}]
    encoders = [{"encoder": "wav2vec2", "seconds": 10, "spent": 5.0}]
    found = {bar["bar"]: bar["holds"] for bar in bars(encoders, samplers, paces, configuration("sizes=[vocaset]"))}
    assert list(found.values()) == [False, True, True, False, True, False]


def test_ball_is_closed_and_faces_outward() -> None:
    topology, template = ball(200)
    assert len(topology.faces) == 2 * 200 - 4
    corners = template[topology.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normals * corners.mean(1)).sum(1) > 0).all()
