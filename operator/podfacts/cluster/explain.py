"""``podfacts explain``: what is read of the cluster for it, and the report as it is printed.

Whoever types may not see nodes, or webhook configurations: what is refused is said in the report, and the rest goes on.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from podfacts.cluster.access import ApiServer, NoAnswer
from podfacts.cluster.before_install import TOPOLOGY, numbers
from podfacts.core.carried import Owner
from podfacts.core.catalogue import Catalogue, catalogue
from podfacts.core.explained import Line, Seen, Webhook
from podfacts.core.explanation import explanation
from podfacts.core.observed import Reference, controller_of
from podfacts.core.profile import DEFAULT
from podfacts.core.refusal import BadInput, Refused
from podfacts.rights.wanted import namespace_name

Tree = dict[str, Any]
Found = TypeVar("Found")

PROFILES = "/apis/podfacts.dev/v1alpha1/profiles"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
# What stands between a pod and the workload that people know it by.
BETWEEN = {"ReplicaSet": "/apis/apps/v1", "Job": "/apis/batch/v1"}
SIGNS = {"ok": "ok", "no": "NO", "unknown": "??", "note": "--"}


class Explanation(NamedTuple):
    """The report on one pod."""

    namespace: str
    name: str
    lines: tuple[Line, ...]

    @property
    def in_place(self) -> bool:
        """Whether no fact is missing or untrue."""
        return all(each.state != "no" for each in self.lines)

    @property
    def text(self) -> str:
        """For people: a line for each sentence, and what it comes to."""
        width = max((len(each.part) for each in self.lines), default=0)
        lines = [f"pod {self.namespace}/{self.name}"]
        lines += [f"  {SIGNS[each.state]} {each.part:{width}}  {visible(each.text)}" for each in self.lines]
        return "\n".join((*lines, self._sum)) + "\n"

    @property
    def json(self) -> str:
        """For programs."""
        tree = {
            "pod": {"namespace": self.namespace, "name": self.name},
            "inPlace": self.in_place,
            "lines": [each._asdict() for each in self.lines],
        }
        return json.dumps(tree, ensure_ascii=False, indent=2) + "\n"

    @property
    def _sum(self) -> str:
        wrong = sum(each.state == "no" for each in self.lines)
        unseen = sum(each.state == "unknown" for each in self.lines)
        more = f"; not seen: {unseen}" if unseen else ""
        return (f"not in place: {wrong}" if wrong else "all is in place") + more


def visible(text: str) -> str:
    """The text on one line, whatever a pod's annotations hold."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def explained(api: ApiServer, name: str, namespace: str | None) -> Explanation:
    """The report on the pod. Raises ``BadInput`` when there is no such pod, or no cluster."""
    name = name.removeprefix("pod/").removeprefix("pods/")
    where = api.namespace if namespace is None else namespace
    try:
        namespace_name(where)
    except Refused as refused:
        raise BadInput(f"podfacts explain: {refused.reason}") from None
    if not name or "/" in name or name in (".", ".."):
        raise BadInput(f"podfacts explain: {name!r} cannot be the name of a pod")
    pod = api.get(f"/api/v1/namespaces/{where}/pods/{quote(name)}")
    if pod is None:
        raise BadInput(f"there is no pod {name} in the namespace {where}: write -n for another namespace")
    return Explanation(where, name, tuple(explanation(_seen(api, pod))))


def _seen(api: ApiServer, pod: Tree) -> Seen:
    unseen: dict[str, str] = {}

    def tried(what: str, read: Callable[[], Found | None]) -> Found | None:
        try:
            found = read()
        except NoAnswer as error:
            if not error.status:
                raise
            unseen[what] = str(error)
            return None
        if found is None:
            unseen[what] = "it is gone"
        return found

    node_name = (pod.get("spec") or {}).get("nodeName")
    known = tried("profiles", lambda: _catalogue(api))
    return Seen(
        pod=pod,
        catalogue=known or catalogue([], {DEFAULT.name: DEFAULT}),
        namespace=tried("namespace", lambda: api.get(f"/api/v1/namespaces/{pod['metadata']['namespace']}")),
        node=tried("node", lambda: api.get(f"/api/v1/nodes/{quote(node_name)}")) if node_name else None,
        webhooks=tried("webhooks", lambda: _webhooks(api)),
        owner=tried("owner", lambda: _owner(api, pod)),
        unseen=unseen,
    )


def _catalogue(api: ApiServer) -> Catalogue:
    version = api.get("/version") or {}
    try:
        trees = api.items(PROFILES)
    except NoAnswer as error:
        if error.status != 404:  # noqa: PLR2004 - the CRD is not installed: the built-in profile is all there is
            raise
        trees = []
    return catalogue(trees, {DEFAULT.name: DEFAULT}, topology_labels=numbers(version) >= TOPOLOGY)


def _webhooks(api: ApiServer) -> list[Webhook]:
    return [
        Webhook(configuration["metadata"]["name"], each)
        for configuration in api.items(WEBHOOKS)
        for each in configuration.get("webhooks") or ()
    ]


def _owner(api: ApiServer, pod: Tree) -> Owner | None:
    """The workload at the top, as the controller finds it."""
    metadata = pod["metadata"]
    direct = controller_of(metadata)
    if direct is None:
        return Owner("Pod", metadata["name"])
    group = BETWEEN.get(direct.kind)
    if group is None or group.removeprefix("/apis/") != direct.api_version:
        return Owner(direct.kind, direct.name)
    between = api.get(
        f"{group}/namespaces/{metadata['namespace']}/{direct.kind.lower()}s/{quote(direct.name)}"
    )
    return None if between is None else _top(between, direct)


def _top(between: Tree, direct: Reference) -> Owner:
    top = controller_of(between["metadata"]) or direct
    return Owner(top.kind, top.name)
