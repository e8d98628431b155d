"""What a viewer sees on generated speech: lips that meet, mouths that open, teeth that touch, faces at rest."""

from collections.abc import Iterator

import numpy as np

from diffspeaker3d.controls.arkit import CONTROL_NAMES, LIP_OPENERS, close_lips
from diffspeaker3d.data.corpus import ClipRecord
from diffspeaker3d.speech.phones import VISEMES, Phone, Segment, segments, viseme_frames

FPS = 30.0
OPEN_VOWELS = ("aa", "ae", "ao", "ah", "eh")
Clips = Iterator[tuple[ClipRecord, np.ndarray, list[Phone]]]
NEUTRAL_TO_TYPICAL = 1.3  # styles beyond this hardly open their mouths on purpose


def column(name: str) -> int:
    return CONTROL_NAMES.index(name)


def lip_gap(controls: np.ndarray) -> np.ndarray:
    """What parts the lips (T,): jaw not cancelled by closure, and the openers."""
    weights = close_lips(controls)
    return (
        weights[:, column("jawOpen")]
        - weights[:, column("mouthClose")]
        + weights[:, [column(n) for n in LIP_OPENERS]].sum(1)
    )


def frames(start: float, end: float, count: int) -> np.ndarray:
    """Indices of the frames shown inside [start, end]."""
    times = np.arange(count) / FPS
    return np.flatnonzero((times >= start) & (times <= end))


def runs(phones: list[Phone], visemes: tuple[str, ...], shortest: float) -> list[Segment]:
    return [s for s in segments(phones) if s.viseme in visemes and s.end - s.start >= shortest]


def test_lips_are_sealed_all_through_p_b_m(clips: Clips) -> None:
    seen = 0
    for clip, controls, phones in clips:
        gap, closure = lip_gap(controls), controls[:, column("mouthClose")]
        for segment in runs(phones, ("PP",), 0.04):
            inside = frames(segment.start, segment.end, len(controls))
            seen += len(inside) > 0
            assert (gap[inside] == 0.0).all(), (clip.id, segment)
            assert (closure[inside] >= 1.04).all(), (clip.id, segment)
    assert seen > 150


def test_even_the_shortest_closure_is_shown_and_labelled(clips: Clips) -> None:
    for clip, controls, phones in clips:
        gap, labels = lip_gap(controls), viseme_frames(phones, len(controls), FPS)
        for segment in runs(phones, ("PP",), 0.0):
            nearest = round(0.5 * (segment.start + segment.end) * FPS)
            if nearest < len(controls):
                assert gap[nearest] == 0.0 and labels[nearest] == VISEMES.index("PP"), (clip.id, segment)


def test_open_vowels_open(clips: Clips) -> None:
    opened = []
    for clip, controls, phones in clips:
        if np.abs(clip.style).max() > NEUTRAL_TO_TYPICAL:
            continue
        weights = close_lips(controls)
        gap = weights[:, column("jawOpen")] - weights[:, column("mouthClose")]  # the jaw's part alone
        for segment in runs(phones, OPEN_VOWELS, 0.06):
            inside = frames(segment.start, segment.end, len(controls))
            opened.append(gap[inside].max())
            assert opened[-1] > 0.08, (clip.id, segment)
    assert len(opened) > 150 and np.median(opened) > 0.2  # 7 mm: as people do


def test_f_and_v_bring_the_lip_to_the_teeth(clips: Clips) -> None:
    seen = 0
    for clip, controls, phones in clips:
        for segment in runs(phones, ("FF",), 0.04):
            inside = frames(segment.start, segment.end, len(controls))
            seen += len(inside) > 0
            assert (controls[inside, column("mouthRollLower")] > 0.7).all(), (clip.id, segment)
            assert (controls[inside, column("jawOpen")] < 0.13).all(), (clip.id, segment)
    assert seen > 50


def test_silence_is_closed_and_still(clips: Clips) -> None:
    seen = 0
    for clip, controls, phones in clips:
        gap, weights = lip_gap(controls), close_lips(controls)
        for segment in runs(phones, ("sil",), 1.1):
            inside = frames(segment.start + 0.45, segment.end - 0.6, len(controls))  # people breathe before
            seen += len(inside)
            assert (gap[inside] == 0.0).all(), (clip.id, segment)
            assert (weights[inside, column("jawOpen")] < 0.14).all(), (clip.id, segment)
    assert seen > 100


def test_no_speech_no_motion_of_the_mouth(clips: Clips) -> None:
    backgrounds = 0
    for clip, controls, _ in clips:
        if clip.sentence.startswith("("):
            backgrounds += 1
            assert lip_gap(controls).max() == 0.0
            assert np.ptp(controls[:, column("jawOpen")]) < 0.02
    assert backgrounds >= 2


def test_rounding_is_visible(clips: Clips) -> None:
    rounded, spread = [], []
    for _, controls, phones in clips:
        shape = controls[:, column("mouthPucker")] + controls[:, column("mouthFunnel")]
        rounded += [
            shape[frames(s.start, s.end, len(shape))].max(initial=0.0) for s in runs(phones, ("uw", "ww"), 0.07)
        ]
        spread += [shape[frames(s.start, s.end, len(shape))].min(initial=1.0) for s in runs(phones, ("iy", "ae"), 0.07)]
    assert np.median(rounded) > 0.7 and np.median(spread) < 0.25


def test_running_speech_is_not_over_open(clips: Clips) -> None:
    jaws = [
        controls[viseme_frames(phones, len(controls), FPS) > 0, column("jawOpen")]
        for clip, controls, phones in clips
        if not np.any(clip.style)
    ]
    low, high = np.percentile(np.concatenate(jaws), [5, 95])
    assert low > 0.03 and 0.3 < high < 0.55


def test_controls_stay_in_range_and_move_smoothly(clips: Clips) -> None:
    others = np.arange(len(CONTROL_NAMES)) != column("mouthClose")
    for clip, controls, _ in clips:
        assert np.isfinite(controls).all()
        assert controls[:, others].min() >= 0.0 and controls[:, others].max() <= 1.0
        assert controls[:, ~others].min() >= -0.21 and controls[:, ~others].max() <= 1.31
        speed = np.abs(np.diff(controls[:, column("jawOpen")])).max() * FPS
        assert speed < 12.0, clip.id  # about 0.4 m/s at the chin would be a jump, not a jaw
