"""What stands in front of a webhook, has its certificate, and answers in its place: with whatever the test says."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from podfacts.authority.certificates import Authority, sign_leaf


class Middlebox(ThreadingHTTPServer):
    """Answers every POST with ``says``, and counts them."""

    daemon_threads = True
    says = b""
    asked = 0

    @property
    def port(self) -> int:
        """Where it is."""
        return int(self.server_address[1])

    def handle_error(self, *_about: Any) -> None:
        """Nothing: an API server that goes away is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: Middlebox

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        self.wfile.write(self.server.says)
        self.close_connection = True

    def log_message(self, *_words: Any) -> None:
        """Nothing."""


def said(first: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """The answer; ``length`` is what it says its body's is."""
    lines = [f"HTTP/1.1 {first}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def middlebox(authority: Authority, name: str, folder: Path) -> Iterator[Middlebox]:
    """Give a running one, with a certificate that the API server trusts."""
    now = datetime.now(UTC)
    leaf = sign_leaf(authority.certificate_pem, authority.key_pem, [name], now, timedelta(hours=1))
    pem = folder / "middlebox.pem"
    pem.write_bytes(leaf.chain + leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = Middlebox(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
