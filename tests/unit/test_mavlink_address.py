"""Where a vehicle is reached, as it stands in its registration."""

from __future__ import annotations

import pytest

from hardware.errors import NotSupported
from hardware.mavlink.address import MavlinkAddress, Medium, Place


@pytest.mark.parametrize(
    ("bind", "place"),
    [
        ("127.0.0.1:14600", Place(Medium.UDP, ("127.0.0.1", 14600))),
        ("localhost:14600", Place(Medium.UDP, ("127.0.0.1", 14600))),
        ("udp://0.0.0.0:14550", Place(Medium.UDP, ("0.0.0.0", 14550))),
        ("tcp://192.0.2.1:5760", Place(Medium.TCP, ("192.0.2.1", 5760))),
        ("tcp-listen://127.0.0.1:0", Place(Medium.TCP_LISTEN, ("127.0.0.1", 0))),
        ("serial:/dev/ttyUSB0", Place(Medium.SERIAL, ("/dev/ttyUSB0", 57_600))),
        ("serial:/dev/serial/by-id/radio-if00:921600", Place(Medium.SERIAL, ("/dev/serial/by-id/radio-if00", 921_600))),
    ],
)
def test_the_forms_there_are(bind: str, place: Place) -> None:
    address = MavlinkAddress(bind)

    assert address.place == place
    assert MavlinkAddress(str(place)).place == place


@pytest.mark.parametrize(
    ("bind", "why"),
    [
        ("tcp://example.org:5760", "IPv4"),
        ("tcp://127.0.0.1", "IPv4"),
        ("tcp://127.0.0.1:0", "the port to connect to"),
        ("http://127.0.0.1:80", "udp://, tcp://"),
        ("serial:/etc/passwd", "serial:/dev/ttyUSB0"),
        ("serial:/dev/../etc/passwd", "serial:/dev/ttyUSB0"),
        ("serial:/dev/ttyUSB0:fast", "serial:/dev/ttyUSB0"),
        ("serial:ttyUSB0", "serial:/dev/ttyUSB0"),
        ("", "bind"),
    ],
)
def test_another_form_is_refused_with_those_there_are(bind: str, why: str) -> None:
    with pytest.raises(NotSupported, match=why):
        MavlinkAddress(bind)


def test_a_peer_goes_with_datagrams_only() -> None:
    with pytest.raises(NotSupported, match="peer goes with UDP only"):
        MavlinkAddress("tcp://127.0.0.1:5760", peer="127.0.0.1:1")


def test_only_sockets_can_be_loopback() -> None:
    assert MavlinkAddress("tcp://127.0.0.1:5760").is_loopback
    assert MavlinkAddress("tcp-listen://127.0.0.1:0").is_loopback
    assert not MavlinkAddress("tcp-listen://0.0.0.0:5760").is_loopback
    assert not MavlinkAddress("serial:/dev/ttyUSB0").is_loopback
