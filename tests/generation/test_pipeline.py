"""The animator with the shipped checkpoint: what a call promises."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from diffspeaker3d import SpeechAnimator
from diffspeaker3d.errors import InputError
from diffspeaker3d.generation.encode import encode
from diffspeaker3d.generation.options import Options
from diffspeaker3d.generation.sample import noise_scale, sample
from diffspeaker3d.generation.stages import viseme_runs
from diffspeaker3d.metrics import mouth_opening
from diffspeaker3d.speech.phones import VISEMES

RATE = 16_000


@pytest.fixture(scope="module")
def animator():
    return SpeechAnimator.from_pretrained()


@pytest.fixture(scope="module")
def voice():
    """Two seconds of something with syllables: a buzz through a moving resonance."""
    t = np.arange(2 * RATE) / RATE
    buzz = np.sign(np.sin(2 * np.pi * 120 * t)) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)) ** 2
    return (0.2 * buzz * np.sin(2 * np.pi * (600 + 300 * np.sin(2 * np.pi * 1.5 * t)) * t)).astype(np.float32), RATE


def weights(animation, name):
    return animation.weights[:, animation.weight_names.index(name)]


@pytest.mark.parametrize("sound", ["silence", "noise", "chord"])
def test_what_is_no_speech_leaves_a_closed_blinking_face(animator, sound):
    rng, t = np.random.default_rng(0), np.arange(20 * RATE) / RATE
    waveform = {
        "silence": 0 * t,
        "noise": 0.02 * rng.normal(size=t.shape),
        "chord": sum(0.05 * np.sin(2 * np.pi * f * t) for f in (220, 277, 330)),
    }[sound]
    animation = animator((waveform.astype(np.float32), RATE))
    assert len(animation) == 600
    assert mouth_opening(np.asarray(animation.vertices), animation.topology).max() < 0.001
    blinks = (np.diff((weights(animation, "eyeBlinkLeft") > 0.5).astype(int)) == 1).sum()
    assert 2 <= blinks <= 14


def test_weights_are_weights_and_the_sound_is_kept(animator, voice):
    animation = animator(voice)
    assert animation.weights.min() >= 0 and animation.weights.max() <= 1
    np.testing.assert_array_equal(animation.waveform, voice[0])
    assert (animation.fps, animation.sample_rate, len(animation)) == (30.0, RATE, 60)
    assert animation.provenance["seed"] == 0 and len(animation.provenance["checkpoint"]) == 16


def test_batch_composition_and_repetition_change_nothing_and_seeds_do(animator, voice):
    first, again, other = animator(voice, seed=1), animator(voice, seed=1), animator(voice, seed=2)
    np.testing.assert_array_equal(first.weights, again.weights)
    assert np.abs(weights(first, "eyeLookOutLeft") - weights(other, "eyeLookOutLeft")).max() > 0.01


def test_a_long_clip_in_pieces_hears_what_it_hears_in_one(animator, voice, monkeypatch):
    waveform = torch.from_numpy(np.tile(voice[0], 12))
    whole = animator.model.audio_encoder(waveform[None], torch.tensor([len(waveform)]), torch.tensor([720]))
    monkeypatch.setattr("diffspeaker3d.generation.encode.ENCODE_SECONDS", 5)
    with torch.inference_mode():
        pieces = encode(animator.model.audio_encoder, waveform, 720, 30.0)
    torch.testing.assert_close(pieces, whole, atol=2e-4, rtol=0)


def test_other_rates_keep_the_pace(animator, voice):
    own, fast = animator(voice), animator(voice, fps=60)
    assert len(fast) == 120
    np.testing.assert_allclose(fast.weights[::2], own.weights, atol=1e-5)


def test_strength_scales_the_face_and_never_the_seal(animator, voice):
    plain, strong, still = animator(voice), animator(voice, strength=1.5), animator(voice, strength=0.0)
    jaw = weights(plain, "jawOpen")
    np.testing.assert_allclose(weights(strong, "jawOpen"), np.clip(1.5 * jaw, 0, 1), atol=1e-5)
    np.testing.assert_array_equal(weights(strong, "eyeBlinkLeft"), weights(plain, "eyeBlinkLeft"))
    sealed = np.isclose(weights(plain, "mouthClose"), jaw) & (jaw > 0.02)
    np.testing.assert_allclose(weights(strong, "mouthClose")[sealed], weights(strong, "jawOpen")[sealed], atol=1e-5)
    assert weights(still, "jawOpen").max() == 0
    with pytest.raises(InputError, match="strength=3"):
        animator(voice, strength=3)


def test_styles_blend_linearly_and_unknown_ones_list_the_known(animator):
    smile, mumble = (np.array(animator.style_vector(name)) for name in ("smiling", "mumbled"))
    np.testing.assert_allclose(animator.style_vector("smiling:0.5+mumbled:0.25"), 0.5 * smile + 0.25 * mumble)
    assert not any(animator.style_vector(None)) and animator.style_vector(4) == list(smile)
    for bad in ("grumpy", "smiling:much", "smiling:nan", "smiling:1e300", 99, 1.5, True, [1.0, 2.0], ["a"] * 12):
        with pytest.raises(InputError):
            animator.style_vector(bad)


def test_a_smiling_style_smiles(animator, voice):
    assert (
        weights(animator(voice, style="smiling"), "mouthSmileLeft").mean()
        > weights(animator(voice), "mouthSmileLeft").mean() + 0.1
    )


def test_too_little_sound_is_refused(animator):
    with pytest.raises(InputError, match="less than one motion frame"):
        animator((np.zeros(500, np.float32), RATE))


def test_the_longer_half_of_the_heard_vowels_is_stressed():
    names = ["sil", "aa", "PP", "eh", "DD", "aa", "sil"]
    frames = [5, 3, 2, 6, 1, 9, 4]
    heard = viseme_runs(np.repeat([VISEMES.index(n) for n in names], frames), 30.0)
    assert [phone.name for phone in heard] == ["sil", "aa", "PP", "eh", "DD", "aa1", "sil"]
    assert heard[0].start == 0.0 and heard[-1].end == 1.0 and all(a.end == b.start for a, b in pairwise(heard))
    assert [phone.name for phone in viseme_runs(np.zeros(10, np.int64), 30.0)] == ["sil"]


def test_temperature_narrows_the_noise_of_a_group(animator, voice):
    """0 makes every seed the same; one group's leaves the others' noise as it was; senseless ones are refused."""

    def sampled(seed, temperature):
        with torch.inference_mode():
            features = encode(animator.model.audio_encoder, torch.from_numpy(voice[0]), 60, 30.0)
            sampling = animator.sampling if temperature is None else replace(animator.sampling, temperature=temperature)
            conditions = {"style": torch.tensor([animator.style_vector(None)])}
            return sample(animator.model, animator.schedule, features, conditions, sampling, [seed])

    torch.testing.assert_close(sampled(1, 0.0), sampled(2, 0.0))
    torch.testing.assert_close(sampled(1, dict(animator.config["sampling"]["temperature"])), sampled(1, None))
    assert (sampled(1, 0.25) - sampled(1, 1.0)).abs().max() > 0.01
    group, *others = animator.model.motion.groups
    spread = noise_scale(animator.model.motion, {group: 0.5})
    assert spread[animator.model.motion.groups[group]].eq(0.5).all() and all(
        spread[animator.model.motion.groups[o]].eq(1).all() for o in others
    )
    for bad in ({"ears": 0.5}, 3.0, {group: "cold"}):
        with pytest.raises(InputError, match="temperature"):
            animator(voice, temperature=bad)


def test_the_checkpoint_may_name_its_temperature(animator, voice):
    config = dict(animator.config) | {"sampling": {"steps": 4, "temperature": 0.0}}
    cold = SpeechAnimator(animator.model, animator.schedule, animator.topology, config)
    assert cold.sampling.temperature == 0.0
    np.testing.assert_array_equal(weights(cold(voice, seed=1), "jawOpen"), weights(cold(voice, seed=2), "jawOpen"))
    assert cold(voice).provenance["steps"] is None and "temperature" not in cold(voice).provenance
    assert cold(voice, temperature=0.7).provenance["temperature"] == 0.7
    with pytest.raises(InputError, match="unknown motion group 'ears'"):
        SpeechAnimator(
            animator.model, animator.schedule, animator.topology, config | {"sampling": {"temperature": {"ears": 0.5}}}
        )


def test_noise_may_be_added_at_every_step(animator, voice):
    noisy = SpeechAnimator(
        animator.model,
        animator.schedule,
        animator.topology,
        dict(animator.config) | {"sampling": {"steps": 4, "eta": 0.8}},
    )
    np.testing.assert_array_equal(noisy(voice).weights, noisy(voice).weights)
    assert np.abs(noisy(voice).weights - animator(voice, steps=4).weights).max() > 0.001


def test_cheaper_numbers_make_nearly_the_same_face(animator, voice):
    reduced = SpeechAnimator.from_pretrained(precision="bfloat16")
    assert reduced(voice).provenance["precision"] == "bfloat16" and animator(voice).provenance["precision"] == "float32"
    assert np.abs(reduced(voice).weights - animator(voice).weights).mean() < 0.01
    with pytest.raises(InputError, match="precision=int3"):
        SpeechAnimator.from_pretrained(precision="int3")


def test_windows_of_a_long_clip_give_what_one_gives(animator, voice, monkeypatch):
    long = (np.tile(voice[0], 40), RATE)
    whole = animator(long)
    monkeypatch.setattr("diffspeaker3d.generation.sample.WINDOW_FRAMES", 1500)
    difference = np.abs(animator(long).weights - whole.weights)
    assert difference.mean() < 0.002
    np.testing.assert_allclose(difference[:600], 0, atol=1e-4)  # out of reach of the seam


@pytest.mark.parametrize(
    "bad",
    [
        {"seed": "x"}, {"seed": 1.5}, {"seed": None}, {"steps": "abc"}, {"steps": 1.5}, {"steps": 0}, {"steps": True},
        {"fps": "fast"}, {"fps": 0}, {"fps": float("nan")}, {"strength": "high"}, {"strength": None}, {"strength": -1},
        {"template": 1}, {"template": ["a"]},
    ],
    ids=str,
)  # fmt: skip
def test_options_of_another_type_are_one_line(bad):
    (name,) = bad
    with pytest.raises(InputError, match=f"^{name}=") as raised:
        Options(**bad)
    assert "\n" not in str(raised.value)
