"""Score ablation runs into a table: python scripts/ablation.py RUNS CORPUS [--clips 30] [--samples 10] [--page docs/ablation.md].

RUNS holds the folders of `python -m diffspeaker3d.train -m seed=0,1,2 'experiment=glob(ablation*)'`. Every checkpoint
animates the same clips of CORPUS' validation split (known voices, unknown sentences; speech of all lengths, whole clips)
so many times each at full temperature, and what its network sampled is scored: the lips that inference seals afterwards,
and the lids, gaze and brows that it draws, would be the same for every variant. The table replaces the one in the page. Numbers of a run are
kept beside it in ablation.json, and read where they still hold.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from diffspeaker3d.audio import load_audio
from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.data.statistics import motion_statistics
from diffspeaker3d.errors import InputError
from diffspeaker3d.evaluation.clip import own_spread
from diffspeaker3d.files import atomic_path
from diffspeaker3d.generation.pipeline import SpeechAnimator
from diffspeaker3d.generation.sample import Sampling, sample
from diffspeaker3d.metrics import coverage_error, diversity, pool, upper_face_dynamics_deviation
from diffspeaker3d.models import checkpoint_hash

log = logging.getLogger(__name__)

WHOLE, WITHOUT_BIASES = "ablation", "ablation_no_biases"
VARIANTS = {
    WHOLE: "whole model (unit variance)", "ablation_no_self_bias": "without self-bias", "ablation_no_cross_bias": "without cross-bias",
    WITHOUT_BIASES: "without either bias", "ablation_no_condition_tokens": "without condition tokens",
    "ablation_raw_scale": "raw scale (official)", "ablation_one_step": "regression, one step",
}  # fmt: skip
COLUMNS = {
    "lve": ("LVE, mm²", 1e6), "lve_long": ("LVE of long clips, mm²", 1e6), "jaw_correlation": ("jaw correlation", 1.0), "fdd_absolute": ("FDD, mm²", 1e6),
    "diversity_lips": ("diversity, lips, mm", 1e3), "diversity_upper_face": ("diversity, upper face, mm", 1e3), "coverage_best": ("best of {samples}, mm²", 1e6),
}  # fmt: skip
LONG_SECONDS = 5.0  # far longer than the pieces that the ablation is trained on
THIN = 4  # of the upper face every fourth vertex counts: its numbers are means over vertices
BEGIN, END = "<!-- table of scripts/ablation.py -->\n", "<!-- end of the table -->\n"
KEPT = "ablation.json"
Numbers = dict[str, float]
Predict = Callable[[ClipRecord], np.ndarray]
"""clip -> blendshape weights (N, T, K) of N samples."""


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--page", type=Path, default=Path(__file__).parents[1] / "docs" / "ablation.md")
    arguments = parser.parse_args()
    corpus = Corpus.load(arguments.corpus)
    clips = chosen_clips(corpus, arguments.clips)
    found: dict[str, dict[int, Numbers]] = {name: {} for name in VARIANTS}
    steps = set()
    for folder in sorted(arguments.runs.glob("*/checkpoint")):
        animator = SpeechAnimator.from_pretrained(folder)
        made = animator.config["provenance"]
        if made["name"] in VARIANTS:
            log.info("%s", folder)
            found[made["name"]][made["seed"]] = kept_scores(animator, folder, corpus, clips, arguments.samples)
            steps.add(made["steps"])
    reference = score(mean_face(corpus), corpus, clips)
    long = sum(is_long(clip, corpus) for clip in clips)
    caption = (
        f"{', '.join(f'{count:,}' for count in sorted(steps))} training steps; {len(clips)} clips ({long} longer than {LONG_SECONDS:g} s), {arguments.samples} samples of each. "
        "Mean ± standard deviation over training seeds; LVE is compared between runs of one seed."
    )
    text = "\n\n".join([table(found, reference, arguments.samples), caption, *biases(found)])
    write_between(arguments.page, text)
    print(text)


def chosen_clips(corpus: Corpus, count: int) -> list[ClipRecord]:
    """So many validation clips in which somebody speaks, evenly from the shortest to the longest."""
    spoken = [clip for clip in corpus.split("val") if clip.spoken]
    ordered = sorted(spoken, key=lambda clip: (clip.num_frames, clip.id))
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)]


def is_long(clip: ClipRecord, corpus: Corpus) -> bool:
    return clip.num_frames > LONG_SECONDS * corpus.fps


def kept_scores(
    animator: SpeechAnimator, folder: Path, corpus: Corpus, clips: Sequence[ClipRecord], samples: int
) -> Numbers:
    """`score` of a run, from its file if that was made with the same weights and clips."""
    key = {"checkpoint": checkpoint_hash(folder), "clips": [clip.sha256 for clip in clips], "samples": samples}
    path = folder.parent / KEPT
    if path.is_file() and (kept := json.loads(path.read_text("utf-8")))["key"] == key:
        return dict(kept["numbers"])
    numbers = score(lambda clip: sampled(animator, corpus, clip, samples), corpus, clips)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"key": key, "numbers": numbers}, indent=1), "utf-8")
    return numbers


@torch.inference_mode()
def sampled(animator: SpeechAnimator, corpus: Corpus, clip: ClipRecord, samples: int) -> np.ndarray:
    """Weights (N, T, K) of a clip in its own style, seeds 0 to N - 1, straight from the network; speech is encoded once."""
    model, count = animator.model, torch.tensor([clip.num_frames])
    waveform = torch.from_numpy(load_audio(corpus.audio_path(clip)))
    options = Sampling(steps=animator.config["sampling"]["steps"])
    features = model.audio_encoder(waveform[None], torch.tensor([len(waveform)]), count).expand(samples, -1, -1)
    conditions = {"style": torch.tensor([animator.style_vector(clip.style)]).expand(samples, -1)}
    state = sample(model, animator.schedule, features, conditions, options, range(samples))
    return close_lips(model.motion.decode(state).numpy())


def mean_face(corpus: Corpus) -> Predict:
    """What any model must beat: the training split's mean, whatever is said."""
    mean = np.asarray(motion_statistics(corpus).mean, np.float32)
    return lambda clip: close_lips(np.tile(mean, (1, clip.num_frames, 1)))


def score(predict: Predict, corpus: Corpus, clips: Sequence[ClipRecord]) -> Numbers:
    """Numbers over clips: means of all samples, each clip weighted by its length; the correlation is over all frames."""
    rows, jaws, jaw = [], [], CONTROL_NAMES.index("jawOpen")
    for clip in clips:
        samples, recorded = predict(clip), close_lips(np.array(corpus.load_motion(clip), np.float32))
        row = _lips(samples, recorded, corpus, clip) | _upper_face(samples, recorded, corpus, clip)
        rows.append(row | {"lve_long": row["lve"] if is_long(clip, corpus) else float("nan")})
        jaws += [(sample[:, jaw], recorded[:, jaw]) for sample in samples]
    predicted, wanted = (np.concatenate(side) for side in zip(*jaws, strict=True))
    correlation = float(np.corrcoef(predicted, wanted)[0, 1]) if predicted.std() > 1e-6 else 0.0  # a still jaw has none
    pooled = {name: pool([row[name] for row in rows], [clip.num_frames for clip in clips]) for name in rows[0]}
    return pooled | {"jaw_correlation": correlation}


def _lips(samples: np.ndarray, recorded: np.ndarray, corpus: Corpus, clip: ClipRecord) -> Numbers:
    """Numbers of one clip's lips: weights (N, T, K) against (T, K)."""
    region = corpus.topology.region("lips")
    faces, (truth,) = faces_of(samples, region, corpus, clip), faces_of(recorded[None], region, corpus, clip)
    errors = coverage_error(faces, truth, np.arange(len(region)))
    spread = {"diversity_lips": diversity(faces) if len(faces) > 1 else 0.0, "own_spread_lips": own_spread(truth)}
    return {"lve": errors.mean, "coverage_best": errors.best} | spread


def _upper_face(samples: np.ndarray, recorded: np.ndarray, corpus: Corpus, clip: ClipRecord) -> Numbers:
    """Numbers of one clip's upper face: weights (N, T, K) against (T, K)."""
    region = corpus.topology.region("upper_face")[::THIN]
    faces, (truth,) = faces_of(samples, region, corpus, clip), faces_of(recorded[None], region, corpus, clip)
    rest = corpus.topology.template(clip.subject)[region]
    deviations = [
        upper_face_dynamics_deviation(face, truth, rest, np.arange(len(region)), absolute=True) for face in faces
    ]
    spread = {
        "diversity_upper_face": diversity(faces) if len(faces) > 1 else 0.0,
        "own_spread_upper_face": own_spread(truth),
    }
    return {"fdd_absolute": float(np.mean(deviations))} | spread


def faces_of(weights: np.ndarray, region: np.ndarray, corpus: Corpus, clip: ClipRecord) -> np.ndarray:
    """Vertices (N, T, n, 3) of a region on the speaker's head."""
    shapes = corpus.topology.blendshapes
    assert shapes is not None
    return corpus.topology.template(clip.subject)[region] + np.tensordot(weights, shapes.deltas[:, region], 1)


def table(found: Mapping[str, Mapping[int, Numbers]], reference: Numbers, samples: int) -> str:
    """A row per variant that has runs, then what numbers are to be compared with, markdown."""
    titles = [*(title.format(samples=samples) for title, _ in COLUMNS.values()), "LVE against the whole model", "runs"]
    lines = ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for name, title in VARIANTS.items():
        if runs := found.get(name):
            cells = [cell([run[key] for run in runs.values()], scale) for key, (_, scale) in COLUMNS.items()]
            against = "" if name == WHOLE else percent(changes(runs, found.get(WHOLE, {})))
            lines.append(_line(title, *cells, against, str(len(runs))))
    still = ("lve", "lve_long", "fdd_absolute")
    lines.append(
        _line(
            "mean face",
            *(cell([reference[key]], scale) if key in still else "" for key, (_, scale) in COLUMNS.items()),
            "",
            "",
        )
    )
    own = [
        (reference.get(key.replace("diversity", "own_spread")) if key.startswith("diversity") else None, scale)
        for key, (_, scale) in COLUMNS.items()
    ]
    lines.append(
        _line(
            "recording: frames half a clip apart",
            *("" if value is None else cell([value], scale) for value, scale in own),
            "",
            "",
        )
    )
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def cell(values: Sequence[float], scale: float) -> str:
    """Mean ± standard deviation (n - 1) in the table's unit; a single value has no spread."""
    mean = f"{np.mean(values) * scale:.3g}"
    return f"{mean} ± {float(f'{np.std(values, ddof=1) * scale:.1g}'):g}" if len(values) > 1 else mean  # 10, not 1e+01


def changes(runs: Mapping[int, Numbers], base: Mapping[int, Numbers]) -> list[float]:
    """Change of LVE against another variant's run of the same seed, per cent."""
    return [100.0 * (runs[seed]["lve"] / base[seed]["lve"] - 1.0) for seed in sorted(set(runs) & set(base))]


def percent(values: Sequence[float]) -> str:
    """Mean ± standard deviation of changes; nothing for none."""
    if len(values) < 2:
        return f"{values[0]:+.1f} %" if values else ""
    return f"{np.mean(values):+.1f} ± {np.std(values, ddof=1):.1f} %"


def biases(found: Mapping[str, Mapping[int, Numbers]]) -> list[str]:
    """What both attention biases together do to LVE, in a sentence; none without runs of both."""
    paired = changes(found.get(WHOLE, {}), found.get(WITHOUT_BIASES, {}))
    each = ", ".join(f"{value:+.1f}" for value in paired)
    return (
        [
            f"LVE of the whole model against the same model with neither attention bias: {percent(paired)} (seed by seed {each}; negative is better)."
        ]
        if paired
        else []
    )


def write_between(page: Path, text: str) -> None:
    """Put text between the page's markers."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"{page}: has no place for the table; put these lines there: {BEGIN.strip()} {END.strip()}")
    with atomic_path(page) as temporary:
        temporary.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", "utf-8")


if __name__ == "__main__":
    main()
