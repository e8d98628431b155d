"""Door: `python -m diffspeaker3d.animate audio=speech.wav out=speech.mp4`."""

from __future__ import annotations

import glob
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from diffspeaker3d.audio import AUDIO_SUFFIXES
from diffspeaker3d.config import door
from diffspeaker3d.errors import InputError

if TYPE_CHECKING:
    from diffspeaker3d.animation import Animation
    from diffspeaker3d.generation.pipeline import SpeechAnimator
    from diffspeaker3d.heads.open import CustomHead
    from diffspeaker3d.reports.quality import Entry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One sound file, the files to make of it, and what is said in it (text, .txt file, "auto"), if that is to guide."""

    audio: Path
    outputs: tuple[str, ...]
    text: str | None = None


@door("animate")
def main(cfg: DictConfig) -> None:
    jobs = with_texts(plan_jobs(cfg.audio, cfg.out, cfg.formats), cfg.text)
    inspected: list[Entry] | None = [] if wants_report(cfg.qc, len(jobs)) else None

    from diffspeaker3d.generation.pipeline import SpeechAnimator, set_threads

    set_threads(cfg.threads)
    animator = SpeechAnimator.from_pretrained(cfg.checkpoint, device=cfg.device, precision=cfg.precision)
    guest = guest_head(cfg.template, cfg.landmarks, animator)
    options = animator.options(
        style=_plain(cfg.style),
        template=None if guest else cfg.template,
        seed=cfg.seed,
        steps=cfg.steps,
        fps=cfg.fps,
        strength=cfg.strength,
        temperature=_plain(cfg.temperature),
    )
    failures = [
        message for job in jobs if (message := run_job(job, animator, options, cfg, guest, inspected, len(jobs) > 1))
    ]
    if inspected is not None:
        failures += report(inspected, jobs, strict=cfg.qc == "strict")
    if failures:
        raise InputError(
            failures[0] if len(jobs) == 1 else f"{len(failures)} of {len(jobs)} failed: {'; '.join(failures)}"
        )


def run_job(
    job: Job,
    animator: SpeechAnimator,
    options: dict[str, Any],
    cfg: DictConfig,
    guest: CustomHead | None,
    inspected: list[Entry] | None,
    one_of_many: bool,
) -> str | None:
    """Animate one file, write its outputs, inspect it; of many, a bad one is reported and the others go on."""
    try:
        animation = animator(job.audio, text=job.text, **options)
        for output in job.outputs:
            write(animation, output, cfg, guest)
            log.info("%s: %d frames at %g fps", output, len(animation), animation.fps)
        if inspected is not None:
            inspected.append(inspect_job(job, animation))
    except InputError as error:
        if not one_of_many:
            raise
        log.warning("%s", error)
        if inspected is not None:
            inspected.append(inspect_job(job, str(error)))
        return str(error)
    return None


def wants_report(qc: Any, num_jobs: int) -> bool:
    """Whether the lines are inspected: `true` means those of a batch, `strict` any."""
    if qc not in (True, False, "strict"):
        raise InputError(
            f"qc={qc}: known: false, true (a report beside the outputs of a batch), strict (and exit code 2 when a line fails)"
        )
    return qc == "strict" or (qc and num_jobs > 1)


def inspect_job(job: Job, result: Animation | str) -> Entry:
    """The quality of one line, or the reason why there is none."""
    from diffspeaker3d.metrics.line import LineReport, inspect
    from diffspeaker3d.reports.quality import Entry

    if isinstance(result, str):
        return Entry(LineReport(job.audio.name, 0.0), error=result)
    closures = None
    if job.text is not None:
        from diffspeaker3d.audio import load_audio
        from diffspeaker3d.speech.phones import segments
        from diffspeaker3d.speech.transcript import guiding_phones

        phones = guiding_phones(load_audio(job.audio), job.text)
        closures = [(s.start, s.end) for s in segments(phones) if s.viseme == "PP"]
    return Entry(inspect(result, job.audio.name, bilabials=closures), tuple(o for o in job.outputs if "://" not in o))


def report(inspected: list[Entry], jobs: list[Job], strict: bool) -> list[str]:
    """Write report.html and report.json beside the outputs, say what needs a look, and return it when that counts."""
    from diffspeaker3d.reports.quality import write_report

    failed = [f"{entry.line.name}: {', '.join(entry.line.failures)}" for entry in inspected if entry.line.failures]
    files = [Path(output) for job in jobs for output in job.outputs if "://" not in output]
    pages = write_report(inspected, files[0].parent)[:1] if files else ()
    log.info(
        "%s: %d of %d lines need a look",
        *pages or ("quality",),
        sum(bool(entry.failures) for entry in inspected),
        len(inspected),
    )
    return failed if strict else []


def guest_head(template: str | None, landmarks: DictConfig | None, animator: SpeechAnimator) -> CustomHead | None:
    """The head to animate when `template` names a file; None when it names an identity."""
    from diffspeaker3d.heads.open import is_head_file, open_head

    if not is_head_file(template):
        return None
    return open_head(
        str(template),
        animator.topology,
        None if landmarks is None else {str(name): int(vertex) for name, vertex in landmarks.items()},
    )


def write(animation: Animation, output: str, cfg: DictConfig, guest: CustomHead | None = None) -> None:
    """One output; pictures take the rendering options, a user's head takes over from the mannequin."""
    from diffspeaker3d.formats import save
    from diffspeaker3d.formats.character import save_on_head

    options = None
    if output.endswith(".mp4"):
        from diffspeaker3d.rendering import RenderOptions

        options = RenderOptions(size=(cfg.size, cfg.size), renderer=cfg.renderer)
    if guest is None:
        save(animation, output, options=options)
    else:
        save_on_head(animation, guest, output, options)


def plan_jobs(audio: Any, out: Any, formats: Any) -> list[Job]:
    """What to read and what to write, checked before any work.

    Args:
        audio: a path, a list of paths, a folder, or a glob.
        out: a path with a known suffix, a list of them, or a folder.
        formats: suffixes to write into a folder, without dot.

    Raises:
        InputError: nothing to read, unknown suffixes, or outputs that would fall on each other.
    """
    from diffspeaker3d.formats import check_writable, output_suffix

    files = find_audio(audio)
    outputs = _as_list(out)
    if len(outputs) == 1 and (formats or not _looks_like_file(outputs[0])):
        suffixes = [str(f).lstrip(".") for f in _as_list(formats or "mp4")]
        jobs = [Job(f, tuple(str(Path(outputs[0]) / f"{f.stem}.{suffix}") for suffix in suffixes)) for f in files]
        stems = [f.stem for f in files]
        if len(set(stems)) < len(stems):
            twice = next(s for s in stems if stems.count(s) > 1)
            raise InputError(
                f"audio: two inputs are named {twice}, so their outputs in {outputs[0]} would collide; rename one"
            )
    elif len(files) > 1:
        raise InputError(f"out={outputs[0]}: {len(files)} sound files need a folder; give out=FOLDER formats=[mp4,glb]")
    else:
        jobs = [Job(files[0], tuple(outputs))]
    for job in jobs:
        for output in job.outputs:
            output_suffix(output)
            if Path(output).resolve() == job.audio.resolve():
                raise InputError(f"out={output}: would overwrite the sound it is made from; choose another name")
            check_writable(output)
    return jobs


def with_texts(jobs: list[Job], text: Any) -> list[Job]:
    """The jobs with what is said in each: a folder gives every sound the .txt file of its stem, "auto" serves all.

    Raises:
        InputError: a sound without transcript in the folder, or one transcript for several sounds.
    """
    if text is None:
        return jobs
    text = str(text)
    folder = Path(text).expanduser()
    if text != "auto" and len(text) < 1000 and folder.is_dir():
        lacking = [job.audio.name for job in jobs if not (folder / f"{job.audio.stem}.txt").is_file()]
        if lacking:
            raise InputError(
                f"text={text}: no transcript for {', '.join(lacking[:3])}{' ...' if len(lacking) > 3 else ''}; a .txt file of the same name is needed"
            )
        return [replace(job, text=str(folder / f"{job.audio.stem}.txt")) for job in jobs]
    if len(jobs) > 1 and text != "auto":
        raise InputError(
            f"text: one transcript for {len(jobs)} sounds; give text=FOLDER with a .txt file of each sound's name, or text=auto"
        )
    return [replace(job, text=text) for job in jobs]


def find_audio(audio: Any) -> list[Path]:
    """Sound files named by a path, a list, a folder or a glob, in sorted order within each."""
    files: list[Path] = []
    for entry in _as_list(audio):
        path = Path(entry).expanduser()
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in AUDIO_SUFFIXES)
            if not found:
                raise InputError(f"{path}: the folder holds no sound; known: {' '.join(sorted(AUDIO_SUFFIXES))}")
            files += found
        elif glob.has_magic(entry) and not path.exists():
            found = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
            if not found:
                raise InputError(f"{entry}: no file matches; check the pattern and quote it for the shell")
            files += found
        elif not path.exists():
            raise InputError(f"{path}: no such file; check the path")
        else:
            files.append(path)
    return files


def _as_list(value: Any) -> list[str]:
    values = [str(v) for v in value] if isinstance(value, list | tuple | ListConfig) else [str(value)]
    if not values or not all(values):
        raise InputError("audio and out must each name at least one path")
    return values


def _looks_like_file(path: str) -> bool:
    return "://" in path or bool(Path(path).suffix)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if isinstance(value, ListConfig | DictConfig) else value


if __name__ == "__main__":
    sys.exit(main())
