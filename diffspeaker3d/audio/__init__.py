"""Audio in: any file a user has -> one float32 waveform at a known rate.

container (what may be opened, which track) -> decode (blocks in their places) -> mixing (one channel) -> resample

FFmpeg (PyAV) reads every format, so that a cut, joined or damaged file means the same in each: what there is, with a word.
"""

from diffspeaker3d.audio.finding import AUDIO_SUFFIXES, distinct_names, find_sounds, is_hidden, match_files
from diffspeaker3d.audio.reading import SAMPLE_RATE, AudioSource, load_audio, num_motion_frames, read_audio
from diffspeaker3d.audio.resample import resample

__all__ = [
    "AUDIO_SUFFIXES",
    "SAMPLE_RATE",
    "AudioSource",
    "distinct_names",
    "find_sounds",
    "is_hidden",
    "load_audio",
    "match_files",
    "num_motion_frames",
    "read_audio",
    "resample",
]
