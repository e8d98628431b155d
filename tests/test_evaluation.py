"""Evaluation on hand-made corpora, with animators whose error is known."""

import csv
import json
import re
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from diffspeaker3d.animation import Animation
from diffspeaker3d.audio import SAMPLE_RATE, load_audio
from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.errors import InputError
from diffspeaker3d.evaluation import EvaluationOptions, draw_worst, evaluate, named_checkpoints, run, try_drawing, worst
from diffspeaker3d.evaluation.accumulators import MeanAccumulator
from diffspeaker3d.evaluation.degradations import babble, gain, mp3, other_voices, parse_degradation, telephone
from diffspeaker3d.evaluation.worst import around, round_up, worst_moments
from diffspeaker3d.metrics import region_hash
from diffspeaker3d.metrics.catalog.liveliness import count_blinks
from diffspeaker3d.metrics.catalog.mouth import lag
from diffspeaker3d.reports.evaluation import clips_csv, degradation_lines, screen_table, write_report
from diffspeaker3d.topology import Topology

FPS = 25.0
LENGTHS = (20, 60)


def topology() -> Topology:
    """Six vertices: two of the lips, two of the upper face; ann is the training speaker, eve is new."""
    corners = np.float32(
        [[0, 0, 0.02], [0, -0.01, 0.02], [-0.02, 0.05, 0], [0.02, 0.05, 0], [0, 0, -0.05], [0, -0.06, 0]]
    )
    faces = np.int32([[0, 1, 2], [0, 3, 1], [2, 4, 0], [3, 0, 4], [4, 5, 1], [5, 3, 1]])
    regions = {
        "lips": np.int32([0, 1]),
        "upper_face": np.int32([2, 3]),
        "lip_upper_mid": np.int32([0]),
        "lip_lower_mid": np.int32([1]),
    }
    return Topology(
        "six", faces, 6, regions=regions, templates={"ann": corners, "bob": corners, "eve": corners + np.float32(0.1)}
    )


def write_corpus(root, style, subject="eve") -> Corpus:
    """Two test clips of one speaker whose mouth opens and closes."""
    head = topology()
    for folder in ("audio", "motion"):
        (root / folder).mkdir(parents=True)
    clips = []
    for number, frames in enumerate(LENGTHS):
        motion = np.repeat(head.templates[subject][None], frames, 0)
        motion[:, 1, 1] -= 0.01 * np.sin(np.arange(frames) / 3) ** 2
        motion[:, 2:4, 2] += 0.002 * np.sin(np.arange(frames) / 4)[:, None]
        name = f"{subject}_{number}"
        np.save(root / "motion" / f"{name}.npy", motion.reshape(frames, -1).astype(np.float32))
        t = np.arange(round(frames / FPS * SAMPLE_RATE)) / SAMPLE_RATE
        soundfile.write(
            root / "audio" / f"{name}.wav",
            0.2 * np.sin(2 * np.pi * 300 * (number + 1) * t) * np.sin(2 * np.pi * 2 * t) ** 2,
            SAMPLE_RATE,
        )
        clips.append(ClipRecord(name, subject, str(number), "test", frames, len(t), style))
    head.save(root / "topology.npz")
    Corpus(root, "six", FPS, "vertices", "six", head.hash, ("ann", "bob"), tuple(clips)).save()
    return Corpus.load(root)


class Off:
    """Knows the recordings, and is off by a known distance along x on every vertex."""

    config = {"provenance": {"name": "by hand"}}  # noqa: RUF012

    def __init__(self, corpus: Corpus, distance=lambda style, seed, loudness: 0.0) -> None:
        self.topology, self.corpus, self.distance, self.calls = corpus.topology, corpus, distance, []
        self.motions = {clip.num_samples: corpus.load_motion(clip) for clip in corpus.clips}

    def __call__(self, audio, *, style, template, seed, steps):
        waveform, rate = audio
        assert rate == SAMPLE_RATE and steps is None
        self.calls.append((style, seed))
        vertices = np.array(self.motions[len(waveform)]).reshape(-1, 6, 3)
        vertices[..., 0] += self.distance(style, seed, float(np.abs(waveform).max()))
        return Animation(vertices, FPS, self.topology, self.topology.template(template))


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus", [0.5, 0.5])


def test_a_perfect_animator_has_no_error_and_no_width(corpus):
    result = evaluate(Off(corpus), corpus, EvaluationOptions(seeds=(0, 10, 20))).result
    model, widths = result.model.means, result.model.intervals
    for name in (
        "lve",
        "lve_by_clip",
        "mve",
        "fdd",
        "fdd_absolute",
        "mouth_opening_distance",
        "lag_frames",
        "diversity_lips",
        "coverage_best",
    ):
        assert model[name] == 0.0, name
    assert model["frechet"] == pytest.approx(0, abs=1e-6)
    assert widths and set(widths.values()) == {0.0}
    assert model["beat_alignment"] == result.recorded["beat_alignment"]
    assert model["jitter"] == pytest.approx(result.recorded["jitter"])


def test_a_known_error_gives_known_numbers_in_every_style_and_seed(corpus):
    animator = Off(corpus, lambda style, seed, loudness: 0.001 * (1 + style) + 0.001 * seed)
    rows = []
    result = evaluate(animator, corpus, EvaluationOptions(seeds=(0, 1)), rows.append).result
    assert sorted(animator.calls) == sorted((style, seed) for _ in corpus.clips for style in (0, 1) for seed in (0, 1))
    # style 0: 1 and 2 mm, style 1: 2 and 3 mm for seeds 0 and 1
    by_seed = [(1 + 4) / 2 * 1e-6, (4 + 9) / 2 * 1e-6]
    model, widths = result.model.means, result.model.intervals
    assert model["lve"] == pytest.approx(np.mean(by_seed), rel=1e-3)
    assert widths["lve"] == pytest.approx(1.96 * np.std(by_seed, ddof=1) / np.sqrt(2), rel=1e-3)
    assert model["mve"] == pytest.approx(0.002, rel=1e-3)
    assert model["diversity_lips"] == pytest.approx(0.001, rel=1e-3)
    assert model["coverage_best"] == pytest.approx(2.5e-6, rel=1e-3) and model["coverage_of_mean"] == pytest.approx(
        (1.5**2 + 2.5**2) / 2 * 1e-6, rel=1e-3
    )
    assert result.styles["ann"]["lve"] == pytest.approx(2.5e-6, rel=1e-3) and result.styles["bob"][
        "lve"
    ] == pytest.approx(6.5e-6, rel=1e-3)
    assert len(rows) == 8 and {row["style"] for row in rows} == {"ann", "bob"}
    assert result.about.regions["lips"] == f"lips: 2 vertices, sha256 {region_hash(np.array([0, 1]))[:12]}"


def test_both_poolings_differ_where_clips_do(corpus):
    animator = Off(corpus)
    animator.distance = lambda style, seed, loudness: (
        0.001 if len(animator.calls) == 1 else 0.003
    )  # first clip is the short one
    model = evaluate(animator, corpus, EvaluationOptions(styles="own")).result.model.means
    assert model["lve"] == pytest.approx((20 * 1e-6 + 60 * 9e-6) / 80, rel=1e-3) and model[
        "lve_by_clip"
    ] == pytest.approx(5e-6, rel=1e-3)


def test_own_style_and_known_speakers_are_not_looped(corpus, tmp_path):
    animator = Off(corpus)
    evaluate(animator, corpus, EvaluationOptions(styles="own"))
    assert animator.calls == [([0.5, 0.5], 0)] * 2
    known = write_corpus(tmp_path / "known", 1, "bob")
    animator = Off(known)
    evaluate(animator, known)
    assert animator.calls == [(1, 0)] * 2


def test_motion_on_another_neutral_face_is_moved_to_the_speakers_own(corpus):
    class Foreign(Off):
        def __call__(self, audio, **options):
            found = super().__call__(audio, **options)
            shift = self.topology.templates["ann"] - self.topology.templates["eve"]
            return Animation(np.asarray(found.vertices) + shift, FPS, self.topology, self.topology.templates["ann"])

    assert evaluate(Foreign(corpus), corpus).result.model.means["mve"] < 1e-7


def test_changed_sound_is_compared_with_clean(corpus):
    animator = Off(corpus, lambda style, seed, loudness: 0.002 if loudness < 0.1 else 0.001)
    result = evaluate(
        animator, corpus, EvaluationOptions(seeds=(0, 1), degradations=("clean", "gain-12", "gain+3"))
    ).result
    assert result.model.degradations["gain-12"]["lve_change"] == pytest.approx(3.0, rel=1e-3)
    assert (
        result.model.degradations["gain+3"]["lve_change"] == 0
        and result.model.degradations["gain-12"]["lve_change_interval"] == 0
    )
    assert list(degradation_lines(result)) == ["gain-12: lve +300.0% ± 0.0%", "gain+3: lve +0.0% ± 0.0%"]


def test_report_csv_and_pictures(corpus, tmp_path):
    animator = Off(corpus, lambda style, seed, loudness: 0.001 * (1 + style))
    out = tmp_path / "out"
    with clips_csv(out / "clips.csv") as write_row:
        evaluation = evaluate(animator, corpus, EvaluationOptions(seeds=(0, 1), worst=1), write_row)
    assert [(case.style_name, round(case.error * 1e6, 2)) for case in evaluation.worst] == [("bob", 4.0)]
    pictures = draw_worst(animator, corpus, evaluation.worst, out, None, "numpy")
    about = replace(evaluation.result.about, corpus="<six>")
    write_report(out, replace(evaluation.result, about=about), pictures)
    rows = list(csv.DictReader((out / "clips.csv").open(encoding="utf-8")))
    assert len(rows) == 8 and float(rows[0]["lve"]) == pytest.approx(1e-6, rel=1e-3) and rows[0]["closure_recall"] == ""
    assert json.loads((out / "metrics.json").read_text("utf-8"))["models"]["model"]["means"]["lve"] == pytest.approx(
        2.5e-6, rel=1e-3
    )
    page = (out / "report.html").read_text("utf-8")
    assert "&lt;six&gt;" in page and "<six>" not in page and "<script" not in page
    assert (
        evaluation.result.about.regions["lips"] in page
        and page.count("data:image/png;base64,") == page.count("data:video/mp4;base64,") == 1
    )
    assert not re.search(r'(?:src|href)="(?!data:)', page), "the page must stand alone"
    assert "√ 1.58 mm" in page  # root of 2.5 mm²
    assert "lve [m²]" in screen_table(evaluation.result) and "±" in screen_table(evaluation.result)


def test_worst_clips_move_and_sound(corpus, tmp_path, monkeypatch):
    """Recording, prediction, distance: the three differ where they must, for as long as the clip is, or the part shown."""
    av = pytest.importorskip("av")
    monkeypatch.setattr(worst, "SIZE", 64)
    for number, (seconds, frames) in enumerate(((8.0, LENGTHS[1]), (1.0, 25))):
        monkeypatch.setattr(worst, "SECONDS", seconds)
        case = run.WorstClip(1.0, "eve_1", 0, "ann")
        (picture,) = draw_worst(
            Off(corpus, lambda style, seed, loudness: 0.01), corpus, [case], tmp_path / str(number), None, "numpy"
        )
        with av.open(str(picture.video)) as video:
            images = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
            sound = video.streams.audio[0]
            assert len(images) == frames and images[0].shape == (64, 192, 3)
            assert abs(float(sound.duration * sound.time_base) - frames / FPS) < 0.1
        recording, prediction, distance = np.split(images[0].astype(int), 3, 1)
        assert np.abs(recording[20:] - prediction[20:]).max() > 50 and picture.scale == 10.0
        assert len(np.unique(distance[20:].reshape(-1, 3) // 16, axis=0)) > 5, "colours"
        assert picture.start == 0, "equally far off in every frame: the first is the worst"
    assert around(50, 60, 25).tolist() == list(range(35, 60)) and around(3, 10, 25).tolist() == list(range(10))
    assert around(30, 60, 10).tolist() == list(range(25, 35))


def test_what_cannot_draw_or_encode_says_so_in_one_line_before_the_work(monkeypatch):
    pytest.importorskip("av")
    try_drawing("numpy")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "av", None)
        with pytest.raises(InputError, match="mp4: writing video needs PyAV; pip install av"):
            try_drawing("numpy")
    monkeypatch.setattr("diffspeaker3d.rendering.opengl.unavailable", lambda name: "no OpenGL here")
    with pytest.raises(InputError, match="renderer=egl: no OpenGL here"):
        try_drawing("egl")


# Other checkpoints.


def test_others_stand_beside_ours_under_the_same_circumstances(corpus, tmp_path):
    ours, theirs = (
        Off(corpus, lambda style, seed, loudness, mm=mm: 0.001 * mm * (1 if loudness > 0.1 else 2)) for mm in (1, 3)
    )
    options, rows = EvaluationOptions(seeds=(0, 1), degradations=("clean", "gain-12"), baselines=(), worst=1), []
    evaluation = evaluate(ours, corpus, options, rows.append, {"rival": theirs})
    result = evaluation.result
    assert ours.calls == theirs.calls and list(result.models) == ["model", "rival"]
    assert result.models["rival"].means["lve"] == pytest.approx(9e-6, rel=1e-3) and result.models["rival"].intervals[
        "lve"
    ] == pytest.approx(0, abs=1e-12)
    assert result.models["rival"].degradations["gain-12"]["lve_change"] == pytest.approx(3.0, rel=1e-3)
    alone = evaluate(ours, corpus, options).result
    assert replace(result, models={}) == replace(alone, models={})
    assert result.model.means == alone.model.means and {case.clip for case in evaluation.worst} < {
        "eve_0",
        "eve_1",
    }
    assert {(row["model"], row["degradation"]) for row in rows} == {
        (name, sound) for name in ("model", "rival") for sound in ("clean", "gain-12")
    }
    assert "rival" in screen_table(result).splitlines()[0] and "rival, gain-12: lve +300.0% ± 0.0%" in list(
        degradation_lines(result)
    )
    rival = replace(result.models["rival"], checkpoint={"name": "<them>"})
    write_report(tmp_path, replace(result, models=result.models | {"rival": rival}), [])
    page = (tmp_path / "report.html").read_text("utf-8")
    assert (
        "3.00 mm for rival" in page
        and "rival, gain-12" in page
        and "rival, clean" in page
        and "Checkpoint of rival: name: &lt;them&gt;" in page
    )


def test_names_of_others_must_be_new(corpus, tiny_topology):
    assert named_checkpoints(None) == {} and named_checkpoints({"rival": "a/b"}) == {"rival": "a/b"}
    for value, message in (
        ("a/b", "give every checkpoint a name"),
        ({"ridge": "x"}, "ridge belongs to another column"),
        ({"model": "x"}, "another column"),
        ({"rival": None}, "rival has no checkpoint"),
    ):
        with pytest.raises(InputError, match=message):
            named_checkpoints(value)
    stranger = Off(corpus)
    stranger.topology = tiny_topology
    with pytest.raises(InputError, match="is not that of rival: tiny"):
        evaluate(Off(corpus), corpus, compare={"rival": stranger})


def test_another_frame_rate_is_refused_not_compared_frame_by_frame(corpus):
    class Fast(Off):
        def __call__(self, audio, **options):
            found = super().__call__(audio, **options)
            return Animation(found.vertices, 30.0, found.topology, found.template)

    with pytest.raises(InputError, match="moves at 30 frames per second, the corpus at 25"):
        evaluate(Fast(corpus), corpus)


def test_nothing_is_left_when_it_breaks(corpus, tmp_path):
    animator = Off(corpus, lambda style, seed, loudness: [][0])
    with pytest.raises(IndexError), clips_csv(tmp_path / "out" / "clips.csv") as write_row:
        evaluate(animator, corpus, on_row=write_row)
    assert list((tmp_path / "out").iterdir()) == []


def test_baselines_stand_beside_the_model(tmp_path):
    corpus = write_corpus(tmp_path / "train", 1, "bob")
    clips = tuple(ClipRecord(**(vars(clip) | {"split": "train"})) for clip in corpus.clips)
    corpus = Corpus(**(vars(Corpus.load(corpus.root)) | {"clips": clips}))
    result = evaluate(Off(corpus), corpus, EvaluationOptions(split="train", baselines=("mean_face",))).result
    still = result.models["mean_face"].means
    assert still["jitter"] == 0 and still["lve"] > 0 and still["fdd"] > 0 and not {"lag_frames", "mtm_ms"} & set(still)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": ()}, "seeds="),
        ({"seeds": (1, 1)}, "different"),
        ({"seeds": ("x",)}, "whole numbers"),
        ({"styles": "some"}, "known: all, own"),
        ({"baselines": ("gpt",)}, "unknown gpt; known: mean_face"),
        ({"degradations": ("babble",)}, "known: clean, babble<dB>"),
        ({"limit": 0}, "limit=0"),
        ({"limit": "few"}, "limit=few"),
        ({"worst": -1}, "worst=-1"),
    ],
)
def test_bad_options_say_what_is_known(options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        EvaluationOptions(**options)


def test_another_topology_or_an_empty_split_is_refused(corpus, tiny_topology):
    animator = Off(corpus)
    with pytest.raises(InputError, match=r"no clips in split val; known: test"):
        evaluate(animator, corpus, EvaluationOptions(split="val"))
    animator.topology = tiny_topology
    with pytest.raises(InputError, match="is not the checkpoint's tiny"):
        evaluate(animator, corpus)


# Weights: a corpus of controls on the tiny head.


@pytest.fixture
def controls(tmp_path, tiny_topology):
    """One clip of 40 frames in which jaw and one lid move, with two blinks, and one of a still face."""
    root = tmp_path / "controls"
    for folder in ("audio", "motion"):
        (root / folder).mkdir(parents=True)
    moving = np.zeros((40, len(CONTROL_NAMES)), np.float32)
    moving[:, CONTROL_NAMES.index("jawOpen")] = 0.5 + 0.5 * np.sin(np.arange(40) / 3)
    for lid in ("eyeBlinkLeft", "eyeBlinkRight"):
        moving[[5, 6, 7, 25, 26], CONTROL_NAMES.index(lid)] = 1.0
    clips = []
    for name, motion in (("voice-0", moving), ("silence-1", np.zeros_like(moving))):
        np.save(root / "motion" / f"{name}.npy", motion)
        soundfile.write(root / "audio" / f"{name}.wav", np.zeros(round(40 / FPS * SAMPLE_RATE)), SAMPLE_RATE)
        clips.append(ClipRecord(name, "neutral", "", "test", 40, round(40 / FPS * SAMPLE_RATE), [1.0, 0.0]))
    tiny_topology.save(root / "topology.npz")
    Corpus(root, "tiny", FPS, "controls", "tiny", tiny_topology.hash, ("a", "b"), tuple(clips)).save()
    return Corpus.load(root)


class Scaled:
    """Plays the first clip whatever it hears, with the jaw turned by a factor around its middle."""

    config = {"provenance": {"name": "by hand"}}  # noqa: RUF012

    def __init__(self, corpus, factor):
        self.topology, self.factor = corpus.topology, factor
        self.motion = np.array(corpus.load_motion(corpus.clips[0]))

    def __call__(self, audio, *, style, template, seed, steps):
        motion = self.motion.copy()
        jaw = CONTROL_NAMES.index("jawOpen")
        motion[:, jaw] = 0.5 + self.factor * (motion[:, jaw] - 0.5)
        return Animation.from_weights(close_lips(motion), FPS, self.topology, self.topology.template(template))


@pytest.mark.parametrize(("factor", "correlation"), [(1.0, 1.0), (0.5, 1.0), (-1.0, -1.0), (0.0, 0.0)])
def test_correlations_blinks_and_groups_of_weights(controls, factor, correlation):
    only = Corpus(**(vars(Corpus.load(controls.root)) | {"clips": controls.clips[:1]}))
    result = evaluate(Scaled(only, factor), only).result
    model = result.model.means
    assert model["jaw_correlation"] == pytest.approx(correlation, abs=1e-5) == result.model.controls["jawOpen"]
    assert set(result.model.controls) == {"jawOpen", "eyeBlinkLeft", "eyeBlinkRight"} and model[
        "upper_correlation"
    ] == pytest.approx(1.0)
    assert model["blinks_per_minute"] == result.recorded["blinks_per_minute"] == pytest.approx(2 * 60 * FPS / 40)
    assert result.groups == {}


def test_silence_and_speech_are_told_apart_and_still_faces_break_nothing(controls):
    result = evaluate(Scaled(controls, 1.0), controls, EvaluationOptions(seeds=(0, 1))).result
    assert set(result.groups) == {"voice", "silence"}
    assert result.groups["voice"]["mve"] < 1e-9 and result.groups["silence"]["mve"] > 1e-3
    assert result.model.means["seed_share_lips"] == pytest.approx(0, abs=1e-6)
    json.dumps(result.to_json(), allow_nan=False)


def test_blinks_are_counted_once_each():
    weights = np.zeros((30, len(CONTROL_NAMES)))
    weights[[0, 1, 10, 11, 12], CONTROL_NAMES.index("eyeBlinkLeft")] = 1
    assert count_blinks(weights) == 0, "one lid is a wink"
    weights[[0, 1, 10, 11, 12], CONTROL_NAMES.index("eyeBlinkRight")] = 0.2
    assert count_blinks(weights) == 2


def test_lag_is_found_with_its_sign_and_median_is_pooled():
    wanted = np.sin(np.arange(60) / 4) ** 2
    assert lag(np.roll(wanted, 2), wanted) == 2 and lag(np.roll(wanted, -3), wanted) == -3
    assert np.isnan(lag(np.zeros(60), wanted))
    means = MeanAccumulator()
    for value in (0.0, 1.0, 5.0, float("nan")):
        means.add({"lag_frames": (value, 10)})
    assert means.summary() == {"lag_frames": 1.0}


# Sounds.


@pytest.fixture
def speech():
    """A second of syllables: filtered noise under an envelope."""
    rng = np.random.default_rng(0)
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    carrier = np.convolve(rng.normal(size=SAMPLE_RATE), np.ones(8) / 8, "same")
    return (0.3 * carrier * np.sin(2 * np.pi * 2 * t) ** 2).astype(np.float32)


def test_gain_is_in_decibels_and_an_overload_is_cut(corpus):
    tone = np.float32([0.1, -0.1, 0.6])
    np.testing.assert_allclose(gain(tone, 6.0206), 2 * tone, rtol=1e-5)
    change = parse_degradation("overload20")
    np.testing.assert_allclose(change(tone, corpus.clips[0], corpus), [1.0, -1.0, 1.0], rtol=1e-5)


def test_telephone_keeps_its_band_and_the_time():
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for hertz, kept in ((100, 0.0), (1000, 1.0), (5000, 0.0)):
        tone = np.sin(2 * np.pi * hertz * t).astype(np.float32)
        middle = slice(4000, 12000)
        np.testing.assert_allclose(telephone(tone)[middle], kept * tone[middle], atol=0.01)


def test_babble_has_its_level(speech):
    crowd = babble(speech, [np.roll(speech, 3000), speech[::-1]], 10.0) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(crowd**2)) == pytest.approx(10, abs=0.05)


def test_babble_takes_other_clips_and_repeats(corpus):
    clip, other = corpus.clips
    voices = other_voices(clip, corpus)
    assert len(voices) == 1
    np.testing.assert_array_equal(voices[0], load_audio(corpus.audio_path(other)))
    change = parse_degradation("babble10")
    sound = load_audio(corpus.audio_path(clip))
    np.testing.assert_array_equal(change(sound, clip, corpus), change(sound, clip, corpus))
    lonely = Corpus(**(vars(Corpus.load(corpus.root)) | {"clips": corpus.clips[:1]}))
    with pytest.raises(InputError, match="needs other clips"):
        other_voices(clip, lonely)


def test_mp3_keeps_time_and_nearly_the_sound(speech):
    pytest.importorskip("av")
    coded = mp3(speech, 64)
    assert coded.shape == speech.shape and coded.dtype == np.float32
    assert np.abs(coded - speech).max() > 0 and np.corrcoef(coded, speech)[0, 1] > 0.98
    assert np.argmax(np.correlate(coded, speech[200:-200], "valid")) == 200
    np.testing.assert_array_equal(coded, mp3(speech, 64))
    assert np.abs(mp3(np.zeros(8000, np.float32), 64)).max() < 1e-3


# Pictures.


def test_worst_moments_and_scales_read_well():
    np.testing.assert_array_equal(worst_moments(np.array([0, 5, 1, 2, 9, 3, 4, 0, 8.0])), [1, 4, 8])
    assert [round_up(x) for x in (0, 0.7, 1.0, 1.2, 3, 8, 12, 0.04)] == pytest.approx([1, 0.7, 1, 1.5, 3, 10, 15, 0.05])


def test_memory_does_not_grow_with_the_corpus(corpus, monkeypatch):
    monkeypatch.setattr(run, "FRECHET_FRAMES", 50)
    monkeypatch.setattr(run, "FRECHET_CLIPS", 2)

    def peak(count: int) -> int:
        many = Corpus(**(vars(Corpus.load(corpus.root)) | {"clips": corpus.clips * (count // 2)}))
        animator = Off(many)
        tracemalloc.start()
        evaluate(animator, many, EvaluationOptions(styles="own", worst=1))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)  # what is loaded on first use
    assert peak(24) < 1.25 * peak(6)
