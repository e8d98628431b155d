"""Door: `python -m diffspeaker3d.train dataset=vocaset`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from diffspeaker3d.config import door

if TYPE_CHECKING:
    from diffspeaker3d.config.schema import Train


@door("train")
def main(options: Train) -> None:
    from diffspeaker3d.config import as_config
    from diffspeaker3d.training.run import train

    train(as_config(options))


if __name__ == "__main__":
    sys.exit(main())
