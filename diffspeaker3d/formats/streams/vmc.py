"""Live to VMC receivers (VSeeFace, Warudo, VMagicMirror, Unity): ARKit names over OSC/UDP (`vmc://host:39539`). Extra `[osc]`.

Per frame: /VMC/Ext/OK 1, /VMC/Ext/T seconds, /VMC/Ext/Blend/Val name value for all 52 "perfect sync" names, then
/VMC/Ext/Blend/Apply, split into datagrams that fit an Ethernet frame.
"""

from __future__ import annotations

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import ARKIT_NAMES
from diffspeaker3d.errors import missing_extra
from diffspeaker3d.formats.common.arkit_curves import arkit_curves, pascal_case
from diffspeaker3d.formats.streams.pacing import Clock, paced, parse_address, udp_socket

SCHEME = "vmc"


PORT = 39539  # performer to marionette
LARGEST_DATAGRAM = 1400  # bytes; one bundle of 52 values would be 1980 and be fragmented


def stream(animation: Animation, url: str, clock: Clock | None = None) -> None:
    """Send the animation once, frame t at t / fps seconds.

    Args:
        animation: with ARKit weights, or on a topology with ARKit shapes.
        url: vmc://host:port, port 39539 by default.
        clock: where time comes from; the computer's own by default.

    Raises:
        InputError: not an address, an animation without ARKit curves, or python-osc missing.
    """
    address = parse_address(url, PORT)
    curves = arkit_curves(animation)
    with udp_socket(address[0]) as channel:
        for frame in paced(len(curves), animation.fps, clock or Clock()):
            for datagram in datagrams(curves[frame], frame / animation.fps):
                channel.sendto(datagram, address)


def datagrams(curves: np.ndarray, seconds: float) -> list[bytes]:
    """One frame as OSC bundles of at most LARGEST_DATAGRAM bytes, Apply last.

    Args:
        curves (array (52,)): weights in [0, 1], ARKIT_NAMES order.
        seconds: time of the frame.
    """
    try:
        from pythonosc.osc_message_builder import OscMessageBuilder
    except ImportError as error:
        raise missing_extra("vmc", "python-osc", "osc") from error

    def message(address: str, *values: str | float | int) -> bytes:
        builder = OscMessageBuilder(address)
        for value in values:
            builder.add_arg(value)
        return bytes(builder.build().dgram)

    messages = [message("/VMC/Ext/OK", 1), message("/VMC/Ext/T", float(seconds))]
    messages += [
        message("/VMC/Ext/Blend/Val", pascal_case(n), float(c)) for n, c in zip(ARKIT_NAMES, curves, strict=True)
    ]
    return _bundles([*messages, message("/VMC/Ext/Blend/Apply")])


def _bundles(messages: list[bytes]) -> list[bytes]:
    """Messages in order into as few "immediately" bundles as fit."""
    header = b"#bundle\0" + (1).to_bytes(8, "big")
    bundles, current = [], header
    for content in messages:
        element = len(content).to_bytes(4, "big") + content
        if len(current) + len(element) > LARGEST_DATAGRAM:
            bundles.append(current)
            current = header
        current += element
    return [*bundles, current]
