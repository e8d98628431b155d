"""`diffspeaker3d <command> name=value ...`, and the same as `python -m diffspeaker3d <command> ...`."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module

from diffspeaker3d import __version__
from diffspeaker3d.config import guard

COMMANDS = {
    "animate": "speech in, talking head out: video, blendshape curves, game and film formats",
    "render": "a motion file as a video or as stills",
    "app": "the same as a page in the browser",
    "prepare": "a raw corpus into the form that training reads",
    "train": "a model on a prepared corpus",
    "evaluate": "a model against recorded motion",
    "benchmark": "how fast this machine is, part by part",
}


def main() -> None:
    """Run the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "help"):
        listed = "".join(f"  {command:10s} {about}\n" for command, about in COMMANDS.items())
        _say(
            f"diffspeaker3d {__version__}: speech in, a talking 3D face out.\n\n{listed}\nOptions: diffspeaker3d COMMAND --help"
        )
    elif name == "--version":
        _say(__version__)
    elif name in COMMANDS:
        import_module(f"diffspeaker3d.{name}").main()
    else:
        near = difflib.get_close_matches(name, COMMANDS, 1, 0.5)
        guess = f"; did you mean {near[0]}?" if near else ""
        guard.refuse(f"{name}: no such command{guess}; known: {', '.join(COMMANDS)}", guard.EXIT_BAD_INPUT)


def _say(text: str) -> None:
    with guard.one_line("diffspeaker3d"):
        sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
