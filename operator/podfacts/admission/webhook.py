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
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import structlog

import podfacts
from podfacts.admission.apiserver import connect
from podfacts.admission.following import Picture
from podfacts.admission.journal import Journal
from podfacts.admission.metrics import Metrics
from podfacts.admission.numbers import Together, counted
from podfacts.admission.server import admission
from podfacts.admission.team import AT_ONCE, STOP, State, Team, forked
from podfacts.admission.tls import CertificateSource, Minimum
from podfacts.core.profile import DEFAULT, Profile
from podfacts.core.review import review
from podfacts.serving.listener import CannotBind, Limits, Listener, bind
from podfacts.serving.probes import probes

SPARE_DESCRIPTORS = 64  # Beside the connections to admission: those of the probes, log, event loop.
GOODBYE = 5.0  # Seconds that another worker may need beyond ``finish`` to end.
DESCRIPTORS = 65536  # Connections that say goodbye are not counted any more, but have one as well.


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
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    profiles: Mapping[str, Profile] = field(default_factory=lambda: {DEFAULT.name: DEFAULT})
    service_account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    missing_profile: Literal["deny", "admit"] = "deny"


def serve(settings: Settings) -> int:
    """Run it to its end, on uvloop where that is installed; return the exit code."""
    factory = _loop_factory()
    try:
        bound = bind(settings.host, settings.port)
    except CannotBind as error:
        return _cannot_listen(error)
    gc.collect()
    gc.freeze()  # What lives for ever stays shared by the processes, and need not be walked through.
    team = forked(settings.workers)
    with asyncio.Runner(loop_factory=factory) as runner:
        own = runner.run(run(settings, bound, team))
    return team.code(own, settings.finish.total_seconds() + GOODBYE)


async def run(settings: Settings, bound: socket.socket, team: Team) -> int:
    """Run until SIGTERM or SIGINT. Return 0, 1 when a request had to be cut, 2 when a port could not be had."""
    metrics = Metrics(loop=type(asyncio.get_running_loop()).__module__.partition(".")[0])
    try:
        return await _run(settings, bound, team, metrics)
    except CannotBind as error:
        return _cannot_listen(error)


def _cannot_listen(error: CannotBind) -> int:
    structlog.get_logger().error("cannot listen", reason=str(error))
    return 2


async def _run(settings: Settings, bound: socket.socket, team: Team, metrics: Metrics) -> int:
    journal = Journal(metrics)
    signals = _Signals(team)
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
    listener = Listener(
        bound,
        admission(lambda body: review(body, picture.world), journal.reviewed, journal.rejected),
        limits=_affordable(settings.limits, settings.workers),
        context=source.context,
        cut=journal.cut,
        rejected=journal.rejected,
        mine=team.mine,
    )
    metrics.connections(lambda: listener.open_connections, lambda: listener.in_flight)
    metrics.overdue(source.overdue)
    source.look()
    watching = asyncio.create_task(source.watch(settings.look.total_seconds()))

    def live() -> str | None:
        return "the certificate is no longer watched" if watching.done() else picture.broken()

    def ready() -> str | None:
        if signals.stop.is_set():
            return "draining"
        return source.unusable() or picture.lacks() or (None if listener.accepting else "not listening")

    def state() -> State:
        return State(live(), ready(), counted(metrics.registry))

    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(settings.service_account))
        if team.leads:
            probe_port = await stack.enter_async_context(
                probes(
                    settings.probe_port,
                    live=lambda: live() or _any(each.live for each in team.states()),
                    ready=lambda: ready() or _any(each.ready for each in team.states()),
                    warned=source.overdue,
                    registry=Together(metrics.registry, lambda: [each.counted for each in team.states()]),
                    host=settings.host,
                )
            )
            journal.log.info("probing", port=probe_port, follows_cluster=api is not None)
        team.join(stop=signals.stop.set, at_once=signals.at_once.set, state=state, lost=signals.lost)
        if api is not None:
            picture.start(api, stack)
        while (source.served is None or picture.lacks()) and not signals.stop.is_set():
            await _within(settings.look / 4, signals.stop)
        if source.served is not None and not picture.lacks():
            gc.collect()
            gc.freeze()  # What lives for ever need not be walked through while somebody waits.
            listener.start()
            port, version = bound.getsockname()[1], podfacts.__version__
            journal.log.info("serving", port=port, version=version, process=os.getpid())
            await signals.stop.wait()
            listener.drain()
            journal.log.info("draining", seconds=settings.drain.total_seconds())
            await _within(settings.drain, signals.at_once)
        unfinished = await _stop(listener, settings.finish, signals.at_once)
        watching.cancel()
        await asyncio.wait([watching])
    journal.log.info("stopped", cut=unfinished)
    return 1 if unfinished or signals.worker_lost else 0


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
    """The first asks to stop, the second to stop at once. The first process hears them, and passes them on."""

    def __init__(self, team: Team) -> None:
        self.stop = asyncio.Event()
        self.at_once = asyncio.Event()
        self.worker_lost = False
        self._team = team
        if team.leads:
            loop = asyncio.get_running_loop()
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(each, self._arrived)

    def lost(self, process: int) -> None:
        """A worker ended. During the end that is as it should be."""
        if not self.stop.is_set():
            structlog.get_logger().error("a worker ended", process=process)
            self.worker_lost = True
            self._arrived()

    def _arrived(self) -> None:
        event, word = (self.at_once, AT_ONCE) if self.stop.is_set() else (self.stop, STOP)
        event.set()
        self._team.tell(word)


def _any(reasons: Iterable[str | None]) -> str | None:
    return next((each for each in reasons if each), None)


def _with_cluster_domain(names: tuple[str, ...]) -> tuple[str, ...]:
    """API servers ask for ``<service>.<namespace>.svc``; people with curl for the longer name as well."""
    longer = [f"{name}.cluster.local" for name in names if name.endswith(".svc")]
    return tuple(dict.fromkeys([*names, *longer]))


def _affordable(limits: Limits, workers: int) -> Limits:
    """The share of one worker. The soft limit of open files is raised where that is allowed; no more than it lets in."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    connections = max(1, min(limits.connections // workers, allowed - SPARE_DESCRIPTORS))
    return replace(limits, connections=connections, bodies=limits.bodies // workers)


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
