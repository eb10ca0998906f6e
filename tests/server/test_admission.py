"""The real review behind a real TLS socket: every sender gets the answer that is right for it."""

import base64
import json
from typing import Any

import orjson
import pytest

from podfacts.admission.server import admission
from podfacts.core.injection import inject
from podfacts.core.review import Answer, World, review
from podfacts.serving.messages import Reply, Request
from tests.case import PROFILES
from tests.malformed import MALFORMED
from tests.server.wire import Client, Serving, serving

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "web-", "labels": {"podfacts.dev/inject": "true"}},
    "spec": {"containers": [{"name": "main", "image": "app"}]},
}


def asked(pod: dict[str, Any], uid: str = "705ab4f5") -> bytes:
    request = {
        "uid": uid,
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": "shop",
        "object": pod,
    }
    return json.dumps(
        {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    ).encode()


class Recorded:
    """The endpoint, with all it has told."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.seconds: list[float] = []
        self.rejected: list[str] = []
        self.answer = admission(
            lambda body: review(body, World(PROFILES)),
            self._record,
            lambda reason, _cause: self.rejected.append(reason),
        )

    def _record(self, answer: Answer, seconds: float) -> None:
        self.answers.append(answer)
        self.seconds.append(seconds)


async def test_a_review_is_answered_as_the_core_says() -> None:
    endpoint = Recorded()
    async with serving(endpoint.answer) as server:
        client = await server.connect()
        for number in range(3):  # On one connection.
            reply = await client.ask(asked(POD, uid=f"uid-{number}"), path="/mutate?timeout=3s")
            assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
            response = orjson.loads(reply.body)["response"]
            assert (response["uid"], response["allowed"]) == (f"uid-{number}", True)
            assert orjson.loads(base64.b64decode(response["patch"])) == list(inject(POD, PROFILES).patch)
    assert [(each.outcome, each.namespace, each.name) for each in endpoint.answers] == [
        ("injected", "shop", "web-*")
    ] * 3
    assert all(0 < each < 1 for each in endpoint.seconds)


async def test_the_content_type_does_not_matter() -> None:
    async with serving(Recorded().answer) as server:
        client = await server.connect()
        assert (await client.ask(asked(POD))).status == 200  # None at all.


async def test_a_refused_pod_is_a_reply_and_no_error() -> None:
    pod = {**POD, "metadata": {**POD["metadata"], "annotations": {"podfacts.dev/mount-path": "no/path"}}}  # type: ignore[dict-item]
    endpoint = Recorded()
    async with serving(endpoint.answer) as server:
        reply = await (await server.connect()).ask(asked(pod))
        response = orjson.loads(reply.body)["response"]
        assert (reply.status, response["allowed"], endpoint.answers[0].outcome) == (200, False, "denied")


async def test_every_malformed_body_is_a_400_on_a_connection_that_lives() -> None:
    endpoint = Recorded()
    async with serving(endpoint.answer) as server:
        client = await server.connect()
        for what, body, reason in MALFORMED:
            reply = await client.ask(body)
            assert reply.status == 400, what
            assert reply.headers["content-type"].startswith("text/plain"), what
            assert b'"allowed"' not in reply.body, what
            assert "retry-after" not in reply.headers, what
            assert endpoint.answers[-1].reason == reason, what
        assert (await client.ask(asked(POD))).status == 200
    assert len(endpoint.answers) == len(MALFORMED) + 1


async def test_a_review_as_large_as_allowed() -> None:
    limit = 8 * 1024 * 1024
    pod = {**POD, "spec": {**POD["spec"], "future": ""}}  # type: ignore[dict-item]
    pod["spec"]["future"] = "x" * (limit - len(asked(pod)))  # type: ignore[index]
    body = asked(pod)
    assert len(body) == limit
    async with serving(Recorded().answer) as server:
        client = await server.connect()
        reply = await client.ask(body)
        assert (reply.status, orjson.loads(reply.body)["response"]["allowed"]) == (200, True)
        assert (await client.ask(body[:-3] + b" " + body[-3:])).status == 413


@pytest.mark.parametrize(
    "path", ["/", "/mutate/", "/Mutate", "/healthz", "/metrics", "//mutate", "/mutate%2f"]
)
async def test_another_path_is_a_404(path: str) -> None:
    endpoint = Recorded()
    async with serving(endpoint.answer) as server:
        reply = await (await server.connect()).ask(asked(POD), path)
        assert reply.status == 404
        assert (endpoint.answers, endpoint.rejected) == ([], ["wrong_path"])
        assert b'"allowed"' not in reply.body


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_another_method_is_a_405(method: str) -> None:
    endpoint = Recorded()
    async with serving(endpoint.answer) as server:
        status, headers = await _status(await server.connect(), method)
        assert (status, headers["allow"]) == (405, "POST")
        assert (endpoint.answers, endpoint.rejected) == ([], ["wrong_method"])
        await _post_still_works(server)


def test_a_reply_cannot_ask_to_be_called_again() -> None:
    for answer in (
        Recorded().answer(Request("POST", "/mutate", asked(POD))),
        Recorded().answer(Request("POST", "/mutate", b"")),
        Recorded().answer(Request("GET", "/mutate")),
        Reply(500),
    ):
        assert "retry-after" not in {name.lower() for name, _ in answer.headers}


async def _status(client: Client, method: str) -> tuple[int, dict[str, str]]:
    await client.send(f"{method} /mutate HTTP/1.1\r\nHost: podfacts\r\n\r\n".encode())
    head = (await client.reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    return int(first.split()[1]), {
        key.lower(): value for key, value in (line.split(": ", 1) for line in lines)
    }


async def _post_still_works(server: Serving) -> None:
    assert (await (await server.connect()).ask(asked(POD))).status == 200
