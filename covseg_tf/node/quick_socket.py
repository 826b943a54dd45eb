"""A DICOM connection without the network's own pauses, and with a bound on what
one caller makes this machine hold."""

import socket
from collections.abc import Callable

_PDU_HEADER = 6


class QuickSocket:
    """Takes the place of `recv` of a pynetdicom socket.

    Nagle's algorithm at the sender waits for an acknowledgement that TCP delays
    here by 40 ms or more, for every object. The option that acknowledges at once
    does not last, so it is set before each read. A PDU's bytes are taken in one go
    where pynetdicom asks for 4 KB at a time.

    Args:
        wrapped: The `pynetdicom.transport.AssociationSocket`.
        most_pdu: Bytes of the largest PDU, or `None` for any.
        most_bytes: Bytes of the largest message; `start_anew` begins the next.
        on_end: Called when the connection has ended.
    """

    def __init__(
        self,
        wrapped,
        most_pdu: int | None = None,
        most_bytes: int = 0,
        on_end: Callable[[], None] = lambda: None,
    ):
        self._most_pdu, self._most, self._on_end = most_pdu, most_bytes, on_end
        self._left = most_bytes
        self._socket = wrapped.socket
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start_anew(self) -> None:
        """Says that a message was taken."""
        self._left = self._most

    def recv(self, count: int) -> bytearray:
        """Reads exactly so many bytes, fewer if the connection ends.

        Raises:
            OSError: If the PDU or the message is larger than is taken.
        """
        try:
            self._check(count)
            data = self._read(count)
        except OSError:
            self._on_end()
            raise
        if len(data) < count:
            self._on_end()
        return data

    def _check(self, count):
        if self._most_pdu is None:
            return
        self._left -= count
        if count > self._most_pdu + _PDU_HEADER or self._left < 0:
            raise OSError(f"a PDU or object of more bytes than are taken ({count})")

    def _read(self, count):
        data = bytearray()
        while len(data) < count:
            _acknowledge_at_once(self._socket)
            piece = self._socket.recv(min(count - len(data), 1 << 16))
            if not piece:
                break
            data += piece
        return data


def quicken(event) -> None:
    """Handles `EVT_CONN_OPEN` of an association that this side asked for."""
    wrapped = event.assoc.dul.socket
    wrapped.recv = QuickSocket(wrapped).recv


def _acknowledge_at_once(connection):
    if hasattr(socket, "TCP_QUICKACK"):  # Linux
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
