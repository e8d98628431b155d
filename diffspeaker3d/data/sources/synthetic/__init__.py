"""A speech corpus from nothing: text -> text-to-speech with phone times -> articulation -> the mannequin's controls.

plan ─ voices (espeak, flite, festival) ─> waveform, phones ─ articulation + expression ─> controls (T, K)
"""

from diffspeaker3d.controls.articulation import articulate
from diffspeaker3d.controls.expression import expressions
from diffspeaker3d.controls.style import PRESETS, STYLE_NAMES, Manner
from diffspeaker3d.data.sources.synthetic.build import build_corpus
from diffspeaker3d.speech.phones import VISEMES, VOWELS, Phone, viseme_frames

__all__ = [
    "PRESETS",
    "STYLE_NAMES",
    "VISEMES",
    "VOWELS",
    "Manner",
    "Phone",
    "articulate",
    "build_corpus",
    "expressions",
    "viseme_frames",
]
