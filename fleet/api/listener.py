"""The sockets on which an api process listens, alone or together with others."""

from __future__ import annotations

import contextlib
import socket
from contextlib import ExitStack

from fleet.errors import StartFailed

UNSENT_BYTES = 64 * 1024
"""What the system keeps of one connection that its network has not taken: a slow browser then gets what is true now
a little later, not what was true seconds ago."""


def listeners(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    """Return a listening socket for each address that ``host`` has. Raises ``StartFailed`` when one cannot be bound.

    ``shared``: others listen there too (``places.MAY_SHARE_PORT``), each by a socket of its own (SO_REUSEPORT,
    socket(7)), so that the system spreads new connections and the end of one process touches only its own.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartFailed(f"the api cannot listen on {host}: {error}") from error
    with ExitStack() as made:
        sockets = []
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = made.enter_context(socket.socket(family, kind, protocol))
            try:
                _bind(listener, address, shared=shared)
            except OSError as error:
                raise StartFailed(f"the api cannot listen on {host}:{port}: {error}") from error
            sockets.append(listener)
        made.pop_all()
    return sockets


def _bind(listener: socket.socket, address: tuple[object, ...], *, shared: bool) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    # Connections take it over from the socket that accepts them; not every system knows it.
    with contextlib.suppress(AttributeError, OSError):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    listener.bind(address)
