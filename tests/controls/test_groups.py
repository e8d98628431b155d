"""One table of motion groups, and nobody has another."""

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.expression import LIP_CHANNELS
from diffspeaker3d.controls.groups import CONTROLS_OF, GROUPS, SPOKEN


def test_every_control_is_in_one_group() -> None:
    members = [name for group in GROUPS for name in group.controls]
    assert sorted(members) == sorted(CONTROL_NAMES) and len(CONTROLS_OF) == len(GROUPS)


def test_speech_moves_jaw_lips_cheeks_and_tongue_and_nothing_of_the_upper_face() -> None:
    assert {"jawOpen", "mouthClose", "cheekPuff", "tongueUp"} <= SPOKEN
    assert not any(name.startswith(("eye", "brow", "noseSneer", "cheekSquint")) for name in SPOKEN)
    assert {CONTROL_NAMES[index] for index in LIP_CHANNELS} == SPOKEN
