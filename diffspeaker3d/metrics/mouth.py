"""What the mouth does over time: how far it opens, when, and whether it closes where speech demands it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.metrics.frames import CHUNK_FRAMES, as_array
from diffspeaker3d.topology import METRES_PER_UNIT, Topology

MTM_SIGMA = 2.0  # frames, Gaussian smoothing of the opening
CLOSURE_MARGIN = 0.0005  # metres above the neutral opening that still look closed
CLOSURE_MARGIN_RELATIVE = 0.002  # the same as a share of the face's diagonal, where the unit is not known
PAUSE_REACH, BILABIAL_REACH = 0.1, 0.05  # seconds from a pause, from p, b, m, in which closed lips are theirs
SPEED_REACH = 0.15  # seconds before lips meet, and after they part, in which their speed is looked for
CLOSURE_REACH = 1  # frames: a closure may come one frame early or late


def mouth_opening(vertices: Any, topology: Topology) -> np.ndarray:
    """Distance (T,) between the middles of the upper and the lower lip, metres (or the topology's own unit if unknown).

    Args:
        vertices (array or Tensor (T, V, 3)): one clip.
        topology: with the one-vertex regions `lip_upper_mid` and `lip_lower_mid`.

    Raises:
        InputError: the topology lacks these regions or another vertex count.
    """
    upper, lower = (int(topology.region(name)[0]) for name in ("lip_upper_mid", "lip_lower_mid"))
    if len(vertices.shape) != 3 or tuple(vertices.shape[1:]) != (topology.num_vertices, 3):
        raise InputError(
            f"metrics: vertices {tuple(vertices.shape)} do not fit topology {topology.name} of {topology.num_vertices} vertices"
        )
    pieces = [
        np.linalg.norm(piece[:, upper].astype(np.float64) - piece[:, lower], axis=-1)
        for start in range(0, len(vertices), CHUNK_FRAMES)
        if len(piece := as_array(vertices[start : start + CHUNK_FRAMES]))
    ]
    return np.concatenate(pieces or [np.zeros(0)]) * METRES_PER_UNIT.get(topology.unit, 1.0)


def mean_temporal_misalignment(pred_opening: np.ndarray, target_opening: np.ndarray, fps: float) -> float:
    """MTM: how many milliseconds the mouth's turning points are early or late; nan when the recording has none.

    Both openings are smoothed (Gaussian, sigma 2 frames) and aligned by derivative dynamic time warping (Keogh & Pazzani
    2001); mean |i - j| / fps over the recording's local extrema i and the frames j they are matched with. A much smaller
    amplitude costs a little too, since unequal slopes match less well. See "Perceptually
    accurate 3D talking head generation" (Chae-Yeon et al., CVPR 2025); written from the paper's definition.

    Args:
        pred_opening, target_opening (array (T,)): from `mouth_opening`.
    """
    from scipy.ndimage import gaussian_filter1d

    smooth = [gaussian_filter1d(np.asarray(x, np.float64), MTM_SIGMA) for x in (pred_opening, target_opening)]
    slopes = [_keogh_slope(x) for x in smooth]
    path = dtw_path(np.square(slopes[0][:, None] - slopes[1]))
    turns = np.flatnonzero(np.diff(np.sign(np.diff(smooth[1]))) != 0) + 1
    if len(turns) == 0:
        return float("nan")
    lags = [np.abs(path[path[:, 1] == turn, 0] - turn).mean() for turn in turns]
    return float(np.mean(lags) / fps * 1000)


def _keogh_slope(values: np.ndarray) -> np.ndarray:
    """Mean of the backward and the central slope: ((x_i - x_i-1) + (x_i+1 - x_i-1) / 2) / 2, ends repeated."""
    if len(values) < 3:
        return np.zeros(len(values))
    inner = ((values[1:-1] - values[:-2]) + (values[2:] - values[:-2]) / 2) / 2
    return np.pad(inner, 1, mode="edge")


def dtw_path(cost: np.ndarray) -> np.ndarray:
    """The cheapest monotone path (P, 2) through a cost matrix (I, J), from corner to corner, steps (1,1), (1,0), (0,1).

    See Sakoe & Chiba 1978. O(I J); of equally cheap predecessors the diagonal one is taken.
    """
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(rows):
        previous, current = total[i].tolist(), total[i + 1].tolist()
        for j, here in enumerate(cost[i].tolist()):
            current[j + 1] = here + min(previous[j], previous[j + 1], current[j])
        total[i + 1] = current
    i, j = rows, columns
    path = []
    while i > 0 and j > 0:
        path.append((i - 1, j - 1))
        i, j = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda place: total[place])
    return np.array(path[::-1])


class Share(NamedTuple):
    """Hits out of a total: add those of many clips before dividing, so that a clip weighs by what it holds."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        """hits / total; nan when there was nothing to hit."""
        return self.hits / self.total if self.total else float("nan")

    def plus(self, other: Share) -> Share:
        return Share(self.hits + other.hits, self.total + other.total)


class Rate(NamedTuple):
    """Events in so many seconds; add those of many clips before dividing."""

    events: int
    seconds: float

    @property
    def value(self) -> float:
        """Events per second; nan when there was no time for any."""
        return self.events / self.seconds if self.seconds else float("nan")

    def plus(self, other: Rate) -> Rate:
        return Rate(self.events + other.events, self.seconds + other.seconds)


def closure_threshold(template: Any, topology: Topology) -> float:
    """Opening below which the lips count as closed: that of the neutral face and half a millimetre; as `mouth_opening`."""
    neutral = as_array(template).astype(np.float64)
    known = topology.unit in METRES_PER_UNIT
    margin = CLOSURE_MARGIN if known else CLOSURE_MARGIN_RELATIVE * float(np.linalg.norm(np.ptp(neutral, axis=0)))
    return float(mouth_opening(neutral[None], topology)[0]) + margin


def bilabial_closure_recall(opening: np.ndarray, bilabial: np.ndarray, threshold: float) -> Share:
    """How many of the spoken /p/, /b/, /m/ are seen as closed lips.

    A run of bilabial frames counts once, and is a hit when the opening reaches the threshold in the run or one frame
    beside it.

    Args:
        opening (array (T,)): from `mouth_opening`.
        bilabial (array (T,) bool): frames of p, b, m, e.g. viseme labels == "PP".
        threshold: from `closure_threshold`.
    """
    closed = np.asarray(opening) <= threshold
    edges = np.flatnonzero(np.diff(np.pad(np.asarray(bilabial, np.int8), 1)))
    runs = edges.reshape(-1, 2)
    hits = sum(bool(closed[max(a - CLOSURE_REACH, 0) : b + CLOSURE_REACH].any()) for a, b in runs)
    return Share(hits, len(runs))


def false_closure(opening: np.ndarray, vowel: np.ndarray, threshold: float) -> Share:
    """How many vowel frames show closed lips.

    Args:
        opening (array (T,)): from `mouth_opening`.
        vowel (array (T,) bool): frames in which the lips must be apart; leave out those beside a bilabial.
        threshold: from `closure_threshold`.
    """
    vowel = np.asarray(vowel, bool)
    return Share(int((np.asarray(opening)[vowel] <= threshold).sum()), int(vowel.sum()))


def other_speech(bilabial: np.ndarray, silent: np.ndarray, fps: float) -> np.ndarray:
    """Frames (T,) in which no person's lips are shut: speech, 100 ms from any pause and 50 ms from any p, b, m.

    Args:
        bilabial (array (T,) bool): frames of p, b, m.
        silent (array (T,) bool): frames of pauses.
        fps: frames per second.
    """
    return ~(_near(silent, round(PAUSE_REACH * fps)) | _near(bilabial, math.ceil(BILABIAL_REACH * fps)))


def wrong_closures(opening: np.ndarray, elsewhere: np.ndarray, fps: float, threshold: float) -> tuple[Share, Rate]:
    """Closed lips where nothing closes them: share of the frames, and closures per second.

    A closure counts when all of it lies there: one that a neighbouring p began or a pause ends is its own.

    Args:
        opening (array (T,)): from `mouth_opening`.
        elsewhere (array (T,) bool): from `other_speech`.
        fps: frames per second.
        threshold: from `closure_threshold`.
    """
    closed, elsewhere = np.asarray(opening) <= threshold, np.asarray(elsewhere, bool)
    runs = np.flatnonzero(np.diff(np.pad(closed.astype(np.int8), 1))).reshape(-1, 2)
    events = sum(bool(elsewhere[a:b].all()) for a, b in runs)
    frames = Share(int((closed & elsewhere).sum()), int(elsewhere.sum()))
    return frames, Rate(events, frames.total / fps)


def lip_speeds(opening: np.ndarray, bilabial: np.ndarray, fps: float, threshold: float) -> np.ndarray:
    """How fast lips meet and part around p, b, m: (n, 2) in the opening's unit per second, a row for each that is sealed.

    The largest fall from one frame to the next in the 150 ms before the lips meet, and the largest rise in as long after
    they part. People move them at 50 to 200 mm/s; a rule that switches closure on reaches any speed at all.

    Args:
        opening (array (T,)): from `mouth_opening`.
        bilabial (array (T,) bool): frames of p, b, m.
        fps: frames per second.
        threshold: from `closure_threshold`.
    """
    opening = np.asarray(opening, np.float64)
    closed, near = opening <= threshold, _near(bilabial, math.ceil(BILABIAL_REACH * fps))
    reach, speeds = max(round(SPEED_REACH * fps), 1), []
    for first, stop in np.flatnonzero(np.diff(np.pad(closed.astype(np.int8), 1))).reshape(-1, 2):
        if near[first:stop].any() and first > 0 and stop < len(opening):
            falls = -np.diff(opening[max(first - reach, 0) : first + 1])
            rises = np.diff(opening[stop - 1 : stop + reach])
            speeds.append((falls.max() * fps, rises.max() * fps))
    return np.array(speeds, np.float64).reshape(-1, 2)


def _near(frames: np.ndarray, reach: int) -> np.ndarray:
    """Frames (T,) at most `reach` from a true one."""
    near = np.array(frames, bool)
    for step in range(1, min(reach, len(near) - 1) + 1):
        near[step:] |= np.asarray(frames, bool)[:-step]
        near[:-step] |= np.asarray(frames, bool)[step:]
    return near


def beat_alignment(
    opening: np.ndarray, waveform: np.ndarray, sample_rate: int, fps: float, sigma: float = 0.1
) -> float:
    """How well the mouth's openings sit on the syllables, from 0 to 1; needs no recording of motion.

    BA = mean over syllables s of exp(-min_m (t_s - t_m)^2 / (2 sigma^2)). Syllables are the peaks of the speech envelope,
    m the peaks of the opening, both smoothed over a tenth of a second; nan when there are no syllables. After the beat
    alignment of dance (AI Choreographer, Li et al. 2021), with the mouth for the body. Blind to amplitude.

    Args:
        opening (array (T,)): from `mouth_opening`.
        waveform (array (N,)): the speech, at `sample_rate` Hz.
        sigma: tolerance, s.
    """
    envelope = _frame_energy(np.asarray(waveform, np.float64), sample_rate, fps, len(opening))
    syllables, openings = (_peaks(x, fps) / fps for x in (envelope, np.asarray(opening, np.float64)))
    if len(syllables) == 0:
        return float("nan")
    if len(openings) == 0:
        return 0.0
    nearest = np.abs(syllables[:, None] - openings).min(1)
    return float(np.exp(-np.square(nearest) / (2 * sigma**2)).mean())


def _frame_energy(waveform: np.ndarray, sample_rate: int, fps: float, num_frames: int) -> np.ndarray:
    """RMS (T,) of the sound around each frame's instant."""
    power = np.concatenate([[0.0], np.cumsum(np.square(waveform))])
    edges = np.clip(np.rint((np.arange(num_frames + 1) - 0.5) / fps * sample_rate), 0, len(waveform)).astype(np.int64)
    return np.sqrt(np.diff(power[edges]) / np.maximum(np.diff(edges), 1))


def _peaks(values: np.ndarray, fps: float) -> np.ndarray:
    """Frames of the local maxima that rise by at least a tenth of the range above their surroundings."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    smooth = gaussian_filter1d(values, 0.04 * fps)
    height = float(np.ptp(smooth)) if len(smooth) else 0.0
    return find_peaks(smooth, prominence=0.1 * height)[0] if height > 0 else np.zeros(0, np.int64)
