"""Rebuild diffspeaker3d/assets/mannequin.npz from code: python scripts/build_mannequin.py [OUT.npz]."""

import sys
from pathlib import Path

from diffspeaker3d.mannequin import build_mannequin
from diffspeaker3d.topology import ASSETS

if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ASSETS / "mannequin.npz"
    topology = build_mannequin()
    topology.save(out)
    print(
        f"{out}: {topology.num_vertices} vertices, {len(topology.templates)} identities, {out.stat().st_size / 1e6:.2f} MB"
    )
