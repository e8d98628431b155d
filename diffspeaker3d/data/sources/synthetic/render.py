"""One clip: speak the plan, articulate it, write sound, motion and phones."""

from __future__ import annotations

import hashlib
import wave
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from diffspeaker3d.audio import SAMPLE_RATE, load_audio, num_motion_frames, resample
from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.articulation import articulate
from diffspeaker3d.controls.expression import expressions
from diffspeaker3d.controls.style import Manner
from diffspeaker3d.data.corpus import ClipRecord, read_phones
from diffspeaker3d.data.sources.synthetic.background import background
from diffspeaker3d.data.sources.synthetic.plan import ClipPlan
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.speech.phones import SILENCE, Phone
from diffspeaker3d.speech.synthesis.voices import Prosody, Speakers, Voice

PEAK = 0.7  # of full scale; the training's augmentation varies the level
NPY_HEADER, WAV_HEADER = 128, 44  # bytes before the numbers, as `_write` writes them
_speakers = Speakers()  # per process


def render_clips(root: Path, plans: Sequence[ClipPlan], fps: float) -> list[tuple[str, ClipRecord | str]]:
    """Make and write clips: (id, its record, or why it could not be made) each."""
    requests: list[tuple[str, Voice, Prosody]] = [(t, p.voice, p.prosody) for p in plans if p.voice for t in p.texts]
    spoken = iter(_speakers.speak_all(requests))
    results: list[tuple[str, ClipRecord | str]] = []
    for plan in plans:
        parts = [next(spoken) for _ in plan.texts]
        errors = [str(part) for part in parts if isinstance(part, InputError)]
        if errors:
            results.append((plan.id, errors[0]))
            continue
        waveform, phones = _join(plan, [part for part in parts if not isinstance(part, InputError)])
        results.append((plan.id, _write(root, plan, waveform, phones, fps)))
    return results


def articulate_clips(root: Path, plans: Sequence[ClipPlan], fps: float) -> list[tuple[str, ClipRecord | str]]:
    """Make the motion of clips whose sound and phones are there: what `render_clips` would, but nobody speaks again."""
    results: list[tuple[str, ClipRecord | str]] = []
    for plan in plans:
        _, audio_path, phones_path = _paths(root, plan.id)
        results.append((plan.id, _write_motion(root, plan, load_audio(audio_path), read_phones(phones_path), fps)))
    return results


def is_spoken(root: Path, plan: ClipPlan) -> bool:
    """Whether sound and phones of a clip are there and whole."""
    import soundfile

    _, audio_path, phones_path = _paths(root, plan.id)
    if not (audio_path.is_file() and phones_path.is_file()):
        return False
    try:
        read_phones(phones_path)
        frames = soundfile.info(audio_path).frames
    except (ValueError, OSError, KeyError, BadZipFile, soundfile.LibsndfileError):
        return False
    return bool(audio_path.stat().st_size == WAV_HEADER + 2 * frames)


def clip_motion(
    waveform: np.ndarray, phones: Sequence[Phone], fps: float, style: Sequence[float], seed: int
) -> np.ndarray:
    """Speech and expression controls (T, K) float32 of a sound (N,) at SAMPLE_RATE with known phones."""
    num_frames, manner = num_motion_frames(len(waveform), SAMPLE_RATE, fps), Manner.from_style(list(style))
    duration = len(waveform) / SAMPLE_RATE
    speech = articulate(phones, duration, fps, manner, seed, loudness=relative_loudness(waveform, num_frames, fps))
    return np.asarray((speech + expressions(phones, duration, fps, manner, seed))[:num_frames], np.float32)


def relative_loudness(waveform: np.ndarray, num_frames: int, fps: float) -> np.ndarray:
    """Loudness (T,) in [-1, 1] around the median of what is audible: 12 dB are one unit, smoothed over 0.2 s."""
    frame = np.minimum((np.arange(len(waveform)) * fps / SAMPLE_RATE).astype(np.int64), max(num_frames - 1, 0))
    power = np.bincount(frame, np.square(waveform, dtype=np.float64), num_frames) * fps / SAMPLE_RATE
    width = max(3, round(0.2 * fps)) | 1
    taps = np.hanning(width + 2)[1:-1]
    level = 10.0 * np.log10(np.convolve(np.pad(power, width // 2, "edge"), taps / taps.sum(), "valid") + 1e-9)
    audible = level[level > level.max(initial=-90.0) - 30.0]
    return np.clip((level - (np.median(audible) if len(audible) else 0.0)) / 12.0, -1.0, 1.0)


def _join(plan: ClipPlan, parts: Sequence[tuple[np.ndarray, int, list[Phone]]]) -> tuple[np.ndarray, list[Phone]]:
    """Utterances and pauses one after the other, at SAMPLE_RATE, and their phones in the clip's time."""
    rng = np.random.default_rng(plan.seed)
    if plan.background:
        waveform = background(plan.background, plan.pauses[0], SAMPLE_RATE, rng)
        return waveform, [Phone(SILENCE, 0.0, len(waveform) / SAMPLE_RATE)]
    sounds: list[np.ndarray] = []
    phones: list[Phone] = []
    now = 0
    for index, pause in enumerate(plan.pauses):
        silence = np.zeros(round(pause * SAMPLE_RATE), np.float32)
        if len(silence):
            phones.append(Phone(SILENCE, now / SAMPLE_RATE, (now + len(silence)) / SAMPLE_RATE))
            sounds.append(silence)
            now += len(silence)
        if index < len(parts):
            samples, rate, said = parts[index]
            sound = resample(samples, rate, SAMPLE_RATE)
            phones += [Phone(p.name, now / SAMPLE_RATE + p.start, now / SAMPLE_RATE + p.end) for p in said]
            sounds.append(sound)
            now += len(sound)
    waveform = np.concatenate(sounds)
    return waveform * (PEAK / max(float(np.abs(waveform).max()), 1e-3)), _join_silences(phones)


def _join_silences(phones: Sequence[Phone]) -> list[Phone]:
    """One silence where the engine's own meets ours."""
    joined: list[Phone] = []
    for phone in phones:
        if joined and phone.name == joined[-1].name == SILENCE:
            joined[-1] = joined[-1]._replace(end=phone.end)
        else:
            joined.append(phone)
    return joined


def _paths(root: Path, clip_id: str) -> tuple[Path, Path, Path]:
    """Motion, audio and phones of a clip, as the Corpus names them."""
    return root / "motion" / f"{clip_id}.npy", root / "audio" / f"{clip_id}.wav", root / "phones" / f"{clip_id}.npz"


def _write(root: Path, plan: ClipPlan, waveform: np.ndarray, phones: Sequence[Phone], fps: float) -> ClipRecord | str:
    """The three files of a clip; its motion comes last, so that a clip with motion is whole."""
    _, audio_path, phones_path = _paths(root, plan.id)
    if num_motion_frames(len(waveform), SAMPLE_RATE, fps) < 2:
        return "shorter than two motion frames"
    samples = np.rint(waveform * 32767.0).astype("<i2")
    with (
        atomic_path(audio_path) as temporary,
        wave.open(str(temporary), "wb") as sound,
    ):  # soundfile would sync the disk
        sound.setparams((1, 2, SAMPLE_RATE, len(waveform), "NONE", ""))
        sound.writeframes(samples.tobytes())
    with atomic_path(phones_path) as temporary, open(temporary, "wb") as stream:
        names, starts, ends = zip(*phones, strict=True)
        np.savez(stream, names=np.array(names), start=np.array(starts, np.float64), end=np.array(ends, np.float64))
    return _write_motion(root, plan, samples / np.float32(32768.0), phones, fps)  # the sound as it will be read


def _write_motion(
    root: Path, plan: ClipPlan, waveform: np.ndarray, phones: Sequence[Phone], fps: float
) -> ClipRecord | str:
    motion_path, audio_path, _ = _paths(root, plan.id)
    motion = clip_motion(waveform, phones, fps, plan.style, plan.seed).astype(np.float16)
    with atomic_path(motion_path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, motion, allow_pickle=False)
    return _record(plan, motion_path, audio_path, len(motion), len(waveform))


def _record(plan: ClipPlan, motion_path: Path, audio_path: Path, num_frames: int, num_samples: int) -> ClipRecord:
    digest = hashlib.sha256(motion_path.read_bytes())
    digest.update(audio_path.read_bytes())
    sentence = " ".join(plan.texts) or f"({plan.background})"
    return ClipRecord(
        plan.id, plan.subject, sentence, plan.split, num_frames, num_samples, list(plan.style), digest.hexdigest()
    )


def existing_clip(root: Path, plan: ClipPlan, fps: float) -> ClipRecord | None:
    """The record of a clip that is already there and whole, else None."""
    import soundfile

    motion_path, audio_path, phones_path = _paths(root, plan.id)
    if not (motion_path.is_file() and audio_path.is_file() and phones_path.is_file()):
        return None
    try:
        num_frames = len(np.load(motion_path, mmap_mode="r", allow_pickle=False))
        info = soundfile.info(audio_path)
    except (ValueError, OSError, soundfile.LibsndfileError):
        return None
    if num_frames != num_motion_frames(info.frames, SAMPLE_RATE, fps) or info.samplerate != SAMPLE_RATE:
        return None
    return _record(plan, motion_path, audio_path, num_frames, info.frames)


def is_whole(root: Path, clip: ClipRecord) -> bool:
    """Whether all files of a clip are there, as long as its record says; by their sizes, so thousands take a second."""
    motion_path, audio_path, phones_path = _paths(root, clip.id)
    sizes = {
        motion_path: NPY_HEADER + 2 * clip.num_frames * len(CONTROL_NAMES),
        audio_path: WAV_HEADER + 2 * clip.num_samples,
    }
    try:
        return phones_path.stat().st_size > 0 and all(path.stat().st_size == size for path, size in sizes.items())
    except FileNotFoundError:
        return False
