"""The door fails in the ways that its tests rely on."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.proxy import Proxy, State

Dial = Callable[[], socket.socket]


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Proxy]:
    """In front of a server that sends back what it gets."""
    server = socket.create_server(("127.0.0.1", 0))
    cluster = {"server": f"https://127.0.0.1:{server.getsockname()[1]}"}
    (tmp_path / "kubeconfig").write_text(json.dumps({"clusters": [{"cluster": cluster}]}))
    threading.Thread(target=_answer, args=(server,), daemon=True).start()
    with Proxy(tmp_path / "kubeconfig", tmp_path) as proxy:
        yield proxy
    server.close()


def _answer(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection:
        while received := connection.recv(1024):
            connection.sendall(received)


@pytest.fixture
def dial(door: Proxy) -> Iterator[Dial]:
    port = int(door.kubeconfig.read_text().partition("https://127.0.0.1:")[2].split()[0])
    with ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=1))


def say(connection: socket.socket) -> bytes:
    """What comes back; nothing when the other side hung up, a TimeoutError when nothing comes in a second."""
    try:
        connection.sendall(b"word")
        return connection.recv(1024)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("state", ["cut", "refused"])
def test_connections_end_and_new_ones_work_once_it_is_open_again(
    door: Proxy, dial: Dial, state: State
) -> None:
    before = dial()
    assert say(before) == b"word"
    door.turn(state)
    assert say(before) == b""
    if state == "cut":
        assert say(dial()) == b""
    else:
        with pytest.raises(ConnectionRefusedError):
            dial()
    door.turn(state)
    door.turn("open")
    assert say(dial()) == b"word"


def test_nothing_comes_through_until_it_is_open_again(door: Proxy, dial: Dial) -> None:
    before = dial()
    assert say(before) == b"word"
    door.turn("silent")
    for connection in (before, after := dial()):
        with pytest.raises(TimeoutError):
            say(connection)
    door.turn("open")
    assert (before.recv(1024), after.recv(1024)) == (b"word", b"word")


def test_bytes_are_late_both_ways(door: Proxy, dial: Dial) -> None:
    door.delay = 0.2
    connection = dial()
    start = time.monotonic()
    assert say(connection) == b"word"
    assert 0.4 <= time.monotonic() - start < 0.9
