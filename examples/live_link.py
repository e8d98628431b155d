"""An animation sent to an engine frame by frame, in real time, as an iPhone with Live Link Face would.

python examples/live_link.py speech.wav 127.0.0.1:11111
"""

import sys

from diffspeaker3d import SpeechAnimator, save

audio, address = sys.argv[1:3]
animation = SpeechAnimator.from_pretrained()(audio, fps=60)
save(animation, f"livelink://{address}")  # in Unreal: Window, Live Link, Source, Live Link Face Source
print(f"{len(animation)} packets sent to {address}")
