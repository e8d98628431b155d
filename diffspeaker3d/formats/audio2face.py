"""ARKit curves as NVIDIA's Audio2Face exports them (.json)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import ARKIT_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.files import atomic_path
from diffspeaker3d.formats.common.arkit_curves import arkit_curves

SUFFIXES = {
    ".json": "ARKit curves as Audio2Face exports them",
}


def write(animation: Animation, path: Path, options: None = None) -> tuple[Path, ...]:
    """52 poses in order A (some importers go by index), one row per frame."""
    curves = arkit_curves(animation)
    document = {
        "exportFps": float(animation.fps), "trackPath": str(animation.provenance.get("audio", "")), "numPoses": len(ARKIT_NAMES),
        "numFrames": len(curves), "facsNames": list(ARKIT_NAMES), "weightMat": np.round(curves.astype(float), 7).tolist(),
    }  # fmt: skip
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document))
    return (path,)


def verify(animation: Animation, path: Path) -> None:
    """Reopen the file: names, frame rate and every weight."""
    document = json.loads(path.read_text())
    weights = np.array(document["weightMat"])
    curves = arkit_curves(animation)
    if (
        document["facsNames"] != list(ARKIT_NAMES)
        or weights.shape != curves.shape
        or not np.allclose(weights, curves, atol=1e-6)
    ):
        raise InputError(f"{path}: the curves read back differently; write it again, and report this")
