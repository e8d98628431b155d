"""Known values imposed on x_start at every step: key poses, still frames, a given velocity.

The correction is that of a Gaussian with covariance S that learns A x = y with noise of variance λ (Kalman's update):

    x <- x + S A' (A S A' + λ I)^-1 (y - A x)

so that frames beside a known one follow it, as far as S says. A constraint is an `edit` of `ddim_sample` and needs the
data's own space: in a linear image of it x_start is not the data.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diffspeaker3d.errors import InputError


class LinearConstraint:
    """A x = y over the frames of some channels.

    Args:
        rows (Tensor (m, T)): A: which combinations of frames are known, such as rows of the identity.
        values (Tensor (m, n) or (B, m, n)): y, in the data's units.
        covariance (Tensor (T, T)): S, over frames, such as `smooth_covariance`.
        channels: indices of the n channels it holds for; None = all.
        noise: λ >= 0; 0 = the values are met exactly.

    Raises:
        InputError: shapes that do not fit, or constraints that contradict each other.
    """

    def __init__(
        self,
        rows: Tensor,
        values: Tensor,
        covariance: Tensor,
        channels: Sequence[int] | None = None,
        noise: float = 0.0,
    ) -> None:
        if rows.ndim != 2 or covariance.shape != (rows.shape[1],) * 2 or values.shape[-2] != len(rows):
            raise InputError(
                f"constraint: rows {tuple(rows.shape)}, values {tuple(values.shape)} and covariance "
                f"{tuple(covariance.shape)} do not fit; they are (m, T), (m, n) and (T, T)"
            )
        if channels is not None and len(channels) != values.shape[-1]:
            raise InputError(f"constraint: {values.shape[-1]} values for {len(channels)} channels")
        if not noise >= 0:
            raise InputError(f"constraint: noise={noise} must be 0 or more")
        self.rows, self.values, self.channels = rows, values, None if channels is None else list(channels)
        spread = covariance.double() @ rows.double().T
        seen = rows.double() @ spread + noise * torch.eye(len(rows), dtype=torch.float64)
        if torch.linalg.matrix_rank(seen, hermitian=True) < len(rows):
            raise InputError("constraint: its rows depend on each other; leave out those that follow from others")
        self.gain = torch.linalg.solve(seen, spread.T).T.to(rows.dtype)  # S A' (A S A' + λ I)^-1, (T, m)

    def __call__(self, x_start: Tensor) -> Tensor:
        """x_start (B, T, D), corrected."""
        part = x_start if self.channels is None else x_start[..., self.channels]
        rows, gain, values = (t.to(x_start) for t in (self.rows, self.gain, self.values))
        part = part + gain @ (values - rows @ part)
        if self.channels is None:
            return part
        corrected = x_start.clone()
        corrected[..., self.channels] = part
        return corrected


def smooth_covariance(num_frames: int, width: float) -> Tensor:
    """exp(-((i - j) / width)² / 2) (T, T): frames follow a known one over about `width` frames to either side."""
    frames = torch.arange(num_frames, dtype=torch.float64)
    covariance = torch.exp(-0.5 * ((frames[:, None] - frames) / max(width, 1e-6)).square())
    return covariance.float()
