"""What is kept of the objects that are watched, and what a pod lacks.

A watched pod has some 20 KB, and there may be ten thousand: a record is the part that facts and decisions can name. Two
equal records mean that nothing happened which is of any interest here, a node's heartbeat for example.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from podfacts.core.carried import Owner, runtime
from podfacts.core.facts import FACTS, NODE_KINDS, fit
from podfacts.core.options import INJECT, INJECTED, MIRROR
from podfacts.core.pod import Tree
from podfacts.core.profile import Profile

STATUSES = ("containerStatuses", "initContainerStatuses")
FINISHED = ("Succeeded", "Failed")
# Characters of labels, and of annotations, that are kept of a pod, beside ours. Annotations alone may hold 256 KiB.
BUDGET = 4 * 1024


class Reference(NamedTuple):
    """An object by name: as ownerReferences have it, and an Event's involvedObject."""

    api_version: str
    kind: str
    name: str
    uid: str


class Record(NamedTuple):
    """The part of ``podfacts.dev/injected`` that is of use later."""

    profile: str
    hash: str


class Key(NamedTuple):
    """Which pod: another one may have its name by now."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Observed:
    """One pod. ``tree`` holds labels, short annotations and the images of its containers, where a pod has them.

    ``profile`` is the one that it was injected with, else the one it asks for. ``started``: a container has run.
    ``ended``: it will not run any more. ``created`` is the API server's timestamp. ``later`` says that it was
    opted in after it had been created, ``partial`` that it has more labels or annotations than are kept.
    """

    key: Key
    node: str
    profile: str
    record: Record | None
    controller: Reference | None
    created: str
    mirror: bool
    started: bool
    ended: bool
    later: bool
    partial: bool
    tree: Tree

    @property
    def reference(self) -> Reference:
        """The pod itself."""
        return Reference("v1", "Pod", self.key.name, self.key.uid)


def observed(pod: Any) -> Observed:
    """The record of a pod, as the API server sent it."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    record = _record(annotations.get(INJECTED))
    asked = labels.get(INJECT, "")
    # A longer value is none for a fact.
    facts = {key: value for key, value in annotations.items() if key != INJECTED and fit(value) is not None}
    short_labels, short_annotations = _within_budget(labels), _within_budget(facts)
    return Observed(
        key=Key(metadata["namespace"], metadata["name"], metadata["uid"]),
        node=(pod.get("spec") or {}).get("nodeName") or "",
        profile=record.profile if record else "default" if asked == "true" else asked,
        record=record,
        controller=controller_of(metadata),
        created=metadata.get("creationTimestamp") or "",
        mirror=MIRROR in annotations,
        started=any(_has_run(each) for kind in STATUSES for each in status.get(kind) or ()),
        ended=status.get("phase") in FINISHED or "deletionTimestamp" in metadata,
        later=_opted_in_later(metadata),
        partial=short_labels != labels or short_annotations != facts,
        tree={
            "metadata": {"labels": short_labels, "annotations": short_annotations},
            "status": {
                kind: [{"name": each["name"], "imageID": each.get("imageID", "")} for each in found]
                for kind in STATUSES
                if (found := status.get(kind))
            },
        },
    )


def _within_budget(texts: Mapping[str, str]) -> dict[str, str]:
    """Ours, and as many of the others, short ones first, as fit: a pod's author could fill our memory with them."""
    found, size = {}, 0
    for key, value in sorted(texts.items(), key=lambda each: (not each[0].startswith(FACTS), len(each[1]))):
        size += 0 if key.startswith(FACTS) else len(key) + len(value)
        if size > BUDGET:
            break
        found[key] = value
    return found


def node_part(node: Any) -> Tree:
    """What facts can name of a node."""
    status = node.get("status") or {}
    parts = {key: status.get(key) or {} for key in ("capacity", "allocatable", "nodeInfo")}
    return {"metadata": _metadata_part(node), "status": parts}


def namespace_part(namespace: Any) -> Tree:
    """What facts can name of a namespace."""
    return {"metadata": _metadata_part(namespace)}


def controller_of(metadata: Tree) -> Reference | None:
    """The owner that manages the object, if any."""
    for each in metadata.get("ownerReferences") or ():
        if each.get("controller"):
            return Reference(each["apiVersion"], each["kind"], each["name"], each["uid"])
    return None


def due(
    pod: Observed, profile: Profile, *, node: Tree | None, namespace: Tree | None, owner: Reference | None
) -> dict[str, str]:
    """The annotations of facts that the pod lacks or has otherwise. Never one to take away."""
    top = Owner(owner.kind, owner.name) if owner else None
    wanted = runtime(pod.tree, profile, node=node, namespace=namespace, owner=top)
    have = pod.tree["metadata"]["annotations"]
    # What was not kept is not absent.
    unknown = {
        FACTS + each.name for each in profile.carried if pod.partial and each.kind in ("label", "annotation")
    }
    return {key: value for key, value in wanted.items() if have.get(key) != value and key not in unknown}


def late(pod: Observed, profile: Profile) -> tuple[str, ...]:
    """The env names that may be empty in a bound pod's containers: no fact of its node was told when it was bound.

    Whether a container runs yet says nothing: the kubelet makes it of the pod that it saw last. Where containers wait for a
    fact there are none, for all facts are written at once. A pod injected by another version of the profile may never
    have asked for any.
    """
    of_node = [each for each in profile.carried if each.kind in NODE_KINDS]
    have = pod.tree["metadata"]["annotations"]
    if not pod.node or profile.gate or not pod.record or pod.record.hash != profile.hash:
        return ()
    if any(FACTS + each.name in have for each in of_node):
        return ()
    return tuple(each.env for each in of_node if each.env)


def _record(written: Any) -> Record | None:
    """What the webhook wrote about it; a pod may carry anything under that key."""
    if written is None:
        return None
    try:
        found = json.loads(written)
        return Record(str(found["profile"]), str(found.get("hash", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _metadata_part(tree: Any) -> Tree:
    return {key: tree["metadata"].get(key) or {} for key in ("labels", "annotations")}


def _has_run(status: Mapping[str, Any]) -> bool:
    state, last = status.get("state") or {}, status.get("lastState") or {}
    return "running" in state or "terminated" in state or "terminated" in last


def _opted_in_later(metadata: Tree) -> bool:
    """Whether all who own the label wrote it when the pod was there already; the server's times are whole seconds."""
    times = [
        each.get("time")
        for each in metadata.get("managedFields") or ()
        if not each.get("subresource") and _owns(each)
    ]
    created = metadata.get("creationTimestamp")
    if not created or not times or not all(times):
        return False
    return datetime.fromisoformat(min(times)) - datetime.fromisoformat(created) > timedelta(seconds=1)


def _owns(entry: Mapping[str, Any]) -> bool:
    fields = entry.get("fieldsV1") or {}
    return f"f:{INJECT}" in ((fields.get("f:metadata") or {}).get("f:labels") or {})
