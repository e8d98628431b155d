"""What `SpeechAnimator` does, by hand: encoder, DDIM sampler, decoder, contact of the lips.

python examples/open_the_box.py speech.wav
"""

import sys

import numpy as np
import torch

from diffspeaker3d import Animation, SpeechAnimator
from diffspeaker3d.audio import SAMPLE_RATE, load_audio, num_motion_frames
from diffspeaker3d.controls.arkit import close_lips
from diffspeaker3d.generation.encode import encode
from diffspeaker3d.generation.sample import sample

animator = SpeechAnimator.from_pretrained()
model, schedule = animator.model, animator.schedule

waveform = load_audio(sys.argv[1])  # (N,) float32 at 16 kHz
num_frames = num_motion_frames(len(waveform), SAMPLE_RATE, model.fps)
with torch.inference_mode():
    features = encode(model.audio_encoder, torch.from_numpy(waveform), num_frames, model.fps)  # (1, T, D_a)
    conditions = {"style": torch.tensor([animator.style_vector("neutral")])}
    state = sample(model, schedule, features, conditions, animator.sampling, seeds=[0])  # (1, T, D), unit variance
    controls = model.motion.decode(state)[0].numpy()  # (T, K); closure may exceed contact

weights = close_lips(controls, model.motion.names)  # (T, K) in [0, 1]
animation = Animation.from_weights(weights, model.fps, animator.topology, animator.topology.template())
print(f"features {tuple(features.shape)}, state {tuple(state.shape)}, vertices {np.asarray(animation.vertices).shape}")
