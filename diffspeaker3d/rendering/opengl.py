"""Drawing through pyrender 0.1.45 without a display: EGL or OSMesa, one of them per process.

pyrender had its last release in 2022; every trap it has with today's libraries is handled here, and only here.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import logging
import os
import sys
import types
from typing import Any

import numpy as np

from diffspeaker3d.errors import InputError
from diffspeaker3d.rendering.camera import Camera
from diffspeaker3d.rendering.rasteriser import EDGE_SHADE
from diffspeaker3d.topology import Texture

LIBRARIES = {"egl": ("EGL", "GL"), "osmesa": ("OSMesa",)}
PACKAGES = {"egl": "libegl1 libgl1", "osmesa": "libosmesa6"}
LINE_LIFT = 1e-3  # of the distance: wireframe lines float this much in front of the surface
# What PyOpenGL 3.1.0 (pinned by pyrender) lacks in OpenGL.osmesa; values of Mesa's osmesa.h.
OSMESA_CONSTANTS = {
    "OSMESA_FORMAT": 0x22, "OSMESA_RGBA": 0x1908, "OSMESA_DEPTH_BITS": 0x30, "OSMESA_STENCIL_BITS": 0x31,
    "OSMESA_ACCUM_BITS": 0x32, "OSMESA_PROFILE": 0x33, "OSMESA_CORE_PROFILE": 0x34, "OSMESA_COMPAT_PROFILE": 0x35,
    "OSMESA_CONTEXT_MAJOR_VERSION": 0x36, "OSMESA_CONTEXT_MINOR_VERSION": 0x37,
}  # fmt: skip


def unavailable(platform: str) -> str | None:
    """Why `egl` or `osmesa` cannot be used here and what to do about it, or None if it may work."""
    if importlib.util.find_spec("pyrender") is None:
        return "pyrender is not installed; pip install diffspeaker3d[render]"
    used = os.environ.get("PYOPENGL_PLATFORM")
    if "OpenGL" in sys.modules and used != platform:
        return f"this process already draws with {used or 'another OpenGL platform'}; start a new one"
    if missing := [name for name in LIBRARIES[platform] if not _loads(name)]:
        libraries = " and ".join(f"lib{name}" for name in missing)
        return f"{libraries} not found; on Debian and Ubuntu: apt-get install {PACKAGES[platform]}"
    return None


def _loads(name: str) -> bool:
    if ctypes.util.find_library(name):
        return True
    try:  # a private install without root: a file literally named `EGL` on LD_LIBRARY_PATH
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def import_pyrender(platform: str) -> Any:
    """The pyrender module on the given platform."""
    os.environ["PYOPENGL_PLATFORM"] = platform  # PyOpenGL reads it once, when it is imported
    if "pyrender" not in sys.modules:
        # pyrender imports its window viewer at once; that needs pyglet, X11 and XRender, which servers lack.
        stub = types.ModuleType("pyrender.viewer")
        stub.Viewer = None  # type: ignore[attr-defined]
        sys.modules.setdefault("pyrender.viewer", stub)
    logging.getLogger("OpenGL.acceleratesupport").setLevel(logging.WARNING)  # announces what it did not find
    if platform == "osmesa":
        _complete_osmesa()
    import pyrender

    return pyrender


def _complete_osmesa() -> None:
    """Give PyOpenGL 3.1.0 the OSMesa functions that pyrender imports; PyOpenGL 3.1.2 has them, but pyrender pins 3.1.0."""
    from OpenGL import osmesa
    from OpenGL import platform as gl_platform

    if hasattr(osmesa, "OSMesaCreateContextAttribs"):
        return
    function = gl_platform.PLATFORM.OSMesa.OSMesaCreateContextAttribs
    function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_void_p]
    # The stock result type is a pointer object, which PyOpenGL cannot use as a dictionary key.
    gl_platform.PLATFORM.GetCurrentContext.restype = ctypes.c_void_p

    def create(attributes: Any, share: Any = None) -> Any:
        values = (ctypes.c_int * len(attributes))(*[int(a) for a in attributes])
        return ctypes.cast(function(ctypes.cast(values, ctypes.c_void_p), share), osmesa.OSMesaContext)

    osmesa.OSMesaCreateContextAttribs = create
    for name, value in OSMESA_CONSTANTS.items():
        if not hasattr(osmesa, name):
            setattr(osmesa, name, value)


class OpenGLCanvas:
    """Draws coloured triangles with 4 samples per pixel; use it from the thread that made it, do not fork while it lives."""

    def __init__(
        self,
        platform: str,
        faces: np.ndarray,
        num_vertices: int,
        camera: Camera,
        wireframe: bool,
        texture: Texture | None = None,
    ) -> None:
        self.texture = texture
        self.name = platform
        self.camera = camera
        self.wireframe = wireframe
        try:
            self._pyrender = import_pyrender(platform)
            import OpenGL.error
            import OpenGL.GL
        except (ImportError, AttributeError, OSError) as error:
            raise InputError(_refusal(platform, error)) from error
        self._gl = OpenGL.GL
        try:
            self._offscreen = self._pyrender.OffscreenRenderer(*camera.size)
            self._patch()
            self._build(faces, num_vertices)
            self._offscreen.render(self._scene, flags=self._pyrender.RenderFlags.FLAT)  # makes buffers and shaders
        except (
            OpenGL.error.Error,
            ImportError,
            AttributeError,
            AssertionError,
            OSError,
            RuntimeError,
            ValueError,
        ) as error:
            raise InputError(_refusal(platform, error)) from error

    def _patch(self) -> None:
        platform, renderer = self._offscreen._platform, self._offscreen._renderer
        if self.name == "osmesa":
            platform.supports_framebuffers = lambda: (
                True
            )  # a framebuffer object has multisampling, OSMesa's own has none
        else:
            # pyrender ends the display that all renderers of the process share; end our context only.
            platform.delete_context = types.MethodType(_delete_egl_context, platform)
        renderer._read_main_framebuffer = self._read_color

    def _build(self, faces: np.ndarray, num_vertices: int) -> None:
        pyrender, zeros = self._pyrender, np.zeros((num_vertices, 3), np.float32)
        picture = None
        if self.texture is not None:
            picture = pyrender.Texture(source=self.texture.image, source_channels="RGB")
        white = pyrender.MetallicRoughnessMaterial(
            baseColorFactor=[1.0, 1.0, 1.0, 1.0], alphaMode="OPAQUE", baseColorTexture=picture
        )
        places = None if self.texture is None else self.texture.places
        colors = np.ones((num_vertices, 4), np.float32)
        parts = [(faces, 4)] + ([(edges_of(faces), 1)] if self.wireframe else [])
        self._primitives = [
            pyrender.Primitive(
                positions=zeros, texcoord_0=places, color_0=colors, indices=indices, material=white, mode=mode
            )
            for indices, mode in parts
        ]
        # Floats: pyrender reads integer colours as 0..255. Transparent black leaves the coverage in alpha.
        self._scene = pyrender.Scene(bg_color=[0.0, 0.0, 0.0, 0.0], ambient_light=[1.0, 1.0, 1.0])
        for primitive in self._primitives:
            self._scene.add(pyrender.Mesh([primitive]))
        width, height = self.camera.size
        lens = pyrender.PerspectiveCamera(
            yfov=2 * np.arctan(height / 2 / self.camera.focal),
            aspectRatio=width / height,
            znear=self.camera.near,
            zfar=self.camera.far,
        )
        self._scene.add(lens, pose=self.camera.pose)

    def _read_color(self, scene: Any, flags: int) -> tuple[np.ndarray, None]:
        """Resolve and read the colours; pyrender's own also reads and linearises the depth."""
        gl, renderer = self._gl, self._offscreen._renderer
        width, height = renderer._main_fb_dims
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, renderer._main_fb_ms)
        gl.glBindFramebuffer(gl.GL_DRAW_FRAMEBUFFER, renderer._main_fb)
        gl.glBlitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.GL_COLOR_BUFFER_BIT, gl.GL_LINEAR)
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, renderer._main_fb)
        data = gl.glReadPixels(0, 0, width, height, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE)
        return np.frombuffer(data, np.uint8).reshape(height, width, 4)[::-1], None

    def draw(self, vertices: np.ndarray, colors: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """Positions (V, 3), display colours (V, 3) in [0, 1] and places (V, 2) in the texture, which tints them, to a picture.

        Returns:
            array (h, w, 4) uint8: colours premultiplied by coverage.
        """
        # The layout of pyrender's vertex buffer: position, place in the texture if there is one, colour.
        parts = [vertices, colors, np.ones((len(vertices), 1))]
        if self.texture is not None:
            assert places is not None
            parts.insert(1, np.stack([places[:, 0], 1 - places[:, 1]], 1))  # OpenGL counts from the bottom
        data = np.concatenate(parts, 1, dtype=np.float32)
        self._offscreen._platform.make_current()
        self._upload(self._primitives[0], data)
        if self.wireframe:
            data[:, :3] += (self.camera.eye - data[:, :3]) * np.float32(LINE_LIFT)
            data[:, -4:-1] *= np.float32(EDGE_SHADE)
            self._upload(self._primitives[1], data)
        return self._offscreen.render(self._scene, flags=self._pyrender.RenderFlags.FLAT)[0]

    def _upload(self, primitive: Any, data: np.ndarray) -> None:
        """Overwrite the vertex buffer in place: a new Mesh per frame would leak 0.2 MB each."""
        self._gl.glBindBuffer(self._gl.GL_ARRAY_BUFFER, primitive._buffers[0])
        self._gl.glBufferSubData(self._gl.GL_ARRAY_BUFFER, 0, data.nbytes, data)

    def close(self) -> None:
        """Give context and buffers back; a second call does nothing."""
        if self._offscreen._renderer is not None:
            self._offscreen.delete()


def _delete_egl_context(platform: Any) -> None:
    from OpenGL.EGL import eglDestroyContext

    if platform._egl_context is not None:
        eglDestroyContext(platform._egl_display, platform._egl_context)
        platform._egl_context = None


def edges_of(faces: np.ndarray) -> np.ndarray:
    """Unique undirected edges (E, 2) of triangles (F, 3)."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    return np.unique(pairs, axis=0).astype(np.uint32)


def _refusal(platform: str, error: BaseException) -> str:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return f"renderer={platform}: does not start here ({reason}); apt-get install {PACKAGES[platform]}, or use renderer=numpy"
