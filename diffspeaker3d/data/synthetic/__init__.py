"""A speech corpus from nothing: text -> text-to-speech with phone times -> articulation -> the mannequin's controls.

plan ─ voices (espeak, flite, festival) ─> waveform, phones ─ articulation + nonverbal ─> controls (T, K)
"""

from diffspeaker3d.data.synthetic.articulation import articulate
from diffspeaker3d.data.synthetic.build import build_corpus
from diffspeaker3d.data.synthetic.manner import PRESETS, STYLE_NAMES, Manner
from diffspeaker3d.data.synthetic.nonverbal import MOTION_GROUPS, expressions
from diffspeaker3d.data.synthetic.phones import VISEMES, VOWELS, Phone, viseme_frames

__all__ = [
    "MOTION_GROUPS",
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
