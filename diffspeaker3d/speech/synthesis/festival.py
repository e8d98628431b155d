"""festival by its command line, many texts in one start: text -> (waveform, phones), where festival is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import SILENCE, Phone
from diffspeaker3d.speech.synthesis.flite import fit

VOICES = {"kal": "kal_diphone", "ked": "ked_diphone", "slt": "cmu_us_slt_arctic_hts"}
LAG_SECONDS = {"slt": 0.010}  # measured, as for flite
SECONDS_PER_TEXT = 20  # before festival is given up

# One utterance: waveform and segments with the stress of their syllable, one line each: end name stress.
_SCHEME = """
(define (speak_to text wave labels stretch)
  (Parameter.set 'Duration_Stretch stretch)
  (set! utt (utt.synth (eval (list 'Utterance 'Text text))))
  (utt.save.wave utt wave 'riff)
  (let ((out (fopen labels "w")))
    (mapcar (lambda (seg)
      (format out "%f %s %s\\n" (item.feat seg "end") (item.name seg) (item.feat seg "R:SylStructure.parent.stress")))
      (utt.relation.items utt 'Segment))
    (fclose out)))
"""


def installed_voices() -> tuple[str, ...]:
    """The voices festival can load; empty without festival."""
    program = shutil.which("festival")
    if program is None:
        return ()
    listing = subprocess.run(
        [program, "--batch", '(mapcar (lambda (v) (format t "%s\\n" v)) (voice.list))'],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    present = set(listing.stdout.split())
    return tuple(name for name, voice in VOICES.items() if voice in present)


def speak_all(requests: Sequence[tuple[str, str, float]]) -> list[tuple[np.ndarray, int, list[Phone]]]:
    """Speak texts in one festival process.

    Args:
        requests: (text, voice of VOICES, duration stretch) each.

    Returns:
        (waveform (N,) float32, sample_rate in Hz, phones in ARPAbet) per request, in order.

    Raises:
        InputError: festival is absent, or stopped before the last text.
    """
    program = shutil.which("festival")
    if program is None:
        raise InputError("festival is not installed; install it (apt-get install festival) or use another engine")
    with tempfile.TemporaryDirectory(prefix="festival-") as name:
        folder = Path(name)
        lines = [_SCHEME]
        for index, (text, voice, stretch) in enumerate(requests):
            lines.append(f"(voice_{VOICES[voice]})")
            lines.append(
                f'(speak_to "{_plain(text)}" "{folder / f"{index}.wav"}" "{folder / f"{index}.lab"}" {stretch:.3f})'
            )
        script = folder / "all.scm"
        script.write_text("\n".join(lines), "ascii")
        done = subprocess.run(
            [program, "--batch", str(script)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60 + SECONDS_PER_TEXT * len(requests),
        )
        missing = [i for i in range(len(requests)) if not (folder / f"{i}.lab").is_file()]
        if missing:
            raise InputError(f"festival stopped at {requests[missing[0]][0][:60]!r}: {done.stderr.strip()[-120:]}")
        return [
            _read(folder / f"{i}.wav", folder / f"{i}.lab", LAG_SECONDS.get(v, 0.0))
            for i, (_, v, _) in enumerate(requests)
        ]


def _plain(text: str) -> str:
    """Text that is safe inside a Scheme string."""
    return text.encode("ascii", "ignore").decode().replace("\\", " ").replace('"', " ").replace("\n", " ")


def _read(wave: Path, labels: Path, lag: float) -> tuple[np.ndarray, int, list[Phone]]:
    import soundfile

    samples, rate = soundfile.read(wave, dtype="float32")
    phones, start = [], 0.0
    for line in labels.read_text("ascii").splitlines():
        end_text, name, stress = line.split()
        end = max(float(end_text) - lag, start)
        phones.append(
            Phone(
                SILENCE if name in ("pau", "h#", "brth") else name + "1" * (stress == "1" and name[0] in "aeiou"),
                start,
                end,
            )
        )
        start = end
    return samples, int(rate), fit(phones, len(samples) / rate)
