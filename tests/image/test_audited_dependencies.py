"""What is known of a locked version fails the audit, and so does a service that cannot say.

The service is a server on loopback that answers in the form of OSV, as the real pip-audit asks it.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from supply_chain import audit
from supply_chain.__main__ import main

KNOWN = {
    "id": "PYSEC-2018-28",
    "aliases": ["CVE-2018-18074", "GHSA-x84v-xcm2-53pg"],
    "summary": "Credentials in a redirect.",
    "published": "2018-10-09T17:29:00Z",
    "modified": "2021-07-02T02:41:35Z",
    "affected": [
        {
            "package": {"name": "requests", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.20.0"}]}],
            "versions": ["2.19.0", "2.19.1"],
        }
    ],
}
Answers = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "small.lock"
    path.write_text(
        "".join(f"{name} --hash=sha256:{'0' * 64}\n" for name in ("requests==2.19.1", "idna==3.20"))
    )
    return path


@contextmanager
def service(answers: Answers) -> Iterator[str]:
    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answers(asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def asked(lock: Path, url: str) -> int:
    return main(["audit", str(lock), "--service", "osv", "--osv-url", url])


def test_a_known_vulnerability_is_named_with_its_mended_version_and_fails(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answers(query: dict[str, Any]) -> dict[str, Any]:
        return {"vulns": [KNOWN]} if query["package"]["name"] == "requests" else {}

    with service(answers) as url:
        assert asked(lock, url) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("requests 2.19.1: PYSEC-2018-28, ")
    assert first.endswith(": mended in 2.20.0")
    assert last == "small.lock: 1 known vulnerabilities in 2 packages"


def test_without_one_it_passes(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with service(lambda _: {}) as url:
        assert asked(lock, url) == 0
    assert capsys.readouterr().out == "small.lock: 0 known vulnerabilities in 2 packages\n"


def test_a_service_that_is_away_is_no_good_news(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert asked(lock, f"http://127.0.0.1:{nobody.getsockname()[1]}/") == 2
    assert "could not be asked" in capsys.readouterr().out


def test_a_lock_without_a_hash_is_not_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "bare.lock"
    bare.write_text("idna==3.20\n")
    with service(lambda _: {}) as url:
        assert asked(bare, url) == 2
    assert "hash" in capsys.readouterr().out


def test_what_the_service_does_not_know_is_not_clean() -> None:
    # As pip-audit says it of an index that has the packages and no word on them; it ends with 0 then.
    unknown = {
        "name": "idna",
        "skip_reason": "Dependency not found on PyPI and could not be audited: idna (3.20)",
    }
    clean = {"name": "requests", "version": "2.34.2", "vulns": []}
    assert audit.read([clean]).code() == audit.CLEAN
    assert audit.read([clean, unknown]).code() == audit.UNKNOWN
    assert audit.read([unknown]).code() == audit.UNKNOWN
    assert audit.read([]).code() == audit.UNKNOWN
