"""A raw corpus becomes a prepared one: every clip read, checked, written whole, and accounted for.

An interrupted run goes on where it stopped: finished clips are noted in a journal beside the manifest, which is written
last. Running again over a finished corpus reads nothing but the journal.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from diffspeaker3d.audio import SAMPLE_RATE, load_audio
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.data.framerate import change_fps
from diffspeaker3d.data.plan import Plan, PlannedClip
from diffspeaker3d.data.sources.base import MissingClip, Source
from diffspeaker3d.data.validate import Checks
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path

log = logging.getLogger(__name__)
JOURNAL = "journal.jsonl"
LISTED = 20  # clips that a report names one by one


@dataclass(frozen=True)
class BuildOptions:
    """How a corpus is prepared.

    Attributes:
        name: of the corpus.
        fps: of the prepared motion; None keeps the recording's.
        resample: interpolate where `fps` does not divide the recording's.
        tolerance: longest accepted difference of sound and motion, s.
    """

    name: str
    fps: float | None = None
    resample: bool = False
    tolerance: float = 0.1


@dataclass
class Report:
    """What became of every planned clip.

    Attributes:
        clips: usable, in plan order.
        missing: id -> what of it is not in the raw folder.
        skipped: id -> why it was left out.
    """

    clips: list[ClipRecord] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def lines(self, plan: Plan) -> Iterable[str]:
        """The report for people: a line per split, a line per clip that is not there without that being known."""
        found, planned = Counter(c.split for c in self.clips), Counter(c.split for c in plan.clips)
        for split in planned:
            expected = plan.expected.get(split, planned[split])
            verdict = (
                "complete" if found[split] == expected else f"{expected - found[split]} fewer than a complete release"
            )
            yield f"{split}: {found[split]} clips of {expected} ({verdict})"
        unknown = {clip: reason for clip, reason in self.missing.items() if clip not in plan.absent}
        yield from _listed("missing", unknown)
        if len(unknown) < len(self.missing):
            yield f"missing {len(self.missing) - len(unknown)} more that the release is known to lack"
        yield from _listed("left out", self.skipped)


def _listed(what: str, reasons: dict[str, str]) -> Iterable[str]:
    """A line per clip, the first LISTED of them."""
    for clip, reason in list(reasons.items())[:LISTED]:
        yield f"{what} {clip}: {reason}"
    if len(reasons) > LISTED:
        yield f"{what} {len(reasons) - LISTED} more, all named under skipped in manifest.json"


def build_corpus(source: Source, plan: Plan, root: Path, options: BuildOptions) -> Corpus:
    """Prepare every planned clip of a source into `root` and report on each.

    Returns:
        Corpus: as saved; `skipped` holds missing and bad clips with their reasons.

    Raises:
        InputError: the frame rate cannot be had, `root` cannot be written, or not one clip is usable.
    """
    fps = options.fps or source.fps
    change_fps(np.zeros((2, 1)), source.fps, fps, options.resample)  # refuse before any work
    log.info("%s: %s, %g fps to %g fps, unit %s", options.name, source.layout, source.fps, fps, source.topology.unit)
    for note in [*source.notes, *(f"regions: {used}" for used in source.files.get("regions", []))]:
        log.info("%s", note)
    report = _prepare_clips(source, plan, root, options, fps)
    for line in report.lines(plan):
        log.info("%s", line)
    if not report.clips:
        raise InputError(
            f"{root}: not one usable clip: {len(report.missing)} missing, {len(report.skipped)} left out; the first: {next(iter((report.skipped | report.missing).values()))}"
        )
    source.topology.save(root / "topology.npz")
    corpus = Corpus(
        root,
        options.name,
        fps,
        "vertices",
        source.topology.name,
        source.topology.hash,
        plan.styles,
        tuple(report.clips),
        report.missing | report.skipped,
        _provenance(source, options),
    )
    corpus.save()
    return corpus


def _provenance(source: Source, options: BuildOptions) -> dict:
    return {
        "layout": source.layout,
        "source_fps": source.fps,
        "unit": source.topology.unit,
        **source.files,
        **asdict(options),
    }


def _prepare_clips(source: Source, plan: Plan, root: Path, options: BuildOptions, fps: float) -> Report:
    for folder in ("audio", "motion"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for leftover in (root / folder).glob(".*"):  # half-written files of a run that was killed
            leftover.unlink()
    checks = Checks(source.topology, fps, options.tolerance)
    # Another source, topology, template or option starts the journal anew.
    templates = hashlib.sha256(b"".join(t.tobytes() for t in source.topology.templates.values())).hexdigest()
    key = hashlib.sha256(
        json.dumps([_provenance(source, options), source.topology.hash, templates], sort_keys=True).encode()
    ).hexdigest()
    done = _read_journal(root / JOURNAL, key)
    report = Report()
    with (root / JOURNAL).open("a", encoding="utf-8") as journal:
        for clip in tqdm(plan.clips, desc=options.name, unit="clip", disable=None):
            record = done.get(clip.id)
            if record is None or not _is_whole(root, record):
                try:
                    motion, waveform = _read_clip(source, clip, checks, options)
                except MissingClip as error:
                    report.missing[clip.id] = str(error)
                    continue
                except InputError as error:
                    report.skipped[clip.id] = str(error)
                    continue
                record = _write_clip(clip, root, motion, waveform)  # outside: a full disk is nobody's bad clip
                journal.write(json.dumps(asdict(record)) + "\n")
                journal.flush()
            report.clips.append(record)
    return report


def _read_clip(
    source: Source, clip: PlannedClip, checks: Checks, options: BuildOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Motion (T, V, 3) at the corpus' rate and waveform (N,) of a clip that has passed every check."""
    template = source.topology.templates.get(clip.subject)
    motion, sound = source.motion(clip), source.sound(clip)
    if template is None:
        raise MissingClip(f"no template of {clip.subject}")
    motion = change_fps(motion, source.fps, checks.fps, options.resample)
    waveform = load_audio(sound)
    if fault := checks.fault(motion, template, waveform):
        raise InputError(fault)
    return motion, waveform


def _write_clip(clip: PlannedClip, root: Path, motion: np.ndarray, waveform: np.ndarray) -> ClipRecord:
    """Both files of a clip, each whole or not at all, and their record."""
    motion_path, audio_path = root / "motion" / f"{clip.id}.npy", root / "audio" / f"{clip.id}.wav"
    with atomic_path(motion_path) as temporary:
        np.save(temporary, np.ascontiguousarray(motion, np.float32).reshape(len(motion), -1), allow_pickle=False)
    with atomic_path(audio_path) as temporary:
        soundfile.write(temporary, waveform, SAMPLE_RATE, subtype="PCM_16")
    digest = hashlib.sha256()
    for path in (motion_path, audio_path):
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return ClipRecord(
        clip.id, clip.subject, clip.sentence, clip.split, len(motion), len(waveform), clip.style, digest.hexdigest()
    )


def _read_journal(path: Path, key: str) -> dict[str, ClipRecord]:
    """Finished clips of an earlier run with the same key; the journal keeps those and nothing else.

    A line that a kill has cut off is not JSON: it goes, and its clip is prepared again.
    """
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
    done: dict[str, ClipRecord] = {}
    for line in lines[1:] if lines[:1] == [key] else []:
        try:
            record = ClipRecord(**json.loads(line))
        except (ValueError, TypeError):
            continue
        done[record.id] = record
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join([key, *(json.dumps(asdict(r)) for r in done.values())]) + "\n", "utf-8")
    return done


def _is_whole(root: Path, record: ClipRecord) -> bool:
    """Both files are there and as long as the record says."""
    motion, audio = root / "motion" / f"{record.id}.npy", root / "audio" / f"{record.id}.wav"
    try:
        frames = len(np.load(motion, mmap_mode="r", allow_pickle=False))
        return frames == record.num_frames and soundfile.info(audio).frames == record.num_samples
    except (OSError, ValueError, EOFError, soundfile.LibsndfileError):
        return False
