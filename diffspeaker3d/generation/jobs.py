"""Many lines at once: which sounds become which files, and what became of each."""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import AUDIO_SUFFIXES, distinct_names, find_sounds, match_files
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import SUFFIXES, check_writable, output_suffix
from diffspeaker3d.generation.outputs import check_outputs
from diffspeaker3d.heads.fit.landmarks import Landmark
from diffspeaker3d.heads.open import CustomHead, is_head_file, open_head
from diffspeaker3d.topology import Topology

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One sound file, the files to make of it, and what is said in it (text, .txt file, "auto"), if that is to guide."""

    audio: Path
    outputs: tuple[str, ...]
    text: str | None = None


@dataclass(frozen=True)
class Result:
    """What became of a job: an animation whose outputs are written, or the reason why there is none."""

    job: Job
    animation: Animation | None = None
    error: InputError | None = None


def run_jobs(
    jobs: Sequence[Job], animate: Callable[[Job], Animation], write: Callable[[Animation, str], None]
) -> Iterator[Result]:
    """Animate and write job after job; a bad one is reported and the others go on.

    Args:
        jobs: what to do.
        animate: job -> its animation.
        write: writes an animation to one output.

    Yields:
        Result: of each job, as it is done.
    """
    for job in jobs:
        try:
            animation = animate(job)
            for output in job.outputs:
                write(animation, output)
                log.info("%s: %d frames at %g fps", output, len(animation), animation.fps)
        except InputError as error:
            yield Result(job, error=error)
        else:
            yield Result(job, animation)


def open_template(
    template: str | None,
    landmarks: Mapping[str, Landmark] | str | None,
    mannequin: Topology,
    names: str | None = None,
) -> CustomHead | None:
    """The head to animate when `template` names a file; None when it names an identity. Errors as `open_head`."""
    if is_head_file(template):
        return open_head(str(template), mannequin, landmarks, names)
    if names is not None:
        raise InputError(
            f"names={names}: says what drives the shapes of a head of yours; give template=character.glb too"
        )
    return None


def plan_jobs(audio: Any, out: Any, formats: Any, reads: Iterable[tuple[str, str | Path]] = ()) -> list[Job]:
    """What to read and what to write, checked before any work.

    Args:
        audio: a path, a list of paths, a folder, or a glob.
        out: a path with a known suffix, a list of them, or a folder.
        formats: suffixes to write into a folder, without dot.
        reads: (option, file) of what else is read; like the sounds, none of it may be written over.

    Raises:
        InputError: nothing to read, unknown suffixes, or outputs that would fall on each other or on what is read.
    """
    files = find_audio(audio)
    outputs = _as_list(out)
    if len(outputs) == 1 and (formats or not _looks_like_file(outputs[0])):
        suffixes = [str(f).lstrip(".") for f in _as_list(formats or "mp4")]
        jobs = [
            Job(file, tuple(str(Path(outputs[0]) / f"{name}.{suffix}") for suffix in suffixes))
            for file, name in zip(files, distinct_names(files), strict=True)
        ]
    elif len(files) > 1:
        raise InputError(f"out={outputs[0]}: {len(files)} sound files need a folder; give out=FOLDER formats=[mp4,glb]")
    else:
        jobs = [Job(files[0], tuple(outputs))]
    for job in jobs:
        for output in job.outputs:
            output_suffix(output)
            check_writable(output)
    sounds = (("audio", job.audio) for job in jobs)
    check_outputs((output for job in jobs for output in job.outputs), (*sounds, *reads))
    return jobs


def with_texts(jobs: list[Job], text: Any) -> list[Job]:
    """The jobs with what is said in each: a folder gives every sound the .txt file of its name, "auto" serves all.

    Raises:
        InputError: a sound without transcript in the folder, or one transcript for several sounds.
    """
    if text is None:
        return jobs
    text = str(text)
    folder = Path(text).expanduser()
    if text != "auto" and len(text) < 1000 and folder.is_dir():
        texts = [folder / f"{name}.txt" for name in distinct_names([job.audio for job in jobs])]
        lacking = [job.audio.name for job, path in zip(jobs, texts, strict=True) if not path.is_file()]
        if lacking:
            some = ", ".join(lacking[:3]) + (" ..." if len(lacking) > 3 else "")
            raise InputError(f"text={text}: no transcript for {some}; a .txt file of the same name is needed")
        return [replace(job, text=str(path)) for job, path in zip(jobs, texts, strict=True)]
    if len(jobs) > 1 and text != "auto":
        raise InputError(
            f"text: one transcript for {len(jobs)} sounds; give text=FOLDER with a .txt file of each sound's name, or text=auto"
        )
    return [replace(job, text=text) for job in jobs]


def find_audio(audio: Any) -> list[Path]:
    """Sound files named by a path, a list, a folder or a glob, in sorted order within each; each of them once."""
    files: list[Path] = []
    for entry in _as_list(audio):
        path = Path(entry).expanduser()
        if path.is_dir():
            found = find_sounds(path)
            if not found:
                raise InputError(f"{path}: the folder holds no sound; known: {' '.join(sorted(AUDIO_SUFFIXES))}")
            files += found
        elif glob.has_magic(entry) and not path.exists():
            found = match_files(path)
            if not found:
                raise InputError(f"{entry}: no file matches; check the pattern and quote it for the shell")
            files += found
        elif not path.exists():
            raise InputError(f"{path}: no such file; check the path")
        else:
            files.append(path)
    once: dict[Path, Path] = {}
    for file in files:
        once.setdefault(file.resolve(), file)
    return list(once.values())


def _as_list(value: Any) -> list[str]:
    values = [str(v) for v in value] if isinstance(value, Sequence) and not isinstance(value, str) else [str(value)]
    if not values or not all(values):
        raise InputError("audio and out must each name at least one path")
    return values


def _looks_like_file(path: str) -> bool:
    """Whether an output names a file or a stream: a known suffix, or letters that were meant as one (`a.xyz`).

    `takes_v1.2` and a folder that is there are folders.
    """
    suffix = Path(path).suffix.lower()
    if "://" in path:
        return True
    return not Path(path).is_dir() and (suffix in SUFFIXES or suffix.removeprefix(".").isalpha())
