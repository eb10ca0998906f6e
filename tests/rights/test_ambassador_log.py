"""What a kubectl proxy logs becomes what it asked of the API server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podfacts.rights.ambassador_log import Answered, answered
from podfacts.rights.grant import grants, left_out, text
from podfacts.rights.request import Account, Request

SERVER = "https://10.96.0.1:443"
PODS = f"{SERVER}/api/v1/namespaces/default/pods"
HEAD = 'I1124 15:16:47.040704   27688 round_trippers.go:632] "Response" '
LIST = Request("list", resource="pods", namespace="default")


def written(method: str, url: str, status: str, before: str = "") -> bytes:
    return f'{before}{HEAD}verb="{method}" url="{url}" status="{status}" milliseconds=4\n'.encode()


CASES = [
    (written("GET", PODS, "200 OK"), [Answered(LIST, True)]),
    (written("GET", PODS, "403 Forbidden"), [Answered(LIST, False)]),
    (written("GET", PODS, "401 Unauthorized"), [Answered(LIST, False)]),
    (written("GET", PODS, "404 Not Found"), [Answered(LIST, True)]),
    (written("GET", PODS, "429 Too Many Requests"), []),
    (written("GET", PODS, ""), []),
    (written("OPTIONS", PODS, "405 Method Not Allowed"), []),
    (written("GET", f"{PODS}?watch=1&fieldSelector=metadata.name%3Dx", "200 OK"),
     [Answered(Request("watch", resource="pods", namespace="default", name="x"), True)]),
    (written("PATCH", f"{PODS}/x", "201 Created"),
     [Answered(Request(verb, resource="pods", namespace="default", name="x"), True) for verb in ("patch", "create")]),
    (written("HEAD", f"{SERVER}/metrics", "200 OK"), [Answered(Request("head", path="/metrics"), True)]),
    # Go quotes what stands in the query as it came.
    (written("GET", rf"{PODS}?fieldSelector=metadata.name%3Dx&a=\"b\\\x01é", "200 OK"),
     [Answered(Request("list", resource="pods", namespace="default", name="x"), True)]),
    (written("GET", rf"{PODS}?fieldSelector=metadata.name=a\"\\\x7f\u200b\U0001f600", "200 OK"),
     [Answered(Request("list", resource="pods", namespace="default", name='a"\x7f\u200b\U0001f600'), True)]),
    # No character at all, which Go never writes.
    (written("GET", rf"{PODS}?fieldSelector=metadata.name=a\ud800\Uffffffff", "200 OK"),
     [Answered(Request("list", resource="pods", namespace="default", name="a\ufffd\ufffd"), True)]),
    # kubectl logs --timestamps, --prefix.
    (written("GET", PODS, "200 OK", "2026-11-24T15:16:47.040800000Z "), [Answered(LIST, True)]),
    (written("GET", PODS, "200 OK", "2026-11-24T15:16:47+01:00 "), [Answered(LIST, True)]),
    (written("GET", PODS, "200 OK", "[pod/shop-1/podfacts-ambassador] "), [Answered(LIST, True)]),
    (written("GET", PODS, "200 OK", "[pod/shop-1/podfacts-ambassador] 2026-11-24T15:16:47.04Z "), [Answered(LIST, True)]),
    (b"Starting to serve on 127.0.0.1:8001\n", []),
    (b"I1124 15:16:47.040704   27688 proxy_server.go:131] Filter accepting GET /api/v1 127.0.0.1\n", []),
    (HEAD.encode() + b'verb="GET" url="' + PODS.encode() + b"\n", []),
    (b"\xff\x00\n", []),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_a_line(line: bytes, expected: list[Answered]) -> None:
    assert list(answered([line])) == expected


@pytest.mark.fault("T41")
@given(
    st.from_regex(
        r'(?:[a-z/%&=?,+.!;]|fieldSelector=|metadata.name|\\[xuU"\\a][0-9a-fA-F]{0,8}){0,20}',
        fullmatch=True,
    ),
    st.binary(max_size=4),
)
def test_a_forged_line_breaks_nothing(url: str, tail: bytes) -> None:
    line = written("GET", f"{SERVER}/api/v1/namespaces/default/{url}", "200 OK")
    for each in answered([line.replace(b" status", tail + b" status"), line]):
        grants(Account("default", "web"), [each.request])
        assert text([], ["", *left_out([each.request])]).encode()


@pytest.mark.parametrize(
    "before",
    [
        "I1124 15:16:47.040704   27688 proxy_server.go:146] Filter rejecting GET /",
        "2026-11-24T15:16:47Z I1124 15:16:47.040704   27688 proxy_server.go:146] Filter rejecting GET /",
        "[pod/shop-1/main] GET /",
        "[pod/shop-1/[pod/a/b] ",
        "2026-11-24T15:16:47Z 2026-11-24T15:16:47Z ",
        "GET /",
    ],
)
def test_only_the_first_head_of_a_line_counts(before: str) -> None:
    """What stands behind it may hold a path that an app made up: with a whole line of klog's, and with half of one."""
    forged = written("GET", PODS, "200 OK").decode()
    assert list(answered([f"{before}{forged}".encode()])) == []
    assert list(answered([f'{before}"Response" {forged.removeprefix(HEAD)}'.encode()])) == []
