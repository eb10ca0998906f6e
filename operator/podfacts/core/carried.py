"""The values of carried facts, from what the cluster says of a pod, its node, its namespace and its owner.

One function a moment: when the pod is created, when it is bound, and afterwards for as long as it lives. What is not
known at a moment is left out; what is known to be absent is the default, or "", so that nobody can set it beforehand.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from podfacts.core.facts import FACTS, NAMESPACE_KINDS, NODE_KINDS, Fact, fit, quantity_fact
from podfacts.core.gate import passable
from podfacts.core.pod import Tree, mapping
from podfacts.core.profile import Profile, image_annotation
from podfacts.core.refusal import Refused

# Of a namespace whose pods get node facts when they are bound.
NODE_FACTS = "podfacts.dev/node-facts"


class Owner(NamedTuple):
    """The workload at the top: of a Deployment's pod, the Deployment."""

    kind: str
    name: str


class Surroundings(NamedTuple):
    """What a webhook knows of the cluster: nodes and namespaces by name, as little of them as facts can name."""

    nodes: Mapping[str, Tree]
    namespaces: Mapping[str, Tree]


def annotation(fact: Fact, container: str = "") -> str | None:
    """The key of the annotation that carries the fact; ``None`` when a container's name is too long for one."""
    return image_annotation(fact, container) if fact.kind == "image" else FACTS + fact.name


def node_values(facts: Iterable[Fact], node: Tree) -> dict[str, str]:
    """Annotation to value, for the facts that come from a node. A node's field may be a quantity."""
    return {
        FACTS + each.name: _shown(each, _of_node(each, node)) for each in facts if each.kind in NODE_KINDS
    }


def at_create(pod: Tree, profile: Profile, namespace: str, around: Surroundings | None) -> dict[str, str]:
    """What is known of a pod that is being created, in ``namespace``: annotation to value.

    Raises ``Refused`` when a fact that is required is absent.
    """
    if not (profile.carried or profile.demanded or profile.topology):
        return {}
    if around is None:
        _refuse_absent(pod, profile, None)
        return _known(pod, profile, None, None)
    there = around.namespaces.get(namespace)
    if there is None and any(each.kind in NAMESPACE_KINDS for each in profile.carried):
        # Made a moment ago; or the watch is. Whoever makes pods of workloads tries again.
        raise Refused(
            (), f"the namespace {namespace} is not known here yet: create the pod again in a moment"
        )
    node = around.nodes.get(_node_name(pod)) if _node_name(pod) else None
    _refuse_absent(pod, profile, there)
    _refuse_forged_topology(pod, profile, node)
    return _known(pod, profile, node, there)


def runtime(
    pod: Tree, profile: Profile, *, node: Tree | None, namespace: Tree | None, owner: Owner | None
) -> dict[str, str]:
    """What is known of a pod that exists: annotation to value. ``None`` is not known, and left out."""
    found = _known(pod, profile, node, namespace)
    for fact in profile.carried:
        if fact.kind == "owner" and owner is not None:
            found[FACTS + fact.name] = fit(owner.kind if fact.key == "kind" else owner.name) or ""
        elif fact.kind == "image":
            for container, digest in _digests(pod):
                if key := image_annotation(fact, container):
                    found[key] = digest
    return found


def _known(pod: Tree, profile: Profile, node: Tree | None, namespace: Tree | None) -> dict[str, str]:
    found = {}
    for fact in profile.carried:
        if fact.kind == "value":
            value: Any = fact.key
        elif fact.kind in NODE_KINDS and node is not None:
            value = _of_node(fact, node)
        elif fact.kind in NAMESPACE_KINDS and namespace is not None:
            value = _of_metadata(fact, namespace, "namespace")
        elif fact.kind in ("label", "annotation"):
            value = mapping(mapping(pod, "metadata"), f"{fact.kind}s", ("metadata",)).get(fact.key)
        else:
            continue
        found[FACTS + fact.name] = _shown(fact, value)
    return found


def _shown(fact: Fact, value: Any) -> str:
    found = quantity_fact(value, fact.divisor)
    if found and fact.required and fact.late and not passable(found):
        found = None
    return (fact.default or "") if found is None else found


def _of_node(fact: Fact, node: Tree) -> Any:
    if fact.kind != "nodeField":
        return _of_metadata(fact, node, "node")
    _, part, name = fact.key.split(".", 2)
    return _part(_part(node, "status"), part).get(name)


def _of_metadata(fact: Fact, tree: Tree, prefix: str) -> Any:
    part = "labels" if fact.kind == f"{prefix}Label" else "annotations"
    return _part(_part(tree, "metadata"), part).get(fact.key)


def _part(tree: Tree, key: str) -> Tree:
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


def _digests(pod: Tree) -> Iterable[tuple[str, str]]:
    """Each container that has run, with the digest of its image, or whatever the runtime knows it by."""
    status = _part(pod, "status")
    for kind in ("containerStatuses", "initContainerStatuses"):
        for each in status.get(kind) or ():
            if image := each.get("imageID"):
                yield each["name"], fit(image.rpartition("@")[2]) or ""


def _node_name(pod: Tree) -> str:
    return str(mapping(pod, "spec").get("nodeName") or "")


def _refuse_absent(pod: Tree, profile: Profile, namespace: Tree | None) -> None:
    """A pod that lacks what its profile requires must not run; what its node lacks is held back later (``gate``)."""
    metadata = mapping(pod, "metadata")
    for fact in profile.demanded:
        if fact.kind in ("label", "annotation"):
            part = f"{fact.kind}s"
            if not mapping(metadata, part, ("metadata",)).get(fact.key):
                raise Refused(
                    ("metadata", part, fact.key), f"is required by profile {profile.name}: write a value"
                )
        elif (
            fact.kind in NAMESPACE_KINDS
            and namespace is not None
            and not fit(_of_metadata(fact, namespace, "namespace"))
        ):
            kind = fact.kind.removeprefix("namespace").lower()
            raise Refused(
                (), f"profile {profile.name} requires the {kind} {fact.key} of the namespace: ask for it"
            )


def _refuse_forged_topology(pod: Tree, profile: Profile, node: Tree | None) -> None:
    """Kubernetes sets these labels from the node, and leaves alone what stands there where the node has none."""
    if not profile.topology:
        return
    labels = mapping(mapping(pod, "metadata"), "labels", ("metadata",))
    for key in profile.topology:
        if key in labels and node is None and _node_name(pod):
            raise Refused(
                (), f"the node {_node_name(pod)} is not known here yet: create the pod again in a moment"
            )
        if key in labels and not (node and key in _part(_part(node, "metadata"), "labels")):
            raise Refused(
                ("metadata", "labels", key),
                "is set by Kubernetes from the pod's node: remove it from the pod",
            )


class Stamp(NamedTuple):
    """What to do to a Binding: annotations to set, those to take away, and how many of ours found no room.

    ``reason`` is ``ok`` or ``unknown_node``.
    """

    annotations: dict[str, str]
    dropped: tuple[str, ...]
    cut: int
    reason: str


# All annotations of a Binding together: they are merged into the pod's without validation, and above 256 KiB no later
# update of the pod would pass. rbac/fence.yaml keeps this much free.
STAMP_LIMIT = 8 * 1024


def stamp(binding: Tree, facts: Iterable[Fact], nodes: Mapping[str, Tree]) -> Stamp:
    """The facts of the node that ``binding`` names. Of a node nobody knows, nothing is told, nor let through."""
    there = mapping(mapping(binding, "metadata"), "annotations", ("metadata",))
    node = _target(binding, nodes)
    values, size, cut = {}, 0, 0
    for key, value in (node_values(facts, node) if node is not None else {}).items():
        more = len(key.encode()) + len(value.encode())
        if size + more > STAMP_LIMIT:
            cut += 1
        else:
            size += more
            values[key] = value
    dropped = tuple(key for key in there if key.startswith(FACTS) and key not in values)
    changed = {key: value for key, value in values.items() if there.get(key) != value}
    return Stamp(changed, dropped, cut, "ok" if node is not None else "unknown_node")


def topology(binding: Tree, keys: Iterable[str], nodes: Mapping[str, Tree]) -> dict[str, str]:
    """The node's labels ``keys``, as the API server sets them on a pod that is bound."""
    labels = _part(_part(_target(binding, nodes) or {}, "metadata"), "labels")
    return {key: labels[key] for key in keys if key in labels}


def _target(binding: Tree, nodes: Mapping[str, Tree]) -> Tree | None:
    target = mapping(binding, "target")
    return nodes.get(str(target.get("name"))) if target.get("kind") in ("Node", "", None) else None
