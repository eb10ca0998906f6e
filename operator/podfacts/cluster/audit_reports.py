"""Reports as objects of the cluster, kept as the last audit has them: what differs is written, and nothing else.

Two APIs have the same shape, openreports.io and, before it, wgpolicyk8s.io. The first that the cluster serves gets the
reports; what of ours is in the other goes. An object is ours by its label and its name, and nobody else's is touched.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import orjson
import structlog

from podfacts.audit.report import Report
from podfacts.cluster.access import ApiServer, NoAnswer, Tree
from podfacts.cluster.audit_metrics import Outcome
from podfacts.reports.as_openreports import report_objects

NAME = re.compile(r"podfacts-rbac-audit(-\d+)?")
LABEL = "app.kubernetes.io/managed-by"
OURS = quote(f"{LABEL}=podfacts", safe="")
TRIES = 3
# Somebody was quicker: the object is another one by now, or is gone.
OVERTAKEN = (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND)
OWN = ("apiVersion", "kind", "metadata")

Key = tuple[str, str, str]  # Plural, namespace, name.


class Reporting(NamedTuple):
    """An API of reports: its word for ``report_objects``, its version, and the plural of each kind."""

    word: Literal["openreports", "wgpolicy"]
    version: str
    plurals: Mapping[str, str]

    def path(self, key: Key, *, collection: bool = False) -> str:
        """Where an object is, or the collection that it is created in."""
        plural, namespace, name = key
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"/apis/{self.version}{scope}/{plural}" + ("" if collection else f"/{name}")


APIS = (
    Reporting(
        "openreports", "openreports.io/v1alpha1", {"ClusterReport": "clusterreports", "Report": "reports"}
    ),
    Reporting(
        "wgpolicy",
        "wgpolicyk8s.io/v1alpha2",
        {"ClusterPolicyReport": "clusterpolicyreports", "PolicyReport": "policyreports"},
    ),
)


class Found(NamedTuple):
    """A report of ours that is there: its metadata, and what of its content there is to compare."""

    metadata: Tree
    digest: str


class Change(NamedTuple):
    """What is to be done about an object, and the body of the request."""

    outcome: Outcome
    key: Key
    body: Tree


class Reports:
    """Keeps them. ``wrote`` hears of every write. Nothing here runs twice at once."""

    def __init__(self, api: ApiServer, wrote: Callable[[Outcome], None]) -> None:
        self._api = api
        self._wrote = wrote
        self._log: Any = structlog.get_logger()
        self._chosen: str | None = None
        # What a definition that knows fewer fields made of what was written: as it is kept, it is as it should be.
        self._kept: dict[Key, tuple[str, str]] = {}

    def keep(self, report: Report) -> int:
        """Write what differs; return how many objects are not as they should be. Raises ``NoAnswer``."""
        served = [each for each in APIS if self._is_served(each)]
        self._say(served[0].version if served else "")
        failed = 0
        for each in served:
            wanted = report_objects(report, each.word) if each is served[0] else []
            failed += self._keep(each, {_key(each, tree): tree for tree in wanted})
        return failed

    def _is_served(self, api: Reporting) -> bool:
        known = self._api.get(f"/apis/{api.version}") or {}
        return set(api.plurals.values()) <= {each.get("name") for each in known.get("resources") or ()}

    def _say(self, version: str) -> None:
        if version != self._chosen:
            detail = version or "neither openreports.io nor wgpolicyk8s.io is served: there are metrics only"
            self._log.info("reports", api=detail)
        self._chosen = version

    def _keep(self, api: Reporting, wanted: Mapping[Key, Tree]) -> int:
        """Again from a fresh look at what is there, when somebody else was quicker."""
        for _ in range(TRIES):
            todo = changes(wanted, self._found(api), self._kept)
            refused = [status for each in todo if (status := self._refused(api, each))]
            if HTTPStatus.CONFLICT not in refused:
                break
        return len(refused)

    def _found(self, api: Reporting) -> dict[Key, Found]:
        found: dict[Key, Found] = {}
        for plural in api.plurals.values():
            path = f"/apis/{api.version}/{plural}?labelSelector={OURS}"
            for each in self._api.made_of(path, lambda tree: Found(tree["metadata"], digest(tree))):
                key = plural, each.metadata.get("namespace", ""), each.metadata["name"]
                if NAME.fullmatch(key[2]):
                    found[key] = each
        return found

    def _refused(self, api: Reporting, change: Change) -> int:
        """Make the change: 0 when it is made, ``CONFLICT`` when somebody was quicker, else the status of the refusal."""
        try:
            self._ask(api, change)
        except NoAnswer as error:
            if not error.status:
                raise  # Nobody is there: so it would be for each of the others.
            if error.status in OVERTAKEN and change.outcome != "created":
                is_done = change.outcome == "deleted" and error.status == HTTPStatus.NOT_FOUND
                return 0 if is_done else HTTPStatus.CONFLICT
            self._wrote("failed")
            self._log.warning("a report was not written", report="/".join(change.key), detail=str(error))
            return error.status
        self._wrote(change.outcome)
        return 0

    def _ask(self, api: Reporting, change: Change) -> None:
        path = api.path(change.key)
        if change.outcome == "deleted":
            self._api.delete(path, change.body)
            self._kept.pop(change.key, None)
            return
        if change.outcome == "created":
            answer = self._api.create(api.path(change.key, collection=True), change.body)
        else:
            answer = self._api.update(path, change.body)
        self._kept[change.key] = digest(change.body), digest(answer)


def changes(
    wanted: Mapping[Key, Tree], found: Mapping[Key, Found], kept: Mapping[Key, tuple[str, str]]
) -> Iterator[Change]:
    """What makes ``found`` what is wanted. ``kept`` are digests: of what was written before, and of what was made of it."""
    for key, tree in wanted.items():
        there = found.get(key)
        if there is None:
            yield Change("created", key, tree)
        elif not _is_same(key, tree, there, kept):
            yield Change("updated", key, {**tree, "metadata": _merged(tree["metadata"], there.metadata)})
    for key, there in found.items():
        if key not in wanted:
            exactly = {name: there.metadata[name] for name in ("uid", "resourceVersion")}
            yield Change(
                "deleted", key, {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": exactly}
            )


def _is_same(key: Key, tree: Tree, there: Found, kept: Mapping[Key, tuple[str, str]]) -> bool:
    asked = digest(tree)
    same = there.digest == asked or kept.get(key) == (asked, there.digest)
    return same and all(
        (tree["metadata"].get(field) or {}).items() <= (there.metadata.get(field) or {}).items()
        for field in ("labels", "annotations")
    )


def _merged(ours: Tree, theirs: Tree) -> Tree:
    """The metadata of an update: what others have added stays."""
    both = {
        field: {**(theirs.get(field) or {}), **(ours.get(field) or {})} for field in ("labels", "annotations")
    }
    return {**{name: value for name, value in theirs.items() if name != "managedFields"}, **both}


def digest(tree: Tree) -> str:
    """The same for the same content, whatever its metadata and the order of its fields."""
    content = {name: value for name, value in tree.items() if name not in OWN}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _key(api: Reporting, tree: Tree) -> Key:
    metadata = tree["metadata"]
    return api.plurals[tree["kind"]], metadata.get("namespace", ""), metadata["name"]
