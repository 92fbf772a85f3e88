"""MAVLink over a serial device, such as a telemetry radio at a USB port."""

from __future__ import annotations

import asyncio
import fcntl
import os
import termios
import tty
from contextlib import suppress

from hardware.errors import NotSupported
from hardware.mavlink.address import Source
from hardware.mavlink.medium import Taker
from hardware.mavlink.stream import KeptStream

_SPEED, _OUT_SPEED = 4, 5
_CONTROL = 2


class SerialDevice:
    """An open terminal device, raw, without flow control (``stream.Ends``).

    Raises ``OSError`` when it is not there, is in use by another program that has locked it, or is no terminal.
    """

    def __init__(self, path: str, baud: int) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            tty.setraw(self._fd, termios.TCSANOW)
            mode = termios.tcgetattr(self._fd)
            mode[_CONTROL] |= termios.CLOCAL | termios.CREAD
            # With flow control, old commands would wait in the device for a radio that takes nothing.
            mode[_CONTROL] &= ~(termios.CRTSCTS | termios.CSTOPB | termios.PARENB)
            mode[_SPEED] = mode[_OUT_SPEED] = speed_of(baud)
            termios.tcsetattr(self._fd, termios.TCSANOW, mode)
            # Two programs on one device would each get a part of what comes.
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
            termios.tcflush(self._fd, termios.TCIOFLUSH)
        except termios.error as error:
            os.close(self._fd)
            raise OSError(*error.args) from error
        except BaseException:
            os.close(self._fd)
            raise

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._fd

    def close(self) -> None:
        """Close it; what the device has not sent yet is thrown away."""
        with suppress(termios.error):
            termios.tcflush(self._fd, termios.TCOFLUSH)
        os.close(self._fd)


def speed_of(baud: int) -> int:
    """Return the terminal's constant for a bit rate; raises ``NotSupported`` naming those there are."""
    speed = getattr(termios, f"B{baud}", None)
    if not isinstance(speed, int) or baud == 0:
        known = sorted(int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdigit())
        raise NotSupported(f"MAVLink address: no such bit rate: {baud}; there are {', '.join(map(str, known[1:]))}")
    return speed


def serial_line(device: Source, taker: Taker, loop: asyncio.AbstractEventLoop) -> KeptStream:
    """Return a device (path and bit rate) that is opened anew when it has been unplugged.

    Silence does not end it: a radio whose vehicle is out of reach is still the radio.
    """
    path, baud = device
    speed_of(baud)

    async def open_() -> SerialDevice:
        return SerialDevice(path, baud)

    return KeptStream(device, f"serial:{path}", open_, taker, loop, silent_s=None)
