"""Fit the rules of articulation to measured people: python scripts/fit_articulation.py captures=DIR [write=true] [prior=0.03].

DIR holds NAME.csv beside NAME.flac|wav: column `time` and `lip_aperture` with JAW_x, JAW_y, JAW_z (articulography, mm) or
`lip_gap_inner` with `nose_chin` (tracked video, in eye distances; rows with found = 0 are dropped). Phones come from
NAME.phn (start end label) or by forced alignment of NAME.txt; captures with neither are left out.

The rules that move the synthetic corpus are run on each clip's true phones. Their numbers are moved, by least squares and
held near the hand-made ones, until lip opening and jaw follow the person's, each curve on its own scale: people differ in
how far they open, and cameras in what they see of it. Then every speaker is left out once, and the rules fitted to the others
are compared on him with the hand-made ones. Nothing of the captures is kept but the numbers.
"""

from __future__ import annotations

import csv
import logging
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from scipy.ndimage import binary_erosion, gaussian_filter1d
from scipy.optimize import least_squares

from diffspeaker3d.audio import SAMPLE_RATE, load_audio
from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.controls.articulation import articulate
from diffspeaker3d.controls.targets import (
    BREATH,
    HAND_MADE,
    PEOPLE,
    RULES_FOLDER,
    TRAIL,
    Rules,
    Target,
    load_rules,
)
from diffspeaker3d.data.sources.synthetic.render import relative_loudness
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.speech.alignment import align
from diffspeaker3d.speech.phones import SILENCE, VOWELS, Phone, phone_visemes, segments

FPS = 30.0  # of the curves that are compared in the fit
FINE = 100.0  # of those in the report
EDGE = 0.1  # seconds at both ends of a clip that are not compared
MOUTH_MM = 36.0  # lip gap of the mannequin at jawOpen 1
EYES_MM = 63.0  # the unit of tracked video, in people
CLOSED_MM = 0.5
VISIBLE_MM = 5.0  # range of lips that somebody can read
JAW_WEIGHT = 0.4  # of the jaw's curve beside the lips' in the fit: a chin in a video is only half a jaw
ITERATIONS = 9
STEP = 0.02  # of a parameter, in its own scale, for the derivatives
LEAST_VOWEL = 0.7  # of its hand-made opening: the captures hold few words with some of the vowels
LEAST_JAW, MOST_CLOSE = 0.04, 0.5  # of what is said: 0.7 mm of lip gap at least
CONTACT = (0.10, 0.08)  # seconds; correlation cannot tell them, the measured closing and parting around p, b, m can
LAGS = np.arange(-0.2, 0.201, 0.02)
OVERLONG = 0.35  # seconds: a last phone that an automatic segmentation stretches over the pause behind it
_SAMPA = {"6": "ɐ", "@": "ə", "I": "ɪ", "E": "ɛ", "O": "ɔ", "U": "ʊ", "Y": "ʏ", "9": "œ", "2": "ø", "S": "ʃ", "N": "ŋ", "C": "ç", "aI": "aɪ", "aU": "aʊ", "OY": "ɔɪ"}  # fmt: skip
_PAUSES = re.compile(r"(sil|sp|pau|h#|<p:>|&p:|_|)", re.I)
_K = {name: index for index, name in enumerate(CONTROL_NAMES)}


@dataclass
class Options:
    """Of the command line."""

    captures: str = MISSING
    write: bool = False
    prior: float = 0.03


@dataclass(frozen=True)
class Capture:
    """A measured person, and what is said when; curves (N,) at `times`, seconds, lips in mm."""

    name: str
    duration: float
    waveform: np.ndarray
    phones: tuple[Phone, ...]
    times: np.ndarray
    lips: np.ndarray
    jaw: np.ndarray

    @property
    def family(self) -> str:
        return self.name.split("_")[0]

    @property
    def fold(self) -> str:
        """What is left out together: a speaker; clips whose speaker is not known, and people who say the same sentences."""
        if self.family == "elo" or self.name.startswith("ema_hk"):
            return "harvard"  # the birch canoe is in both
        return self.family if self.family == "grid2" else self.name


# ---------------------------------------------------------------------------------------------------- captures


def read_captures(folder: Path) -> list[Capture]:
    """All captures of a folder whose phones are known or can be aligned.

    Raises:
        InputError: no such folder, or nothing in it that can be used.
    """
    if not folder.is_dir():
        raise InputError(f"captures={folder}: no such folder; give one that holds NAME.csv beside NAME.flac or .wav")
    found = []
    for path in sorted(folder.glob("*.csv")):
        sound = next((s for s in (path.with_suffix(".flac"), path.with_suffix(".wav")) if s.is_file()), None)
        curves = _curves(path) if sound else None
        if sound is None or curves is None:
            continue
        waveform = load_audio(sound)
        phones = _phones(path, waveform)
        if phones:
            found.append(Capture(path.stem, len(waveform) / SAMPLE_RATE, waveform, phones, *curves))
    if not found:
        raise InputError(f"captures={folder}: no NAME.csv with lips beside a sound and NAME.phn or NAME.txt")
    return found


def _curves(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Times, lip gap in mm and how far the jaw is down; None where no lips were measured."""
    with open(path, newline="", encoding="utf-8") as stream:
        head, *rows = csv.reader(stream)
    lips = next((name for name in ("lip_aperture", "lip_gap_inner") if name in head), None)
    if lips is None or "time" not in head:
        return None
    table = np.array([[float(x) for x in row] for row in rows if len(row) == len(head)])
    if "found" in head:
        table = table[table[:, head.index("found")] > 0]
    times, gap = table[:, head.index("time")], table[:, head.index(lips)]
    if lips == "lip_gap_inner":
        return times, gap * EYES_MM, table[:, head.index("nose_chin")] * EYES_MM
    first = head.index("JAW_x")
    moved = table[:, first : first + 3] - table[:, first : first + 3].mean(0)
    jaw = moved @ np.linalg.svd(moved, full_matrices=False)[2][0]  # along the direction in which it moves most
    return times, gap, jaw * np.sign(np.corrcoef(jaw, gap)[0, 1])


def _phones(path: Path, waveform: np.ndarray) -> tuple[Phone, ...]:
    """Phones from NAME.phn, else of NAME.txt aligned with the sound, else none."""
    if path.with_suffix(".phn").is_file():
        phones = []
        for line in path.with_suffix(".phn").read_text("utf-8").splitlines():
            start, end, label = (*line.split(), "")[:3]
            name = SILENCE if _PAUSES.fullmatch(label) else label.replace(":", "ː")
            phones.append(Phone(name, float(start), float(end)))
        arpabet = any(p.name[-1:].isdecimal() and p.name.isupper() for p in phones)
        return tuple(_shortened(p if arpabet else p._replace(name=_ipa(p.name))) for p in phones)
    if path.with_suffix(".txt").is_file() and path.name.startswith(("grid", "elo")):  # the others are not English
        try:
            return tuple(align(waveform, path.with_suffix(".txt").read_text("utf-8")).phones)
        except InputError as error:
            logging.warning("%s: left out: %s", path.stem, error)
    return ()


def _ipa(sampa: str) -> str:
    plain = sampa.rstrip("ː")
    return _SAMPA.get(plain, plain) + sampa[len(plain) :]


def _shortened(phone: Phone) -> Phone:
    vast = phone.name != SILENCE and phone.end - phone.start > 3 * OVERLONG
    return phone._replace(end=phone.start + OVERLONG / 4) if vast else phone


# ---------------------------------------------------------------------------------------------------- what is fitted


def starting_point() -> Rules:
    """The hand-made rules, and a mouth that breathes: it opens before speech and closes without haste behind it."""
    hand = load_rules(HAND_MADE)
    breath = Target((0.30, 0.40, 0.25, 0.2), {"jawOpen": 0.12, "close": 0.2})
    trail = Target((0.30, 0.40, 0.25, 0.2), {"jawOpen": 0.06, "close": 0.5})
    return replace(
        hand,
        contact=CONTACT,
        breath=0.35,
        trail=0.25,
        rest=(0.12, 0.06),
        targets=hand.targets | {BREATH: breath, TRAIL: trail},
    )


@dataclass(frozen=True)
class Parameter:
    """One number of the rules as offset x from the start in units of its scale; `visemes` in which it is felt, () all."""

    apply: Callable[[dict, float], None]
    visemes: tuple[str, ...]


def parameters(start: Rules) -> list[Parameter]:
    """Everything that lip opening and jaw can tell: their targets, dominances and times."""
    found: list[Parameter] = []

    def times_exp(field: str, index: int, scale: float, visemes: tuple[str, ...] = ()) -> None:
        def apply(values: dict, x: float) -> None:
            values[field] = _put(values[field], index, values[field][index] * np.exp(scale * x))

        found.append(Parameter(apply, visemes))

    def plus(field: str, scale: float, visemes: tuple[str, ...], index: int | None = None) -> None:
        def apply(values: dict, x: float) -> None:
            old = values[field] if index is None else values[field][index]
            new = max(old + scale * x, 0.0)
            values[field] = new if index is None else _put(values[field], index, new)

        found.append(Parameter(apply, visemes))

    for articulator in (0, 1):
        times_exp("onset", articulator, 0.4)
        times_exp("release", articulator, 0.4)
    for index in range(3):
        plus("stress", 0.1, (), index)
    plus("undershoot", 0.3, ())
    plus("loudness", 0.2, ())
    plus("breath", 0.15, (BREATH,))
    plus("trail", 0.15, (TRAIL,))
    for viseme in start.targets:
        for articulator in (0, 1):
            found.append(Parameter(_dominance(viseme, articulator), (viseme,)))
        spoken = viseme not in (SILENCE, BREATH, TRAIL)
        least = LEAST_VOWEL * start.targets[viseme].gestures["jawOpen"] if viseme in VOWELS else LEAST_JAW * spoken
        found.append(Parameter(_target(viseme, "jawOpen", 0.15, least, 1.0), (viseme,)))
        if viseme != "PP":  # contact is contact, and nothing else that is said may come near it
            found.append(Parameter(_target(viseme, "close", 0.4, -0.2, MOST_CLOSE if spoken else 1.1), (viseme,)))
    return found


def _put(values: tuple[float, ...], index: int, value: float) -> tuple[float, ...]:
    return (*values[:index], float(value), *values[index + 1 :])


def _dominance(viseme: str, articulator: int) -> Callable[[dict, float], None]:
    def apply(values: dict, x: float) -> None:
        old = values["targets"][viseme]
        values["targets"][viseme] = old._replace(
            dominance=_put(old.dominance, articulator, old.dominance[articulator] * np.exp(0.6 * x))
        )

    return apply


def _target(viseme: str, gesture: str, scale: float, least: float, most: float) -> Callable[[dict, float], None]:
    def apply(values: dict, x: float) -> None:
        old = values["targets"][viseme]
        value = np.clip(old.gestures.get(gesture, 0.0) + scale * x, least, most)
        values["targets"][viseme] = old._replace(gestures=old.gestures | {gesture: float(value)})

    return apply


def moved(start: Rules, known: Sequence[Parameter], x: np.ndarray) -> Rules:
    """The rules at offsets x (P,)."""
    values = {name: getattr(start, name) for name in start.__dataclass_fields__}
    values["targets"] = dict(start.targets)
    for parameter, amount in zip(known, x, strict=True):
        if amount:
            parameter.apply(values, float(amount))
    return Rules(**values)


# ---------------------------------------------------------------------------------------------------- the fit


def mouth(capture: Capture, rules: Rules, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Lip opening and jaw (T,) of the rules on a capture's phones: the jaw's range, the part that closure leaves."""
    count = int(capture.duration * fps + 1e-6)
    loudness = relative_loudness(capture.waveform, count, fps)
    controls = articulate(capture.phones, capture.duration, fps, loudness=loudness, rules=rules)
    jaw = controls[:, _K["jawOpen"]].astype(np.float64)
    return jaw * (1.0 - np.clip(controls[:, _K["mouthClose"]], 0.0, 1.0)), jaw


def _compared(capture: Capture, fps: float) -> np.ndarray:
    """Indices of the frames that both have."""
    last = min(capture.duration, capture.times[-1]) - EDGE
    times = np.arange(int(capture.duration * fps + 1e-6)) / fps
    return np.flatnonzero((times >= EDGE) & (times <= last))


def _standard(curve: np.ndarray) -> np.ndarray:
    return (curve - curve.mean()) / (curve.std() + 1e-6)


def _person(capture: Capture, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Lips and jaw of a capture at the compared frames, smoothed over 20 ms."""
    rate = 1.0 / float(np.median(np.diff(capture.times)))
    at = _compared(capture, fps) / fps
    lips, jaw = (
        np.interp(at, capture.times, gaussian_filter1d(curve, 0.02 * rate)) for curve in (capture.lips, capture.jaw)
    )
    return lips, jaw


class Fit:
    """Least squares over captures; parameters that a clip does not feel cost nothing there."""

    def __init__(self, captures: Sequence[Capture], start: Rules, prior: float):
        self.captures, self.start, self.known = captures, start, parameters(start)
        self.prior = np.sqrt(prior)
        self.goals = [tuple(map(_standard, _person(c, FPS))) for c in captures]
        self.felt = [{s.viseme for s in segments(c.phones)} | {SILENCE, BREATH, TRAIL} for c in captures]
        # Few clips of articulography say as much as many of video: they measure what a video guesses.
        self.weights = [np.sqrt(2.0 if c.family == "ema" else 1.0) for c in captures]

    def __call__(self) -> Rules:
        found = least_squares(
            self.residuals, np.zeros(len(self.known)), self.jacobian, method="trf", max_nfev=ITERATIONS
        )
        return moved(self.start, self.known, found.x)

    def residuals(self, x: np.ndarray) -> np.ndarray:
        rules = moved(self.start, self.known, x)
        parts = [self._clip(i, rules) for i in range(len(self.captures))]
        return np.concatenate([*parts, self.prior * x])

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        rules = moved(self.start, self.known, x)
        base = [self._clip(i, rules) for i in range(len(self.captures))]
        edges = np.cumsum([0, *map(len, base)])
        matrix = np.zeros((edges[-1] + len(x), len(x)))
        matrix[edges[-1] :] = self.prior * np.eye(len(x))
        for column, parameter in enumerate(self.known):
            there = np.array(x)
            there[column] += STEP
            rules = moved(self.start, self.known, there)
            for i, felt in enumerate(self.felt):
                if not parameter.visemes or felt & set(parameter.visemes):
                    matrix[edges[i] : edges[i + 1], column] = (self._clip(i, rules) - base[i]) / STEP
        return matrix

    def _clip(self, index: int, rules: Rules) -> np.ndarray:
        capture, (lips, jaw) = self.captures[index], self.goals[index]
        at = _compared(capture, FPS)
        our_lips, our_jaw = (_standard(curve[at]) for curve in mouth(capture, rules, FPS))
        scale = self.weights[index] / np.sqrt(len(at))
        return np.concatenate([scale * (our_lips - lips), scale * np.sqrt(JAW_WEIGHT) * (our_jaw - jaw)])


# ---------------------------------------------------------------------------------------------------- the report


@dataclass(frozen=True)
class Score:
    """Of rules on one clip: correlations at no lag, lag of the lips at their best, amplitude ratio."""

    lips: float
    jaw: float
    lag: float
    best: float
    amplitude: float


def score(capture: Capture, rules: Rules) -> Score:
    """How well the rules move the mouth as the person did."""
    at = _compared(capture, FINE)
    lips, jaw = _person(capture, FINE)
    our_lips, our_jaw = mouth(capture, rules, FINE)
    times, ours = at / FINE, np.arange(len(our_lips)) / FINE
    lagged = [np.corrcoef(lips, np.interp(times + lag, ours, our_lips))[0, 1] for lag in LAGS]
    best = int(np.argmax(lagged))
    return Score(
        float(np.corrcoef(lips, our_lips[at])[0, 1]),
        float(np.corrcoef(jaw, our_jaw[at])[0, 1]),
        float(LAGS[best]),
        float(lagged[best]),
        float(MOUTH_MM * our_lips[at].std() / lips.std()),
    )


def calibrated(rules: Rules, captures: Sequence[Capture]) -> Rules:
    """The rules with jaws that open as far as people's, of which the fit knows only the shape.

    Speakers who hardly move their lips are left out: that is a manner (mumbled), not the neutral one.
    """
    seen = [c for c in captures if np.quantile(c.lips, 0.95) - np.quantile(c.lips, 0.05) > VISIBLE_MM]
    share = 1.0 / float(np.median([score(c, rules).amplitude for c in seen]))

    def opened(target: Target) -> Target:
        return target._replace(gestures=target.gestures | {"jawOpen": target.gestures.get("jawOpen", 0.0) * share})

    return replace(rules, targets={viseme: opened(target) for viseme, target in rules.targets.items()})


def closures(captures: Sequence[Capture], rules: Rules) -> str:
    """p, b, m whose lips meet, and frames of other speech (50 ms from those, 100 ms from pauses) in which they meet too."""
    sealed, all_sealed, shut, other = 0, 0, 0, 0
    for capture in captures:
        gap = MOUTH_MM * mouth(capture, rules, FINE)[0]
        said, labial = np.zeros(len(gap), bool), np.zeros(len(gap), bool)
        for phone in capture.phones:
            kind = phone_visemes(phone.name)
            said[round(phone.start * FINE) : round(phone.end * FINE)] = kind != (SILENCE,)
            if kind == ("PP",):
                near = slice(round((phone.start - 0.05) * FINE), round((phone.end + 0.05) * FINE) + 1)
                labial[near] = True
                all_sealed += 1
                sealed += bool((gap[near] < CLOSED_MM).any())
        free = binary_erosion(said, iterations=round(0.1 * FINE)) & ~labial
        shut += int((gap[free] < CLOSED_MM).sum())
        other += int(free.sum())
    return f"p, b, m sealed {sealed} of {all_sealed}; other speech shut in {shut} of {other} frames"


def contact_times(phones: Sequence[Phone], gap: np.ndarray, fps: float) -> list[tuple[float, float]]:
    """Of each p, b, m: seconds from 80 to 20 % of the gap before it, and from 20 to 80 % of that after it."""
    found = []
    for phone in phones:
        start, end = round(phone.start * fps), round(phone.end * fps)
        if phone_visemes(phone.name) != ("PP",) or start < 0.3 * fps or end + 0.3 * fps > len(gap):
            continue
        lowest = start + int(np.argmin(gap[start : end + 1]))
        reach = int(0.25 * fps)
        before, after = gap[lowest - reach : lowest + 1][::-1], gap[lowest : lowest + reach + 1]
        found.append((_rise(before) / fps, _rise(after) / fps))
    return found


def _rise(gap: np.ndarray) -> float:
    """Frames from the last at 20 % of the rise to the first at 80 %."""
    share = (gap - gap[0]) / max(float(gap.max() - gap[0]), 1e-6)
    high = int(np.argmax(share >= 0.8))
    below = np.flatnonzero(share[: high + 1] <= 0.2)
    return float(high - (below[-1] if len(below) else 0))


def interval(values: Sequence[float]) -> str:
    """Mean, and its 95 % interval by bootstrap over clips."""
    drawn = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
    return f"{np.mean(values):.3f} [{np.quantile(drawn, 0.025):.2f}, {np.quantile(drawn, 0.975):.2f}]"


def report(title: str, captures: Sequence[Capture], rules: Sequence[Rules]) -> None:
    """One table row per family; rules[i] are those of captures[i]."""
    scores = [score(c, r) for c, r in zip(captures, rules, strict=True)]
    families = dict.fromkeys(c.family for c in captures)
    print(f"\n{title}\n{'':8}clips  lips r0               jaw r0                best lag  lag      amplitude")
    for family in (*families, "all"):
        rows = [s for c, s in zip(captures, scores, strict=True) if family in (c.family, "all")]
        print(
            f"{family:8}{len(rows):5}  {interval([s.lips for s in rows]):22}{interval([s.jaw for s in rows]):22}"
            f"{np.mean([s.best for s in rows]):.3f}     {np.median([s.lag for s in rows]):+.2f} s  {np.median([s.amplitude for s in rows]):.2f}"
        )


def report_contacts(captures: Sequence[Capture], sets: dict[str, Rules]) -> None:
    """Closing and parting of the lips around p, b, m, beside the people's."""

    def show(who: str, times: list[tuple[float, float]]) -> None:
        closing, parting = np.quantile(np.array(times) * 1000.0, [0.25, 0.5, 0.75], axis=0).T.round()
        print(f"{who:12}{len(times):4}  closing {closing[1]:.0f} ms [{closing[0]:.0f}, {closing[2]:.0f}]  "
              f"parting {parting[1]:.0f} ms [{parting[0]:.0f}, {parting[2]:.0f}]")  # fmt: skip

    print("\np, b, m: time between 80 and 20 % of the gap beside them, median [quartiles]")
    fine = {c.name: np.arange(0.0, c.times[-1], 1 / FINE) for c in captures}
    show(
        "people", [t for c in captures for t in contact_times(c.phones, np.interp(fine[c.name], c.times, c.lips), FINE)]
    )
    for name, rules in sets.items():
        show(name, [t for c in captures for t in contact_times(c.phones, mouth(c, rules, FINE)[0], FINE)])


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        options: Options = OmegaConf.merge(OmegaConf.structured(Options), OmegaConf.from_cli())  # type: ignore[assignment]
        captures = read_captures(Path(options.captures))
    except (InputError, OmegaConfBaseException) as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return 2
    start, hand = starting_point(), load_rules(HAND_MADE)
    report("hand-made", captures, [hand] * len(captures))
    left_out = {}
    for fold in dict.fromkeys(c.fold for c in captures):
        others = [c for c in captures if c.fold != fold]
        left_out[fold] = calibrated(Fit(others, start, options.prior)(), others)
        logging.info("without %s: %s", fold, " ".join(f"{c.name} {score(c, left_out[fold]).lips:.2f}" for c in captures if c.fold == fold))  # fmt: skip
    report("fitted to the other speakers", captures, [left_out[c.fold] for c in captures])
    fitted = calibrated(Fit(captures, start, options.prior)(), captures)
    report("fitted to all (not a test)", captures, [fitted] * len(captures))
    report_contacts(captures, {HAND_MADE: hand, "fitted": fitted})
    for name, rules in ((HAND_MADE, hand), ("fitted", fitted)):
        print(f"{name:12}{closures(captures, rules)}")
    if options.write:
        with atomic_path(RULES_FOLDER / f"{PEOPLE}.yaml") as temporary:
            temporary.write_text(HEADER + fitted.to_yaml(), "utf-8")
    return 0


HEADER = """# Written by scripts/fit_articulation.py: the rules of articulation, fitted to measured people (docs/articulation.md).
# What each number means is said in controls/targets.py. Fit them again rather than change them by hand.
"""

if __name__ == "__main__":
    sys.exit(main())
