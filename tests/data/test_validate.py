"""Checks: each fires for its own damage only, and people who differ pass."""

from __future__ import annotations

import numpy as np
import pytest
from raw_corpora import head, talking, voice

from diffspeaker3d.data.validate import Checks, edge_agreement, template_fault
from diffspeaker3d.topology import Topology

FACES = head()[1]
TOPOLOGY = Topology("head", FACES, 162, {"lips": np.arange(10, dtype=np.int32)})
SOUND = voice(16000).astype(np.float32) / 32768


def test_a_good_clip_of_another_person_passes() -> None:
    for seed in range(5):
        template = head(seed)[0]
        assert Checks(TOPOLOGY, 30.0).fault(talking(template, 30.0), template, SOUND) is None
        assert template_fault(TOPOLOGY, template, head()[0] * 1000) is None, "the reference may have another unit"
        assert edge_agreement(TOPOLOGY, template, head()[0]) > 0.8


def test_a_tenth_of_a_second_is_the_limit() -> None:
    template = head()[0]
    motion = talking(template, 30.0)
    checks = Checks(TOPOLOGY, 30.0)
    for samples, good in ((14400, True), (14300, False), (17600, True), (17700, False)):
        fault = checks.fault(motion, template, np.resize(SOUND, samples))
        assert (fault is None) == good and (good or "length" in str(fault))


def test_silence_is_fine_when_the_mouth_rests() -> None:
    template = head()[0]
    motion = talking(template, 30.0)
    motion[:, :10] = template[:10]  # all but the lips move
    assert Checks(TOPOLOGY, 30.0).fault(motion, template, SOUND * 0) is None
    assert Checks(TOPOLOGY, 30.0).fault(talking(template, 30.0) + 0, template, SOUND) is None
    everything = Topology("bare", FACES, 162)
    assert Checks(everything, 30.0).fault(motion, template, SOUND * 0) == "silent: no sound, but the mouth moves"


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1000, "millimetres for metres?"),
        (100, "centimetres for metres?"),
        (0.001, "metres for millimetres?"),
        (30, "times the size"),
    ],
)
def test_a_wrong_unit_is_guessed(factor: float, words: str) -> None:
    template = head()[0]
    fault = Checks(TOPOLOGY, 30.0).fault(talking(template, 30.0) * np.float32(factor), template, SOUND)
    assert fault is not None and fault.startswith("unit:") and words in fault


def test_templates_of_unknown_units_have_no_human_size() -> None:
    free = Topology("head", FACES, 162, unit="unit area")
    assert template_fault(free, head()[0] * 50, None) is None
    assert "no human head" in str(template_fault(TOPOLOGY, head()[0] * 50, None))
    assert "does not fit" in str(template_fault(TOPOLOGY, head()[0][:-1], None))
