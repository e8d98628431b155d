"""Clips as tensors: a prepared corpus read item by item, cropped, augmented and padded into batches.

Nothing is kept between items: motion is memory-mapped, audio is read from the crop on, so memory does not grow with the
corpus. What an item holds follows from (seed, epoch, clip) alone, not from workers, order or what was drawn before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.data import Dataset

from diffspeaker3d.audio import SAMPLE_RATE, load_audio, num_motion_frames
from diffspeaker3d.data.corpus import ClipRecord, Corpus, read_phones, style_matrix
from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import Phone

NO_LABEL = -100  # viseme of padding and of clips without phones: what torch's cross entropy ignores

Augment = Callable[[np.ndarray, np.random.Generator, Sequence[np.ndarray]], tuple[np.ndarray, float]]
"""(waveform (N,), rng, voices of others) -> (waveform (N',), time_scale): time_scale is new duration over old, e.g. 1.1 is slower speech."""

Label = Callable[[Sequence[Phone], int, float], np.ndarray]
"""(phones, num_frames, fps) -> labels (T,) int64, e.g. speech.phones.viseme_frames."""


class FeatureViews(Protocol):
    """Audio features on disk: of `views` versions of each clip's sound, all in the time of its motion."""

    views: int

    def path(self, clip: ClipRecord, view: int) -> Path: ...


class Draw(NamedTuple):
    """A clip in an epoch: the key that makes random crops and augmentation differ between epochs and repeat exactly."""

    epoch: int
    clip: int


class ClipDataset(Dataset[dict]):
    """Clips of a corpus' splits as dictionaries of arrays; see `collate` for the names.

    Args:
        corpus: a prepared corpus.
        splits: names of the splits, e.g. ("train",).
        crop_seconds: longest piece, s; a longer clip is cropped at random, audio and motion at the same instants.
        seed: of crops and augmentation.
        augment: changes the waveform; motion and labels follow its time scale.
        label: makes frame labels from phone times, where the corpus has them.
        features: where audio features (T, any width) of a clip lie, computed once from whole clips; one of its views of
            the clip is drawn per item. Not with `augment`.

    Raises:
        InputError: the corpus has no clip in these splits, or features are to go with changed sound.
    """

    def __init__(
        self,
        corpus: Corpus,
        splits: Sequence[str],
        *,
        crop_seconds: float | None = None,
        seed: int = 0,
        augment: Augment | None = None,
        label: Label | None = None,
        features: FeatureViews | None = None,
    ) -> None:
        if augment is not None and features is not None:
            raise InputError("features on disk are of the sound as it is: use them without augmentation")
        self.corpus = corpus
        self.clips = corpus.split(*splits)
        if not self.clips:
            known = ", ".join(sorted({clip.split for clip in corpus.clips})) or "none"
            raise InputError(f"{corpus.root}: no clip in split {'+'.join(splits)}; splits with clips: {known}")
        self.crop_frames = None if crop_seconds is None else max(1, round(crop_seconds * corpus.fps))
        self.seed, self.augment, self.label, self.features = seed, augment, label, features
        self.voices = Voices((corpus, self.clips))
        self.styles = style_matrix(corpus, self.clips)
        self.subjects = tuple(dict.fromkeys(clip.subject for clip in corpus.clips))
        """Who `template_index` counts: every subject of the corpus in manifest order, the same for every split."""
        self.templates = corpus.topology.templates if corpus.motion == "vertices" else {}
        if missing := [
            s for s in {c.subject for c in self.clips} if corpus.motion == "vertices" and s not in self.templates
        ]:
            raise InputError(
                f"{corpus.root}: topology {corpus.topology_name} has no template of {sorted(missing)[0]}; prepare the corpus again"
            )
        for clip in self.clips:
            check_files(corpus, clip)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: int | Draw) -> dict:
        """One clip as arrays: waveform (N,), motion (T, D), style (S,), viseme (T,) or None, and who and what it is."""
        epoch, index = key if isinstance(key, Draw) else (0, key)
        clip = self.clips[index]
        rng = np.random.default_rng((self.seed, epoch, index))
        start, stop = self._crop(clip, rng)
        waveform = self._waveform(clip, start, stop)
        motion = self._motion(clip, start, stop)
        viseme = self._viseme(clip, start, stop)
        if self.augment is not None:
            waveform, motion, viseme = self._augmented(waveform, motion, viseme, rng)
        item = {
            "waveform": waveform, "motion": motion, "style": self.styles[index], "viseme": viseme,
            "template_index": self.subjects.index(clip.subject), "subject": clip.subject, "clip": clip.id,
        }  # fmt: skip
        if self.features is not None:
            path = self.features.path(clip, int(rng.integers(self.features.views)))
            item["audio_features"] = np.load(path, mmap_mode="r", allow_pickle=False)[start:stop].astype(np.float32)
        return item

    def _crop(self, clip: ClipRecord, rng: np.random.Generator) -> tuple[int, int]:
        """First and last (exclusive) motion frame of the piece."""
        if self.crop_frames is None or clip.num_frames <= self.crop_frames:
            return 0, clip.num_frames
        start = int(rng.integers(clip.num_frames - self.crop_frames + 1))
        return start, start + self.crop_frames

    def _waveform(self, clip: ClipRecord, start: int, stop: int) -> np.ndarray:
        """Exactly the samples of frames [start, stop): where the sound is shorter than the motion, silence follows."""
        first, count = round(start / self.corpus.fps * SAMPLE_RATE), num_samples_of(stop - start, self.corpus.fps)
        path = self.corpus.audio_path(clip)
        try:
            samples, _ = soundfile.read(path, frames=count, start=min(first, clip.num_samples), dtype="float32")
        except soundfile.LibsndfileError as error:
            raise InputError(f"{path}: cannot be read ({error}); prepare the corpus again") from error
        return np.pad(samples, (0, count - len(samples)))

    def _motion(self, clip: ClipRecord, start: int, stop: int) -> np.ndarray:
        motion = np.array(self.corpus.load_motion(clip)[start:stop], np.float32)
        if self.corpus.motion == "vertices":
            motion -= self.templates[clip.subject].reshape(1, -1)
        return motion

    def _viseme(self, clip: ClipRecord, start: int, stop: int) -> np.ndarray | None:
        path = self.corpus.phones_path(clip)
        if self.label is None or not path.is_file():
            return None
        return self.label(read_phones(path), clip.num_frames, self.corpus.fps)[start:stop]

    def _augmented(
        self, waveform: np.ndarray, motion: np.ndarray, viseme: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The changed sound, and the motion (linearly) and labels (nearest) at the instants its frames come from."""
        assert self.augment is not None
        waveform, time_scale = self.augment(waveform, rng, self.voices)
        num_frames = max(1, num_motion_frames(len(waveform), SAMPLE_RATE, self.corpus.fps))
        waveform = np.asarray(waveform, np.float32)[: num_samples_of(num_frames, self.corpus.fps)]
        if time_scale == 1.0 and num_frames == len(motion):
            return waveform, motion, viseme
        source = np.minimum(np.arange(num_frames) / time_scale, len(motion) - 1)
        low = source.astype(np.int64)
        high = np.minimum(low + 1, len(motion) - 1)
        weight = (source - low).astype(np.float32)[:, None]
        viseme = None if viseme is None else viseme[np.rint(source).astype(np.int64)]
        return waveform, motion[low] + weight * (motion[high] - motion[low]), viseme


class JoinedClips(Dataset[dict]):
    """Several corpora as one: the clips of the first, then those of the others, repeated to make up their shares.

    Args:
        parts: corpora with motion of one kind and one rate.
        shares: of the items, one for each part after the first; None = as many as it has.

    Raises:
        InputError: corpora that do not fit together, or shares that leave nothing.
    """

    def __init__(self, parts: Sequence[ClipDataset], shares: Sequence[float | None]) -> None:
        first = parts[0].corpus
        for part in parts[1:]:
            theirs = part.corpus
            if (theirs.fps, theirs.motion, theirs.topology_name, theirs.styles) != (
                first.fps, first.motion, first.topology_name, first.styles,
            ):  # fmt: skip
                raise InputError(
                    f"{theirs.root}: fps, motion, topology or styles are not those of {first.root}; train on one of them"
                )
        given = sum(share or 0.0 for share in shares)
        if not 0.0 <= given < 1.0 or any(share is not None and share <= 0 for share in shares):
            raise InputError(f"also: shares must be positive and below 1 together, got {list(shares)}")
        natural = sum(len(part) for part, share in zip(parts, (None, *shares), strict=True) if share is None)
        self.parts = tuple(parts)
        self.places = [(0, index) for index in range(len(parts[0]))]
        for number, (part, share) in enumerate(zip(parts[1:], shares, strict=True), 1):
            count = len(part) if share is None else round(natural * share / (1.0 - given))
            self.places += [(number, index % len(part)) for index in range(count)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, key: int | Draw) -> dict:
        """The item of one part; a clip that stands here more than once is drawn anew each time."""
        epoch, index = key if isinstance(key, Draw) else (0, key)
        number, own = self.places[index]
        return self.parts[number][Draw(epoch * len(self.places) + index, own)]


class Voices(Sequence[np.ndarray]):
    """The sounds of clips in which somebody talks, each read when it is asked for: who fills a room with babble.

    Args:
        clips: (corpus, its clips), of which only those count in which somebody talks. Corpora are drawn evenly: each is
            repeated until it is as long as the longest.
    """

    def __init__(self, *clips: tuple[Corpus, Sequence[ClipRecord]]) -> None:
        folders = [[corpus.audio_path(clip) for clip in some if clip.spoken] for corpus, some in clips]
        longest = max(map(len, folders), default=0)
        self.paths = [folder[i % len(folder)] for folder in folders if folder for i in range(longest)]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return load_audio(self.paths[index])


def check_files(corpus: Corpus, clip: ClipRecord) -> None:
    """Raise InputError unless both files of a clip are there and whole: reads two headers, so it is done before the first step."""
    try:
        frames = len(corpus.load_motion(clip))
        samples = soundfile.info(corpus.audio_path(clip)).frames
    except (OSError, ValueError, EOFError, soundfile.LibsndfileError) as error:
        raise InputError(
            f"{corpus.root}: clip {clip.id} cannot be read ({error}); copy or prepare the corpus again"
        ) from error
    if (frames, samples) != (clip.num_frames, clip.num_samples):
        raise InputError(
            f"{corpus.root}: clip {clip.id} has {frames} frames and {samples} samples, the manifest says {clip.num_frames} and {clip.num_samples}; prepare the corpus again"
        )


def num_samples_of(num_frames: int, fps: float) -> int:
    """The shortest sound, in samples, that `audio.num_motion_frames` counts as `num_frames` motion frames."""
    return math.ceil(num_frames * SAMPLE_RATE / fps - 1e-6)


def collate(items: Sequence[dict]) -> dict:
    """Clips to a batch, zero-padded to the longest.

    Returns:
        dict: `waveform` (B, N) float32 at 16 kHz, `num_samples` (B,), `motion` (B, T, D) float32 (displacements from the
        subject's template in the topology's unit, or controls), `num_frames` (B,), `frame_mask` (B, T) bool, True = real,
        `style` (B, S) float32, `template_index` (B,), `viseme` (B, T) int64 (NO_LABEL where nothing is known; absent
        when no clip has phones), `audio_features` (B, T, D_a) if they come from disk, and the lists `subject` and `clip`.
    """
    num_samples = torch.tensor([len(item["waveform"]) for item in items])
    num_frames = torch.tensor([len(item["motion"]) for item in items])
    longest = int(num_frames.max())
    batch = {
        "waveform": _padded([item["waveform"] for item in items], int(num_samples.max()), 0.0),
        "num_samples": num_samples,
        "motion": _padded([item["motion"] for item in items], longest, 0.0),
        "num_frames": num_frames,
        "frame_mask": torch.arange(longest) < num_frames[:, None],
        "style": torch.from_numpy(np.stack([item["style"] for item in items])),
        "template_index": torch.tensor([item["template_index"] for item in items]),
        "subject": [item["subject"] for item in items],
        "clip": [item["clip"] for item in items],
    }
    if "audio_features" in items[0]:
        batch["audio_features"] = _padded([item["audio_features"] for item in items], longest, 0.0)
    if any(item["viseme"] is not None for item in items):
        unknown = np.full(longest, NO_LABEL)
        labels = [unknown if item["viseme"] is None else item["viseme"] for item in items]
        batch["viseme"] = _padded(labels, longest, NO_LABEL)
    return batch


def _padded(arrays: Sequence[np.ndarray], length: int, value: float) -> Tensor:
    padded = torch.full((len(arrays), length, *arrays[0].shape[1:]), value, dtype=torch.from_numpy(arrays[0]).dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = torch.from_numpy(array)
    return padded
