"""A recording to a character file for engines, curves for editors, and a picture to look at.

python examples/animate_file.py speech.wav out/
"""

import sys
from pathlib import Path

from diffspeaker3d import SpeechAnimator, save
from diffspeaker3d.rendering import RenderOptions, contact_sheet

audio, out = Path(sys.argv[1]), Path(sys.argv[2])
animator = SpeechAnimator.from_pretrained()
animation = animator(audio, style="smiling:0.5", seed=1)

save(animation, out / "speech.glb")  # morph targets: Blender, Unreal, Unity, three.js
save(animation, out / "speech.csv")  # ARKit curves, as Live Link Face records them
contact_sheet(animation, out / "speech.png", 4, RenderOptions(size=(256, 256), renderer="numpy"))

jaw = animation.weights[:, animation.weight_names.index("jawOpen")]
print(f"{len(animation)} frames at {animation.fps:g} fps; the jaw opens up to {jaw.max():.2f}")
