"""The ablation's table is what the runs say: means, spreads, pairs of one seed, in its place on the page."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from diffspeaker3d.controls.arkit import CONTROL_NAMES, close_lips
from diffspeaker3d.data.corpus import ClipRecord, Corpus
from diffspeaker3d.errors import InputError
from diffspeaker3d.topology import load_topology

SCRIPT = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "ablation.py"), run_name="script")
)


def numbers(lve: float) -> dict[str, float]:
    return dict.fromkeys(SCRIPT.COLUMNS, 0.5) | {"lve": lve}


def test_cells_carry_the_spread_of_training_seeds() -> None:
    assert SCRIPT.cell([1e-6, 3e-6], 1e6) == "2 ± 1"
    assert SCRIPT.cell([0.123456], 1.0) == "0.123"
    assert SCRIPT.cell([80.0, 94.1], 1.0) == "87 ± 10"


def test_variants_are_compared_with_the_run_of_their_own_seed() -> None:
    """A third run without a partner counts for its own mean and for no pair."""
    found = {
        SCRIPT.WHOLE: {0: numbers(1e-6), 1: numbers(2e-6)},
        SCRIPT.WITHOUT_BIASES: {0: numbers(2e-6), 1: numbers(4e-6), 2: numbers(9e-6)},
    }
    assert SCRIPT.changes(found[SCRIPT.WITHOUT_BIASES], found[SCRIPT.WHOLE]) == pytest.approx([100, 100])
    rows = SCRIPT.table(found, numbers(7e-6), 10).splitlines()
    assert rows[0].count("|") == rows[2].count("|") and "best of 10" in rows[0]
    assert rows[2].startswith("| whole model (unit variance) | 1.5 ± 0.7 |") and rows[2].endswith("|  | 2 |")
    assert rows[3].startswith("| without either bias | 5 ± 4 |") and rows[3].endswith("| +100.0 ± 0.0 % | 3 |")
    assert rows[4].startswith("| mean face | 7 |") and rows[5].count("|") == rows[0].count("|") and len(rows) == 6, (
        "a variant without runs has no row"
    )
    assert "-50.0 ± 0.0 %" in SCRIPT.biases(found)[0] and not SCRIPT.biases({})


def test_the_table_replaces_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{SCRIPT.BEGIN}old\n{SCRIPT.END}after\n")
    for text in ("first", "second"):
        SCRIPT.write_between(page, text)
    assert page.read_text() == f"before\n{SCRIPT.BEGIN}\nsecond\n\n{SCRIPT.END}after\n"
    page.write_text("no place")
    with pytest.raises(InputError, match="has no place for the table"):
        SCRIPT.write_between(page, "text")


def test_the_page_has_its_place() -> None:
    page = (Path(__file__).parents[1] / "docs" / "ablation.md").read_text("utf-8")
    assert page.index(SCRIPT.BEGIN) < page.index(SCRIPT.END)


def test_clips_are_speech_of_all_lengths() -> None:
    clips = [
        ClipRecord(f"c{n}", "ann", "(noise)" if n % 2 else "words", "val" if n < 40 else "train", n + 1, 0, 0)
        for n in range(50)
    ]
    corpus = SimpleNamespace(split=lambda name: [clip for clip in clips if clip.split == name])
    chosen = SCRIPT.chosen_clips(corpus, 5)
    assert [clip.num_frames for clip in chosen] == [1, 11, 21, 29, 39]
    assert len(SCRIPT.chosen_clips(corpus, 1000)) == 20


def test_the_truth_scores_perfectly_and_noise_does_not(tmp_path: Path) -> None:
    """One long clip: its own motion as every sample, then with noise on it, then the mean face."""
    rng = np.random.default_rng(0)
    motion = rng.uniform(0, 0.6, (160, len(CONTROL_NAMES))).astype(np.float32)
    (tmp_path / "motion").mkdir()
    np.save(tmp_path / "motion" / "c.npy", motion)
    topology = load_topology("mannequin")
    clip = ClipRecord("c", next(iter(topology.templates)), "words", "train", len(motion), 0, 0)
    corpus = Corpus(tmp_path, "tiny", 30.0, "controls", "mannequin", topology.hash, ("one",), (clip,))
    perfect = SCRIPT.score(lambda clip: close_lips(np.stack([motion] * 3)), corpus, [clip])
    for name in ("lve", "lve_long", "coverage_best", "fdd_absolute", "diversity_lips"):  # m², m: zero but for rounding
        assert perfect[name] == pytest.approx(0, abs=1e-9), name
    assert perfect["jaw_correlation"] == pytest.approx(1) and perfect["own_spread_lips"] > 0
    noisy = SCRIPT.score(
        lambda clip: close_lips(motion + rng.normal(0, 0.1, (3, *motion.shape)).astype(np.float32)), corpus, [clip]
    )
    assert (
        0 < noisy["coverage_best"] < noisy["lve"]
        and noisy["diversity_upper_face"] > 0
        and 0.5 < noisy["jaw_correlation"] < 1
    )
    still = SCRIPT.score(SCRIPT.mean_face(corpus), corpus, [clip])
    assert still["lve"] > noisy["lve"] and still["jaw_correlation"] == 0 and still["diversity_lips"] < 1e-9
