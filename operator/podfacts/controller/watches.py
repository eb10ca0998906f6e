"""The four watches, and all of kopf that there is: namespaces and profiles are kopf's, of pods and nodes there are too many.

Only ``index`` and ``on.event``, which write nothing to any object. Namespaces and profiles are told in index functions: kopf calls
those before any handler, and no handler before both lists are complete. Pods are listed after that, and after the nodes,
so that none is ever judged by half a cluster. The number of kopf's workers is not limited for the same reason: with fewer
workers than namespaces, all of them would wait for the rest of the list, for ever.

kopf ends every task of its event loop that is younger than itself when it ends, and takes the signals of the main thread:
so it runs in a loop of a thread of its own (term.py).
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any, Protocol

import aiohttp
import kopf

from podfacts.controller.apiserver import USER_AGENT, configured
from podfacts.controller.crowds import PAGE, Crowd
from podfacts.controller.vitals import NODES, PODS, SILENCE, WATCH_SECONDS, Vitals
from podfacts.core.options import INJECT

OPTED_IN = f"{INJECT},{INJECT}!=false"
LOGIN_PAUSE = 5.0  # Seconds between two logins: a token that is refused is asked for again at once.


class Listener(Protocol):
    """Who hears what is seen; a tree of None says that the object is gone."""

    def node(self, name: str, uid: str, tree: Any) -> None:
        """A node, as soon as it is seen."""

    def namespace(self, name: str, uid: str, tree: Any) -> None:
        """A namespace, as soon as it is seen."""

    def profile(self, name: str, uid: str, tree: Any) -> None:
        """A Profile, as soon as it is seen."""

    def settled(self) -> None:
        """The lists are complete: what was seen until now may be judged."""

    def pod(self, tree: Any, *, gone: bool) -> None:
        """An opted-in pod. The lists are complete."""

    def listed(self, plural: str, began: float) -> None:
        """A list of nodes or pods that began then is whole: what it did not hold is gone."""


def watches(listener: Listener, vitals: Vitals) -> tuple[Coroutine[Any, Any, None], ...]:
    """The watches. They end when they are cancelled, and raise what they cannot go on with."""
    settled = asyncio.Event()

    def node(tree: Any, gone: bool) -> None:
        metadata = tree["metadata"]
        listener.node(metadata["name"], metadata["uid"], None if gone else tree)

    def pod(tree: Any, gone: bool) -> None:
        listener.pod(tree, gone=gone)

    nodes = Crowd(NODES, node, partial(listener.listed, "nodes"))
    pods = Crowd(PODS, pod, partial(listener.listed, "pods"), selector=OPTED_IN)
    before = (settled, nodes.whole)
    return _few(listener, vitals, settled), _followed(nodes, vitals), _followed(pods, vitals, *before)


async def _followed(crowd: Crowd, vitals: Vitals, *after: asyncio.Event) -> None:
    """Follow many, once these have happened."""
    for each in after:
        await each.wait()
    made = await session(vitals)
    async with made.aiohttp_session as client:
        await crowd.follow(made.server, client)


async def _few(listener: Listener, vitals: Vitals, whole: asyncio.Event) -> None:
    """Follow what kopf follows. Raises what kopf raises when it cannot go on."""
    # What it says of each object at level info is one line an event. That there are no signals is meant so.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    # Each request that it tries again is an error to it: four lines a second while the API server is away. That a watch is
    # silent is told by its age (vitals.py).
    logging.getLogger("kopf._cogs.clients").setLevel(logging.CRITICAL)
    handlers = registry(listener, vitals, whole)
    await kopf.operator(registry=handlers, settings=settings(), standalone=True, clusterwide=True)


def settings() -> kopf.OperatorSettings:
    """What differs from kopf's defaults."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True  # Else it lists and watches CRDs, a right that nothing needs.
    chosen.posting.enabled = False
    # Else it kills this process ten minutes after a lost Lease.
    chosen.process.ultimate_exiting_timeout = None
    chosen.watching.server_timeout = WATCH_SECONDS
    chosen.watching.client_timeout = SILENCE
    chosen.watching.chunk_size = PAGE
    chosen.watching.connect_timeout = 10
    chosen.networking.request_timeout = 60
    chosen.queueing.idle_timeout = 1.0  # A worker is a task and a queue: gone sooner, there are fewer.
    chosen.queueing.exit_timeout = 0.5
    return chosen


def registry(listener: Listener, vitals: Vitals, whole: asyncio.Event) -> kopf.OperatorRegistry:
    """The handlers; ``whole`` is set once both lists are complete."""
    found = kopf.OperatorRegistry()
    logged_in = -LOGIN_PAUSE

    @kopf.on.login(registry=found)
    async def login(**_: Any) -> kopf.AiohttpSession:
        nonlocal logged_in
        await asyncio.sleep(max(0.0, logged_in + LOGIN_PAUSE - time.monotonic()))
        logged_in = time.monotonic()
        return await session(vitals)

    _follow(found, ("", "v1", "namespaces"), listener.namespace, listener, whole)
    _follow(found, ("podfacts.dev", "v1alpha1", "profiles"), listener.profile, listener, whole)
    return found


def _follow(
    found: kopf.OperatorRegistry,
    resource: tuple[str, str, str],
    told: Any,
    listener: Listener,
    whole: asyncio.Event,
) -> None:
    group, version, plural = resource

    @kopf.index(group, version, plural, id=f"{plural}-seen", registry=found)
    async def seen(body: Any, name: Any, uid: Any, **_: Any) -> None:
        told(str(name), str(uid), dict(body))

    @kopf.on.event(group, version, plural, id=f"{plural}-settled", registry=found)
    async def settled(event: Any, name: Any, uid: Any, **_: Any) -> None:
        if event["type"] == "DELETED":
            told(str(name), str(uid), None)
        listener.settled()
        whole.set()


async def session(vitals: Vitals) -> kopf.AiohttpSession:
    """A client for kopf, as the identity that the other calls have, with the token as it is at each request."""
    configuration = await configured()
    tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    if configuration.cert_file:
        tls.load_cert_chain(configuration.cert_file, configuration.key_file)

    async def authorized(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if token := await configuration.get_api_key_with_prefix("BearerToken", alias="authorization"):
            request.headers["Authorization"] = token
        if configuration.tls_server_name:
            request.server_hostname = configuration.tls_server_name
        return await handler(request)

    client = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls),
        headers={"User-Agent": USER_AGENT},
        middlewares=(authorized,),
        trace_configs=[vitals.trace()],
    )
    return kopf.AiohttpSession(server=configuration.host, aiohttp_session=client)
