"""Live to Unreal: ARKit curves as Live Link Face packets over UDP (`livelink://host:11111`).

One packet per frame, big-endian: uint8 version 6; int32 length + UTF-8 device id; int32 length + UTF-8 subject; frame time as
int32 frame, float32 subframe, int32 rate numerator, int32 denominator; uint8 count; count float32 in order A plus rotations.
"""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np

from diffspeaker3d.animation import Animation
from diffspeaker3d.formats.common.arkit_curves import ROTATION_NAMES, arkit_curves
from diffspeaker3d.formats.streams.pacing import Clock, paced, parse_address, udp_socket

SCHEME = "livelink"


PORT = 11111
VERSION = 6
DEVICE_ID = "D1FF5BEA-4E30-4D00-8000-000000000001"  # readers expect the 36 characters of a UUID
SUBJECT = "diffspeaker3d"


def stream(animation: Animation, url: str, clock: Clock | None = None) -> None:
    """Send the animation once, frame t at t / fps seconds.

    Args:
        animation: with ARKit weights, or on a topology with ARKit shapes.
        url: livelink://host:port, port 11111 by default.
        clock: where time comes from; the computer's own by default.

    Raises:
        InputError: not an address, or an animation without ARKit curves.
    """
    address = parse_address(url, PORT)
    curves = arkit_curves(animation)
    with udp_socket(address[0]) as channel:
        for frame in paced(len(curves), animation.fps, clock or Clock()):
            channel.sendto(packet(curves[frame], frame, animation.fps), address)


def packet(curves: np.ndarray, frame: int, fps: float) -> bytes:
    """One frame: 52 curves in order A -> the datagram, rotations zero.

    Args:
        curves (array (52,)): weights in [0, 1].
        frame: its number.
        fps: frames per second; 29.97 becomes 30000/1001.
    """
    rate = _rate(fps)
    values = np.concatenate([curves, np.zeros(len(ROTATION_NAMES))]).astype(">f4")
    head = struct.pack(">B", VERSION) + b"".join(
        struct.pack(">i", len(text)) + text.encode() for text in (DEVICE_ID, SUBJECT)
    )
    return head + struct.pack(">ifiiB", frame, 0.0, rate.numerator, rate.denominator, len(values)) + values.tobytes()


def _rate(fps: float) -> Fraction:
    """fps as engines count it: 29.97, 59.94 and 23.976 are n * 1000 / 1001."""
    nominal = round(fps * 1.001)
    if abs(fps * 1.001 - nominal) < 1e-3 and fps != nominal:
        return Fraction(nominal * 1000, 1001)
    return Fraction(fps).limit_denominator(1001)
