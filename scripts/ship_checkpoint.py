"""Put a trained checkpoint into the package: python scripts/ship_checkpoint.py CHECKPOINT EVALUATION [REAL].

CHECKPOINT is the folder that training exported, EVALUATION the folder of `evaluate` on held-out voices, REAL the folder of
`scripts/real_speech.py` on recordings with transcripts, if there are any. The model card is written from their numbers.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from diffspeaker3d.generation.load import DEFAULT_CHECKPOINT
from diffspeaker3d.models import load_checkpoint, save_checkpoint

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
CARD = """# diffspeaker3d default checkpoint (`mannequin`)

Speech to the mannequin's 53 blendshape controls, 30 frames a second. {millions:.1f} M parameters, {megabytes:.1f} MB: log-mel
encoder ({width} wide), {layers}-layer DiffSpeaker denoiser, DDIM with {steps} steps. Made again from nothing by `make checkpoint`.

## Data

{clips} clips of synthetic speech (about 12.7 h; `dataset=synthetic`, generator in `diffspeaker3d/data/sources/synthetic`): espeak-ng
(GPL-3 program, its output is not covered by it) and flite (BSD-like); festival's voices (BSD-like) only test. No audio is shipped with the weights.
Motion is rule-based articulation of the phones, so the numbers below say how well sound is understood, not how human the
motion is. Augmented with playing speed, vocal-tract warps, rooms, equalisers, band limits, noise, babble of the other training
voices, coding, clipping and level. {trained} steps; log and curves in docs/pictures/mannequin_training.csv and .png.

Never heard or seen in training: flite `slt`, every festival voice, a quarter of the espeak variants, two accents, a tenth of the
sentences, two heads. The table below is on those, together.

## Numbers

`python -m diffspeaker3d.evaluate dataset.num_clips=12000 limit={count}`: {count} clips, {seeds} seeds; mean ± 1.96 s/√n over sampling seeds (one training run).
`faceformer` (docs/evaluation.md) and `steps_3000`, this recipe cut short, had 3000 steps of training each.

{table}

By kind of voice:

{groups}

With changed sound, change of LVE: {degradations}.

Real recordings, by forced alignment (`scripts/real_speech.py`): {real}. The alignment that guides the lips with a transcript also judges them.

## How it moves what

Jaw, lips and tongue are sampled from the network, starting from noise of {temperature:g} times the usual size. Where its viseme
head hears p, b or m with a probability of {seal[0]:g} to {seal[1]:g} the lips are closed further (thresholds chosen on validation
voices). Lids, gaze and brows come from the process that made them in the corpus, blinks drawn to the pauses and raised brows to
the long vowels that are heard: sampled from this small network they were too rare (docs/voice.md).

## Use and limits

For previews, prototypes, games, avatars, and as a start for finetuning. Learned from synthetic voices: on real ones the rhythm
of the jaw is right and closures are missed more often, most in noise; babble hurts most. The worst clip of the table above is in
docs/pictures/worst.png, three frames of it. English sounds. No emotion is read from the voice, the head does not turn, and it
must not be used to make a person say what they did not.

MIT licence.
"""
ROWS = {
    "lve": ("lip vertex error, mm²", 1e6), "lve_by_clip": ("the same, mean of clips, mm²", 1e6), "mve": ("mean vertex error, mm", 1e3),
    "jaw_correlation": ("correlation of jaw opening", 1), "mouth_correlation": ("mean correlation of mouth controls", 1),
    "closure_recall": ("p, b, m sealed", 1), "false_closures": ("vowel frames closed", 1), "closed_in_silence": ("silent frames closed", 1),
    "lag_frames": ("lag, frames", 1), "mouth_opening_distance": ("error of mouth opening, mm", 1e3), "fdd": ("upper-face dynamics deviation, mm²", 1e6),
    "blinks_per_minute": ("blinks a minute", 1), "seed_share_lips": ("difference between seeds, lips, share of the corpus' spread", 1),
    "seed_share_upper_face": ("the same, upper face", 1),
}  # fmt: skip


def main(checkpoint: Path, evaluation: Path, real: Path | None = None) -> None:
    model, config = load_checkpoint(checkpoint)
    numbers = json.loads((evaluation / "metrics.json").read_text("utf-8"))
    parameters = sum(p.numel() for p in model.parameters())
    card = CARD.format(
        millions=parameters / 1e6,
        megabytes=(checkpoint / "model.safetensors").stat().st_size / 1e6,
        width=model.audio_encoder.width,
        layers=config["model"]["denoiser"]["layers"],
        steps=config["sampling"]["steps"],
        clips=config["provenance"].get("clips", "12,000"),
        count=numbers["about"]["clips"],
        seeds=len(numbers["about"]["seeds"]),
        table=_table({k: v["means"] for k, v in numbers["models"].items()}, numbers["models"]["model"]["intervals"]),
        groups=_table(numbers.get("groups", {}), {}),
        degradations=_degradations(numbers),
        real=_real(real),
        seal=config["seal"],
        trained=config["provenance"]["steps"],
        temperature=config["sampling"]["temperature"]["mouth"],
    )
    config.pop("format_version")
    save_checkpoint(DEFAULT_CHECKPOINT, model, config, card, half=True)
    shutil.copyfile(evaluation / "worst-1.png", PICTURES / "worst.png")
    sys.stdout.write(f"{DEFAULT_CHECKPOINT}: shipped\n")


def _table(columns: dict[str, dict[str, Any]], intervals: dict[str, float]) -> str:
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for key, (title, scale) in ROWS.items():
        if any(key in column for column in columns.values()):
            cells = [
                _cell(column.get(key), scale, intervals.get(key) if name == "model" else None)
                for name, column in columns.items()
            ]
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: float | None, scale: float, interval: float | None) -> str:
    if value is None:
        return ""
    return f"{value * scale:.3g}" + (f" ± {interval * scale:.1g}" if interval else "")


def _degradations(numbers: dict[str, Any]) -> str:
    found = numbers["models"]["model"]["degradations"]
    return (
        ", ".join(f"{name} {100 * row['lve_change']:+.0f} %" for name, row in found.items() if "lve_change" in row)
        or "not measured"
    )


def _real(folder: Path | None) -> str:
    if folder is None:
        return "not measured"
    recordings = json.loads((folder / "real_speech.json").read_text("utf-8"))
    parts = []
    for way in ("sound", "text"):
        rows = [row for row in recordings["rows"] if row["way"] == way]
        counts = {
            name: [sum(row[name][k] for row in rows) for k in ("hits", "total")]
            for name in ("sealed", "open", "pauses")
        }
        said = ", ".join(
            f"{counts[name][0]} of {counts[name][1]} {what}"
            for name, what in (
                ("sealed", "p, b, m sealed"),
                ("open", "open vowels open"),
                ("pauses", "pause frames closed"),
            )
        )
        parts.append(f"from {'sound alone' if way == 'sound' else 'sound and transcript'} {said}")
    return "; ".join(parts) + f" ({recordings['seeds']} seeds)"


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
