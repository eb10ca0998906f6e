"""The admission server as a process: certificate, listener, probes, and an orderly end.

It lists and watches profiles, nodes and namespaces, and asks nothing else: so it answers while the API server cannot.
Without a token, as outside of a cluster, it knows the built-in profile and those from files.

The end, because a pod's address leaves the Service's endpoints only some seconds after SIGTERM, and a connection kept
alive does not notice at all: unready at once; for the time of ``drain`` everything is answered as before, but each reply
closes its connection; then nothing new is accepted, and what has begun is finished. A second signal ends it at once.
"""

import asyncio
import gc
import importlib.util
import resource
import signal
from asyncio import sslproto
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import podfacts
from podfacts.admission.apiserver import connect
from podfacts.admission.following import Picture
from podfacts.admission.journal import Journal
from podfacts.admission.metrics import Metrics
from podfacts.admission.server import admission
from podfacts.admission.tls import CertificateSource, Minimum
from podfacts.core.profile import DEFAULT, Profile
from podfacts.core.review import review
from podfacts.serving.listener import CannotBind, Limits, Listener, bind
from podfacts.serving.probes import probes

SPARE_DESCRIPTORS = 64  # Beside the connections to admission: those of the probes, log, event loop.
DESCRIPTORS = 65536  # Connections that say goodbye are not counted any more, but have one as well.

# asyncio gives every TLS connection a buffer of 256 KiB at once: as many connections as are allowed would take all the
# memory of the container. Measured with 1024 slow ones: 460 MB, and 170 MB with this.
TLS_BUFFER = 32 * 1024


@dataclass(frozen=True)
class Settings:
    """Everything that can be chosen. Port 0 takes any free one, and the log says which."""

    certificates: Path
    dns_names: tuple[str, ...] = ("podfacts-webhook.podfacts-system.svc",)
    leaf_lifetime: timedelta = timedelta(hours=24)
    tls_min: Minimum = "1.3"
    host: str = "::"
    port: int = 10250
    probe_port: int = 8080
    drain: timedelta = timedelta(seconds=10)
    finish: timedelta = timedelta(seconds=10)  # After the drain, for what has begun.
    look: timedelta = timedelta(seconds=1)  # From one look at the certificates to the next.
    limits: Limits = field(default_factory=Limits)
    profiles: Mapping[str, Profile] = field(default_factory=lambda: {DEFAULT.name: DEFAULT})
    service_account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    missing_profile: Literal["deny", "admit"] = "deny"


def serve(settings: Settings) -> int:
    """Run it to its end, on uvloop where that is installed; return the exit code."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(run(settings))


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT. Return 0, 1 when a request had to be cut, 2 when a port could not be had."""
    metrics = Metrics(loop=type(asyncio.get_running_loop()).__module__.partition(".")[0])
    journal = Journal(metrics)
    try:
        return await _run(settings, metrics, journal)
    except CannotBind as error:
        journal.log.error("cannot listen", reason=str(error))  # noqa: TRY400 - it says it all
        return 2


async def _run(settings: Settings, metrics: Metrics, journal: Journal) -> int:
    signals = _Signals()
    sslproto.SSLProtocol.max_size = TLS_BUFFER
    source = CertificateSource(
        settings.certificates,
        dns_names=_with_cluster_domain(settings.dns_names),
        lifetime=settings.leaf_lifetime,
        minimum=settings.tls_min,
        loaded=journal.certificate_loaded,
        failed=journal.certificate_failed,
    )
    picture = Picture(settings.profiles, admit_unknown=settings.missing_profile == "admit")
    metrics.follows(picture.followed)
    bound = bind(settings.host, settings.port)
    listener = Listener(
        bound,
        admission(lambda body: review(body, picture.world), journal.reviewed, journal.rejected),
        limits=_affordable(settings.limits),
        context=source.context,
        cut=journal.cut,
        rejected=journal.rejected,
    )
    metrics.connections(lambda: listener.open_connections, lambda: listener.in_flight)
    source.look()
    watching = asyncio.create_task(source.watch(settings.look.total_seconds()))

    def live() -> str | None:
        return "the certificate is no longer watched" if watching.done() else picture.broken()

    def ready() -> str | None:
        if signals.stop.is_set():
            return "draining"
        return source.unusable() or picture.lacks() or (None if listener.accepting else "not listening")

    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(settings.service_account))
        probe_port = await stack.enter_async_context(
            probes(settings.probe_port, live=live, ready=ready, registry=metrics.registry, host=settings.host)
        )
        journal.log.info("probing", port=probe_port, follows_cluster=api is not None)
        if api is not None:
            picture.start(api, stack)
        while (source.served is None or picture.lacks()) and not signals.stop.is_set():
            await _within(settings.look / 4, signals.stop)
        if source.served is not None and not picture.lacks():
            gc.collect()
            gc.freeze()  # What lives for ever need not be walked through while somebody waits.
            listener.start()
            journal.log.info("serving", port=bound.getsockname()[1], version=podfacts.__version__)
            await signals.stop.wait()
            listener.drain()
            journal.log.info("draining", seconds=settings.drain.total_seconds())
            await _within(settings.drain, signals.at_once)
        unfinished = await _stop(listener, settings.finish, signals.at_once)
        watching.cancel()
        await asyncio.wait([watching])
    journal.log.info("stopped", cut=unfinished)
    return 1 if unfinished else 0


async def _stop(listener: Listener, finish: timedelta, at_once: asyncio.Event) -> int:
    """Finish what has begun, or don't when the second signal comes; return how many requests were cut."""
    stopping = asyncio.create_task(listener.stop(finish.total_seconds()))
    hurry = asyncio.create_task(at_once.wait())
    await asyncio.wait([stopping, hurry], return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if at_once.is_set():
        stopping.cancel()
        await asyncio.wait([stopping])
        return await listener.stop(0.0)
    return await stopping


class _Signals:
    """The first asks to stop, the second to stop at once."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.at_once = asyncio.Event()
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._arrived)

    def _arrived(self) -> None:
        (self.at_once if self.stop.is_set() else self.stop).set()


def _with_cluster_domain(names: tuple[str, ...]) -> tuple[str, ...]:
    """API servers ask for ``<service>.<namespace>.svc``; people with curl for the longer name as well."""
    longer = [f"{name}.cluster.local" for name in names if name.endswith(".svc")]
    return tuple(dict.fromkeys([*names, *longer]))


def _affordable(limits: Limits) -> Limits:
    """Raise the soft limit of open files where that is allowed, and take no more connections than it lets in."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return replace(limits, connections=max(1, min(limits.connections, allowed - SPARE_DESCRIPTORS)))


async def _within(longest: timedelta, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(longest.total_seconds()):
            await event.wait()
    except TimeoutError:
        pass


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop  # noqa: PLC0415 - optional

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
