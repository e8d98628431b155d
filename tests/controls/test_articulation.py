"""Articulation alone, on phones written by hand: rules, coarticulation, manner."""

from itertools import pairwise

import numpy as np
import pytest
import yaml

from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.controls.articulation import articulate
from diffspeaker3d.controls.groups import CONTROLS_OF
from diffspeaker3d.controls.style import PRESETS, STYLE_NAMES, Manner, style_vector
from diffspeaker3d.controls.targets import HAND_MADE, PEOPLE, RULES_FOLDER, SEAL, load_rules
from diffspeaker3d.errors import InputError
from diffspeaker3d.speech.phones import Phone

K = {name: index for index, name in enumerate(CONTROL_NAMES)}


def spell(text: str, each: float = 0.08, lead: float = 0.6) -> tuple[list[Phone], float]:
    """Phones of equal length after a silence, and the duration with a silence at the end."""
    names = text.split()
    phones = [Phone(name, lead + i * each, lead + (i + 1) * each) for i, name in enumerate(names)]
    return phones, 2 * lead + len(names) * each


def peak(text: str, name: str, style: dict[str, float], each: float = 0.12) -> float:
    phones, duration = spell(text, each)
    return float(articulate(phones, duration, 100.0, Manner.from_style(style_vector(style)), 3)[:, K[name]].max())


@pytest.mark.parametrize("fps", [25.0, 29.97, 30.0, 60.0])
def test_shape_and_groups(fps: float) -> None:
    phones, duration = spell("p ah1 p iy")
    controls = articulate(phones, duration, fps)
    assert controls.shape == (int(duration * fps), len(CONTROL_NAMES)) and controls.dtype == np.float32
    others = [K[n] for group in ("lids", "gaze", "brows") for n in CONTROLS_OF[group]]
    assert not controls[:, others].any()


def test_puppy_opens_between_its_closures_even_when_fast() -> None:
    for each, opening in ((0.05, 0.04), (0.06, 0.08), (0.08, 0.10)):
        phones, duration = spell("p ah1 p iy", each)
        weights = close_lips(articulate(phones, duration, 30.0))
        gap = weights[:, K["jawOpen"]] - weights[:, K["mouthClose"]]
        times = np.arange(len(gap)) / 30.0
        vowel = gap[(times >= phones[1].start) & (times <= phones[1].end)]
        assert vowel.max() > opening, each
        for stop in (phones[0], phones[2]):
            assert gap[round(0.5 * (stop.start + stop.end) * 30)] == 0.0


def opening(phones: list[Phone], duration: float, rules: str = PEOPLE) -> np.ndarray:
    weights = close_lips(articulate(phones, duration, 100.0, rules=load_rules(rules)))
    return np.asarray(weights[:, K["jawOpen"]] - weights[:, K["mouthClose"]])


def test_people_breathe_before_b_and_the_hand_made_rules_keep_the_mouth_shut() -> None:
    phones, duration = spell("b aa1 b aa", 0.1, lead=1.0)
    breath = opening(phones, duration)
    assert not breath[:55].any() and breath[55:90].max() > 0.03 and not breath[100:110].any()
    assert not opening(phones, duration, HAND_MADE)[:109].any()


@pytest.mark.parametrize(("pause", "closes"), [(0.25, False), (0.4, False), (1.2, True)])
def test_only_a_long_pause_closes_the_mouth(pause: float, closes: bool) -> None:
    phones = [Phone("aa1", 0.5, 0.7), Phone("sil", 0.7, 0.7 + pause), Phone("aa1", 0.7 + pause, 0.9 + pause)]
    gap = opening(phones, 1.4 + pause)[70 : 70 + round(100 * pause)]
    assert (gap == 0.0).any() == closes
    assert gap.min() < 0.5 * gap.max(), "but it does move towards rest"


def test_rounding_is_anticipated_and_carried_over() -> None:
    phones, duration = spell("s t uw1 t s", 0.09)
    pucker = articulate(phones, duration, 100.0)[:, K["mouthPucker"]]
    start, end = (round(100 * x) for x in (phones[2].start, phones[2].end))
    assert pucker[start:end].max() > 0.6
    assert pucker[start - 8] > 0.1 and pucker[end + 6] > 0.1  # t leaves the lips to the vowel
    assert pucker[:40].max() < 0.02


def test_tongue_consonants_leave_the_lips_alone() -> None:
    phones, duration = spell("iy1 t iy1", 0.1)
    smile = articulate(phones, duration, 100.0)[:, K["mouthStretchLeft"]]
    inside = smile[round(100 * phones[1].start) : round(100 * phones[1].end)]
    assert inside.min() > 0.75 * smile.max()


def test_sibilants_keep_the_teeth_together() -> None:
    phones, duration = spell("aa1 s aa1 sh aa1", 0.12)
    jaw = articulate(phones, duration, 100.0)[:, K["jawOpen"]]
    for index in (1, 3):
        assert jaw[round(100 * phones[index].start) : round(100 * phones[index].end)].max() < 0.19
    assert jaw.max() > 0.3  # people reduce a vowel between sibilants


def test_stress_opens_and_short_vowels_undershoot() -> None:
    assert peak("d aa1 d", "jawOpen", {}) > 1.08 * peak("d aa d", "jawOpen", {})
    assert peak("d aa1 d", "jawOpen", {}, each=0.2) > 1.1 * peak("d aa1 d", "jawOpen", {}, each=0.06)


@pytest.mark.parametrize(
    ("dimension", "text", "control"),
    [
        ("jaw_gain", "d aa1 d", "jawOpen"),
        ("lip_gain", "d iy1 d", "mouthStretchLeft"),
        ("tongue_gain", "aa n aa", "tongueUp"),
        ("hyper", "d ae1 d", "jawOpen"),
        ("rounding", "d ao1 d", "mouthFunnel"),
        ("smile", "d ah d", "mouthSmileLeft"),
        ("rest_jaw", "sil", "jawOpen"),
        ("tension", "m", "mouthPressLeft"),
        ("asymmetry", "d iy1 d", "mouthStretchLeft"),
    ],
)
def test_each_style_dimension_acts_monotonically(dimension: str, text: str, control: str) -> None:
    amounts = [peak(text, control, {dimension: x}) for x in (-1.0, 0.0, 1.0, 2.0)]
    assert all(a <= b for a, b in pairwise(amounts)), amounts
    assert amounts[2] > 1.02 * amounts[0]


def test_anticipation_starts_the_gesture_earlier() -> None:
    onsets = []
    for amount in (-1.0, 0.0, 1.0):
        phones, duration = spell("d uw1 d", 0.12)
        pucker = articulate(phones, duration, 100.0, Manner.from_style(style_vector({"anticipation": amount})))[
            :, K["mouthPucker"]
        ]
        onsets.append(int(np.argmax(pucker > 0.3)))
    assert onsets[0] > onsets[1] > onsets[2]


def test_loudness_drives_the_jaw() -> None:
    phones, duration = spell("d aa1 d aa1 d")
    count = int(duration * 30)
    quiet, loud = (
        articulate(phones, duration, 30.0, loudness=np.full(count, x))[:, K["jawOpen"]].max() for x in (-1.0, 1.0)
    )
    assert loud > 1.2 * quiet


def test_closure_survives_every_manner() -> None:
    phones, duration = spell("aa1 m ae1 b ao1 p aa1")
    for style in PRESETS.values():
        weights = close_lips(articulate(phones, duration, 100.0, Manner.from_style(style)))
        for stop in phones[1::2]:
            inside = weights[round(100 * stop.start) + 1 : round(100 * stop.end)]
            assert (inside[:, K["jawOpen"]] == inside[:, K["mouthClose"]]).all()


def test_seed_varies_the_rendition_a_little() -> None:
    phones, duration = spell("b ae1 t m ae1 n")
    first, again, other = (articulate(phones, duration, 30.0, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert 0.005 < np.abs(first - other).max() < 0.2


def test_manner_names() -> None:
    assert all(len(vector) == len(STYLE_NAMES) for vector in PRESETS.values()) and not any(PRESETS["neutral"])
    assert Manner.from_style("broad").jaw > 1.3 > 1.0 == Manner.from_style().jaw > Manner.from_style("mumbled").jaw
    with pytest.raises(InputError, match="known: neutral"):
        Manner.from_style("angry")
    with pytest.raises(InputError, match="14 numbers"):
        Manner.from_style([0.0])
    with pytest.raises(InputError, match="unknown teeth"):
        style_vector({"teeth": 1.0})


def test_nothing_said_is_a_closed_mouth() -> None:
    controls = articulate([], 1.0, 30.0)
    assert (controls[:, K["mouthClose"]] >= 1.0).all() and (controls[:, K["jawOpen"]] < 0.05).all()
    assert articulate([], 0.0, 30.0).shape == (0, len(CONTROL_NAMES))


@pytest.mark.parametrize("name", [PEOPLE, HAND_MADE])
def test_a_set_of_rules_is_whole_and_closes_nothing_but_p_b_m(name: str) -> None:
    rules = load_rules(name)
    assert rules.targets["PP"].gestures["close"] == SEAL
    assert min(*rules.onset, *rules.release, *rules.protrusion, *rules.contact, *rules.stress) > 0.0
    for viseme, target in rules.targets.items():
        assert len(target.dominance) == 4 and min(target.dominance) > 0.0, viseme
        if viseme not in ("PP", "sil", "trail"):
            assert target.gestures.get("close", 0.0) <= 0.5, viseme
    with pytest.raises(InputError, match="known: hand_made, people"):
        load_rules("nobody")


def test_a_set_of_rules_survives_its_file() -> None:
    rules = load_rules(PEOPLE)
    again = yaml.safe_load(rules.to_yaml())
    assert again == yaml.safe_load((RULES_FOLDER / "people.yaml").read_text("utf-8"))
