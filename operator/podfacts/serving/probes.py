"""``/healthz``, ``/readyz`` and ``/metrics`` in plain HTTP, on a port of their own.

Apart from admission, because the kubelet and Prometheus need no certificate of ours, and a NetworkPolicy can give
each port to those who need it. They run on the same event loop on purpose: a loop that hangs shall fail its probe.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from podfacts.serving.listener import Limits, Listener, bind
from podfacts.serving.messages import Reply, Request

LIMITS = Limits(body=0, connections=64, read=5.0, write=10.0)


@asynccontextmanager
async def probes(
    port: int,
    *,
    live: Callable[[], str | None],
    ready: Callable[[], str | None],
    warned: Callable[[], str | None] = lambda: None,
    registry: Collector,
    host: str = "::",
    limits: Limits = LIMITS,
) -> AsyncIterator[int]:
    """Answer on ``port`` (0: any free one) and give that port. A callable returns None when all is fine, else why not.

    What ``warned`` says stands in the answer of a replica that is ready: somebody should look, and the kubelet should not.
    """

    def answer(request: Request) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return Reply(HTTPStatus.METHOD_NOT_ALLOWED, b"GET only\n", headers=(("Allow", "GET, HEAD"),))
        if request.path == "/healthz":
            return _verdict(live())
        if request.path == "/readyz":
            return _verdict(ready(), warned())
        if request.path == "/metrics":
            return Reply(HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)
        return Reply(HTTPStatus.NOT_FOUND, b"/healthz, /readyz or /metrics\n")

    bound = bind(host, port)
    listener = Listener(bound, answer, limits=limits)
    listener.start()
    try:
        yield bound.getsockname()[1]
    finally:
        await listener.stop(grace=1.0)


def _verdict(reason: str | None, warning: str | None = None) -> Reply:
    if reason is not None:
        return Reply(HTTPStatus.SERVICE_UNAVAILABLE, _line(reason))
    return Reply(HTTPStatus.OK, b"ok\n" + (_line(f"warning: {warning}") if warning else b""))


def _line(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace") + b"\n"
