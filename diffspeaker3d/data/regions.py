"""Region files that users bring, known by content: a number that depends on a mask is worth nothing without its name.

The files themselves have non-commercial licences and are not here; data/README.md says where they come from. Which
content they must have is: SHA-256, count, and the topology they index.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffspeaker3d.data.unpickle import load_pickle
from diffspeaker3d.errors import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegionFile:
    """A region file in the wild.

    Attributes:
        name: as reports call it.
        topology: whose vertices it indexes.
        file: usual file name.
        sha256: of the file.
        region: what a text list holds; None for FLAME_masks.pkl, which holds many.
        count: unique vertices of the list.
    """

    name: str
    topology: str
    file: str
    sha256: str
    region: str | None = None
    count: int = 0


# In order of preference: the first that is found becomes plain `lips` and `upper_face`.
KNOWN_FILES: tuple[RegionFile, ...] = (
    RegionFile(
        "selftalk", "flame", "FLAME_masks.pkl", "ccefbe1ac0774ff78c68caf2c627b4abc067a6555ebeb0be5d5b0812366ab492"
    ),
    RegionFile(
        "facediffuser",
        "flame",
        "lve.txt",
        "fa04be39a330605fddbf5ef6b321fd8f9c0c677d5710d092f062e541e72f6bcd",
        "lips",
        428,
    ),
    RegionFile(
        "facediffuser",
        "flame",
        "fdd.txt",
        "40dcbb3cf7e2c15293c8d015b1cc6b2a355d9052ef8208effddda7dfa913b9ea",
        "upper_face",
        1501,
    ),
    RegionFile(
        "codetalker",
        "biwi",
        "lve.txt",
        "bf9c9202a73154cab9b7635d42c05effc30078b2b9aa3c7dc49367cff80cc767",
        "lips",
        4996,
    ),
    RegionFile(
        "codetalker",
        "biwi",
        "fdd.txt",
        "5a0b657fcbc1f5cbdf4dddfc9a0a883e4644408006fec699e27ade2634124198",
        "upper_face",
        7784,
    ),
)

# One vertex each on the inner rim of the lips, in the middle. FLAME: those of the mean trajectory metric (KAIST, CVPR
# 2025). BIWI: where the mid-line of the neutral face turns from lip skin into the mouth.
LIP_MIDDLES: dict[str, tuple[int, int]] = {"flame": (3531, 3504), "biwi": (770, 12933)}


def collect_regions(
    topology: str, num_vertices: int, folders: Iterable[Path]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Regions of a topology from the region files in some folders.

    Every set is kept under its full name (`lips_selftalk`, `upper_face_facediffuser`); plain `lips` and `upper_face`
    are those of the preferred file. A file of a known name and unknown content is left out with a warning.

    Args:
        topology: `flame` or `biwi`; any other knows no files.
        num_vertices: V; regions beyond it belong to another mesh and are left out.
        folders: where to look, not below.

    Returns:
        dict[str, array (n,) int32] and list[str]: sorted regions, and one line per file that was used.
    """
    regions: dict[str, np.ndarray] = {}
    used: list[str] = []
    by_hash = {known.sha256: known for known in KNOWN_FILES if known.topology == topology}
    found: dict[str, Path] = {}
    for path in (folder / name for folder in folders for name in dict.fromkeys(k.file for k in by_hash.values())):
        if not path.is_file():
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest in by_hash:
            found.setdefault(digest, path)
        else:
            log.warning("%s: sha256 %s... is none of the known %s region files; left out", path, digest[:12], topology)
    for known in (k for k in KNOWN_FILES if k.sha256 in found):
        for region, indices in _read(known, found[known.sha256]).items():
            regions[f"{region}_{known.name}" if region in ("lips", "upper_face") else region] = indices
            regions.setdefault(region, indices)
        used.append(f"{known.file} of {known.name}, sha256 {known.sha256[:12]}")
    if topology in LIP_MIDDLES:
        upper, lower = LIP_MIDDLES[topology]
        regions |= {"lip_upper_mid": np.array([upper], np.int32), "lip_lower_mid": np.array([lower], np.int32)}
    return {name: indices for name, indices in regions.items() if indices.max() < num_vertices}, used


def _read(known: RegionFile, path: Path) -> dict[str, np.ndarray]:
    if known.region is not None:
        indices = read_indices(path)
        if len(indices) != known.count:
            raise InputError(f"{path}: {len(indices)} vertices, {known.name} has {known.count}; download it again")
        return {known.region: indices}
    masks = {name: np.unique(indices).astype(np.int32) for name, indices in load_pickle(path).items()}
    upper = np.union1d(masks["forehead"], masks["eye_region"]).astype(np.int32)
    return masks | {"upper_face": upper}


def read_indices(path: Path) -> np.ndarray:
    """Sorted unique vertex indices (n,) int32 of a text file of whole numbers, any separator."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable list of vertex indices ({error})") from error
    if not re.fullmatch(r"[\d\s,;\[\]]*\d[\d\s,;\[\]]*", text):
        raise InputError(f"{path}: not a list of vertex indices; expected whole numbers separated by commas or spaces")
    return np.unique(np.array(re.findall(r"\d+", text), np.int64)).astype(np.int32)
