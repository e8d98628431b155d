"""Reduced-precision inference: 16 bits, or 8 on a CPU. What they cost in accuracy, the benchmark measures."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import nn

from diffspeaker3d.errors import InputError
from diffspeaker3d.models.denoiser import Denoiser

PRECISIONS = ("float32", "bfloat16", "float16", "int8")


def in_precision(denoiser: Denoiser, precision: str) -> Denoiser:
    """A copy of the denoiser for sampling; the sampler's own state stays float32.

    Args:
        denoiser: float32, in eval mode.
        precision: `float32` (the denoiser itself), `bfloat16`, `float16`, or `int8`: the transformer layers' weights in
            8 bits, their inputs quantised as they come; CPU only.

    Raises:
        InputError: an unknown name, or int8 on another device than the CPU.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision={precision}: unknown; known: {', '.join(PRECISIONS)}")
    if precision == "float32":
        return denoiser
    if precision == "int8" and denoiser.input.weight.device.type != "cpu":
        raise InputError("precision=int8: runs on the CPU only; use bfloat16 or float16 here")
    reduced = copy.deepcopy(denoiser)
    if precision != "int8":
        return reduced.to(getattr(torch, precision))
    with warnings.catch_warnings():  # torch warns that this moves to another package
        warnings.simplefilter("ignore")
        reduced.layers = torch.ao.quantization.quantize_dynamic(reduced.layers, {nn.Linear}, dtype=torch.qint8)
    return reduced
