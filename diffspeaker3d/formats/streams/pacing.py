"""Sending frames on time, and addresses of receivers."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from diffspeaker3d.errors import InputError


@dataclass(frozen=True)
class Clock:
    """Where time comes from; tests give their own.

    Attributes:
        now: seconds on any monotonic scale.
        sleep: waits that many seconds.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def paced(num_frames: int, fps: float, clock: Clock) -> Iterator[int]:
    """Frame numbers, frame t not before t / fps after the first: an absolute schedule, so delays never add up.

    Frames whose whole time has passed are left out rather than sent late in a burst; the last frame always comes.
    """
    start, frame = clock.now(), 0
    while frame < num_frames:
        wait = start + frame / fps - clock.now()
        if wait > 0:
            clock.sleep(wait)
        yield frame
        due = int((clock.now() - start) * fps)
        frame = max(frame + 1, min(due, num_frames - 1))


def parse_address(url: str, default_port: int) -> tuple[str, int]:
    """Host and port of e.g. `vmc://127.0.0.1:39539`; without port the protocol's own.

    Raises:
        InputError: no host, a port that is none, or a host that has no address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or default_port
        if not host:
            raise ValueError("the host is missing")
        socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (ValueError, OSError) as error:
        raise InputError(
            f"{url}: not an address ({error}); write {url.split(':')[0]}://host:port, e.g. 127.0.0.1:{default_port}"
        ) from error
    return host, port


def udp_socket(host: str) -> socket.socket:
    """A datagram socket of the family that `host` has."""
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
