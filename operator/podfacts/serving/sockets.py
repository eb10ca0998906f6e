"""An accepted connection's bytes, with TLS and without, never waiting: who would have to wait gets ``None``.

OpenSSL reads and writes the socket itself. The TLS of asyncio and of uvloop stands between memory and memory instead, and
holds up to 600 KB for each connection that was sent a long body.
"""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

RECORD = (
    16 * 1024
)  # The longest in TLS: who reads as much leaves nothing in OpenSSL that the kernel does not tell of.


class Plain:
    """Without TLS."""

    def __init__(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        self._socket = accepted
        self.descriptor = accepted.fileno()

    def shaken(self) -> bool:
        """Whether the handshake is done."""
        return True

    def read(self, into: memoryview) -> int | None:
        """How many bytes there were; 0 at the end."""
        try:
            return self._socket.recv_into(into)
        except BlockingIOError:
            return None

    def write(self, data: bytes | memoryview) -> int | None:
        """How many bytes it took."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return None

    def goodbye(self) -> None:
        """Say that nothing more is coming. What still comes from the other side can be read, and is not decrypted."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """At once, both ways."""
        self._socket.close()


class Secured(Plain):
    """With TLS, from the first bytes on: before them it costs nothing but a descriptor."""

    def __init__(self, accepted: socket.socket, context: Callable[[], ssl.SSLContext]) -> None:
        super().__init__(accepted)
        self._context = context
        self._tls: ssl.SSLSocket | None = None

    def shaken(self) -> bool:
        """Whether the handshake is done; it goes on as far as it can."""
        if self._tls is None:
            self._socket = self._tls = self._context().wrap_socket(
                self._socket, server_side=True, do_handshake_on_connect=False
            )
        try:
            self._tls.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            _forget_errors()
            raise
        # Whoever leaves with the last bytes of the handshake gets no session tickets. OpenSSL passes over that, not over its error.
        _forget_errors()
        return True

    def read(self, into: memoryview) -> int | None:
        """How many bytes there were; 0 at the end."""
        assert self._tls is not None  # noqa: S101 - nobody reads before the handshake: for the type checker
        try:
            if size := self._tls.recv_into(into):
                return size
        except (ssl.SSLWantReadError, BlockingIOError):  # The latter after the goodbye.
            return None
        except OSError:
            _forget_errors()
            raise
        _forget_errors()
        return 0

    def write(self, data: bytes | memoryview) -> int | None:
        """How many bytes it took: of one record, at most."""
        assert self._tls is not None  # noqa: S101 - as above
        try:
            return self._tls.send(data)
        except ssl.SSLWantWriteError:
            return None
        except OSError:
            _forget_errors()
            raise

    def goodbye(self) -> None:
        """Say it in TLS first, without waiting for the other side to say it too."""
        if self._tls is not None:
            with suppress(OSError, ValueError):
                self._tls.unwrap()
            _forget_errors()
        super().goodbye()


NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def _forget_errors() -> None:
    """Empty OpenSSL's queue of errors, which belongs to the thread and not to a connection.

    Python leaves an error of the network in it (a client's reset), and SSL_get_error(3) then answers for whoever has to wait
    next, on whatever connection, with that error: an innocent would be ended. Of all that Python offers, a context that is
    given ciphers which OpenSSL does not know empties it.
    """
    with suppress(ssl.SSLError):
        NOBODY.set_ciphers("NONE")
