"""Which vertices of a glTF file hang on its head, where bones or nodes say so."""

from __future__ import annotations

import re

import numpy as np

from diffspeaker3d.geometry.gltf import Gltf, pieces

HEAD = re.compile(r"(?:^|[^A-Za-z]|[a-z0-9])[Hh]ead(?![a-z])|(?:^|[^A-Za-z])HEAD(?![A-Za-z])|^head(?![a-z])")
NO_HEAD = re.compile(r"(?i)forehead|head_?(?:set|phone|band|gear|light|top|end|nub)")


def head_vertices(gltf: Gltf) -> np.ndarray | None:
    """Mask (V,) over the vertices that `pieces(gltf)` gives of those that move with the head; None if nothing is called so."""
    document = gltf.document
    below = {n for n, node in enumerate(document.nodes) if HEAD.search(node.name) and not NO_HEAD.search(node.name)}
    if not below:
        return None
    pending = list(below)
    while pending:
        children = set(document.nodes[pending.pop()].children) - below
        below |= children
        pending += children
    masks = []
    for piece in pieces(gltf):
        node = document.nodes[piece.node]
        if node.skin is None:
            masks.append(np.full(len(piece.vertices), piece.node in below))
            continue
        on_head = np.isin(document.skins[node.skin].joints, sorted(below))
        share = np.zeros(len(piece.vertices))
        for n in range(8):
            joints, weights = (
                gltf.attribute(piece.primitive, f"JOINTS_{n}"),
                gltf.floats(piece.primitive, f"WEIGHTS_{n}"),
            )
            if joints is None or weights is None:
                break
            share += (weights * on_head[joints]).sum(1)
        masks.append(share > 0.5)
    mask = np.concatenate(masks) if masks else np.zeros(0, bool)
    return mask if mask.any() else None
