"""Pictures and videos of moving heads: pyrender on EGL, on OSMesa, or a NumPy rasteriser, whichever works.

renderer = open_renderer(topology, template, RenderOptions(size=(512, 512)))    # vertices -> image
render_animation(animation, "speech.mp4")                                       # with sound
contact_sheet(animation, "speech.png", times=8)                                 # stills
"""

from __future__ import annotations

from diffspeaker3d.rendering.clip import compare_frames, contact_sheet, render_animation, render_frames
from diffspeaker3d.rendering.options import RENDERERS, VIEWS, RenderOptions
from diffspeaker3d.rendering.png import write_png
from diffspeaker3d.rendering.renderer import Renderer, open_renderer
from diffspeaker3d.rendering.video import write_video

__all__ = [
    "RENDERERS", "VIEWS", "RenderOptions", "Renderer", "compare_frames", "contact_sheet", "open_renderer", "render_animation",
    "render_frames", "write_png", "write_video",
]  # fmt: skip
