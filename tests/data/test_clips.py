"""Clips as tensors: alignment, determinism, padding, memory."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from corpora import FPS, write_corpus

from diffspeaker3d.audio import SAMPLE_RATE, num_motion_frames
from diffspeaker3d.data.clips import NO_LABEL, ClipDataset, Draw, collate, num_samples_of
from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import VISEMES, viseme_frames


def first_sample(item: dict) -> float:
    return round(float(item["waveform"][0]) * 32768)


def test_whole_clip_is_displacements_and_all_sound(tmp_path: Path) -> None:
    item = ClipDataset(write_corpus(tmp_path, [10, 12]), ("train",))[1]
    assert item["motion"].shape == (12, 12) and item["waveform"].shape == (12 * 640,)
    np.testing.assert_allclose(item["motion"], np.broadcast_to(np.arange(12)[:, None] * 1e-3, (12, 12)), atol=1e-7)
    assert item["style"].tolist() == [0.0, 1.0] and item["subject"] == "bob" and item["template_index"] == 1


def test_crop_takes_the_same_instants_of_sound_and_motion(tmp_path: Path) -> None:
    clips = ClipDataset(write_corpus(tmp_path, [45]), ("train",), crop_seconds=0.4, seed=3)
    starts = set()
    for epoch in range(20):
        item = clips[Draw(epoch, 0)]
        start = round(float(item["motion"][0, 0]) / 1e-3)
        assert len(item["motion"]) == 10 and len(item["waveform"]) == 0.4 * SAMPLE_RATE
        assert first_sample(item) == start / FPS * SAMPLE_RATE
        starts.add(start)
    assert len(starts) > 5 and max(starts) <= 35


def test_an_item_follows_from_seed_epoch_and_clip_alone(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, [40, 50, 60])
    one, two = (ClipDataset(corpus, ("train",), crop_seconds=0.4, seed=7) for _ in range(2))
    two[Draw(0, 0)], two[Draw(0, 1)]  # what was drawn before does not matter
    for draw in (Draw(5, 2), Draw(6, 2)):
        assert np.array_equal(one[draw]["motion"], two[draw]["motion"])
    other = ClipDataset(corpus, ("train",), crop_seconds=0.4, seed=8)
    assert any(not np.array_equal(one[Draw(e, 2)]["motion"], other[Draw(e, 2)]["motion"]) for e in range(3))


def test_visemes_are_cropped_with_the_motion_and_padded_with_no_label(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, [20, 8], phones=True)
    clips = ClipDataset(corpus, ("train",), label=viseme_frames)
    batch = collate([clips[0], clips[1]])
    closed, open_ = VISEMES.index("PP"), VISEMES.index("aa")
    assert batch["viseme"].tolist() == [[closed] * 10 + [open_] * 10, [closed] * 4 + [open_] * 4 + [NO_LABEL] * 12]
    cropped = ClipDataset(corpus, ("train",), label=viseme_frames, crop_seconds=0.4, seed=1)
    for epoch in range(5):
        item = cropped[Draw(epoch, 0)]
        start = round(float(item["motion"][0, 0]) / 1e-3)
        assert item["viseme"].tolist() == ([closed] * 10 + [open_] * 10)[start : start + 10]


def test_batch_is_padded_with_zeros_and_the_mask_marks_real_frames(tmp_path: Path) -> None:
    clips = ClipDataset(write_corpus(tmp_path, [10, 6]), ("train",))
    batch = collate([clips[0], clips[1]])
    assert batch["num_frames"].tolist() == [10, 6] and batch["frame_mask"].sum(1).tolist() == [10, 6]
    assert batch["frame_mask"][1].tolist() == [True] * 6 + [False] * 4
    assert not batch["motion"][1, 6:].any() and not batch["waveform"][1, int(batch["num_samples"][1]) :].any()
    assert batch["motion"].dtype == batch["waveform"].dtype == batch["style"].dtype == torch.float32
    assert "viseme" not in batch


def test_slowed_speech_stretches_motion_and_labels(tmp_path: Path) -> None:
    def slower(
        waveform: np.ndarray, rng: np.random.Generator, voices: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, float]:
        return np.repeat(waveform, 2), 2.0

    clips = ClipDataset(write_corpus(tmp_path, [10], phones=True), ("train",), augment=slower, label=viseme_frames)
    item = clips[0]
    assert len(item["motion"]) == 20 and len(item["waveform"]) == 20 * 640 and len(item["viseme"]) == 20
    np.testing.assert_allclose(item["motion"][:, 0], np.minimum(np.arange(20) / 2, 9) * 1e-3, atol=1e-7)


def test_augmentation_hears_those_who_talk_in_the_same_split_and_reads_them_only_then(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, [10, 12, 14])
    silent = dataclasses.replace(corpus.clips[1], sentence="(silence)")
    corpus = dataclasses.replace(corpus, clips=(corpus.clips[0], silent, corpus.clips[2]))
    heard: list[int] = []

    def listen(
        waveform: np.ndarray, rng: np.random.Generator, voices: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, float]:
        heard.extend(len(voice) for voice in voices)
        return waveform, 1.0

    clips = ClipDataset(corpus, ("train",), augment=listen)
    assert not heard
    clips[0]
    assert heard == [10 * 640, 14 * 640]


@pytest.mark.parametrize("fps", [25.0, 29.97, 30.0, 60.0])
def test_num_samples_is_the_shortest_sound_of_that_many_frames(fps: float) -> None:
    for frames in (1, 2, 63, 127, 1001):
        samples = num_samples_of(frames, fps)
        assert num_motion_frames(samples, SAMPLE_RATE, fps) == frames
        assert num_motion_frames(samples - 2, SAMPLE_RATE, fps) == frames - 1


def test_an_empty_split_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clip in split val; splits with clips: train"):
        ClipDataset(write_corpus(tmp_path, [5]), ("val",))


def test_a_damaged_corpus_is_named_before_the_first_step(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, [40, 50])
    path = corpus.motion_path(corpus.clips[1])
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match="clip bob_01 cannot be read"):
        ClipDataset(corpus, ("train",))
    np.save(path, np.zeros((49, 12), np.float32))
    with pytest.raises(InputError, match="clip bob_01 has 49 frames and 32000 samples, the manifest says 50 and 32000"):
        ClipDataset(corpus, ("train",))
    path.unlink()
    with pytest.raises(InputError, match="clip bob_01 cannot be read"):
        ClipDataset(corpus, ("train",))


SPARSE = """
import resource, sys
from collections.abc import Sequence
from pathlib import Path
import numpy as np, soundfile
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.data.clips import ClipDataset
from diffspeaker3d.data.sampler import ResumableBatchSampler, ResumableLoader
from diffspeaker3d.topology import Topology
root, clips_, frames, v = Path(sys.argv[1]), 80, 250, 23370
topology = Topology("big", np.int32([[0, 1, 2]]), v, templates={"ann": np.zeros((v, 3), np.float32)})
for folder in ("audio", "motion"):
    (root / folder).mkdir()
topology.save(root / "topology.npz")
records = []
for i in range(clips_):
    path = root / "motion" / f"c{i}.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (frames, 3 * v)).flush()
    soundfile.write(root / "audio" / f"c{i}.wav", np.zeros(160000, np.int16), 16000)
    records.append(ClipRecord(f"c{i}", "ann", "1", "train", frames, 160000, 0))
size = sum(p.stat().st_size for p in (root / "motion").iterdir())
used = sum(p.stat().st_blocks * 512 for p in (root / "motion").iterdir())
corpus = Corpus(root, "big", 25.0, "vertices", "big", topology.hash, ("ann",), tuple(records))
loader = ResumableLoader(ClipDataset(corpus, ("train",), crop_seconds=1.0), ResumableBatchSampler(clips_, 8))
frames_read = sum(int(batch["num_frames"].sum()) for batch in loader)
whole = ClipDataset(corpus, ("train",))
for i in range(0, clips_, 20):
    frames_read += len(whole[i]["motion"])
print(size, used, frames_read, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_five_gigabytes_are_read_in_under_two(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SPARSE, str(tmp_path)], capture_output=True, text=True, check=True)
    size, used, frames, peak_kilobytes = map(int, done.stdout.split())
    assert size > 5e9 and used < 1e8, "the corpus is large to look at and sparse on disk"
    assert frames == 80 * 25 + 4 * 250
    assert peak_kilobytes * 1024 < 2e9
