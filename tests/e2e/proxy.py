"""A door between a controller and the API server that a test can shut: in each way in which a network or a server fails."""

import contextlib
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

import yaml

State = Literal["open", "cut", "refused", "silent", "stalled"]


class Proxy:
    """TCP, byte for byte; one thread for each direction of each connection."""

    delay = 0.0  # Seconds that each portion of bytes waits, there and back: to be set at any time.

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        server = urlsplit(cluster["server"])
        self._target = (server.hostname, server.port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._address = self._listening.getsockname()
        cluster["server"] = f"https://127.0.0.1:{self._address[1]}"
        cluster["tls-server-name"] = server.hostname
        self.kubeconfig = folder / "proxy.kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self._passing = threading.Event()
        self._passing.set()
        self._hanging_up = False
        self._connections: set[socket.socket] = set()

    def turn(self, state: State) -> None:
        """Open it; or end every connection and hang up on new ones, or refuse those; or let all of them hang.

        ``cut`` is what a failing balancer does, ``refused`` a server that is not there; right after one of them ``open``
        gives a server that came back. ``stalled`` is open for new connections, while those that there are hang for ever.
        """
        if state == "stalled":
            self._passing.clear()
            self._passing = threading.Event()
        self._hanging_up = state in ("cut", "refused")
        if state == "silent":
            self._passing.clear()
        else:
            self._passing.set()
        if state == "refused":
            self._close()
        elif self._listening.fileno() < 0:
            self._listening = socket.create_server(self._address)
            self._start()
        if self._hanging_up:
            self._end()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.turn("refused")

    def _start(self) -> None:
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def _close(self) -> None:
        _shut(self._listening)  # Closing alone would leave it open until the accept that waits on it ends.
        self._listening.close()

    def _end(self) -> None:
        for connection in list(self._connections):
            _shut(connection)

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                if self._hanging_up:
                    near.close()
                    continue
                self._connect(near)
                if self._hanging_up:  # Since then.
                    self._end()

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._target)
        except OSError:  # The server is not there: no reason to be gone when it is back.
            near.close()
            return
        self._connections |= {near, far}
        for source, target in ((near, far), (far, near)):
            words = (source, target, self._passing)
            threading.Thread(target=self._pump, args=words, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, passing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while received := source.recv(65536):
                passing.wait()
                time.sleep(self.delay)
                target.sendall(received)
        _shut(source)
        _shut(target)
        source.close()
        self._connections.discard(source)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
