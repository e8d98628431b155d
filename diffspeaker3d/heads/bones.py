"""Jaw and eye bones of a character, turned where no shape does their work: lower teeth on a jaw bone, eyes without look shapes.

A bone is found by its name (or by what VRM says) and believed by its geometry: what it moves lies in front of it, or is a ball around
it. Axes come from the geometry too, never from the bone's own, which every tool draws differently.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.spatial.transform import Rotation

from diffspeaker3d.geometry.gltf import Gltf, pieces, world_matrices
from diffspeaker3d.geometry.gltf.scene import local_matrix
from diffspeaker3d.heads.binding import JAW, Binding
from diffspeaker3d.heads.names import SIDES, WORD

log = logging.getLogger(__name__)

UP = np.array([0.0, 1.0, 0.0])  # glTF's
JAW_ANGLE = np.radians(19.0)  # how far the mannequin's jaw turns at jawOpen = 1, for a character without such a shape
EYE_ANGLE = np.radians(25.0)  # the same of an eyeLook shape
LARGEST_ANGLE = np.radians(60.0)
HELD = 0.5  # share of a vertex's weight from which a bone carries it
FEWEST = 4  # vertices that a bone carries if it is any
BETWEEN_THE_LIPS = 0.55  # of a mesh's vertices, within the box of what opens: upper teeth alone have less
MOST_BONES = 12  # candidates of one kind that are looked at
NOT_THE_JAW = frozenset(["upper", "up", "end", "tip", "nub", "ctrl", "control", "target", "ik", "pole", "twist"])
NOT_THE_EYE = frozenset(
    [
        "lid",
        "lids",
        "brow",
        "brows",
        "lash",
        "lashes",
        "eyelid",
        "eyebrow",
        "eyelash",
        "socket",
        "corner",
        "end",
        "tip",
        "nub",
        "ctrl",
        "control",
        "target",
        "look",
        "aim",
        "bag",
        "highlight",
        "tear",
        "inner",
        "outer",
        "upper",
        "lower",
        "mid",
    ]
)


@dataclass(frozen=True, eq=False)
class Turn:
    """A bone that follows controls.

    Attributes:
        node: its number.
        name: its name.
        vectors: control -> rotation vector (3,) in the scene at weight 1, radians.
        parent, rest: rotations of the parent in the scene and of the node in its parent, at rest.
    """

    node: int
    name: str
    vectors: Mapping[str, np.ndarray]
    parent: Rotation
    rest: Rotation

    def rotations(self, curves: Mapping[str, np.ndarray]) -> Rotation:
        """The node's rotation in its parent, frame by frame; of several controls the vectors add up.

        Args:
            curves: control -> weights (T,).
        """
        vectors = sum(np.asarray(curves[name])[:, None] * vector for name, vector in self.vectors.items())
        return self.parent.inv() * Rotation.from_rotvec(vectors) * self.parent * self.rest


@dataclass(frozen=True, eq=False)
class _Scene:
    """What the file shows, with the shape that opens the mouth if there is one."""

    gltf: Gltf
    world: np.ndarray
    parents: Mapping[int, int]
    vertices: np.ndarray
    opening: np.ndarray
    starts: np.ndarray
    nodes: tuple[int, ...]

    @property
    def size(self) -> float:
        return float(np.ptp(self.vertices, axis=0).max())

    def between_the_lips(self) -> np.ndarray:
        """Mask (V,) of what lies within the box of the parts that open, none where no shape does."""
        travel = np.linalg.norm(self.opening, axis=1)
        far = travel > 0.5 * travel.max(initial=0)
        if not far.any():
            return far
        return ((self.vertices > self.vertices[far].min(0)) & (self.vertices < self.vertices[far].max(0))).all(1)

    def carried(self, node: int) -> np.ndarray:
        """Share (V,) of every vertex that moves along when a node does."""
        above = self.world[self.parents[node]] if node in self.parents else np.eye(4)
        step = np.eye(4)
        step[0, 3] = self.size
        own = local_matrix(self.gltf.document.nodes[node])
        moved = {node: np.linalg.solve(above, step @ above @ own)}
        shifted = np.concatenate([piece.vertices for piece in pieces(self.gltf, moved)])
        return np.linalg.norm(shifted - self.vertices, axis=1) / self.size

    def turn(self, node: int, vectors: Mapping[str, np.ndarray]) -> Turn:
        above = self.world[self.parents[node]] if node in self.parents else np.eye(4)
        about = self.gltf.document.nodes[node]
        return Turn(node, about.name or str(node), vectors, _rotation(above), _rotation(local_matrix(about)))


def find_turns(
    gltf: Gltf, binding: Binding, humanoid: Mapping[str, int], gaze: Mapping[str, float] = MappingProxyType({})
) -> tuple[Turn, ...]:
    """Bones to turn so that nothing of the mouth and the eyes stays behind; what stays still all the same is logged.

    Args:
        gltf: the character.
        binding: what drives its shapes.
        humanoid: VRM's bones, see `vrm.bones`.
        gaze: how far its eyes turn, see `vrm.gaze`; as far as the gaze by default.
    """
    document = gltf.document
    if not any(node.mesh is not None for node in document.nodes):
        return ()
    scene = _look(gltf, binding)
    jaws = [humanoid["jaw"]] if "jaw" in humanoid else _called_jaw(gltf)
    turns = [turn for node in jaws[:MOST_BONES] if node < len(document.nodes) and (turn := _jaw(scene, node))][:1]
    if not any(source.startswith("eyeLook") for source in binding.sources):
        turns += _eyes(scene, humanoid, gaze)
    movable = [turn for turn in turns if document.nodes[turn.node].matrix is None]
    for turn in turns:
        if turn not in movable:
            log.warning(
                "%s: bone %s has a matrix in place of a rotation and stays still; export it again", gltf.path, turn.name
            )
    _name_what_stays(scene, movable)
    return tuple(movable)


def posed(gltf: Gltf, turn: Turn, control: str) -> np.ndarray:
    """Displacements (V, 3) in the scene, of all vertices that `pieces` gives, with a bone turned by one control at weight 1."""
    at_rest = np.concatenate([piece.vertices for piece in pieces(gltf)])
    curves = {name: np.array([1.0 if name == control else 0.0]) for name in turn.vectors}
    matrix = local_matrix(gltf.document.nodes[turn.node])
    scales = np.linalg.norm(matrix[:3, :3], axis=0)
    matrix[:3, :3] = turn.rotations(curves).as_matrix()[0] * scales
    moved = np.concatenate([piece.vertices for piece in pieces(gltf, {turn.node: matrix})])
    return moved - at_rest


def _look(gltf: Gltf, binding: Binding) -> _Scene:
    shown = list(pieces(gltf))
    opener = max(binding.recipes, key=lambda name: _opens(binding, name), default=None)
    strength = _opens(binding, opener) if opener is not None else 0.0
    opening = []
    for piece in shown:
        delta = np.zeros_like(piece.vertices)
        for number, name in enumerate(binding.meshes.get(piece.mesh, ())):
            if strength > 0 and name == opener and (target := gltf.target(piece.primitive, number)) is not None:
                delta += piece.into_scene(target) / strength
        opening.append(delta)
    document = gltf.document
    return _Scene(
        gltf,
        world_matrices(document),
        {child: number for number, node in enumerate(document.nodes) for child in node.children},
        np.concatenate([piece.vertices for piece in shown]) if shown else np.zeros((0, 3)),
        np.concatenate(opening) if shown else np.zeros((0, 3)),
        np.cumsum([0, *(len(piece.vertices) for piece in shown)]),
        tuple(piece.node for piece in shown),
    )


def _opens(binding: Binding, name: str | None) -> float:
    """How far a shape opens the mouth at weight 1, as a share of jawOpen's way; the vowel aa does 0.72 of it."""
    recipe = binding.recipes.get(name or "", {})
    return recipe.get("jawOpen", 0.0) or 0.72 * recipe.get("aa", 0.0)


def _words(name: str) -> list[str]:
    return [word.lower() for word in WORD.findall(name)]


def _called_jaw(gltf: Gltf) -> list[int]:
    """Nodes with a jaw's name, those above others first."""
    found = [
        number
        for number, node in enumerate(gltf.document.nodes)
        if any("jaw" in word or "mandible" in word or word in ("あご", "顎") for word in _words(node.name))
        and NOT_THE_JAW.isdisjoint(_words(node.name))
    ]
    depth = {number: _depth(gltf, number) for number in found}
    return sorted(found, key=lambda number: depth[number])


def _depth(gltf: Gltf, number: int) -> int:
    parents = {child: n for n, node in enumerate(gltf.document.nodes) for child in node.children}
    depth = 0
    while number in parents:
        number, depth = parents[number], depth + 1
    return depth


def _jaw(scene: _Scene, node: int) -> Turn | None:
    """The turn of a jaw bone that carries something which no shape opens; None if it carries nothing, or shapes do it all."""
    carried = scene.carried(node)
    held = carried > HELD
    if held.sum() < FEWEST:
        return None
    origin = scene.world[node, :3, 3]
    reach = scene.vertices[held].mean(0) - origin
    ahead = reach - UP * (reach @ UP)
    if np.linalg.norm(ahead) < 0.25 * np.linalg.norm(reach) or np.linalg.norm(ahead) == 0:
        return None  # what it moves does not lie in front of it: no jaw
    axis = np.cross(ahead, -UP) / np.linalg.norm(ahead)
    travel = np.linalg.norm(scene.opening, axis=1)
    if not travel.any():
        return scene.turn(node, {JAW: axis * JAW_ANGLE}) if reach @ UP < 0 else None
    behind = held & (travel < 0.1 * travel.max())
    if behind.sum() < FEWEST or scene.between_the_lips()[behind].mean() < BETWEEN_THE_LIPS:
        return None  # nothing is left behind, or it is elsewhere: a lock of hair on a bone that was taken for the jaw
    most = travel > 0.7 * travel.max()
    if carried[most].mean() > HELD:
        log.warning(
            "%s: bone %s carries the chin, which a shape opens too: the bone stays still, and so do the lower teeth on it",
            scene.gltf.path,
            scene.gltf.document.nodes[node].name,
        )
        return None
    angle = _angle(scene.vertices[most] - origin, scene.opening[most], axis)
    if not 0.02 < angle < LARGEST_ANGLE:
        return None
    return scene.turn(node, {JAW: axis * angle})


def _angle(arms: np.ndarray, moved: np.ndarray, axis: np.ndarray) -> float:
    """The turn about an axis through the origin that comes closest to displacements (n, 3) of points (n, 3), radians."""
    before = arms - np.outer(arms @ axis, axis)
    after = before + moved - np.outer(moved @ axis, axis)
    return float(np.arctan2((np.cross(before, after) @ axis).sum(), (before * after).sum()))


def _eyes(scene: _Scene, humanoid: Mapping[str, int], gaze: Mapping[str, float]) -> list[Turn]:
    """Both eyes, by the line between them; none unless each is a ball around its bone."""
    eyes: dict[str, int] = {}
    for side in ("Left", "Right"):
        said = humanoid.get(f"{side.lower()}Eye")
        candidates = [said] if said is not None else _called_eye(scene.gltf, side)
        balls = [node for node in candidates[:MOST_BONES] if _is_ball(scene, node)]
        if balls:
            eyes[side] = balls[0]
    if len(eyes) < 2:
        return []
    across = scene.world[eyes["Left"], :3, 3] - scene.world[eyes["Right"], :3, 3]
    across -= UP * (across @ UP)
    if np.linalg.norm(across) < 1e-3 * scene.size:
        return []
    left = across / np.linalg.norm(across)
    turns = []
    for side, node in eyes.items():
        outward = 1.0 if side == "Left" else -1.0
        ways = {"Up": -left, "Down": left, "Out": outward * UP, "In": -outward * UP}
        vectors = {f"eyeLook{way}{side}": EYE_ANGLE * gaze.get(way, 1.0) * axis for way, axis in ways.items()}
        turns.append(scene.turn(node, vectors))
    return turns


def _called_eye(gltf: Gltf, side: str) -> list[int]:
    return [
        number
        for number, node in enumerate(gltf.document.nodes)
        if {"eye", "eyeball", "faceeye"} & set(words := _words(node.name))
        and NOT_THE_EYE.isdisjoint(words)
        and {SIDES[word] for word in words if word in SIDES} == {side}
    ]


def _is_ball(scene: _Scene, node: int) -> bool:
    """Whether a bone carries something round about itself."""
    if node >= len(scene.world):
        return False
    held = scene.carried(node) > HELD
    if held.sum() < FEWEST:
        return False
    ball = scene.vertices[held]
    extent = np.ptp(ball, axis=0)
    off_centre = np.linalg.norm(ball.mean(0) - scene.world[node, :3, 3])
    return bool(
        extent.max() < 3 * extent.min() + 1e-9 and off_centre < 0.8 * extent.max() and extent.max() < 0.5 * scene.size
    )


def _name_what_stays(scene: _Scene, turns: Sequence[Turn]) -> None:
    """Warn of meshes between the lips that neither a shape nor a bone opens."""
    travel = np.linalg.norm(scene.opening, axis=1)
    moves = travel > 0.02 * travel.max(initial=0)
    for turn in turns:
        moves |= scene.carried(turn.node) > 0.02
    inside = scene.between_the_lips()
    still = [
        scene.gltf.document.nodes[node].name or f"node {node}"
        for start, stop, node in zip(scene.starts, scene.starts[1:], scene.nodes, strict=False)
        if not moves[start:stop].any() and inside[start:stop].mean() > BETWEEN_THE_LIPS
    ]
    if still:
        log.warning(
            "%s: stays still in the mouth while the jaw opens, without shapes and on no jaw bone: %s",
            scene.gltf.path,
            ", ".join(dict.fromkeys(still)),
        )


def _rotation(matrix: np.ndarray) -> Rotation:
    """The rotation of a matrix (4, 4) that may scale."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    turned = left @ right
    if np.linalg.det(turned) < 0:  # a mirror: the rotation is what is left of it
        turned = left @ np.diag([1.0, 1.0, -1.0]) @ right
    return Rotation.from_matrix(turned)
