"""How the thresholds of quality control do on motion that is true by construction, and on the same motion shifted.

python scripts/quality_thresholds.py outputs/data/synthetic 300
"""

from __future__ import annotations

import logging
import sys

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import SAMPLE_RATE, load_audio
from diffspeaker3d.controls.arkit import close_lips
from diffspeaker3d.data.corpus import ClipRecord, Corpus, read_phones
from diffspeaker3d.metrics.line import LineReport, inspect
from diffspeaker3d.speech.phones import segments

log = logging.getLogger(__name__)

SHIFT = 6  # frames by which the mouth is made late
LONG = 4.0  # seconds
NUMBERS = (
    "lag_s",
    "sync",
    "jitter",
    "peak_speed",
    "clipping",
    "silence_drift_mm",
    "silence_speed_mm",
    "speech_speed_mm",
)


def speaks(corpus: Corpus, clip: ClipRecord) -> bool:
    """Whether anything is said: the corpus also holds hums and noise, at which a mouth rightly stays still."""
    path = corpus.phones_path(clip)
    return path.is_file() and any(s.viseme != "sil" for s in segments(read_phones(path)))


def measure(corpus: Corpus, clip: ClipRecord, shift: int = 0) -> LineReport:
    """The corpus' own motion of a clip, inspected."""
    weights = np.roll(close_lips(np.array(corpus.load_motion(clip), np.float32)), shift, 0)
    topology = corpus.topology
    animation = Animation.from_weights(
        weights,
        corpus.fps,
        topology,
        topology.template(),
        waveform=load_audio(corpus.audio_path(clip)),
        sample_rate=SAMPLE_RATE,
    )
    spoken = [(s.start, s.end) for s in segments(read_phones(corpus.phones_path(clip))) if s.viseme == "PP"]
    return inspect(animation, clip.id, bilabials=spoken)


def main(root: str, count: int) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    corpus = Corpus.load(root)
    speech = [clip for clip in corpus.clips if speaks(corpus, clip)]
    clips = [speech[i] for i in np.linspace(0, len(speech) - 1, count).astype(int)]
    reports = [measure(corpus, clip) for clip in clips]
    for name in NUMBERS:
        values = np.array([v for r in reports if (v := getattr(r, name)) is not None], float)
        log.info(
            "%-18s %4d clips, percentiles 1 5 50 95 99: %s",
            name,
            len(values),
            np.percentile(values, [1, 5, 50, 95, 99]).round(3),
        )
    failing = [r for r in reports if r.failures]
    log.info(
        "%d of %d true lines fail: %s",
        len(failing),
        len(reports),
        sorted({f.rstrip("0123456789. ") for r in failing for f in r.failures}),
    )
    log.info(
        "p, b, m: %d of %d missed", sum(r.closures_missed or 0 for r in reports), sum(r.closures or 0 for r in reports)
    )
    late = [r for clip in clips if (r := measure(corpus, clip, SHIFT)).lag_s is not None]
    for what, some in (("all", late), (f"over {LONG:g} s", [r for r in late if r.duration_s > LONG])):
        log.info(
            "%g s late, %s: %d of %d found by lag or sync",
            SHIFT / corpus.fps,
            what,
            sum(any("late" in f or "not follow" in f for f in r.failures) for r in some),
            len(some),
        )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
