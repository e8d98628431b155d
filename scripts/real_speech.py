"""Lips on real recordings: python scripts/real_speech.py FOLDER OUT [--checkpoint DIR] [--seeds 3] [--style NAME].

FOLDER holds sounds with a .txt transcript beside each. Every recording is animated from sound alone and with its text,
its phones are found by forced alignment, and the lips are judged where the phones say what they must do:

    sealed   p b m whose lips come within 0.5 mm of contact, from 40 ms before the phone to 40 ms after
    open     open vowels (aa ae ah ao eh) of 60 ms and more whose lips are apart by more than that in the middle
    pauses   frames of pauses of 0.3 s and more with closed lips, 0.2 s after the last sound to 0.1 s before the next
    opening  median gap in the middle of the open vowels, mm

The text row is judged by the alignment that guided it: it shows what guidance does to the lips, not how true the
alignment is (for that see tests/data/test_alignment.py).

OUT gets real_speech.json and for every recording a sheet of stills, sound alone above, with text below.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import load_audio
from diffspeaker3d.controls.targets import OPEN_VOWELS
from diffspeaker3d.data.sources.recordings import find_recordings
from diffspeaker3d.files import atomic_path
from diffspeaker3d.generation.pipeline import SpeechAnimator
from diffspeaker3d.metrics import Share, closure_threshold, mouth_opening
from diffspeaker3d.rendering import RenderOptions, open_renderer, write_png
from diffspeaker3d.rendering.lettering import label
from diffspeaker3d.speech.alignment import Alignment, align
from diffspeaker3d.speech.phones import Phone, phone_visemes

REACH_SECONDS = 0.04
SHORTEST_VOWEL, SHORTEST_PAUSE = 0.06, 0.3
AFTER_SPEECH, BEFORE_SPEECH = 0.2, 0.1
STILLS = 21
STILLS_PER_ROW = 7
MEASURES = ("sealed", "open", "pauses")


def judge(animation: Animation, phones: Sequence[Phone]) -> tuple[dict[str, Share], list[float]]:
    """The measures above for one animation, and the gaps of open vowels in millimetres."""
    gap, fps = mouth_opening(animation.vertices, animation.topology), animation.fps
    limit = closure_threshold(animation.template, animation.topology)
    shares: dict[str, list[bool]] = {name: [] for name in MEASURES}
    openings = []
    for phone in phones:
        start, end = phone.start, phone.end
        visemes = phone_visemes(phone.name)
        if visemes == ("PP",):
            shares["sealed"].append(
                bool((_between(gap, start - REACH_SECONDS, end + REACH_SECONDS, fps) <= limit).any())
            )
        elif visemes[0] in OPEN_VOWELS and end - start >= SHORTEST_VOWEL:
            middle = gap[min(round(0.5 * (start + end) * fps), len(gap) - 1)]
            shares["open"].append(bool(middle > limit))
            openings.append(1000.0 * float(middle))
        elif visemes == ("sil",) and end - start >= SHORTEST_PAUSE:
            shares["pauses"] += (_between(gap, start + AFTER_SPEECH, end - BEFORE_SPEECH, fps) <= limit).tolist()
    return {name: Share(sum(hits), len(hits)) for name, hits in shares.items()}, openings


def _between(values: np.ndarray, start: float, end: float, fps: float) -> np.ndarray:
    """Values (n,) of the frames in [start, end] seconds; a frame i shows the instant i / fps."""
    return values[max(int(np.ceil(start * fps - 1e-6)), 0) : max(int(end * fps + 1e-6) + 1, 0)]


def stills(alignment: Alignment, count: int) -> list[tuple[float, str]]:
    """Instants worth looking at and what is said there: lips that must meet first, then long open vowels, in time order."""
    meeting = [p for p in alignment.phones if phone_visemes(p.name)[0] in ("PP", "FF")]
    opening = [
        p for p in alignment.phones if phone_visemes(p.name)[0] in OPEN_VOWELS and p.end - p.start >= SHORTEST_VOWEL
    ]
    chosen = _spread(meeting, 2 * count // 3)
    chosen += _spread(opening, count - len(chosen))
    middles = [(0.5 * (p.start + p.end), p.name.rstrip("012")) for p in sorted(chosen, key=lambda p: p.start)]
    return [(when, f"{name} in {_word(alignment, when)}") for when, name in middles]


def _spread(phones: Sequence[Phone], count: int) -> list[Phone]:
    """At most `count` of the phones, evenly over the recording."""
    return [phones[i] for i in np.unique(np.linspace(0, len(phones) - 1, min(count, len(phones))).round().astype(int))]


def _word(alignment: Alignment, when: float) -> str:
    return next((word.name for word in alignment.words if word.start <= when <= word.end), "?")


def sheet(path: Path, heard: Animation, guided: Animation, alignment: Alignment) -> None:
    """Stills with the phone under each: sound alone above, with text below, row by row."""
    moments = stills(alignment, STILLS)
    rows = []
    with open_renderer(heard.topology, heard.template, RenderOptions(size=(240, 240), zoom=1.35)) as renderer:
        for first in range(0, len(moments), STILLS_PER_ROW):
            row = moments[first : first + STILLS_PER_ROW]
            for way, animation in (("sound", heard), ("text", guided)):
                gap = 1000.0 * mouth_opening(animation.vertices, animation.topology)
                frames = [min(round(when * animation.fps), len(gap) - 1) for when, _ in row]
                pictures = [
                    label(renderer(np.asarray(animation.vertices[frame])), f"{way}: {name} {gap[frame]:.1f} mm")
                    for frame, (_, name) in zip(frames, row, strict=True)
                ]
                pictures += [np.full_like(pictures[0], 255)] * (STILLS_PER_ROW - len(row))
                rows.append(np.concatenate(pictures, 1))
    write_png(path, np.concatenate(rows, 0))


def measure(animator: SpeechAnimator, folder: Path, out: Path, seeds: int, style: str | None) -> Iterator[dict]:
    """One row of the table per recording and way, with the seeds together; draws the sheets of seed 0."""
    recordings, _ = find_recordings(folder)
    for recording in recordings:
        alignment = align(load_audio(recording.audio), recording.text)
        shown: dict[str, Animation] = {}
        for way, text in (("sound", None), ("text", recording.text)):
            total = dict.fromkeys(MEASURES, Share(0, 0))
            openings: list[float] = []
            for seed in range(seeds):
                animation = animator(recording.audio, seed=seed, style=style, text=text)
                found, gaps = judge(animation, alignment.phones)
                total = {name: total[name].plus(found[name]) for name in MEASURES}
                openings += gaps
                shown.setdefault(way, animation)
            yield {
                "recording": recording.id, "way": way, "score": round(alignment.score, 1), "notes": list(alignment.notes),
                "opening": float(np.median(openings)) if openings else float("nan"),
                **{name: {"hits": share.hits, "total": share.total} for name, share in total.items()},
            }  # fmt: skip
        sheet(out / f"{recording.id}.png", shown["sound"], shown["text"], alignment)


def table(rows: Sequence[dict]) -> str:
    """The rows and their totals, aligned for a terminal."""

    def cell(share: dict) -> str:
        return (
            f"{share['hits']:4d}/{share['total']:<4d} {100 * share['hits'] / share['total']:4.0f} %"
            if share["total"]
            else "   -           "
        )

    lines = [
        f"{'recording':24s} {'from':6s} {'p b m sealed':>16s} {'vowels open':>16s} {'pauses closed':>16s} {'opening mm':>11s}"
    ]
    for row in rows:
        lines.append(
            f"{row['recording'][:24]:24s} {row['way']:6s} "
            + " ".join(f"{cell(row[name]):>16s}" for name in MEASURES)
            + f" {row['opening']:11.1f}"
        )
    for way in ("sound", "text"):
        sums = [
            {part: sum(row[name][part] for row in rows if row["way"] == way) for part in ("hits", "total")}
            for name in MEASURES
        ]
        lines.append(f"{'all':24s} {way:6s} " + " ".join(f"{cell(total):>16s}" for total in sums))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--checkpoint", default=None, help="a checkpoint folder; the shipped default when absent")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--style", default=None)
    options = parser.parse_args()
    animator = SpeechAnimator.from_pretrained(options.checkpoint)
    rows = list(measure(animator, options.folder, options.out, options.seeds, options.style))
    with atomic_path(options.out / "real_speech.json") as temporary:
        temporary.write_text(
            json.dumps({"checkpoint": options.checkpoint, "seeds": options.seeds, "rows": rows}, indent=1), "utf-8"
        )
    print(table(rows))


if __name__ == "__main__":
    main()
