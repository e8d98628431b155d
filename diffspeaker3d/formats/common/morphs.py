"""An animation as a few shapes and their weights: what every rig-like format (glTF, UsdSkel, FBX, html) stores.

Weights always lie in [0, 1]: Blender clamps others silently (2.3 mm off), so a signed direction becomes two shapes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from diffspeaker3d.animation import Animation, BlendedVertices
from diffspeaker3d.formats.common.mesh import in_units, metres_per_unit

log = logging.getLogger(__name__)

BASIS_FRAMES = 384  # frames that principal directions are found from; the rest is projected onto them
UNUSED = 1e-6  # a weight that never exceeds this does not move anything visible


@dataclass(frozen=True)
class MorphOptions:
    """How closely shapes must follow vertices that have none of their own.

    Attributes:
        tolerance: largest error of a coordinate, metres.
        max_targets: most shapes allowed; phones stop drawing above 241.
        signed: keep principal directions whole, with weights in [-1, 1], for a reader that does not clamp.
    """

    tolerance: float = 5e-5
    max_targets: int = 200
    signed: bool = False


@dataclass(frozen=True, eq=False)
class Morphs:
    """template + weights @ deltas ~ vertices.

    Attributes:
        names: K names.
        deltas (array (K, V, 3) float32): displacement at weight 1, the topology's unit.
        weights (array (T, K) float32): in [0, 1]; signed directions within [-1, 1] where those were asked for.
        named: True for the head's own shapes, False for principal directions of this motion.
        max_error, rms_error: deviation of coordinates from the animation over all frames, the topology's unit.
    """

    names: tuple[str, ...]
    deltas: np.ndarray
    weights: np.ndarray
    named: bool
    max_error: float
    rms_error: float


def find_morphs(animation: Animation, options: MorphOptions | None = None) -> Morphs:
    """The head's own shapes where they make this motion, else principal directions within the tolerance."""
    options = options or MorphOptions()
    tolerance = in_units(options.tolerance, animation.topology, animation.template)
    morphs = own_shapes(animation)
    if morphs is None or morphs.max_error > tolerance:
        limit = options.max_targets if options.signed else options.max_targets // 2
        morphs = principal_shapes(animation, tolerance, max(1, limit), options.signed)
    if morphs.max_error > tolerance:
        millimetres = 1000 * metres_per_unit(animation.topology) * morphs.max_error
        log.warning(
            "%d morph targets follow this motion to %.3f mm only; .npz, .usdc, .pc2 or .mdd hold it exactly",
            len(morphs.names),
            millimetres,
        )
    return morphs


def own_shapes(animation: Animation) -> Morphs | None:
    """The topology's blendshapes that this animation uses with its weights, or None if it has none."""
    basis, weights = animation.topology.blendshapes, animation.weights
    if basis is None or weights is None or not set(animation.weight_names) <= set(basis.names):
        return None
    used = [k for k in range(weights.shape[1]) if np.abs(weights[:, k]).max() > UNUSED] or [0]
    names = tuple(animation.weight_names[k] for k in used)
    deltas = basis.deltas[[basis.names.index(n) for n in names]]
    error = (0.0, 0.0)
    if not (isinstance(animation.vertices, BlendedVertices) and animation.vertices.weights is weights):
        error = _error(animation, weights[:, used], deltas)
    return _into_unit_range(names, deltas, weights[:, used], True, error)


def principal_shapes(animation: Animation, tolerance: float, limit: int, signed: bool) -> Morphs:
    """As few principal directions of the motion as stay within `tolerance` (topology's unit), at most `limit`.

    Directions come from the Gram matrix of up to BASIS_FRAMES frames spread over the motion; every frame is then
    projected and measured, and directions are added until all are within the tolerance or the limit is reached.
    """
    chosen = np.unique(np.linspace(0, len(animation) - 1, min(len(animation), BASIS_FRAMES)).round().astype(int))
    sample = (np.asarray(animation.vertices[chosen], np.float64) - animation.template).reshape(len(chosen), -1)
    values, vectors = np.linalg.eigh(sample @ sample.T)
    order = np.argsort(values)[::-1][:limit]
    kept = order[values[order] > 1e-12 * max(values[order[0]], 1e-30)]
    if len(kept) == 0:
        return Morphs(
            ("rest",),
            np.zeros((1, *animation.template.shape), np.float32),
            np.zeros((len(animation), 1), np.float32),
            False,
            0.0,
            0.0,
        )
    directions = vectors[:, kept].T @ sample / np.sqrt(values[kept])[:, None]
    count = _enough(sample, directions, tolerance)
    while True:
        basis = directions[:count].astype(np.float32)
        weights = np.concatenate(
            [(chunk - animation.template).reshape(len(chunk), -1) @ basis.T for chunk in animation.chunks()]
        )
        deltas = basis.reshape(count, -1, 3)
        error = _error(animation, weights, deltas)
        if error[0] <= tolerance or count == len(directions):
            break
        count = min(len(directions), count + max(4, count // 4))
    names = tuple(f"motion{k + 1:03d}" for k in range(count))
    if signed:
        peaks = np.abs(weights).max(0)
        return Morphs(names, deltas * peaks[:, None, None], weights / peaks, False, *error)
    return _into_unit_range(names, deltas, weights, False, error)


def _enough(sample: np.ndarray, directions: np.ndarray, tolerance: float) -> int:
    """How many leading directions keep every coordinate of the sample within the tolerance (bisection)."""
    coefficients = sample @ directions.T
    low, high = 1, len(directions)
    while low < high:
        middle = (low + high) // 2
        if np.abs(sample - coefficients[:, :middle] @ directions[:middle]).max() <= tolerance:
            high = middle
        else:
            low = middle + 1
    return low


def _error(animation: Animation, weights: np.ndarray, deltas: np.ndarray) -> tuple[float, float]:
    """Largest and root mean square deviation of template + weights @ deltas from the vertices, over all frames."""
    largest, squares, frame = 0.0, 0.0, 0
    flat = deltas.reshape(len(deltas), -1)
    for chunk in animation.chunks():
        difference = (chunk - animation.template).reshape(len(chunk), -1) - weights[frame : frame + len(chunk)] @ flat
        largest = max(largest, float(np.abs(difference).max()))
        squares += float(np.einsum("ij,ij->", difference, difference, dtype=np.float64))
        frame += len(chunk)
    return largest, float(np.sqrt(squares / (len(weights) * flat.shape[1])))


def _into_unit_range(
    names: tuple[str, ...], deltas: np.ndarray, weights: np.ndarray, named: bool, error: tuple[float, float]
) -> Morphs:
    """Weights into [0, 1]: w * B = max(w, 0) * B + max(-w, 0) * (-B), each shape scaled by its largest weight.

    The head's own shapes keep their size unless a weight exceeds 1, so that other clips can drive them too.
    """
    parts: list[tuple[str, np.ndarray, np.ndarray]] = []
    for k, name in enumerate(names):
        for sign, suffix in ((1.0, ""), (-1.0, "_neg")):
            one_sided = np.maximum(sign * weights[:, k], 0.0)
            peak = float(one_sided.max())
            if peak <= UNUSED * (1.0 if named else float(np.abs(weights).max())) and not (sign > 0 and named):
                continue
            scale = max(1.0, peak) if named else peak
            parts.append((name + suffix, sign * scale * deltas[k], one_sided / scale))
    stacked = np.stack([p[1] for p in parts]).astype(np.float32)
    return Morphs(
        tuple(p[0] for p in parts), stacked, np.stack([p[2] for p in parts], 1).astype(np.float32), named, *error
    )


def normal_deltas(animation: Animation, morphs: Morphs) -> tuple[np.ndarray, np.ndarray]:
    """Normals of the template (V, 3) and per shape (K, V, 3), such that base + weights @ deltas follows the true normals.

    Least squares over up to BASIS_FRAMES frames, drawn towards the normals of each shape alone at weight 1, which also
    settles shapes that hardly move in this clip.
    """
    from diffspeaker3d.geometry.normals import VertexNormals

    normals = VertexNormals(animation.topology.faces, animation.topology.num_vertices)
    base = normals(animation.template[None])[0]
    alone = np.concatenate([normals((animation.template + delta)[None]) - base for delta in morphs.deltas])
    flat = alone.reshape(len(alone), -1)
    step = -(-len(animation) // BASIS_FRAMES)
    gram, right = np.eye(len(flat)) * 1e-2, np.zeros(flat.shape, np.float32)
    for start in range(0, len(animation), 32 * step):
        frames = np.arange(start, min(len(animation), start + 32 * step), step)
        weights = morphs.weights[frames]
        truth = (normals(np.asarray(animation.vertices[frames])) - base).reshape(len(frames), -1)
        gram += weights.T.astype(np.float64) @ weights
        right += weights.T @ (truth - weights @ flat)
    correction = np.linalg.solve(gram, right).astype(np.float32)
    return base, (flat + correction).reshape(alone.shape)
