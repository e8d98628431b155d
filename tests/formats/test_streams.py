"""Live streams received on a loopback socket, decoded by an independent reader, with a clock that the test owns."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from diffspeaker3d.animation import Animation
from diffspeaker3d.controls.arkit import ARKIT_NAMES
from diffspeaker3d.errors import InputError
from diffspeaker3d.formats import output_suffix
from diffspeaker3d.formats.streams import livelink, vmc
from diffspeaker3d.formats.streams.pacing import Clock, paced

FRAMES = 45


class FakeTime:
    """A clock that only moves when somebody waits, or by `cost` at each look."""

    def __init__(self, cost: float = 0.0) -> None:
        self.time, self.cost = 100.0, cost
        self.waits: list[float] = []

    def now(self) -> float:
        self.time += self.cost
        return self.time

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds


class Receiver:
    """Collects datagrams in a thread until one starts with `stop`."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.received: list[bytes] = []
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self) -> None:
        self.socket.settimeout(10)
        while (data := self.socket.recv(65536)) != b"stop":
            self.received.append(data)

    def finish(self) -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.sendto(b"stop", ("127.0.0.1", self.port))
        self.thread.join()
        self.socket.close()
        return self.received


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    if listening.thread.is_alive():
        listening.finish()


def test_livelink_packets(shaped: Animation, receiver: Receiver) -> None:
    fake = FakeTime()
    livelink.stream(shaped, f"livelink://127.0.0.1:{receiver.port}", Clock(fake.now, fake.sleep))
    packets = receiver.finish()
    assert len(packets) == FRAMES and fake.time == pytest.approx(100 + 44 / 30)
    for frame, packet in enumerate(packets):
        assert packet[0] == 6 and packet[1:5] == b"\0\0\0\x24" and 264 <= len(packet) <= 774
        device = packet[5:41].decode()
        assert len(device) == 36 and device.count("-") == 4
        (length,) = struct.unpack_from(">i", packet, 41)
        at = 45 + length
        number, subframe, numerator, denominator, count = struct.unpack_from(">ifiiB", packet, at)
        assert (number, subframe, numerator / denominator, count) == (frame, 0.0, 30.0, 61)
        values = np.frombuffer(packet, ">f4", 61, at + 17)
        assert len(packet) == at + 17 + 61 * 4
        assert np.array_equal(values[:52], shaped.weights[frame, :52]) and not values[52:].any()  # order A is ours
    assert livelink.packet(np.zeros(52), 0, 29.97)[-253:-245] == struct.pack(">ii", 30000, 1001)


def osc_messages(bundle: bytes) -> Iterator[tuple[str, list[str | float | int]]]:
    """The OSC 1.0 wire format: padded strings, type tags, big-endian values."""
    assert bundle[:8] == b"#bundle\0"
    at = 16
    while at < len(bundle):
        size = int.from_bytes(bundle[at : at + 4], "big")
        content, at = bundle[at + 4 : at + 4 + size], at + 4 + size
        address, rest = padded_string(content)
        tags, rest = padded_string(rest)
        values: list[str | float | int] = []
        for tag in tags[1:]:
            if tag == "s":
                text, rest = padded_string(rest)
                values.append(text)
            else:
                values.append(struct.unpack(">f" if tag == "f" else ">i", rest[:4])[0])
                rest = rest[4:]
        yield address, values


def padded_string(data: bytes) -> tuple[str, bytes]:
    end = data.index(b"\0")
    return data[:end].decode(), data[(end // 4 + 1) * 4 :]


def test_vmc_bundles_end_every_frame_with_apply(shaped: Animation, receiver: Receiver) -> None:
    pytest.importorskip("pythonosc")
    fake = FakeTime()
    vmc.stream(shaped, f"vmc://127.0.0.1:{receiver.port}", Clock(fake.now, fake.sleep))
    datagrams = receiver.finish()
    assert max(map(len, datagrams)) <= 1400 and len(datagrams) == 2 * FRAMES
    frames: list[dict[str, float]] = [{}]
    times = []
    for address, values in (m for d in datagrams for m in osc_messages(d)):
        if address == "/VMC/Ext/Blend/Apply":
            assert len(frames[-1]) == 52
            frames.append({})
        elif address == "/VMC/Ext/Blend/Val":
            frames[-1][str(values[0])] = float(values[1])
        elif address == "/VMC/Ext/T":
            times.append(values[0])
    assert len(frames) == FRAMES + 1 and not frames[-1] and np.allclose(times, np.arange(FRAMES) / 30, atol=1e-6)
    sent = np.array([[f[n[0].upper() + n[1:]] for n in ARKIT_NAMES] for f in frames[:-1]], np.float32)
    assert np.array_equal(sent, shaped.weights[:, :52])


def test_delays_do_not_add_up() -> None:
    """Every look at the clock costs 2 ms; after 300 frames the last is still on its own time."""
    fake = FakeTime(cost=0.002)
    late = [fake.time - 100 - frame / 30 for frame in paced(300, 30.0, Clock(fake.now, fake.sleep))]
    assert len(late) == 300 and max(late) < 0.01 and min(late[1:]) >= 0


def test_a_slow_sender_skips_frames_instead_of_lagging() -> None:
    fake = FakeTime(cost=0.03)
    sent = list(paced(100, 60.0, Clock(fake.now, fake.sleep)))
    assert sent[-1] == 99 and len(sent) < 60 and fake.time - 100 < 100 / 60 + 0.15


@pytest.mark.parametrize(
    "url", ["livelink://", "livelink://host:99999", "livelink://no.such.host.invalid:1", "livelink://:5"]
)
def test_bad_addresses_are_refused(url: str, shaped: Animation) -> None:
    with pytest.raises(InputError, match="not an address"):
        livelink.stream(shaped, url)


def test_schemes_are_outputs() -> None:
    assert output_suffix("vmc://127.0.0.1:39539") == "vmc://" and output_suffix("livelink://localhost") == "livelink://"
