"""Keeps the CA: one round reads the Secret and the webhook configuration, and writes what the decision says.

The rights are `get` and `update` of one Secret, `get` and `patch` of one webhook configuration, all by name. So there
is no watch: reading two small objects every few seconds is what those rights allow, and it heals by itself
whatever was missed.

Both writes carry the resourceVersion that was read: whoever was quicker is read again in the next round. The patch
tests each webhook's name at its place before it sets its caBundle, so that nothing else in the configuration
can be touched, whatever its other webhooks are and in whatever order an admin has put them.
"""

import asyncio
import random
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import structlog

from podfacts.authority.rotation import Memory, Observed, Policy, Reason, Step, decide
from podfacts.controller.apiserver import ApiServer, Failed, Resource, Tree
from podfacts.controller.metrics import ControllerMetrics

ROTATE = "podfacts.dev/rotate-ca"
# Nothing here has the right to create: it could not be limited to a name.
SHIPPED = "the manifests ship it: apply them again, unless you are uninstalling"

SLOWEST = 30.0  # The longest pause in seconds after rounds that failed.

Outcome = Literal["unchanged", "written"]


@dataclass(frozen=True)
class Place:
    """Where the CA is kept, and the webhooks that are to trust it."""

    secret: Resource
    configuration: Resource
    namespace: Resource
    webhooks: tuple[str, ...]


class Authority:
    """The CA of one installation, for as long as this process leads. A new term starts without memory."""

    def __init__(
        self,
        api: ApiServer,
        place: Place,
        policy: Policy,
        metrics: ControllerMetrics,
        *,
        leads: Callable[[], bool],
    ) -> None:
        self.beat = time.monotonic()  # When the last round began.
        self.fault: Failed | None = None  # Of the last round.
        self._api = api
        self._place = place
        self._policy = policy
        self._metrics = metrics
        self._leads = leads
        self._memory = Memory()
        self._said = ""
        self._may_own = True
        self._log = structlog.get_logger()

    async def keep(self, poll: float) -> None:
        """Make round after round, for ever, more slowly while they fail."""
        failures = 0
        while True:
            self.beat = time.monotonic()
            outcome = await self._outcome()
            self._metrics.rounds.labels(outcome).inc()
            # A conflict is no failure: somebody was quicker, and the next round reads what they wrote. Nor is an object
            # that is away: the API server is well, and while it is away nobody is waited for but whoever brings it back.
            failures = 0 if outcome in ("unchanged", "written", "conflict", "absent") else failures + 1
            await asyncio.sleep(pause(poll, failures) * (random.uniform(0.8, 1.2) if failures else 1))  # noqa: S311

    async def _outcome(self) -> str:
        """Make a round and return how it ended. The one door: nothing that happens in a round ends the process."""
        try:
            outcome = await self.round()
        except Failed as error:
            self.fault = error
            if error.reason == "forbidden":
                self._log.error(
                    "a right is missing", verb=error.verb, resource=str(error.resource), detail=str(error)
                )
            else:
                self._log.warning(
                    "the round did not end",
                    reason=error.reason,
                    detail=f"{error}; {SHIPPED}" if error.reason == "absent" else str(error),
                )
            return error.reason
        except Exception:  # noqa: BLE001
            # Of ours, then. It may be gone when the objects have changed, and the Lease is kept by another loop.
            self._log.exception("a round broke")
            return "error"
        self.fault = None
        self._metrics.last_round.set_to_current_time()
        return outcome

    async def round(self) -> Outcome:
        """Read, decide, write the Secret, then the bundle. Raises Failed; what was written until then stays."""
        secret = await self._api.get(self._place.secret)
        configuration = await self._configuration()
        found = _places(configuration, self._place.webhooks) if configuration else {}
        step = decide(
            Observed(
                data={key: b64decode(value) for key, value in (secret.get("data") or {}).items()},
                rotate=ROTATE in (secret["metadata"].get("annotations") or {}),
                bundle=_bundle(configuration, found) if configuration and found else None,
                now=datetime.now(UTC),
                uptime=time.monotonic(),
            ),
            self._memory,
            self._policy,
        )
        if step.reasons and not self._leads():
            return "unchanged"  # Somebody else leads by now, and decides for itself.
        if step.data is not None:
            await self._api.update(self._place.secret, _with(secret, step))
        self._memory = step.memory
        self._metrics.trusts(step.held)
        self._report(step, "secret")
        if step.bundle is not None and configuration:
            operations = _operations(configuration, found, step.bundle)
            await self._api.patch(self._place.configuration, operations)
            self._report(step, "bundle")
        elif configuration and found and await self._owned(configuration):
            return "written"
        return "written" if step.reasons else "unchanged"

    async def _owned(self, configuration: Tree) -> bool:
        """Whether the configuration was given an owner: our namespace, with which Kubernetes deletes it.

        Left alone by whoever deletes the namespace and nothing else, it would refuse every pod that asks for facts.
        """
        if not self._may_own or configuration["metadata"].get("ownerReferences") or not self._leads():
            return False
        try:
            namespace = await self._api.listed(self._place.namespace)
            if namespace is None or "deletionTimestamp" in namespace["metadata"]:
                return False
            await self._api.patch(self._place.configuration, _owner(configuration, namespace))
        except Failed as error:
            if error.reason not in ("forbidden", "refused"):
                raise
            # The plugin OwnerReferencesPermissionEnforcement wants the right to delete it, and nothing else needs that.
            self._may_own = False
            self._log.warning("the webhook configuration stays when the namespace goes", detail=str(error))
            return False
        self._log.info("the webhook configuration goes when the namespace goes")
        return True

    async def _configuration(self) -> Tree | None:
        """Return the webhook configuration, or None while it is away, as in the middle of an uninstall."""
        try:
            configuration = await self._api.get(self._place.configuration)
        except Failed as error:
            if error.reason != "absent":
                raise
            self._away(f"{error.resource} is away: its caBundle is not kept; {SHIPPED}")
            return None
        if not _places(configuration, self._place.webhooks):
            names = " nor ".join(self._place.webhooks)
            self._away(f"{self._place.configuration} has no webhook {names}: no caBundle is kept")
        else:
            self._said = ""
            self._metrics.configured.set(1)
        return configuration

    def _away(self, sentence: str) -> None:
        self._metrics.configured.set(0)
        if sentence != self._said:
            self._log.warning("webhook configuration not there", detail=sentence)
        self._said = sentence

    def _report(self, step: Step, written: Literal["secret", "bundle"]) -> None:
        for reason in step.reasons:
            if (reason.action == "trusted") == (written == "bundle"):
                self._changed(reason)

    def _changed(self, reason: Reason) -> None:
        self._metrics.changes.labels(reason.action).inc()
        # Made anew because what was there was not sound: somebody should know.
        log = self._log.warning if reason.action in ("regenerated", "kept") else self._log.info
        log("certificate authority changed", action=reason.action, detail=reason.detail)


def pause(poll: float, failures: int) -> float:
    """Return how long to wait after so many rounds that failed one after the other."""
    return min(max(SLOWEST, poll), poll * float(1 << min(max(failures - 1, 0), 10)))


def _places(configuration: Tree, names: tuple[str, ...]) -> dict[int, str]:
    """Return where our webhooks stand, with their names."""
    webhooks = enumerate(configuration.get("webhooks") or [])
    return {index: webhook["name"] for index, webhook in webhooks if webhook["name"] in names}


def _bundle(configuration: Tree, places: Iterable[int]) -> bytes:
    """Return what our webhooks trust; nothing when they do not trust the same, so that it is written anew."""
    found = {configuration["webhooks"][index]["clientConfig"].get("caBundle") or "" for index in places}
    return b64decode(found.pop()) if len(found) == 1 else b""


def _with(secret: Tree, step: Step) -> Tree:
    """Return the Secret with the data of the step, and without the request that it answers."""
    annotations = {**(secret["metadata"].get("annotations") or {})}
    annotations.pop(ROTATE, None)
    data = {key: b64encode(value).decode() for key, value in (step.data or {}).items()}
    return {**secret, "metadata": {**secret["metadata"], "annotations": annotations}, "data": data}


def _owner(configuration: Tree, namespace: Tree) -> list[Tree]:
    """Return the patch that makes the namespace the owner of the configuration that was read."""
    owner = {
        "apiVersion": "v1",
        "kind": "Namespace",
        **{key: namespace["metadata"][key] for key in ("name", "uid")},
    }
    return [
        {
            "op": "test",
            "path": "/metadata/resourceVersion",
            "value": configuration["metadata"]["resourceVersion"],
        },
        {"op": "add", "path": "/metadata/ownerReferences", "value": [owner]},
    ]


def _operations(configuration: Tree, places: Mapping[int, str], bundle: bytes) -> list[Tree]:
    """Return the patch: nothing happens unless the object and the webhooks at those places are those that were read."""
    version = configuration["metadata"]["resourceVersion"]
    operations = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}]
    for index, name in places.items():
        path, value = f"/webhooks/{index}/clientConfig/caBundle", b64encode(bundle).decode()
        operations += [
            {"op": "test", "path": f"/webhooks/{index}/name", "value": name},
            {"op": "add", "path": path, "value": value},  # Adds or replaces.
        ]
    return operations
