"""The controller as a process: one replica is active by a Lease, the others stand by, ready.

What only the active one may do runs as `lead`, in this event loop, from the moment that it has the Lease until it
loses it. Losing it is no failure: writing stops and the process goes on as a candidate. It ends by SIGTERM, which
gives the Lease back, or when a loop of its own breaks, so that the kubelet starts it anew.
"""

import asyncio
import signal
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import structlog

import podfacts
from podfacts.authority.rotation import Policy
from podfacts.controller.apiserver import ApiServer, NoCluster, Resource, connect
from podfacts.controller.election import Election
from podfacts.controller.hearing import Terms
from podfacts.controller.keeper import Authority, Place
from podfacts.controller.metrics import ControllerMetrics
from podfacts.controller.term import Term
from podfacts.core.explanation import AGAIN_WEBHOOK, NODES_WEBHOOK, PODS_WEBHOOK
from podfacts.core.profile import DEFAULT, Profile
from podfacts.serving.listener import CannotBind
from podfacts.serving.probes import probes

NO_CLUSTER = 2
REQUEST_SECONDS = 5.0
STUCK = 120.0  # A loop that has not come round for this long never will: twice its longest round.


def _identity() -> str:
    """A container that starts anew in its pod is somebody else: the one before may still have a write under way."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


@dataclass(frozen=True)
class Settings:
    """Everything that can be chosen. Raises ValueError on lifetimes that cannot work together."""

    namespace: str = "podfacts-system"
    probe_port: int = 8080
    host: str = "::"
    secret: str = "podfacts-ca"  # noqa: S105  a name
    webhook_configuration: str = "podfacts"
    webhooks: tuple[str, ...] = (PODS_WEBHOOK, AGAIN_WEBHOOK, NODES_WEBHOOK)
    lease: str = "podfacts-controller"
    ca_lifetime: timedelta = timedelta(days=365)
    leaf_lifetime: timedelta = timedelta(hours=24)
    settle: timedelta = timedelta(seconds=60)
    slack: timedelta = timedelta(minutes=5)
    poll: timedelta = timedelta(seconds=5)
    authority: Literal["own", "external"] = "own"
    profiles: Mapping[str, Profile] = field(default_factory=lambda: {"default": DEFAULT})
    writes_per_second: float = 20.0
    evictions_per_minute: float = 6.0
    stuck_watch: timedelta = timedelta(seconds=180)
    identity: str = field(default_factory=_identity)

    def __post_init__(self) -> None:
        """Refuse what the policy refuses, before anything starts."""
        _ = self.policy

    @property
    def policy(self) -> Policy:
        """The lifetimes."""
        return Policy(self.ca_lifetime, self.leaf_lifetime, self.settle, self.slack)

    @property
    def terms(self) -> Terms:
        """What a leader does about pods."""
        return Terms(self.profiles, self.namespace, self.writes_per_second, self.evictions_per_minute)

    @property
    def place(self) -> Place:
        """The objects that the CA is kept in."""
        return Place(
            secret=Resource("", "v1", "secrets", self.secret, self.namespace),
            configuration=Resource(
                "admissionregistration.k8s.io",
                "v1",
                "mutatingwebhookconfigurations",
                self.webhook_configuration,
            ),
            namespace=Resource("", "v1", "namespaces", self.namespace),
            webhooks=self.webhooks,
        )


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT. Return 0, 2 when there is no cluster or no port, 1 when a loop broke."""
    log = structlog.get_logger()
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    try:
        async with connect(REQUEST_SECONDS) as api:
            return await Controller(settings, api).run(stop)
    except (NoCluster, CannotBind) as error:
        log.error("cannot start", reason=str(error))  # noqa: TRY400 - it says it all
        return NO_CLUSTER


class Controller:
    """One replica: its candidacy, its work while it leads, and what its probes say."""

    def __init__(self, settings: Settings, api: ApiServer) -> None:
        self._settings = settings
        self._api = api
        self._metrics = ControllerMetrics()
        lease = Resource("coordination.k8s.io", "v1", "leases", settings.lease, settings.namespace)
        self._election = Election(api, lease, settings.identity)
        self._metrics.leading.set_function(self._election.leads)
        self._authority: Authority | None = None
        self._term: Term | None = None
        self._log = structlog.get_logger()

    async def run(self, stop: asyncio.Event) -> int:
        """Stand for election until it is told to stop."""
        settings = self._settings
        async with probes(
            settings.probe_port,
            live=self.stuck,
            ready=self.hindered,
            registry=self._metrics.registry,
            host=settings.host,
        ) as port:
            self._log.info(
                "standing by", probe_port=port, version=podfacts.__version__, identity=settings.identity
            )
            standing = asyncio.create_task(self._election.run(self._lead))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait([standing, stopping], return_when=asyncio.FIRST_COMPLETED)
            broken = standing.done()
            for task in (standing, stopping):
                task.cancel()
            await asyncio.wait([standing, stopping])
            await self._election.release()
        if broken:
            self._log.error("a loop broke", exc_info=standing.exception())
            return 1
        self._log.info("stopped")
        return 0

    def stuck(self) -> str | None:
        """Why the process is to be started anew. An API server that is away is no reason: that would not help."""
        now = time.monotonic()
        if now - self._election.beat > STUCK:
            return f"the election has not moved for {now - self._election.beat:.0f} s"
        if self._authority and now - self._authority.beat > STUCK:
            return f"the CA has not been looked at for {now - self._authority.beat:.0f} s"
        # Without an answer to the Lease there is none to a watch either.
        silent = self._term.vitals.silent(self._settings.stuck_watch.total_seconds()) if self._term else None
        if silent and self._election.fault is None:
            return f"the watch of {silent} has shown no life for {self._settings.stuck_watch.total_seconds():g} s"
        return None

    def hindered(self) -> str | None:
        """Why the replica is of no use until somebody gives it a right or an object. Networks heal by themselves."""
        if not self._election.answered:
            return str(self._election.fault or "the Lease has not been read yet")
        faults = (
            self._election.fault,
            self._authority.fault if self._authority else None,
            self._term.fault if self._term else None,
        )
        return next((str(each) for each in faults if each and each.reason in ("forbidden", "absent")), None)

    async def _lead(self) -> None:
        """What only the active replica does. A new term knows nothing of the one before: others have led since."""
        settings = self._settings
        self._term = Term(settings.terms, self._metrics, leads=self._election.leads)
        works = [asyncio.create_task(self._term.hold())]
        if settings.authority == "own":
            self._authority = Authority(
                self._api, settings.place, settings.policy, self._metrics, leads=self._election.leads
            )
            works.append(asyncio.create_task(self._authority.keep(settings.poll.total_seconds())))
        try:
            done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for each in works:
                each.cancel()
            await asyncio.wait(works)
            self._authority = self._term = None
