"""Door: `python -m diffspeaker3d.app`, a page to look at."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from diffspeaker3d.config import door
from diffspeaker3d.errors import InputError

if TYPE_CHECKING:
    from diffspeaker3d.config.schema import App
    from diffspeaker3d.generation.pipeline import SpeechAnimator

log = logging.getLogger(__name__)


@door("app")
def main(options: App) -> None:
    if find_spec("gradio") is None:
        raise InputError("app: the page needs gradio; install the extra: pip install diffspeaker3d[app]")

    from diffspeaker3d.generation.pipeline import SpeechAnimator, set_threads

    set_threads(options.threads)
    animator = SpeechAnimator.from_pretrained(options.checkpoint, device=options.device)
    with tempfile.TemporaryDirectory(prefix="diffspeaker3d-") as folder:
        serve(animator, Path(folder), options)


def serve(animator: SpeechAnimator, folder: Path, options: App) -> None:
    """Show the page until interrupted. Nothing is asked of the network: no analytics, no fonts, no version check.

    Raises:
        InputError: the address cannot be listened on.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio knocks at its own door
    # Read when gradio is imported, by build_page; uploads and downloads vanish with the folder.
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    from diffspeaker3d.page import CSS, build_page, make_theme

    blocks = build_page(animator, folder)
    try:
        _, address, _ = blocks.launch(
            server_name=options.host,
            server_port=options.port,
            share=False,
            ssr_mode=False,
            quiet=True,
            prevent_thread_lock=True,
            theme=make_theme(),
            css=CSS,
            footer_links=[],
            allowed_paths=[str(folder)],
            inbrowser=options.browser,
        )
    except OSError as error:
        raise InputError(
            f"host={options.host} port={options.port}: cannot be listened on ({error}); give another port"
        ) from error
    log.info("open %s in a browser; Ctrl-C ends it", address)
    blocks.block_thread()


if __name__ == "__main__":
    sys.exit(main())
