"""The whole neutral head: skin and parts in one vertex order, and who moves with whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from diffspeaker3d.mannequin.ears import ear
from diffspeaker3d.mannequin.mesh import Skin, build_skin
from diffspeaker3d.mannequin.parts import Part, brow, eyeball, teeth, tongue


@dataclass(frozen=True)
class Head:
    """The neutral head in cm.

    Attributes:
        skin: its skin; skin vertices come first.
        vertices (array (V, 3)), faces (array (F, 3)): everything.
        mirror (array (V,)): partner of each vertex on the other side.
        pieces: name of each part -> its vertex indices: `eye_left`, `teeth_upper`, `tongue`, `brow_right`, ...
        part_colors: name of each part -> colours (n, 3).
    """

    skin: Skin
    vertices: np.ndarray
    faces: np.ndarray
    mirror: np.ndarray
    pieces: dict[str, np.ndarray]
    part_colors: dict[str, np.ndarray]

    def mirrored(self, displacements: np.ndarray) -> np.ndarray:
        """Displacements (V, 3) seen in the mirror x -> -x."""
        return displacements[self.mirror] * [-1, 1, 1]

    def ride(self, skin_field: np.ndarray) -> np.ndarray:
        """Skin displacements (S, 3) extended to all vertices (V, 3): brows and ears ride on the skin beneath them."""
        field = np.zeros_like(self.vertices)
        field[: len(skin_field)] = skin_field
        for name in ("brow_left", "brow_right", "ear_left", "ear_right"):
            points = self.vertices[self.pieces[name]]
            distance, nearest = cKDTree(self.skin.vertices).query(points, k=6)
            weights = np.exp(-((distance / 0.4) ** 2)) + 1e-6
            weights /= weights.sum(1, keepdims=True)
            field[self.pieces[name]] = (skin_field[nearest] * weights[..., None]).sum(1)
        return field


def build_head(seed: int = 0) -> Head:
    """Build skin and parts; the same seed gives the same head."""
    skin = build_skin(seed)
    ball, ridge, shell = eyeball(), brow(), ear()
    parts: dict[str, Part] = {
        "eye_left": ball, "eye_right": ball.mirrored(), "brow_left": ridge, "brow_right": ridge.mirrored(),
        "ear_left": shell, "ear_right": shell.mirrored(), "teeth_upper": teeth(True), "teeth_lower": teeth(False),
        "tongue": tongue(),
    }  # fmt: skip
    vertices, faces, mirror = [skin.vertices], [skin.faces], [skin.mirror]
    pieces, total = {}, len(skin.vertices)
    for name, part in parts.items():
        pieces[name] = total + np.arange(len(part.vertices))
        vertices.append(part.vertices)
        twin = name.replace("left", "#").replace("right", "left").replace("#", "right")
        own = part.faces if twin != name else _mirror_faces(part)
        faces.append(own + total)
        total += len(part.vertices)
    for name in parts:
        twin = name.replace("left", "#").replace("right", "left").replace("#", "right")
        mirror.append(pieces[twin] if twin != name else pieces[name][_self_mirror(parts[name].vertices)])
    points, partner = np.concatenate(vertices), np.concatenate(mirror)
    points = 0.5 * (points + points[partner] * [-1, 1, 1])  # cosines are never quite zero
    return Head(
        skin,
        points,
        np.concatenate(faces),
        partner,
        pieces,
        {name: part.colors for name, part in parts.items()},
    )


def _mirror_faces(part: Part) -> np.ndarray:
    """Faces of a part that is its own mirror image, the right half cut like the left."""
    left = part.faces[part.vertices[part.faces].mean(1)[:, 0] > 0]
    return np.concatenate([left, _self_mirror(part.vertices)[left][:, ::-1]])


def _self_mirror(vertices: np.ndarray) -> np.ndarray:
    """Partner (V,) of each vertex inside a part that is its own mirror image."""
    return cKDTree(vertices).query(vertices * [-1, 1, 1])[1]
