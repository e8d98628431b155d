"""Any folder of transcribed recordings to a corpus: real voices, motion from their phones.

recording + transcript ─ alignment ─> phones ─ articulation + expression ─> controls (T, K)

What is learnt from it is how real voices sound while articulation.py moves the mouth; the face is nobody's recording.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from tqdm import tqdm

from diffspeaker3d.audio import SAMPLE_RATE, load_audio
from diffspeaker3d.controls.style import STYLE_NAMES, draw_style
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.data.sources.recordings import Recording, find_recordings, split_recordings
from diffspeaker3d.data.sources.synthetic.render import clip_motion
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.speech.alignment import align, spoken_words
from diffspeaker3d.speech.phones import Phone
from diffspeaker3d.topology import load_topology

logger = logging.getLogger(__name__)

TOPOLOGY = "mannequin"
ALIGNER_VERSION = 1  # raised whenever the same recording would be aligned otherwise
RECORDINGS_PER_TASK = 8
MOST_MISSED = 0.15  # share of the transcript; beyond it sound and text do not belong together
HEADS_HELD_OUT = 2


def build_speech_corpus(
    raw: str | Path,
    root: str | Path,
    *,
    fps: float = 30.0,
    seed: int = 0,
    held_out: float = 0.05,
    workers: int | None = None,
    track: int | None = None,
) -> Corpus:
    """Align, articulate and write every recording of a folder; go on where an interrupted run stopped.

    Args:
        raw: folder of recordings with transcripts, see data/recordings.py for the layouts.
        root: folder of the corpus; made if absent. Alignments are kept in root/phones and survive another fps or seed.
        fps: motion frames per second.
        seed: of manner, head and what the sound does not determine.
        held_out: share of speakers (or sentences, when there are fewer than ten speakers) in val, and again in test.
        workers: processes; None is the number of cores.
        track: which sound track of files with several, counted from 1; None is their default one.

    Returns:
        Corpus: motion "controls"; what could not be used is in `skipped` with the reason.

    Raises:
        InputError: nothing to read, no pocketsphinx, another corpus in root, or not one usable recording.
    """
    raw, root = Path(raw), Path(root)
    if not 0 < fps <= 240 or not 0 <= held_out <= 0.4:
        raise InputError(f"speech corpus: 0 < fps <= 240 and 0 <= held_out <= 0.4 needed, got {fps} and {held_out}")
    if root.resolve() == raw.resolve():
        raise InputError(f"{root}: root and raw are the same folder; give root=DIR, another one")
    if (root / "manifest.json").is_file() and Corpus.load(root).name != "speech":
        raise InputError(f"{root}: holds another corpus (manifest.json); choose another root")
    recordings, skipped = find_recordings(raw, track)
    topology, splits = load_topology(TOPOLOGY), split_recordings(recordings, held_out)
    heads = list(topology.templates)
    found: dict[str, ClipRecord] = {}
    for name, result in _make_all(root, recordings, splits, heads, fps, seed, workers):
        if isinstance(result, str):
            skipped[name] = result
        else:
            found[name] = result
    if not found:
        raise InputError(
            f"{raw}: not one usable recording of {len(recordings)}; the first: {next(iter(skipped.values()))}"
        )
    corpus = Corpus(
        root=root,
        name="speech",
        fps=fps,
        motion="controls",
        topology_name=TOPOLOGY,
        topology_hash=topology.hash,
        styles=STYLE_NAMES,
        clips=tuple(found[r.id] for r in recordings if r.id in found),
        skipped=dict(sorted(skipped.items())),
        provenance={
            "raw": raw.name,
            "seed": seed,
            "held_out": held_out,
            "speakers": {r.id: r.speaker for r in recordings if r.id in found},
        },
    )
    corpus.save()
    logger.info(
        "speech corpus %s: %d recordings of %d speakers, %d left out",
        root,
        len(found),
        len(set(corpus.provenance["speakers"].values())),
        len(skipped),
    )
    return corpus


def _make_all(
    root: Path,
    recordings: Sequence[Recording],
    splits: dict[str, str],
    heads: Sequence[str],
    fps: float,
    seed: int,
    workers: int | None,
) -> Iterator[tuple[str, ClipRecord | str]]:
    """(recording id, its clip or why there is none), in processes of their own: a decoder serves one sound at a time."""
    tasks = [recordings[i : i + RECORDINGS_PER_TASK] for i in range(0, len(recordings), RECORDINGS_PER_TASK)]
    count = min(workers or os.cpu_count() or 1, len(tasks))
    if count == 1:
        for task in tqdm(tasks, desc="speech", unit="task", disable=None):
            yield from make_clips(root, task, splits, heads, fps, seed)
        return
    executor = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))
    try:
        running = [executor.submit(make_clips, root, task, splits, heads, fps, seed) for task in tasks]
        for future in tqdm(as_completed(running), total=len(running), desc="speech", unit="task", disable=None):
            yield from future.result()
    except BrokenProcessPool as error:
        raise InputError(f"{root}: the aligner crashed; start again, finished recordings are kept ({error})") from error
    finally:
        executor.shutdown(cancel_futures=True)


def make_clips(
    root: Path, recordings: Sequence[Recording], splits: dict[str, str], heads: Sequence[str], fps: float, seed: int
) -> list[tuple[str, ClipRecord | str]]:
    """Clips of some recordings; one that cannot be used gives its reason instead."""
    results: list[tuple[str, ClipRecord | str]] = []
    for recording in recordings:
        split = splits[recording.id]
        known, unknown = (
            (heads[:-HEADS_HELD_OUT], heads[-HEADS_HELD_OUT:]) if len(heads) > 2 * HEADS_HELD_OUT else (heads, heads)
        )
        rng = random.Random(f"{seed} {recording.speaker}")  # a speaker keeps one head
        subject = rng.choice(unknown if split == "test" else known)
        try:
            waveform, phones = load_audio(recording.audio, track=recording.track), _phones(root, recording)
            if phones is None:
                phones = _aligned(waveform, recording.text)
                _write_phones(root, recording, phones)
        except InputError as error:
            results.append((recording.id, str(error)))
            continue
        results.append((recording.id, _write(root, recording, waveform, phones, (split, subject), fps, seed)))
    return results


def _aligned(waveform: np.ndarray, text: str) -> list[Phone]:
    """Phones of a recording whose transcript is what is said.

    Raises:
        InputError: it cannot be aligned, or too little of the transcript is heard.
    """
    alignment = align(waveform, text)
    matcher = SequenceMatcher(None, [w.name for w in alignment.words], words := spoken_words(text), autojunk=False)
    heard = sum(block.size for block in matcher.get_matching_blocks()) / len(words)
    if heard < 1.0 - MOST_MISSED:
        raise InputError(f"only {100 * heard:.0f} % of the transcript is heard: {'; '.join(alignment.notes)[:200]}")
    return alignment.phones


def _key(recording: Recording) -> str:
    """Changes when the sound, the text or the aligner does."""
    state = recording.audio.stat()
    track = [] if recording.track is None else [recording.track]
    return hashlib.sha256(
        json.dumps([ALIGNER_VERSION, state.st_size, state.st_mtime_ns, recording.text, *track]).encode()
    ).hexdigest()


def _phones(root: Path, recording: Recording) -> list[Phone] | None:
    """The cached alignment, if there is one and it is still of this sound and text."""
    path = root / "phones" / f"{recording.id}.npz"
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as cached:
            if str(cached["key"]) != _key(recording):
                return None
            return [
                Phone(str(n), float(s), float(e))
                for n, s, e in zip(cached["names"], cached["start"], cached["end"], strict=True)
            ]
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _write_phones(root: Path, recording: Recording, phones: Sequence[Phone]) -> None:
    names, starts, ends = zip(*phones, strict=True)
    with atomic_path(root / "phones" / f"{recording.id}.npz") as temporary:
        np.savez(
            temporary, names=np.array(names), start=np.array(starts), end=np.array(ends), key=np.array(_key(recording))
        )


def _write(
    root: Path,
    recording: Recording,
    waveform: np.ndarray,
    phones: Sequence[Phone],
    place: tuple[str, str],
    fps: float,
    seed: int,
) -> ClipRecord | str:
    """Motion and sound of a clip. Articulating costs a fiftieth of aligning, so it is simply done again."""
    import soundfile

    split, subject = place
    chance = int(hashlib.sha256(f"{seed} {recording.id}".encode()).hexdigest()[:8], 16)
    style = draw_style(np.random.default_rng(chance))
    motion = clip_motion(waveform, phones, fps, style, chance).astype(np.float16)
    if len(motion) < 2:
        return "shorter than two motion frames"
    motion_path, audio_path = root / "motion" / f"{recording.id}.npy", root / "audio" / f"{recording.id}.wav"
    with atomic_path(audio_path) as temporary:
        soundfile.write(temporary, waveform, SAMPLE_RATE, subtype="PCM_16")
    with atomic_path(motion_path) as temporary:
        np.save(temporary, motion, allow_pickle=False)
    digest = hashlib.sha256(motion_path.read_bytes())
    digest.update(audio_path.read_bytes())
    return ClipRecord(
        recording.id,
        subject,
        " ".join(recording.text.split()),
        split,
        len(motion),
        len(waveform),
        style,
        digest.hexdigest(),
    )
