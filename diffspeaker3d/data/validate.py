"""Is this clip fit to learn from? Each check names what is wrong; a bad clip is left out of the corpus, not a crash later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffspeaker3d.audio import SAMPLE_RATE
from diffspeaker3d.topology import METRES_PER_UNIT, Topology

HEAD_DIAGONAL = (0.1, 1.5)  # metres, bounding box of anything from a face mask to a bust
SAME_SIZE = (0.4, 2.5)  # a clip's bounding box over its template's
SILENCE = 10 ** (-60 / 20)  # RMS of a full-scale waveform; recordings of silent rooms lie above
MOVING = 1e-3  # of the head's diagonal (a fifth of a millimetre): smaller motion counts as none
FROZEN = 1e-6  # of the head's diagonal
SAME_ORDER = 0.5  # correlation of edge lengths; other people, other expressions give more than 0.9


@dataclass(frozen=True)
class Checks:
    """What a clip must agree with.

    Attributes:
        topology: the corpus' topology.
        fps: of the motion.
        tolerance: longest accepted difference of sound and motion, s.
    """

    topology: Topology
    fps: float
    tolerance: float = 0.1

    def fault(self, motion: np.ndarray, template: np.ndarray, waveform: np.ndarray) -> str | None:
        """Why a clip should be left out, or None.

        Args:
            motion (array (T, V, 3)): absolute vertices in the topology's unit.
            template (array (V, 3)): its subject's neutral face.
            waveform (array (N,)): at 16 kHz.
        """
        if motion.ndim != 3 or motion.shape[1:] != template.shape:
            found = motion.shape[1] if motion.ndim == 3 else f"shape {motion.shape}"
            return f"wrong vertex count: {found}, the topology has {self.topology.num_vertices}"
        if len(motion) < 2:
            return f"too short: {len(motion)} frame"
        if not np.isfinite(motion).all():
            bad = int(np.argmin(np.isfinite(motion).all((1, 2))))
            return f"not a number in frame {bad}"
        return self._geometry_fault(motion, template) or self._sound_fault(motion, template, waveform)

    def _geometry_fault(self, motion: np.ndarray, template: np.ndarray) -> str | None:
        size = diagonal(template)
        ratio = diagonal(motion[0]) / size
        if not SAME_SIZE[0] < ratio < SAME_SIZE[1]:
            return f"unit: the motion is {ratio:.3g} times the size of its template{_unit_guess(ratio)}"
        agreement = edge_agreement(self.topology, motion[0], template)
        if agreement < SAME_ORDER:
            return f"vertex order: edges agree with the template by {agreement:.2f} only, so the vertices are in another order"
        if np.ptp(motion, axis=0).max() < FROZEN * size:
            return "frozen: no vertex moves in the whole clip"
        return None

    def _sound_fault(self, motion: np.ndarray, template: np.ndarray, waveform: np.ndarray) -> str | None:
        seconds, motion_seconds = len(waveform) / SAMPLE_RATE, len(motion) / self.fps
        if abs(seconds - motion_seconds) > self.tolerance + 1e-6:
            return f"length: {seconds:.2f} s of sound, {motion_seconds:.2f} s of motion"
        if not np.isfinite(waveform).all():
            return "sound: samples that are not numbers"
        loudness = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
        if loudness < SILENCE and self._mouth_moves(motion, template):
            return "silent: no sound, but the mouth moves"
        return None

    def _mouth_moves(self, motion: np.ndarray, template: np.ndarray) -> bool:
        """Over the lips where the topology knows them, else over the whole head."""
        mouth = motion[:, self.topology.regions["lips"]] if "lips" in self.topology.regions else motion
        return bool(np.linalg.norm(np.ptp(mouth, axis=0), axis=-1).max() > MOVING * diagonal(template))


def template_fault(topology: Topology, template: np.ndarray, reference: np.ndarray | None) -> str | None:
    """Why a neutral face cannot be used with a topology, or None.

    Args:
        template (array (V, 3)): in the topology's unit.
        reference (array (V, 3)): a face known to be in the right vertex order, in any unit; None skips that check.
    """
    if template.shape != (topology.num_vertices, 3):
        return f"shape {template.shape} does not fit topology {topology.name} of {topology.num_vertices} vertices"
    if not np.isfinite(template).all():
        return "holds numbers that are not finite"
    if reference is not None and (agreement := edge_agreement(topology, template, reference)) < SAME_ORDER:
        return f"its vertices are in another order than topology {topology.name} (edge lengths agree by {agreement:.2f} only); export it without merging or reordering"
    metres = METRES_PER_UNIT.get(topology.unit)
    if metres is not None and not HEAD_DIAGONAL[0] < diagonal(template) * metres < HEAD_DIAGONAL[1]:
        return f"is {diagonal(template) * metres:.3g} m across as {topology.unit}, no human head{_unit_guess(diagonal(template) * metres / 0.4)}"
    return None


def diagonal(vertices: np.ndarray) -> float:
    """Bounding-box diagonal of (V, 3) vertices."""
    return float(np.linalg.norm(np.ptp(vertices, axis=0)))


def edge_agreement(topology: Topology, vertices: np.ndarray, reference: np.ndarray) -> float:
    """Correlation of the edge lengths of two faces of one topology: near 1 in equal vertex order, near 0 otherwise."""
    edges = topology.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    lengths = [np.linalg.norm(v[edges[:, 0]] - v[edges[:, 1]], axis=1) for v in (vertices, reference)]
    if any(np.ptp(one) <= 1e-6 * one.max() for one in lengths):
        return 1.0  # all edges alike: order leaves no trace
    return float(np.corrcoef(lengths)[0, 1])


def _unit_guess(ratio: float) -> str:
    for factor, words in (
        (1000.0, "millimetres for metres"),
        (100.0, "centimetres for metres"),
        (10.0, "millimetres for centimetres"),
    ):
        if 0.4 < ratio / factor < 2.5:
            return f" ({words}?)"
        if 0.4 < ratio * factor < 2.5:
            return f" ({' for '.join(reversed(words.split(' for ')))}?)"
    return ""
