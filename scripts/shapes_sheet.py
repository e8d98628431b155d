"""Every shape of the mannequin from three sides on one sheet: python scripts/shapes_sheet.py [OUT.png] [IDENTITY]."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from diffspeaker3d.controls.arkit import CONTROL_NAMES
from diffspeaker3d.rendering import RenderOptions, open_renderer
from diffspeaker3d.rendering.camera import frame_head
from diffspeaker3d.rendering.lettering import draw_text
from diffspeaker3d.topology import Topology, load_topology

CELL, ACROSS, WHOLE = 118, 6, 176  # pixels of a face, shapes in a row, pixels of a whole head
VIEWS = ("front", "three_quarter", "side")
# Shapes that mean something only on top of an open jaw.
WITH_JAW = {"mouthClose": 1.0, "tongueOut": 0.35, "tongueUp": 0.35}


def face_place(topology: Topology, template: np.ndarray, options: RenderOptions) -> tuple[int, int]:
    """Left and upper end of the part of a picture in which the face is."""
    head = np.setdiff1d(np.arange(topology.num_vertices), topology.region("neck"))
    camera = frame_head(template[head], options.size, options.direction)
    middle = (template[topology.region("lids")].mean(0) + template[topology.region("lips")].mean(0)) / 2
    x, y, _ = camera.project(middle[None])
    back = {"side": 0.30}.get(str(options.view), 0.5)  # of the picture: in profile the face is at the edge of the head
    left, top = x[0] - CELL * back, y[0] - CELL * 0.5
    return int(np.clip(left, 0, WHOLE - CELL)), int(np.clip(top, 0, WHOLE - CELL))


def main(out: Path, identity: str) -> None:
    topology = load_topology()
    assert topology.blendshapes is not None
    template, names = topology.template(identity), ("", *CONTROL_NAMES)
    sheet = np.full((CELL * -(-len(names) // ACROSS), CELL * ACROSS * len(VIEWS), 3), 228, np.uint8)
    for column, view in enumerate(VIEWS):
        options = RenderOptions(size=(WHOLE, WHOLE), view=view, background="#e4e4e4")
        x, y = face_place(topology, template, options)
        with open_renderer(topology, template, options) as draw:
            for k, name in enumerate(names):
                weights = np.array([float(n == name) for n in CONTROL_NAMES], np.float32)
                weights[CONTROL_NAMES.index("jawOpen")] += WITH_JAW.get(name, 0.0)
                picture = draw(template + topology.blendshapes.displacements(weights))[y : y + CELL, x : x + CELL]
                top, left = CELL * (k // ACROSS), CELL * (len(VIEWS) * (k % ACROSS) + column)
                sheet[top : top + CELL, left : left + CELL] = picture
    for k, name in enumerate(names):
        draw_text(sheet, name or "at rest", (CELL * len(VIEWS) * (k % ACROSS) + 4, CELL * (k // ACROSS) + 4), 7)
    Image.fromarray(sheet).quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, optimize=True)
    print(f"{out}: {len(names)} faces from {len(VIEWS)} sides, {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(Path(arguments[0] if arguments else "docs/pictures/shapes.png"), arguments[1] if arguments[1:] else "neutral")
