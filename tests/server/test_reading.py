"""Whatever comes, and however it is cut into pieces: the same requests, or the same refusal; and nobody else suffers."""

import asyncio
import itertools
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, Self

import pytest
import uvloop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from podfacts.serving.listener import Limits, Listener, bind
from podfacts.serving.messages import CONTINUE, Reply, Request, rendered
from podfacts.serving.reading import Reader
from tests.server.wire import HOST, chunked, post

BODY = 4096

METHODS = st.sampled_from([b"POST", b"GET", b"HEAD", b"PUT", b"CONNECT", b"PRI", b"get"])
TARGETS = st.sampled_from(
    [b"/mutate", b"/mutate?timeout=3s", b"*", b"http://podfacts/mutate", b"//", b"/\xff"]
)
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"HTTP/1.2", b""])
HEADERS = st.sampled_from(
    [
        b"Host: podfacts",
        b"Content-Length: 0",
        b"Content-Length: 5",
        b"Content-Length: 5000",
        b"Content-Length: +5",
        b"content-length:5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: identity",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: upgrade",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
        b"Expect: nothing",
        b"Empty:",
        b" folded",
        b"A: \x00",
        b"\xff: x",
        b": nameless",
    ]
)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])
BODIES = st.sampled_from(
    [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", b"5\nhello\n0\n\n"]
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Something like a request."""
    line = b" ".join(draw(each) for each in (METHODS, TARGETS, VERSIONS))
    lines = [line, *draw(st.lists(HEADERS, max_size=4)), b""]
    return b"".join(each + draw(ENDS) for each in lines) + draw(BODIES)


GOOD = st.binary(max_size=100).flatmap(
    lambda body: st.sampled_from([post(body), chunked(body, b"more"), chunked(*([body] * bool(body)))])
)
STREAMS = st.lists(
    st.one_of(GOOD, messages(), st.binary(max_size=50), st.sampled_from([b"\r\n", b"\n"])), max_size=6
).map(b"".join)
CUTS = st.lists(st.integers(min_value=0, max_value=2000), max_size=12)


class Heard(NamedTuple):
    """What became of a stream."""

    requests: list[Request]
    refusal: Reply | None
    begun: bool
    held: int


def heard(stream: bytes, cuts: list[int]) -> Heard:
    """Read it in those pieces."""
    reader = Reader(BODY)
    for piece in pieces(stream, cuts):
        reader.feed(piece)
    refused = reader.refused
    return Heard(
        list(reader.requests),
        refused.reply if refused else None,
        reader.begun and not refused,
        0 if refused else reader.held,
    )


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(each for each in cuts if each < len(stream))})
    return [stream[start:end] for start, end in itertools.pairwise(at)]


@pytest.mark.fault("T23", "T26")
@settings(max_examples=400, deadline=None)
@given(STREAMS, CUTS)
@example(post(b"", "/mutate", "Connection: upgrade", "Upgrade: h2c") * 3, [1])
@example(post(b"x", "/mutate", "Connection: close") + post(b"y"), [80])
def test_the_pieces_do_not_matter(stream: bytes, cuts: list[int]) -> None:
    whole = heard(stream, [])
    assert heard(stream, cuts) == whole
    assert heard(stream, list(range(len(stream)))) == whole
    assert all(len(each.body) <= BODY for each in whole.requests)


@pytest.mark.parametrize(
    ("stream", "requests"),
    [
        (post(b"hi", "/mutate?timeout=3s"), [Request("POST", "/mutate", b"hi")]),
        (post(b"hi", "http://podfacts:443/mutate?x"), [Request("POST", "/mutate", b"hi")]),
        (chunked(b"a", b"bc"), [Request("POST", "/mutate", b"abc")]),
        (b"\r\n" + post(b""), [Request("POST", "/mutate")]),
        (post(b"", "/", "Connection: close"), [Request("POST", "/", last=True)]),
        (b"HEAD / HTTP/1.0\r\n\r\n", [Request("HEAD", "/", last=True)]),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [Request("GET", "/")]),
        (post(b"one") + post(b"two")[:-1], [Request("POST", "/mutate", b"one")]),
    ],
)
def test_requests_as_they_are_meant(stream: bytes, requests: list[Request]) -> None:
    assert heard(stream, []).requests == requests


def test_what_frames_a_body_is_bounded_too() -> None:
    tiny = b"1;" + b"x" * 1000 + b"\r\na\r\n"
    for endless in (
        b"1;" + b"x" * 100_000,
        tiny * 100,
        b"0\r\n" + b"A: b\r\n" * 10_000,
        b"0\r\nA" + b"a" * 100_000,
    ):
        reader = Reader(BODY)
        stream = chunked()[:-5] + endless
        for start in range(0, len(stream), 1000):
            reader.feed(stream[start : start + 1000])
        assert reader.refused is not None
        assert (reader.refused.reply.status, list(reader.requests)) == (400, [])


def test_a_body_of_single_bytes_is_read() -> None:
    reader = Reader(20_000)
    stream = chunked(*[b"a"] * 20_000)
    for start in range(0, len(stream), 1000):
        reader.feed(stream[start : start + 1000])
    assert [each.body for each in reader.requests] == [b"a" * 20_000]


def test_a_body_of_tiny_chunks_takes_no_more_memory_than_its_size() -> None:
    size = 200_000
    stream = memoryview(chunked(*[b"ab"] * (size // 2))[:-5])
    reader = Reader(size)
    tracemalloc.start()
    for start in range(0, len(stream), 16_384):
        reader.feed(stream[start : start + 16_384])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reader.held == size
    assert peak < 3 * size


# The same through a socket.


def echo(request: Request) -> Reply:
    return Reply(200, b"%b %b" % (request.method.encode(), request.body))


class Plainly:
    """A listener without TLS on uvloop, in a thread, as the image runs it."""

    def __init__(self) -> None:
        self.trouble: list[dict[str, Any]] = []
        self.rejected: list[str] = []
        self._bound = bind(HOST, 0)
        self.port: int = self._bound.getsockname()[1]
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(lambda _loop, context: self.trouble.append(context))
        self.listener = Listener(
            self._bound,
            echo,
            limits=Limits(body=BODY),
            rejected=lambda reason, _cause: self.rejected.append(reason),
        )
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start)
        return self

    def __exit__(self, *_error: object) -> None:
        self._run(partial(self.listener.stop, 0.0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def answers(self, sent: list[bytes]) -> bytes:
        """All that comes back until the other side has ended, the dates left out."""
        with socket.create_connection((HOST, self.port), timeout=5) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(ConnectionError):  # It had heard enough.
                for piece in sent:
                    client.sendall(piece)
                client.shutdown(socket.SHUT_WR)
            back = b"".join(iter(lambda: client.recv(65536), b""))
        return undated(back)

    async def _start(self) -> None:
        self.listener.start()

    def _run(self, what: Callable[[], Any]) -> None:
        asyncio.run_coroutine_threadsafe(what(), self._loop).result(10)


def undated(replies: bytes) -> bytes:
    return b"\r\n".join(each for each in replies.split(b"\r\n") if not each.startswith(b"Date: "))


@pytest.fixture(scope="module")
def plainly() -> Iterator[Plainly]:
    with Plainly() as running:
        yield running


def expected(stream: bytes) -> bytes:
    """Every request answered until one is the last, and then the refusal."""
    found = heard(stream, [])
    replies = b""
    for each in found.requests:
        replies += rendered(echo(each), last=each.last, bodiless=each.method == "HEAD")
        if each.last:
            return undated(replies)
    return undated(replies + (rendered(found.refusal, last=True) if found.refusal else b""))


@pytest.mark.fault("T23", "T26")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STREAMS, CUTS)
@example(post(b"x" * BODY) * 20, [])
@example(post(b"x", "/mutate", "Connection: close") + b"more", [])
def test_any_bytes_get_the_same_answers_and_the_next_client_is_served(
    plainly: Plainly, stream: bytes, cuts: list[int]
) -> None:
    back = plainly.answers(pieces(stream, cuts)).replace(CONTINUE, b"")
    assert back == expected(stream)
    assert plainly.answers([post(b"still there")]) == expected(post(b"still there"))
    assert plainly.trouble == []
    assert plainly.listener.open_connections <= 1
    assert "failed" not in plainly.rejected
