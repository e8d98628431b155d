"""A frozen encoder is asked once per clip; what it said is read from disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_run import configure, write_encoder

from diffspeaker3d.data.augment import Augmentation
from diffspeaker3d.data.clips import ClipDataset, Draw, JoinedClips
from diffspeaker3d.data.corpus import Corpus
from diffspeaker3d.errors import InputError
from diffspeaker3d.models import TransformersEncoder
from diffspeaker3d.training.assemble import build_model
from diffspeaker3d.training.features import FeatureFolder
from diffspeaker3d.training.run import datamodule, train


@pytest.fixture
def frozen(tmp_path: Path) -> list[str]:
    """Settings of a run with a frozen encoder."""
    encoder = write_encoder(tmp_path / "encoder")
    return ["audio_encoder=wav2vec2", f"audio_encoder.name_or_path={encoder}", "audio_encoder.trainable=none"]


def test_features_on_disk_are_the_encoders(corpus: Path, tmp_path: Path, frozen: list[str]) -> None:
    """Whole clips to half precision; a crop has the rows of its frames."""
    cfg = configure(corpus, tmp_path / "run", *frozen)
    prepared = Corpus.load(corpus)
    encoder = build_model(cfg, prepared)[1].audio_encoder
    data = datamodule(cfg, prepared, encoder)
    whole = {}
    for split in ("train", "val"):
        for batch in data.whole_clips(split):
            expected = encoder(batch["waveform"], batch["num_samples"], batch["num_frames"])
            torch.testing.assert_close(batch["audio_features"], expected, atol=1e-3, rtol=1e-3)
            whole[batch["clip"][0]] = batch["motion"][0], batch["audio_features"][0]
    assert len(whole) == 8 and expected.std() > 0.1
    for batch in data.train_dataloader():
        assert batch["motion"].shape[1] == 16
        for clip, motion, features in zip(batch["clip"], batch["motion"], batch["audio_features"], strict=True):
            frames, rows = whole[clip]
            start = next(k for k in range(5) if torch.equal(frames[k : k + 16], motion))
            assert torch.equal(rows[start : start + 16], features)


def test_training_never_calls_the_encoder(
    corpus: Path, tmp_path: Path, frozen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight clips, eight calls before the first step; none in two epochs with validation, none when it starts again."""
    heard = []
    listen = TransformersEncoder.hear

    def counted(self: TransformersEncoder, waveform: torch.Tensor, *lengths: torch.Tensor) -> torch.Tensor:
        heard.append(len(waveform))
        return listen(self, waveform, *lengths)

    monkeypatch.setattr(TransformersEncoder, "hear", counted)
    train(configure(corpus, tmp_path / "run", *frozen))
    assert heard == [1] * 8
    train(configure(corpus, tmp_path / "again", *frozen))
    assert len(heard) == 8
    train(configure(corpus, tmp_path / "without", *frozen, "data.cache_features=false"))
    assert len(heard) > 8


def test_another_encoder_or_clip_gets_other_files(corpus: Path, frozen: list[str]) -> None:
    prepared = Corpus.load(corpus)
    name = frozen[1].partition("=")[2]
    encoder = TransformersEncoder(name, 20.0)
    folder = FeatureFolder(prepared, encoder)
    assert folder.path(prepared.clips[0], 0) != folder.path(prepared.clips[1], 0)
    changed = FeatureFolder(prepared, encoder, Augmentation(), views=2)
    assert changed.folder != folder.folder and changed.path(prepared.clips[0], 0) != changed.path(prepared.clips[0], 1)
    assert FeatureFolder(prepared, TransformersEncoder(name, 20.0)).folder == folder.folder
    assert FeatureFolder(prepared, TransformersEncoder(name, 20.0, alignment="endpoints")).folder != folder.folder
    with torch.no_grad():
        next(encoder.parameters())[0] += 1
    assert FeatureFolder(prepared, encoder).folder != folder.folder


def test_a_cache_that_would_be_wrong_is_refused(corpus: Path, tmp_path: Path, frozen: list[str]) -> None:
    with pytest.raises(InputError, match=r"cache_features=true: needs a frozen encoder"):
        train(configure(corpus, tmp_path / "run", *frozen, "data.cache_features=true", "audio_encoder.trainable=all"))


def test_views_are_changed_sound_in_the_time_of_the_motion(corpus: Path, tmp_path: Path, frozen: list[str]) -> None:
    """With augmentation every clip is on disk in several versions, all of its length; the motion may be made anew."""
    prepared = Corpus.load(corpus)
    cfg = configure(corpus, tmp_path / "run", *frozen, "data.augment=true", "data.views=3", "data.crop_seconds=null")
    encoder = build_model(cfg, prepared)[1].audio_encoder
    data = datamodule(cfg, prepared, encoder)
    clip = prepared.split("train")[0]
    views = FeatureFolder(prepared, encoder, Augmentation(), 3, cfg.seed)
    rows = [np.load(views.path(clip, view)) for view in range(3)]
    assert {len(view) for view in rows} == {clip.num_frames}
    assert any(not np.array_equal(rows[0], view) for view in rows[1:])
    drawn = [data.train_clips[Draw(epoch, 0)]["audio_features"] for epoch in range(12)]
    found = {next(k for k in range(3) if np.array_equal(rows[k].astype(np.float32), item)) for item in drawn}
    assert found == {0, 1, 2}


def test_corpora_are_joined_by_their_shares(corpus: Path) -> None:
    """A small corpus makes up its share of the items by repetition, drawn anew each time; one that does not fit is refused."""
    part = ClipDataset(Corpus.load(corpus), ("train",), crop_seconds=0.3)
    joined = JoinedClips([part, part], [0.75])
    assert len(joined) == 4 * len(part)
    assert sum(place[0] for place in joined.places) == 3 * len(part)
    assert len(JoinedClips([part, part], [None])) == 2 * len(part)
    same = [index for index, place in enumerate(joined.places) if place == (1, 0)]
    starts = {float(joined[Draw(epoch, index)]["motion"][0, 0]) for index in same for epoch in range(4)}
    assert len(starts) > 1
    with pytest.raises(InputError, match="shares must be positive"):
        JoinedClips([part, part], [1.0])
    other = ClipDataset(replace(part.corpus, fps=25.0), ("train",))
    with pytest.raises(InputError, match="are not those of"):
        JoinedClips([part, other], [0.5])
