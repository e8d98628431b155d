"""The numbers of `Denoiser.forward`, faster, for a sampler that asks many times. Nothing else needs to know of it.

| file        | what it saves                                                                                          |
|-------------|--------------------------------------------------------------------------------------------------------|
| `prepared`  | what no step changes (audio, conditions) is computed once; long clips run block by block, at linear cost |
| `spaces`    | the loop runs between the two linear maps of the denoiser, on C numbers per frame instead of D          |
| `precision` | 16 or 8 bits per number                                                                                |
"""

from diffspeaker3d.models.sampling.precision import in_precision
from diffspeaker3d.models.sampling.prepared import Prepared
from diffspeaker3d.models.sampling.spaces import Space, noise_dim, open_space

__all__ = ["Prepared", "Space", "in_precision", "noise_dim", "open_space"]
