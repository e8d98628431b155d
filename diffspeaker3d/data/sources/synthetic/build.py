"""Write a synthetic corpus: text -> speech with phone times -> controls, many clips in parallel, seeded and resumable."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from diffspeaker3d.controls.style import STYLE_NAMES
from diffspeaker3d.controls.targets import load_rules
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.data.sources.synthetic.plan import ClipPlan, plan_clip
from diffspeaker3d.data.sources.synthetic.render import (
    articulate_clips,
    existing_clip,
    is_spoken,
    is_whole,
    render_clips,
)
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.speech.synthesis.voices import resolve_engines, voices
from diffspeaker3d.topology import ASSETS, load_topology

logger = logging.getLogger(__name__)

TOPOLOGY = "mannequin"
GENERATOR_VERSION = 6  # raised whenever the same arguments give other sounds
MOTION_VERSION = 2  # raised whenever the same phones give other motion by other code; other rules count by themselves
CLIPS_PER_TASK = 24


def build_corpus(
    root: str | Path,
    *,
    num_clips: int,
    seed: int = 0,
    engines: Sequence[str] | str = "auto",
    workers: int | None = None,
    fps: float = 30.0,
    held_out: float = 0.07,
) -> Corpus:
    """Make (or complete, or enlarge) a corpus of synthetic speech and its motion in `root`.

    Clip i depends on (seed, i), the engines and fps only: the same arguments give the same corpus, a larger num_clips
    keeps the clips that are there, and what an interrupted run has written is kept. Where only the rules of the motion
    have changed since, the sounds stay and the motion is made anew from their phones: some 75 clips a second and core.

    Args:
        root: folder of the corpus; made if absent.
        num_clips: how many clips, about 3.5 s each.
        seed: of everything.
        engines: any of voices.ENGINES, or "auto" for all that are installed.
        workers: processes; None is the number of cores.
        fps: motion frames per second.
        held_out: share of clips that is val, and again share that is test.

    Returns:
        Corpus: with motion "controls", one style number per manner dimension.

    Raises:
        InputError: no engine, senseless numbers, or a root that holds another corpus.
    """
    if num_clips < 1 or not 0 < fps <= 240 or not 0 <= held_out <= 0.4:
        raise InputError(
            f"synthetic corpus: num_clips >= 1, 0 < fps <= 240 and 0 <= held_out <= 0.4 needed, got {num_clips}, {fps}, {held_out}"
        )
    root, names = Path(root), resolve_engines(engines)
    settings = {
        "generator_version": GENERATOR_VERSION,
        "motion_version": motion_version(),
        "seed": seed,
        "engines": list(names),
        "fps": fps,
        "held_out": held_out,
    }
    _claim(root, settings)
    subjects, topology_hash = _heads()
    earlier = _earlier(root, settings, topology_hash)
    planned = 0 if earlier is None else earlier.provenance["num_clips"]
    if (
        earlier is None
        or num_clips > planned
        or not all(is_whole(root, clip) for clip in _first(earlier, num_clips).clips)
    ):
        training, test = voices(names)
        plans = [plan_clip(i, seed, training, test, subjects, held_out) for i in range(max(num_clips, planned))]
        clips, skipped = _complete(root, plans, fps, workers)
        earlier = Corpus(
            root=root,
            name="synthetic",
            fps=fps,
            motion="controls",
            topology_name=TOPOLOGY,
            topology_hash=topology_hash,
            styles=STYLE_NAMES,
            clips=clips,
            skipped=skipped,
            provenance=settings | {"num_clips": len(plans)},
        )
        earlier.save()
    return _first(earlier, num_clips)


def _earlier(root: Path, settings: dict[str, object], topology_hash: str) -> Corpus | None:
    """The corpus as a finished run left it; None if there is none that can be read, or the mannequin has other vertices now."""
    try:
        corpus = Corpus.load(root)
    except InputError:  # no loss: the manifest is made again from the clips
        return None
    same = corpus.provenance == settings | {"num_clips": corpus.provenance.get("num_clips")}
    return corpus if same and corpus.topology_hash == topology_hash else None


def _first(corpus: Corpus, num_clips: int) -> Corpus:
    """What the corpus would be with so many clips; its manifest keeps all."""

    def wanted(clip_id: str) -> bool:
        return int(clip_id.rpartition("-")[2]) < num_clips

    return replace(
        corpus,
        clips=tuple(clip for clip in corpus.clips if wanted(clip.id)),
        provenance=corpus.provenance | {"num_clips": num_clips},
        skipped={clip_id: why for clip_id, why in corpus.skipped.items() if wanted(clip_id)},
    )


def _complete(
    root: Path, plans: list[ClipPlan], fps: float, workers: int | None
) -> tuple[tuple[ClipRecord, ...], dict[str, str]]:
    """Make what is missing: records in plan order, and why a clip was left out."""
    found: dict[str, ClipRecord] = {}
    missing: list[ClipPlan] = []
    for plan in plans:
        record = existing_clip(root, plan, fps)
        if record is None:
            missing.append(plan)
        else:
            found[plan.id] = record
    logger.info("synthetic corpus %s: %d clips there, %d to make", root, len(found), len(missing))
    skipped: dict[str, str] = {}
    for plan_id, result in _render_all(root, missing, fps, workers):
        if isinstance(result, str):
            skipped[plan_id] = result
        else:
            found[plan_id] = result
    return tuple(found[plan.id] for plan in plans if plan.id in found), dict(sorted(skipped.items()))


def motion_version() -> str:
    """What the motion of a clip depends on besides its phones, sound, style and seed: code and rules."""
    return f"{MOTION_VERSION}-{hashlib.sha256(load_rules().to_yaml().encode()).hexdigest()[:12]}"


def _claim(root: Path, settings: dict[str, object]) -> None:
    """Mark `root` as the place of the corpus with these settings, or refuse a place that belongs to another.

    A corpus whose motion was made by other rules loses that motion here; `_complete` makes it anew from the phones.
    """
    path = root / "generator.json"
    wanted = settings | {"voices": _voices_digest(settings)}
    if path.is_file():
        try:
            there = dict(json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: is damaged ({error}); remove the folder, or choose another root") from error
        if there == wanted:
            return
        if there | {"motion_version": wanted["motion_version"]} != wanted:
            raise InputError(
                f"{root}: holds a synthetic corpus made otherwise (see generator.json there); choose another root, or remove it"
            )
        logger.warning("%s: the rules of the motion have changed; it is made again, the sounds are kept", root)
        shutil.rmtree(root / "motion", ignore_errors=True)
    elif (root / "manifest.json").is_file():
        raise InputError(f"{root}: holds another corpus (manifest.json); choose another root")
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(wanted, indent=1, sort_keys=True), "utf-8")


def _voices_digest(settings: dict[str, object]) -> str:
    """Which voices this machine has: other voices would draw other clips."""
    training, test = voices(settings["engines"])  # type: ignore[arg-type]
    return hashlib.sha256(repr((training, test)).encode()).hexdigest()[:16]


def _heads() -> tuple[list[str], str]:
    """Names of the mannequin's templates and its hash; only "neutral" before the mannequin is built."""
    if not (ASSETS / f"{TOPOLOGY}.npz").is_file():
        logger.warning("the mannequin is not built yet: every clip gets the subject 'neutral'")
        return ["neutral"], ""
    topology = load_topology(TOPOLOGY)
    return list(topology.templates) or ["neutral"], topology.hash


def _render_all(
    root: Path, plans: list[ClipPlan], fps: float, workers: int | None
) -> Iterator[tuple[str, ClipRecord | str]]:
    """(clip id, record or why not) as they are finished; engines live in processes of their own."""
    if not plans:
        return
    spoken = [plan for plan in plans if is_spoken(root, plan)]
    silent = [plan for plan in plans if not is_spoken(root, plan)]
    tasks = [
        (make, group[i : i + CLIPS_PER_TASK])
        for make, group in ((articulate_clips, spoken), (render_clips, silent))
        for i in range(0, len(group), CLIPS_PER_TASK)
    ]
    count = min(workers or os.cpu_count() or 1, len(tasks))
    executor = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))
    try:
        running = [executor.submit(make, root, group, fps) for make, group in tasks]
        for done, future in enumerate(as_completed(running), 1):
            yield from future.result()
            if done % 20 == 0:
                logger.info("synthetic corpus: %d of %d tasks", done, len(tasks))
    except BrokenProcessPool as error:
        raise InputError(f"{root}: a speech engine crashed; start again, finished clips are kept ({error})") from error
    finally:
        executor.shutdown(cancel_futures=True)
