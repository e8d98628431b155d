"""Conventions and a user's own map: every shape gets what it takes, nothing twice, and what is missing is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.blendshapes import VISEMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.heads.binding import bind, read_names
from diffspeaker3d.heads.conventions import SOURCES, Convention, conventions

RPM = ["mouthOpen", "mouthSmile"]
OCULUS = [
    f"viseme_{v}" for v in ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
]


def words(text: str) -> list[str]:
    return text.split()


def performance(**curves: list[float]) -> np.ndarray:
    """Weights (T, 53) with some columns set."""
    weights = np.zeros((len(next(iter(curves.values()))), len(CONTROL_NAMES)), np.float32)
    for name, curve in curves.items():
        weights[:, CONTROL_NAMES.index(name)] = curve
    return weights


def test_tables_speak_of_what_exists() -> None:
    titles = [table.title for table in conventions()]
    assert len(set(titles)) == len(titles) >= 9
    for table in conventions():
        assert table.shapes and table.source
        for name, recipe in table.shapes.items():
            assert set(recipe) <= set(SOURCES), name
            assert all(0 < amount <= 1 for amount in recipe.values()) and sum(recipe.values()) <= 1 + 1e-9, name
        driven = {frozenset(recipe.items()) for recipe in table.shapes.values()}
        for recipe in driven:  # what one side does, the other does too
            mirrored = {(_mirror(source), amount) for source, amount in recipe}
            assert frozenset(mirrored) in driven, (table.title, recipe)


def _mirror(name: str) -> str:
    return name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")


@pytest.mark.parametrize("table", conventions(), ids=lambda table: table.title)
def test_every_name_of_a_convention_is_understood(table: Convention) -> None:
    assert not bind({0: list(table.shapes)}).unknown


def test_ready_player_me() -> None:
    found = bind({0: RPM, 1: RPM, 2: []})
    assert found.recipes == {"jawOpen": {"jawOpen": 1}, "mouthSmile": {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}}
    weights = found.weights(
        performance(jawOpen=[0.5, 0.2], mouthClose=[0, 0.2], mouthSmileLeft=[0.4, 0], mouthSmileRight=[0.2, 0]),
        CONTROL_NAMES,
    )
    # without a shape that closes the lips on an open jaw, the jaw itself closes
    assert np.allclose(weights, [[0.5, 0.3], [0, 0]], atol=1e-6)
    assert found.speaks and "mouthFunnel" in found.missing


def test_visemes_drive_the_mouth_and_blinks_the_eyes() -> None:
    found = bind({0: [*RPM, *OCULUS, "eyesClosed", "eyeBlinkLeft", "eyeBlinkRight"]})
    assert found.by_visemes and not found.missing and not found.unknown
    assert "eyesClosed" not in found.recipes  # each lid has a shape already
    names = list(found.recipes)
    weights = found.weights(
        performance(
            jawOpen=[0.7, 0.2, 0, 0.1], mouthClose=[0, 0.2, 0, 0], mouthPucker=[0, 0, 0, 0.9], eyeBlinkLeft=[0, 0, 1, 0]
        ),
        CONTROL_NAMES,
    )
    assert [names[k] for k in weights[:, [names.index(v) for v in OCULUS]].argmax(1) + names.index("viseme_sil")] == [
        "viseme_aa", "viseme_PP", "viseme_sil", "viseme_U"
    ]  # fmt: skip
    assert np.allclose(weights[:, names.index("eyeBlinkLeft")], [0, 0, 1, 0])
    assert (
        weights[:, names.index("jawOpen")].max() < 0.05
    )  # the vowel opens the mouth, so mouthOpen does not do it again


def test_arkit_wins_over_visemes() -> None:
    found = bind({0: [*CONTROL_NAMES, *RPM, *OCULUS]})
    assert set(found.recipes) == set(CONTROL_NAMES) and not found.unknown
    weights = np.random.default_rng(0).random((5, 53)).astype(np.float32)
    assert np.array_equal(found.weights(weights, CONTROL_NAMES), weights)


def test_consonants_open_the_nearest_vowel() -> None:
    found = bind({0: ["Fcl_MTH_A", "Fcl_MTH_I", "Fcl_MTH_U", "Fcl_MTH_E", "Fcl_MTH_O", "Fcl_EYE_Close"]})
    weights = found.weights(
        performance(jawOpen=[0.2, 0.2, 0], tongueUp=[0.9, 0, 0], mouthClose=[0, 0.2, 0]), CONTROL_NAMES
    )
    assert weights[0].max() > 0.1 and weights[1:].max() < 0.05


METAHUMAN = words(
    "jawOpen mouthFunnelUL mouthFunnelUR mouthFunnelDL mouthFunnelDR mouthCornerPullL mouthCornerPullR mouthLipsTogetherUL mouthLipsTogetherUR"
)
FACESHIFT = words(
    "JawOpen EyeBlink_L EyeOpen_R BrowsU_C LipsFunnel Sneer Puff LipsUpperClose ChinLowerRaise MouthSmile_L"
)
CC4 = words(
    "Jaw_Open Mouth_Pucker_Up_L Mouth_Pucker_Up_R Mouth_Roll_In_Lower_L Mouth_Roll_In_Lower_R Eye_L_Look_L V_Tight_O Cheek_Raise_R"
)
CC3 = words(
    "Open Explosive Dental_Lip Tight_O Tight Wide Affricate Lip_Open Mouth_Smile Mouth_Smile_L Mouth_Smile_R Eye_Blink"
)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (METAHUMAN, ["jawOpen", *["mouthFunnel"] * 4, "mouthSmileLeft", "mouthSmileRight", "mouthClose", "mouthClose"]),
        ([f"CTRL_expressions_{name}" for name in METAHUMAN][:2], ["jawOpen", None]),  # a quarter of a funnel is none
        (FACESHIFT, ["jawOpen", "eyeBlinkLeft", "eyeWideRight", "browInnerUp", "mouthFunnel", "Sneer", "cheekPuff",
                     "mouthRollUpper", "mouthShrugLower", "mouthSmileLeft"]),
        (CC4, ["jawOpen", *["mouthPucker"] * 2, *["mouthRollLower"] * 2, "eyeLookOutLeft", None, "cheekSquintRight"]),
        (CC3, ["jawOpen", "Explosive", "mouthRollLower", "mouthPucker", "Tight", "Wide", "mouthFunnel", "Lip_Open", None,
               "mouthSmileLeft", "mouthSmileRight", "Eye_Blink"]),
        (words("LipFunnel LipFunnelUpper LipFunnelLower LipSuckUpperLeft LipSuckUpperRight EyeClosedLeft JawOpen MouthClosed"),
         ["mouthFunnel", None, None, "mouthRollUpper", "mouthRollUpper", "eyeBlinkLeft", "jawOpen", "mouthClose"]),
        (words("Mouth_Pout Jaw_Open Mouth_Upper_UpLeft Mouth_Sad_Right Eye_Left_Blink Mouth_Ape_Shape"),
         ["mouthPucker", "jawOpen", "mouthUpperUpLeft", "mouthFrownRight", "eyeBlinkLeft", None]),
        (["browInnerUp_L", "browInnerUp_R", "jawOpen", "mouthSmile"], ["browInnerUp", "browInnerUp", "jawOpen", "mouthSmile"]),
        (words("あ い う え お ん まばたき 笑い"), ["あ", "い", "う", "え", "お", "ん", "まばたき", None]),
        (words("vrc.v_sil vrc.v_pp vrc.v_aa vrc.v_oh vrc.v_ou vrc.blink_left"),
         ["vrc.v_sil", "vrc.v_pp", "vrc.v_aa", "vrc.v_oh", "vrc.v_ou", "eyeBlinkLeft"]),
    ],
)  # fmt: skip
def test_conventions(labels: list[str], expected: list[str | None]) -> None:
    assert list(bind({0: labels}).meshes[0]) == expected


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"mesh 3 has jawOpen twice \(jawOpen, JawOpen\).*names=map.yaml"):
        bind({3: ["jawOpen", "JawOpen", "a"]})


def test_own_map(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(
        "# mine\nMund_auf: jawOpen\nO_Laut: {oh: 1, ou: 0.5}\njawOpen: null\nLachen: {mouthSmileLeft: 0.5, mouthSmileRight: 0.5}\n"
    )
    own = read_names(tmp_path / "map.yaml")
    found = bind({0: ["Mund_auf", "jawOpen", "O_Laut", "Lachen", "mouthFunnel", "Hut"]}, own)
    assert found.meshes[0] == ("jawOpen", None, "O_Laut", "Lachen", "mouthFunnel", None)
    assert found.recipes["O_Laut"] == {"oh": 1, "ou": 0.5} and found.unknown == ("Hut",)
    with pytest.raises(InputError, match="speaks of 'Mund_auf', which it has not; it has jawOpen"):
        bind({0: ["jawOpen"]}, own)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Mund: jawopen", r"'Mund' asks for 'jawopen', which is no control or viseme; known: eyeBlinkLeft, .*, ou$"),
        ("Mund: {jawOpen: 2}", "takes 2 of jawOpen; an amount lies from 0 to 1"),
        ("Mund: {jawOpen: .nan}", "takes nan of jawOpen"),
        ("Mund: {jawOpen: true}", "takes True of jawOpen"),
        ("Mund: [jawOpen]", "'Mund' is neither a control nor"),
        ("Mund: 3", "'Mund' is neither a control nor"),
        ("- jawOpen", "not a map"),
        ("", "not a map"),
        ("Mund: {jawOpen: 1", "not readable as YAML"),
        ("Mund: !!python/object/apply:os.system [ls]", "not readable as YAML"),
    ],
)
def test_broken_maps_are_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        read_names(tmp_path / "map.yaml")
    assert "map.yaml" in str(refused.value) and "\n" not in str(refused.value)


def test_missing_map(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_names(tmp_path / "none.yaml")


def test_weights_lie_in_range_and_follow_any_performance() -> None:
    generator = np.random.default_rng(5)
    for labels in (RPM, OCULUS, [*RPM, *OCULUS], METAHUMAN, CC3):
        found = bind({0: labels})
        weights = found.weights(generator.random((20, 53)), CONTROL_NAMES)
        assert weights.shape == (20, len(found.recipes)) and weights.dtype == np.float32
        assert weights.min() >= 0 and weights.max() <= 1
        at_rest = found.weights(np.zeros((2, 53)), CONTROL_NAMES)[:, [name != "viseme_sil" for name in found.recipes]]
        assert not at_rest.any()
        fewer = found.weights(generator.random((3, 1)), ("jawOpen",))  # a performance of one control
        assert fewer.max() > 0
    assert set(VISEMES) & set(bind({0: OCULUS}).sources)


def test_the_example_of_the_docs_is_a_map() -> None:
    example = read_names(Path(__file__).parents[2] / "docs" / "names.yaml")
    found = bind({0: list(example)}, example)
    assert found.speaks and "mouthClose" in found.sources and found.meshes[0][-1] is None
