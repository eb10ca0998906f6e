"""Bytes in, requests out: HTTP/1.1 as llhttp reads it, strictly, and nothing larger than it may be.

What llhttp refuses is refused whole and ends the connection: two lengths, a length beside chunks, a line that ends in a
bare line feed, whatever two readers could understand in two ways.
"""

from collections import deque
from http import HTTPStatus

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from podfacts.serving.messages import Reply, Request

HEAD = 32 * 1024  # Of a request before its body: an API server's is 300 bytes.
CHUNK = 32  # What frames one chunk, at most: its size, three line ends.

NOT_HTTP = Reply(HTTPStatus.BAD_REQUEST, b"this is not HTTP/1.1\n")
LONG_HEAD = Reply(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, b"the line and headers are longer than %d bytes\n" % HEAD
)


class Refused(Exception):  # noqa: N818 - it says what became of a request
    """No request that could be answered; ``reason`` is a slug of a small fixed set."""

    def __init__(self, reason: str, reply: Reply) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply


class Reader:
    """Reads what comes on one connection.

    ``requests`` are those read whole, for somebody to take. ``refused`` comes after them, and is the end. ``begun`` says
    that a part of another one is here, of whose body there are ``held`` bytes; ``asks`` that its sender waits to be told
    to go on.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_content",
        "_in_body",
        "_length",
        "_parser",
        "_spare",
        "_target",
        "asks",
        "begun",
        "held",
        "refused",
        "requests",
    )

    def __init__(self, body: int) -> None:
        self.requests: deque[Request] = deque()
        self.refused: Refused | None = None
        self.begun = self.asks = False
        self.held = 0
        self._body = body  # Bytes of it, at most.
        self._spare = HEAD  # Bytes that may still come beside a body.
        self._target = b""
        self._length = 0
        self._chunked = False
        self._in_body = False
        self._content: bytes | bytearray = b""
        self._parser: HttpRequestParser | None = HttpRequestParser(self)

    def feed(self, data: bytes | memoryview) -> None:
        """Read this, too. Nothing is read after ``refused``."""
        self._spare -= len(data)
        while data and self._parser is not None and self.refused is None:
            try:
                self._parser.feed_data(data)
            except HttpParserUpgrade as upgrade:  # Not followed: what comes after it is the next request.
                data = data[upgrade.args[0] :]
                continue
            except HttpParserError as error:
                self.refused = self.refused or _refusal(error)
                return
            if self._spare < 0 and self.begun:
                self.refused = Refused("not_http", NOT_HTTP if self._in_body else LONG_HEAD)
            return

    def close(self) -> None:
        """Let go of the parser, which holds on to this reader."""
        self._parser = None
        self._content = b""

    # What the parser tells. It takes any exception as a refusal.

    def on_message_begin(self) -> None:
        """A request begins."""
        self.begun, self._in_body = True, False
        self._target, self._length, self._chunked = b"", 0, False

    def on_url(self, part: bytes) -> None:
        """A part of the target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """One whole header."""
        if self._in_body:  # A trailer.
            return
        match name.lower():
            case b"content-length":
                self._length = int(value)
            case b"transfer-encoding":
                self._chunked = True
            case b"expect":
                self.asks = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """All headers are here: what is too large is refused before it comes."""
        assert self._parser is not None  # noqa: S101 - it is the parser that calls: for the type checker
        self._in_body = True
        if self._parser.get_http_version() not in ("1.1", "1.0"):
            raise Refused("not_http", NOT_HTTP)
        if self._parser.should_upgrade() and (self._length or self._chunked):
            raise Refused("not_http", NOT_HTTP)  # The parser would take the body for what comes after it.
        if self._length > self._body:
            raise self._too_large()

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._spare += CHUNK

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        self._spare += len(part)
        self.held += len(part)
        if self.held > self._body:
            raise self._too_large()
        if not self._content:
            self._content = part
            return
        if isinstance(self._content, bytes):
            self._content = bytearray(self._content)
        self._content += part  # A list of tiny chunks would take twenty times their size.

    def on_message_complete(self) -> None:
        """The request is whole."""
        assert self._parser is not None  # noqa: S101 - as above
        method, last = self._parser.get_method().decode(), not self._parser.should_keep_alive()
        self.requests.append(Request(method, _path(self._target), bytes(self._content), last))
        self.begun = self.asks = False
        self.held, self._spare, self._content = 0, HEAD, b""

    def _too_large(self) -> Refused:
        text = b"the body is larger than %d bytes\n" % self._body
        return Refused("too_large", Reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text))


def _refusal(error: HttpParserError) -> Refused:
    ours = error.__context__
    if isinstance(ours, Refused):
        return ours
    refused = Refused("not_http", NOT_HTTP)
    refused.__cause__ = error
    return refused


def _path(target: bytes) -> str:
    """Without the query. A proxy's ``http://host/path`` is the same path."""
    path = target.partition(b"?")[0]
    if not path.startswith(b"/") and b"://" in path:
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return path.decode("latin-1")
