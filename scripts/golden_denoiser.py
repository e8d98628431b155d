"""Golden numbers of the official denoiser's equations: python scripts/golden_denoiser.py [tests/data/golden_denoiser.npz].

A second implementation, dense and in float64, with nothing of the package but the schedule's definition: full masks, every
key, softmax written out, weights under the names of official checkpoints. The tests hold the package's denoiser, in every
space and precision, against one step and a walk of 50 steps of it.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "data" / "golden_denoiser.npz"
C, F, D, A, H, S, L, P = 16, 24, 12, 8, 4, 3, 2, 5  # width, feed-forward, motion, audio, heads, styles, layers, period
BATCH, FRAMES, STEPS = 2, 23, 50
Weights = dict[str, np.ndarray]


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN
    rng = np.random.default_rng(0)
    weights = {name: value.astype(np.float32) for name, value in random_weights(rng).items()}
    x_t, audio = (rng.normal(size=(BATCH, FRAMES, n)).astype(np.float32) for n in (D, A))
    timestep, style = np.array([900, 30]), np.array([2, 0])
    exact = {name: value.astype(np.float64) for name, value in weights.items()}
    arrays: dict[str, Any] = {
        **{f"weight/{name}": value for name, value in weights.items()},
        "x_t": x_t,
        "audio_features": audio,
        "timestep": timestep,
        "style": style,
        "x_start": denoise(exact, x_t, timestep, audio, style).astype(np.float32),
        "walk": walk(exact, x_t, audio, style).astype(np.float32),
    }
    np.savez_compressed(path, **arrays)
    print(path)


def random_weights(rng: np.random.Generator) -> Weights:
    """Under the names of official checkpoints."""
    shapes = {
        "vertice_map": (C, D), "motion_decoder": (D, C), "audio_feature_map": (C, A),
        "time_embedding.linear_1": (L * C, A), "time_embedding.linear_2": (L * C, L * C),
    }  # fmt: skip
    weights = {"obj_vector.weight": rng.normal(size=(S, L * C))}
    for layer in range(L):
        front = f"transformer_decoder.layers.{layer}."
        shapes |= {front + "linear1": (F, C), front + "linear2": (C, F)}
        for attention in ("self_attn", "multihead_attn"):
            shapes |= {f"{front}{attention}.out_proj": (C, C)}
            weights |= {f"{front}{attention}.in_proj_weight": 0.3 * rng.normal(size=(3 * C, C))}
            weights |= {f"{front}{attention}.in_proj_bias": 0.3 * rng.normal(size=3 * C)}
        for norm in ("norm1", "norm2", "norm3"):
            weights |= {
                f"{front}{norm}.weight": 1 + 0.1 * rng.normal(size=C),
                f"{front}{norm}.bias": rng.normal(size=C),
            }
    for name, shape in shapes.items():
        weights |= {f"{name}.weight": 0.3 * rng.normal(size=shape), f"{name}.bias": 0.1 * rng.normal(size=shape[0])}
    weights["motion_decoder.weight"] *= 0.1  # a walk of many steps stays in range
    return weights


def denoise(w: Weights, x_t: np.ndarray, timestep: np.ndarray, audio: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Predicted x_start (B, T, D)."""
    time = linear(w, "time_embedding.linear_1", sinusoid(timestep, A))
    time = linear(w, "time_embedding.linear_2", time / (1 + np.exp(-time))).reshape(-1, L, C)
    person = w["obj_vector.weight"][style].reshape(-1, L, C)
    heard = linear(w, "audio_feature_map", audio)
    x = linear(w, "vertice_map", x_t) + positions(x_t.shape[1])
    for layer in range(L):
        front = f"transformer_decoder.layers.{layer}."
        tokens = np.stack([person[:, layer], time[:, layer]], 1)
        normed = norm(w, front + "norm1", x)
        x = x + attend(w, front + "self_attn", normed, np.concatenate([tokens, normed], 1), distance_bias(x.shape[1]))
        normed = norm(w, front + "norm2", x)
        x = x + attend(w, front + "multihead_attn", normed, np.concatenate([tokens, heard], 1), own_frame(x.shape[1]))
        hidden = linear(w, front + "linear1", norm(w, front + "norm3", x))
        hidden = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
        x = x + linear(w, front + "linear2", hidden)
    return linear(w, "motion_decoder", x)


def walk(w: Weights, x: np.ndarray, audio: np.ndarray, style: np.ndarray) -> np.ndarray:
    """The sampler of the published checkpoints: x <- (√ᾱ' + √(1-ᾱ')) x_start from t = 981, 961, …, 1."""
    betas = np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000) ** 2
    alphas = np.cumprod(1 - betas)
    for t in range(981, 0, -20):
        alpha = alphas[max(t - 20, 0)]
        x = denoise(w, x, np.full(len(x), t), audio, style) * (math.sqrt(alpha) + math.sqrt(1 - alpha))
    return x


def attend(w: Weights, name: str, queries: np.ndarray, keys: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Multi-head attention with a dense bias (H, n, m)."""
    weight, offset = w[f"{name}.in_proj_weight"], w[f"{name}.in_proj_bias"]
    q, k, v = (
        (x @ weight[i * C : (i + 1) * C].T + offset[i * C : (i + 1) * C])
        .reshape(len(x), -1, H, C // H)
        .transpose(0, 2, 1, 3)
        for i, x in enumerate((queries, keys, keys))
    )
    scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(C // H) + bias
    share = np.exp(scores - scores.max(-1, keepdims=True))
    attended = (share / share.sum(-1, keepdims=True)) @ v
    return linear(w, f"{name}.out_proj", attended.transpose(0, 2, 1, 3).reshape(queries.shape))


def distance_bias(frames: int) -> np.ndarray:
    """(H, T, 2 + T): whole periods between two frames times the head's slope; nothing for the two tokens."""
    bias = np.zeros((H, frames, 2 + frames))
    for head in range(H):
        for i in range(frames):
            for j in range(frames):
                periods = (i - j) // P if j <= i else (j - i - 1) // P
                bias[head, i, 2 + j] = -(4.0 ** -(head + 1)) * periods
    return bias


def own_frame(frames: int) -> np.ndarray:
    """(1, T, 2 + T): the two tokens and the frame's own audio, nothing else."""
    return np.where(np.concatenate([np.ones((frames, 2)), np.eye(frames)], 1) > 0, 0.0, -np.inf)[None]


def positions(frames: int) -> np.ndarray:
    """(T, C): sines and cosines in turn of the frame within its period."""
    angle = (np.arange(frames) % P)[:, None] / 10000.0 ** (np.arange(0, C, 2) / C)
    return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(frames, C)


def sinusoid(timestep: np.ndarray, size: int) -> np.ndarray:
    """(B, size): cosines, then sines."""
    angle = timestep[:, None] / 10000.0 ** (np.arange(size // 2) / (size // 2))
    return np.concatenate([np.cos(angle), np.sin(angle)], -1)


def linear(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    """x W' + b."""
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(w: Weights, name: str, x: np.ndarray) -> np.ndarray:
    """Layer norm."""
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


if __name__ == "__main__":
    main()
