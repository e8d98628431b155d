"""A head without shapes (.obj, .ply, .stl, .glb) gets the mannequin's 53 shapes, talks, and keeps its vertex order.

python examples/own_head.py head.obj speech.wav out/
"""

import sys
from pathlib import Path

from diffspeaker3d import SpeechAnimator
from diffspeaker3d.formats.character import save_on_head
from diffspeaker3d.heads.open import open_head

head_file, audio, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
animator = SpeechAnimator.from_pretrained()
head = open_head(head_file, animator.topology)  # logs where the fit is unsure; refuses what is no head

animation = animator(audio)
save_on_head(animation, head, str(out / "talking.glb"))
save_on_head(animation, head, str(out / "talking.npz"))
print(f"{head.topology.num_vertices} vertices, {len(head.topology.blendshapes.names)} shapes, {len(animation)} frames")
