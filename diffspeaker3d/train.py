"""Door: `python -m diffspeaker3d.train dataset=vocaset`."""

from __future__ import annotations

import sys

from omegaconf import DictConfig

from diffspeaker3d.config import door


@door("train")
def main(cfg: DictConfig) -> None:
    from diffspeaker3d.training.run import train

    train(cfg)


if __name__ == "__main__":
    sys.exit(main())
