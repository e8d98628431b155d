"""Styles by name, index, vector and blend."""

import pytest

from diffspeaker3d.errors import InputError
from diffspeaker3d.generation.styles import Styles


def test_without_presets_a_speaker_is_a_one_hot_vector():
    styles = Styles({}, ("anna", "ben"))
    assert styles.vector("ben") == styles.vector(1) == [0.0, 1.0] and styles.vector(None) == [1.0, 0.0]
    assert styles.vector([0.25, 0.75]) == styles.vector("anna:0.25+ben:0.75") == [0.25, 0.75]
    for wrong in ("carl", 2, -1, [1.0], [1.0, float("nan")], True, 1.5):
        with pytest.raises(InputError, match=r"known: |must have 2") as refusal:
            styles.vector(wrong)
        assert "\n" not in str(refusal.value)


def test_presets_take_the_place_of_speakers():
    styles = Styles({"calm": [0.0, 0.0], "wild": [0.5, -1.0]}, ("smile", "tension"))
    assert styles.names == ("calm", "wild") and styles.vector("wild:0.5") == [0.25, -0.5]
    with pytest.raises(InputError, match="unknown style 'smile'"):
        styles.vector("smile")
