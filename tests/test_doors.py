"""The doors, one after the other, as a person opens them: corpus, train, evaluate, animate, render."""

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hydra import compose, initialize_config_dir

from diffspeaker3d.config import CONF_DIR
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import load_animation
from diffspeaker3d.generation.jobs import find_audio, plan_jobs, with_texts

SMALL = [
    "audio_encoder.width=32", "audio_encoder.dilations=[1,2]", "denoiser.width=32", "denoiser.feedforward=32", "denoiser.layers=1",
    "data.batch_size=4", "data.crop_seconds=1", "data.num_workers=0", "trainer.log_every_n_steps=2", "steps=2",
]  # fmt: skip


def door(name, *arguments, cwd, code=0):
    """Run a door in another folder; the exit code is checked, stderr returned."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-m", f"diffspeaker3d.{name}", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
    )
    assert result.returncode == code, result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A corpus of 24 clips, a model trained on it for four steps, and a sound file."""
    pytest.importorskip("espeakng_loader")
    folder = tmp_path_factory.mktemp("world")
    data = ["dataset=synthetic", f"dataset.root={folder}/corpus", "dataset.num_clips=24", "dataset.engines=[espeak]"]
    door("train", *data, *SMALL, "trainer.max_steps=4", f"out={folder}/run", cwd=folder)
    t = np.arange(16_000) / 16_000
    soundfile.write(folder / "tone.wav", 0.3 * np.sin(2 * np.pi * 200 * t) * np.sin(2 * np.pi * 2 * t), 16_000)
    return folder, data


def test_training_leaves_a_checkpoint_and_goes_on_where_it_stopped(world):
    folder, data = world
    assert {p.name for p in (folder / "run" / "checkpoint").iterdir()} == {
        "config.yaml",
        "model.safetensors",
        "model_card.md",
    }
    said = door("train", *data, *SMALL, "trainer.max_steps=4", f"out={folder}/run", cwd=folder)
    assert "going on from" in said
    said = door(
        "train", *data, *SMALL, "trainer.max_steps=4", "optimizer.lr=1", f"out={folder}/run", cwd=folder, code=2
    )
    assert "holds a run with other settings" in said and said.count("\n") == 1


def test_evaluate_scores_model_and_baselines(world):
    folder, data = world
    said = door(
        "evaluate",
        f"checkpoint={folder}/run/checkpoint",
        *data,
        "split=train",
        "limit=3",
        "seeds=[0,10]",
        "baselines=[mean_face,ridge]",
        f"compare={{again:{folder}/run/checkpoint}}",
        "worst=1",
        "renderer=numpy",
        "out=scores",
        cwd=folder,
    )
    assert {p.name for p in (folder / "scores").iterdir()} == {
        "report.html",
        "metrics.json",
        "clips.csv",
        "worst-1.png",
        "worst-1.mp4",
    }
    result = json.loads((folder / "scores" / "metrics.json").read_text())
    assert set(result["models"]) == {"model", "again", "mean_face", "ridge"} and result["about"]["clips"] == 3
    assert result["models"]["again"] == result["models"]["model"]
    for scores in (model["means"] for model in result["models"].values()):
        assert scores["lve"] > 0 and 0 <= scores.get("closure_recall", 0) <= 1
    assert result["models"]["model"]["means"]["diversity_upper_face"] > 0
    assert result["about"]["regions"]["lips"] in said and "mouth_opening_distance" in said


def test_animate_writes_every_format_asked_for_and_render_reads_it_back(world):
    folder, _ = world
    out = f"out=[{folder}/a.npz,{folder}/a.mp4,{folder}/a.csv]"
    door(
        "animate",
        "audio=tone.wav",
        out,
        f"checkpoint={folder}/run/checkpoint",
        "size=64",
        "renderer=numpy",
        "seed=3",
        "style=smiling:0.5+broad:0.5",
        cwd=folder,
    )
    animation = load_animation(folder / "a.npz")
    assert len(animation) == 30 and animation.provenance["seed"] == 3 and animation.weights.shape == (30, 53)
    door("render", "motion=a.npz", "out=b.mp4", "size=64", "renderer=numpy", cwd=folder)
    for name in ("a.mp4", "b.mp4"):
        with av.open(str(folder / name)) as video:
            assert sum(1 for _ in video.decode(video=0)) == 30 and video.streams.audio


def test_a_seed_repeats_and_another_differs(world):
    folder, _ = world
    for name, seed in (("s1", 1), ("s2", 1), ("s3", 2)):
        door(
            "animate",
            "audio=tone.wav",
            f"out={name}.npz",
            f"seed={seed}",
            f"checkpoint={folder}/run/checkpoint",
            cwd=folder,
        )
    first, again, other = (load_animation(folder / f"{name}.npz").weights for name in ("s1", "s2", "s3"))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_a_folder_of_lines_goes_on_past_a_bad_one(world):
    folder, _ = world
    lines = folder / "lines"
    lines.mkdir()
    for name in ("a", "b"):
        (lines / f"{name}.wav").write_bytes((folder / "tone.wav").read_bytes())
    (lines / "bad.wav").write_text("no sound")
    said = door(
        "animate",
        f"audio={lines}",
        "out=done",
        "formats=[npz,json]",
        f"checkpoint={folder}/run/checkpoint",
        cwd=folder,
        code=2,
    )
    assert "1 of 3 failed" in said
    assert {"a.npz", "b.npz", "a.json", "b.json"} <= {p.name for p in (folder / "done").iterdir()}
    assert not list((folder / "done").glob("*bad*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audio=missing.wav", "out=a.npz"], "missing.wav: no such file"),
        (["audio=tone.wav", "out=a.xyz"], "no writer for this kind of output; known: "),
        (["audio=tone.wav", "out=a.npz", "style=grumpy"], "known: neutral"),
        (["audio=tone.wav", "out=a.npz", "template=nobody"], "known: neutral"),
        (["audio=tone.wav", "out=a.npz", "checkpoint=nowhere"], "nowhere: no such checkpoint"),
        (["audio=tone.wav", "out=a.npz", "steps=0"], "steps=0"),
        (["audio=tone.wav", "out=/proc/a.npz"], "/proc"),
        (["audio=short.wav", "out=a.npz"], "less than one motion frame"),
        (["audio=tone.wav", "out=tone.wav"], "no writer"),
        (["audio=empty", "out=o", "formats=[npz]"], "holds no sound"),
        (["audio=*.nothing", "out=a.npz"], "no file matches"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(world, tmp_path, arguments, message):
    folder, _ = world
    soundfile.write(tmp_path / "short.wav", np.zeros(500), 16_000)
    (tmp_path / "empty").mkdir()
    (tmp_path / "tone.wav").write_bytes((folder / "tone.wav").read_bytes())
    before = sorted(p.name for p in tmp_path.iterdir())
    if not any(a.startswith("checkpoint") for a in arguments):
        arguments = [*arguments, f"checkpoint={folder}/run/checkpoint"]
    said = door("animate", *arguments, cwd=tmp_path, code=2)
    assert message in said and said.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_jobs_are_planned_before_any_work(tmp_path):
    for name in ("b.wav", "a.mp3", "notes.txt"):
        (tmp_path / name).write_text("x")
    assert [p.name for p in find_audio(tmp_path)] == ["a.mp3", "b.wav"]
    jobs = plan_jobs(tmp_path, tmp_path / "out", ["glb", ".csv"])
    assert [Path(o).name for o in jobs[0].outputs] == ["a.glb", "a.csv"] and len(jobs) == 2
    with pytest.raises(InputError, match="need a folder"):
        plan_jobs(tmp_path, "a.glb", None)


def test_equal_names_of_a_batch_stay_apart(tmp_path):
    for name in (
        "a.mp3",
        "A.wav",
        "s1/take.wav",
        "s2/take.wav",
        "deep/s2/take.wav",
        "only.wav",
        "._only.wav",
        "s1/.x/y.wav",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "s1" / "loop").symlink_to(tmp_path)
    jobs = plan_jobs(str(tmp_path / "**" / "*"), tmp_path / "out", ["glb"])
    outputs = {str(job.audio.relative_to(tmp_path)): Path(job.outputs[0]).relative_to(tmp_path / "out") for job in jobs}
    assert {sound: str(output) for sound, output in outputs.items()} == {
        "A.wav": "A.wav.glb", "a.mp3": "a.mp3.glb", "deep/s2/take.wav": "deep/s2/take.glb", "only.wav": "only.glb",
        "s1/take.wav": "s1/take.glb", "s2/take.wav": "s2/take.glb",
    }  # fmt: skip
    assert find_audio([tmp_path / "only.wav", tmp_path, tmp_path / "s1" / ".." / "only.wav"]) == find_audio(
        [tmp_path / "only.wav", tmp_path / "A.wav", tmp_path / "a.mp3"]
    )
    texts = tmp_path / "texts"
    for job, output in zip(jobs, outputs.values(), strict=True):
        (texts / output).parent.mkdir(parents=True, exist_ok=True)
        (texts / f"{str(output)[:-4]}.txt").write_text(job.audio.name)
    assert all(Path(job.text).read_text() == job.audio.name for job in with_texts(jobs, texts))


@pytest.mark.parametrize("path", sorted((CONF_DIR / "experiment").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_experiment_composes_and_its_name_is_true(path):
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("train", overrides=[f"experiment={path.stem}", "out=x"], return_hydra_config=True)
    choices = cfg.hydra.runtime.choices
    assert cfg.name == path.stem
    for encoder in ("wav2vec2", "hubert", "wavlm", "whisper"):
        assert (encoder in path.stem) == (choices.audio_encoder == encoder)
    for corpus in ("vocaset", "biwi"):
        assert (corpus in path.stem) == (choices.dataset == corpus)


def test_a_missing_extra_is_one_line(tmp_path):
    (tmp_path / "lightning.py").write_text("raise ModuleNotFoundError('no lightning', name='lightning')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from diffspeaker3d.errors import InputError\n"
        "try:\n    import diffspeaker3d.training.run\n"
        "except InputError as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert said.stdout == 'training: needs lightning; pip install "diffspeaker3d[train]"\n', said.stderr


def test_a_folder_may_have_a_dot_in_its_name(tmp_path):
    (tmp_path / "a.wav").write_text("x")
    (tmp_path / "old.glb").mkdir()
    for folder in ("takes_v1.2", "2026.11.26", "take.v2", "old.glb"):
        (job,) = plan_jobs(tmp_path, str(tmp_path / folder), ["glb"])
        assert job.outputs == (str(tmp_path / folder / "a.glb"),)
    (job,) = plan_jobs(tmp_path / "a.wav", str(tmp_path / "A.GLB"), None)
    assert job.outputs == (str(tmp_path / "A.GLB"),)
    with pytest.raises(InputError, match="no writer for this kind of output"):
        plan_jobs(tmp_path / "a.wav", str(tmp_path / "a.xyz"), None)
