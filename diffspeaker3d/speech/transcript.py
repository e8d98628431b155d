"""A transcript that comes with a recording, and the phones it gives: what is said, and when."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.alignment import align, transcribe
from diffspeaker3d.speech.phones import Phone

log = logging.getLogger(__name__)

AUTO = "auto"


def guiding_phones(waveform: np.ndarray, text: str | Path) -> list[Phone]:
    """Phones of a recording (N,) at 16 kHz from what the user gives as `text`.

    Args:
        waveform: the recording.
        text: the transcript, the path of a .txt file that holds it, or "auto": what the recogniser hears.

    Raises:
        InputError: no such file, no pocketsphinx, or the text is not what is said.
    """
    said = read_transcript(text)
    if said == AUTO:
        said = transcribe(waveform)
        log.info("text=auto: heard: %s", said)
    alignment = align(waveform, said)
    for note in alignment.notes:
        log.warning("text: %s", note)
    return alignment.phones


def read_transcript(text: str | Path) -> str:
    """The transcript itself, or "auto": the content of a path that ends in .txt, anything else as it is."""
    if not isinstance(text, Path) and not text.strip().lower().endswith(".txt"):
        return text
    path = Path(text).expanduser()
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"text={path}: not UTF-8 text; save the transcript as plain text in UTF-8") from error
    except OSError as error:
        raise InputError(
            f"text={path}: cannot be read ({error.strerror}); check the path, or give the words themselves"
        ) from error
