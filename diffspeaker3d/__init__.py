"""diffspeaker3d: speech in, a talking 3D face out.

    speech.wav - audio.load_audio ----------> waveform (N,) float32, 16 kHz
               - models.AudioEncoder -------> audio_features (T, D_a), one row per motion frame
       noise   - diffusion.ddim_sample -----> motion (T, D): displacements of vertices, or blendshape controls
               - + template ----------------> Animation(vertices, fps, topology, waveform, weights)
               - formats.save ---------------> .npz .mp4 .glb .usdc .csv .json .pc2 .mdd .html ...

    from diffspeaker3d import SpeechAnimator, save
    animator = SpeechAnimator.from_pretrained()
    animation = animator("speech.wav", style="neutral", seed=0)
    save(animation, "speech.glb")

Importing this package loads neither torch nor anything else that is slow: the public names below load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffspeaker3d.animation import Animation as Animation
    from diffspeaker3d.formats import load_animation as load_animation
    from diffspeaker3d.formats import save as save
    from diffspeaker3d.generation.pipeline import SpeechAnimator as SpeechAnimator
    from diffspeaker3d.topology import Topology as Topology
    from diffspeaker3d.topology import load_topology as load_topology

__version__ = "0.2.0"
__all__ = ["Animation", "SpeechAnimator", "Topology", "load_animation", "load_topology", "save"]

_HOMES = {
    "Animation": "animation", "SpeechAnimator": "generation.pipeline", "Topology": "topology", "load_topology": "topology",
    "load_animation": "formats", "save": "formats",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'diffspeaker3d' has no attribute {name!r}")
    return getattr(import_module(f"diffspeaker3d.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
