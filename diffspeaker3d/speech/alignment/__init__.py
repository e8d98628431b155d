"""A recording and its transcript to phones with times, on real voices: forced alignment with pocketsphinx. English only.

text ─ words ─> spoken words ─ pronunciation ─> phones ┐
waveform ─ pauses ─> pieces ─ recogniser ──────────────┴─> Alignment(phones, words, notes)
"""

from diffspeaker3d.speech.alignment.align import Alignment, Word, align, transcribe
from diffspeaker3d.speech.alignment.words import spoken_words

__all__ = ["Alignment", "Word", "align", "spoken_words", "transcribe"]
