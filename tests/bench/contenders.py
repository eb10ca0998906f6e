"""The servers that are compared: the same handler, TLS 1.3, one process, HTTP/1.1 with keep-alive.

Run by ``servers.py`` as ``python tests/bench/contenders.py NAME PORT FOLDER``; granian's own command imports ``rsgi`` and ``asgi``.
"""

import asyncio
import os
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

PATCH = "W3sib3AiOiJhZGQi" * 150  # As long as the patch of a pod with two containers, about.


def handle(body: bytes) -> bytes:
    """The least that an admission webhook does."""
    request = orjson.loads(body)["request"]
    response = {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch", "patch": PATCH}
    return orjson.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
    )


async def rsgi(_scope: Any, protocol: Any) -> None:
    """Granian's own interface."""
    body = await protocol()
    protocol.response_bytes(200, [("content-type", "application/json")], handle(body))


async def asgi(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """The interface that most Python servers share."""
    if scope["type"] != "http":
        return
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    answer = handle(b"".join(chunks))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def context(folder: Path) -> ssl.SSLContext:
    """A server's context, as podfacts has it."""
    from podfacts.admission.tls import tls_context  # noqa: PLC0415 - granian's workers need none of it

    return tls_context((folder / "tls.crt").read_bytes(), (folder / "tls.key").read_bytes(), "1.3")


async def bare(port: int, folder: Path) -> None:
    """The low-level server of aiohttp, without a guard."""
    from aiohttp import web  # noqa: PLC0415

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(body=handle(await request.content.read()), content_type="application/json")

    server = web.Server(answer)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(server, "127.0.0.1", port, ssl=context(folder), backlog=1024)
    await listening.serve_forever()


async def guarded(port: int, folder: Path) -> None:
    """Podfacts' listener around the same handler: what the guards cost."""
    from podfacts.serving.listener import Limits, Listener, bind  # noqa: PLC0415
    from podfacts.serving.messages import JSON, Reply  # noqa: PLC0415

    served = context(folder)
    listener = Listener(
        bind("127.0.0.1", port),
        lambda request: Reply(200, handle(request.body), JSON),
        limits=Limits(),
        context=lambda: served,
    )
    listener.start()
    await asyncio.Event().wait()


async def whole(port: int, folder: Path) -> None:
    """The product: guards, the real review of the pod, metrics, and a line of log for each."""
    from podfacts.admission import webhook  # noqa: PLC0415
    from podfacts.admission.team import Team  # noqa: PLC0415
    from podfacts.serving import logs  # noqa: PLC0415
    from podfacts.serving.listener import bind  # noqa: PLC0415

    logs.configure()
    bound = bind("127.0.0.1", port)
    await webhook.run(webhook.Settings(folder, probe_port=0), bound, Team())


SERVERS = {"bare": bare, "guarded": guarded, "whole": whole}


def main(name: str, port: str, folder: str) -> None:
    """``guarded-uvloop`` is the server, and the event loop it runs on."""
    server, _, loop = name.partition("-")
    factory = None
    if loop == "uvloop":
        import uvloop  # noqa: PLC0415

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(SERVERS[server](int(port), Path(folder)))


def granian(interface: str, port: int, folder: Path) -> list[str]:
    """The command for granian: one worker, one thread, no second protocol, no logging of requests."""
    return [
        *(
            sys.executable,
            "-m",
            "granian",
            "--interface",
            interface,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ),
        *("--workers", "1", "--runtime-threads", "1", "--http", "1", "--no-ws", "--log-level", "error"),
        *("--ssl-certificate", str(folder / "tls.crt"), "--ssl-keyfile", str(folder / "tls.key")),
        *("--working-dir", os.fspath(Path(__file__).parent), f"contenders:{interface}"),
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
