"""Which vertices a number was computed on: known region sets by the hash of their indices."""

from __future__ import annotations

import hashlib

import numpy as np

# SHA-256 of the sorted unique indices as little-endian int32. BIWI's are byte-identical in DiffSpeaker, CodeTalker,
# FaceDiffuser and SelfTalk; on FLAME there is no standard, so a table without this name means little.
KNOWN_REGIONS: dict[str, str] = {
    "e1e480069d386e98a8b6922e2fb556bb88c02c8c210d3ee40e37654e273a0916": "BIWI lips (CodeTalker lve.txt)",
    "bc0842a5d16ac1775cab4ed26daabfb2b66937aae0ad2b742c6a47a974b6a573": "BIWI upper face (CodeTalker fdd.txt)",
    "6be4cb41bec3681b4b9dc0fa39dec77588b689bf031cf29a5bb45dd51ae93539": "FLAME lips (SelfTalk, DiffSpeaker)",
    "46bd5eec784a3ad5cd72e44b1a83632fb60f5acecf29f2bd9185bc3c29fed4f7": "FLAME forehead and eye region (SelfTalk, DiffSpeaker)",
    "ae3ba8567bb60023182b58a604c827ae3fda1e8307330756c2c017425cca807b": "FLAME lips (FaceDiffuser)",
    "08f089cc558f8c34bdb6ce8915d88c72f46f3fde2cab252cd9fd7190e6b0d6c6": "FLAME upper face (FaceDiffuser)",
}  # fmt: skip


def region_hash(indices: np.ndarray) -> str:
    """SHA-256 of a region, whatever the order of its indices and however often they occur."""
    return hashlib.sha256(np.unique(indices).astype("<i4").tobytes()).hexdigest()


def describe_region(name: str, indices: np.ndarray) -> str:
    """One line for a report: the published name if the set is a known one, the count, and the start of the hash."""
    digest = region_hash(indices)
    return f"{KNOWN_REGIONS.get(digest, name)}: {len(np.unique(indices))} vertices, sha256 {digest[:12]}"
