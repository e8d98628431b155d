"""Labels of characters: found under any decoration that explains itself, never where they mean something else."""

from __future__ import annotations

import random
import re

import pytest

from diffspeaker3d.controls.arkit import ARKIT_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.heads.binding import bind
from diffspeaker3d.heads.names import QUADRANTS

CASES = {
    "camel": lambda words: words[0].lower() + "".join(w.title() for w in words[1:]),
    "pascal": lambda words: "".join(w.title() for w in words),
    "snake": lambda words: "_".join(w.lower() for w in words),
    "kebab": lambda words: "-".join(w.lower() for w in words),
    "title": lambda words: "_".join(w.title() for w in words),
    "upper": lambda words: "_".join(w.upper() for w in words),
    "lower": lambda words: "".join(w.lower() for w in words),
    "spaced": lambda words: " ".join(w.title() for w in words),
}
SIDES = ("Left", "L", "first Left", "first L")


def words_of(name: str, side: str) -> list[str]:
    """mouthSmileLeft -> its words, the side written and placed as asked."""
    words = re.findall("[A-Z]?[a-z]+", name)
    if words[-1] not in ("Left", "Right"):
        return words
    spelled = words[-1] if side.endswith("Left") else words[-1][0]
    return [spelled, *words[:-1]] if side.startswith("first") else [*words[:-1], spelled]


def invented(generator: random.Random) -> str:
    """A word that means nothing; three letters and more, so that no side is among them."""
    return "".join(generator.choice("bdfgkvxyz") for _ in range(generator.randint(3, 6)))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("side", SIDES)
def test_every_name_is_found_under_any_shared_decoration(case: str, side: str) -> None:
    generator = random.Random(f"{case} {side}")
    prefixes = ["", "bs_", "CTRL_expressions_", "Face.M_F00_", "A{:02d}_", "{}.", "blendShape1."]
    prefixes += [f"{invented(generator)}{separator}" for separator in "_.-:|"]
    suffixes = ["", ".001", "_{:d}", "_BS", f"_{invented(generator)}"]
    for prefix in generator.sample(prefixes, 5):
        suffix = generator.choice(suffixes)
        labels = [
            prefix.format(number) + CASES[case](words_of(name, side)) + suffix.format(number)
            for number, name in enumerate(ARKIT_NAMES)
        ]
        order = generator.sample(range(52), 52)
        found = bind({0: [labels[k] for k in order]})
        assert found.meshes[0] == tuple(ARKIT_NAMES[k] for k in order), (prefix, suffix)
        assert found.conventions == {"ARKit": 52} and not found.unknown


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("bs_jawOpen", "jawOpen"),
        ("A18_Jaw_Open", "jawOpen"),
        ("CTRL_expressions_jawOpen", "jawOpen"),
        ("jawOpen.001", "jawOpen"),
        ("Face.M_F00_jawOpen", "jawOpen"),
        ("blendShape1.JAW_OPEN", "jawOpen"),
        ("hero:Head|jaw-open", "jawOpen"),
        ("eyeBlink_L", "eyeBlinkLeft"),
        ("EYEBLINKLEFT", "eyeBlinkLeft"),
        ("l_eye_blink", "eyeBlinkLeft"),
        ("eye_left_blink", "eyeBlinkLeft"),
        ("Mouth Smile Rt", "mouthSmileRight"),
        ("mouth_R", "mouthRight"),
        ("ARKit_tongueOut", "tongueOut"),
    ],
)
def test_one_label_alone(label: str, name: str) -> None:
    assert bind({0: [label]}).meshes[0] == (name,)


def test_what_means_something_else_is_left_alone() -> None:
    labels = [
        "mouthOpenSmile", "jawOpen_mouthClose", "jaw_open_corrective", "fix_jawOpen", "eyeblinkleft_half", "Expressions_mouthSmile_min", "mouthUpperUp_lower",
        "Mouth_L_Corner", "Mouth_R_Corner", "Mouth_Width", "Jaw_Width", "Eye_Distance", "noseLength", "browHeight", "cheekbones",
        "hatTilt", "Fat", "Muscular", "Breast_L", "Open", "Wide", "smile", "A", "happy", "Key 1", "Basis", "", "jawOpen_L", "顔", "…",
    ]  # fmt: skip
    found = bind({0: labels})
    assert not found.recipes and found.meshes[0] == (None,) * len(labels)
    assert set(found.unknown) == set(labels)


def test_random_words_are_nothing() -> None:
    generator = random.Random(3)
    labels = {"_".join(invented(generator) for _ in range(generator.randint(1, 3))) for _ in range(300)}
    assert not bind({0: sorted(labels)}).recipes


def test_a_pair_does_not_explain_its_own_decoration() -> None:
    assert not bind({0: ["hat_eyeBlinkLeft_brim", "hat_eyeBlinkRight_brim"]}).recipes
    shared = bind({0: ["hat_eyeBlinkLeft_brim", "hat_eyeBlinkRight_brim", "hat_jawOpen_brim"]})
    assert shared.meshes[0] == ("eyeBlinkLeft", "eyeBlinkRight", "jawOpen")


def test_of_two_families_the_larger_is_driven() -> None:
    labels = ["A18_Jaw_Open", "Jaw_Open", "Mouth_Close", "A19_Mouth_Close", "A20_Mouth_Funnel"]
    assert bind({0: labels}).meshes[0] == ("jawOpen", None, None, "mouthClose", "mouthFunnel")
    assert bind({0: ["jawOpen.001", "jawOpen", "mouthClose"]}).meshes[0] == (None, "jawOpen", "mouthClose")
    # what is passed over in one mesh is still driven in another
    both = bind({0: ["jawOpen.001", "jawOpen"], 1: ["jawOpen.001"]})
    assert both.meshes == {0: (None, "jawOpen"), 1: ("jawOpen",)}


def test_quadrants_and_sides_are_no_decoration() -> None:
    for word in QUADRANTS:
        assert not bind({0: [f"jawForward_{word}", f"mouthClose_{word}", f"tongueOut_{word}"]}).recipes


def test_endless_labels_are_nothing_and_soon() -> None:
    assert not bind({0: ["jaw_" * 5000 + "open", "l_" * 5000 + "jaw", "jawOpen" * 5000, "." * 100_000]}).recipes
    with pytest.raises(InputError, match="4001 shapes; at most 4000 are read"):
        bind({0: [f"shape{n}" for n in range(4001)]})
