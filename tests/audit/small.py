"""An inventory written small, for cases: the roles, the bindings, and who is there, a line each.

``roles: {reader: [...], shop/reader: [...]}`` are a ClusterRole and a Role, rules with ``apiGroups: [""]`` unless they say
others. ``bindings: {b: [reader, Group x], shop/b: [shop/reader, ServiceAccount ci/deployer]}`` are a ClusterRoleBinding and
a RoleBinding, the role first. ``live: true`` is a cluster, of which all is known.
"""

from collections.abc import Iterator
from typing import Any

from podfacts.audit.finding import Finding
from podfacts.audit.gathered import Gathered
from podfacts.audit.intake import VERSION, entry
from podfacts.audit.inventory import Inventory, Place

Tree = dict[str, Any]


def inventory(told: Tree) -> Inventory:
    """The inventory, by way of the objects that it stands for."""
    gathered = Gathered()
    for number, tree in enumerate(objects(told), 1):
        found = entry(tree, lambda _, line=number: Place("case.yaml", line), "default")  # type: ignore[misc]
        if found is not None:
            gathered.add(found)
    return gathered.live() if told.get("live") else gathered.offline()


def objects(told: Tree) -> Iterator[Tree]:
    """The objects."""
    for name, rules in told.get("roles", {}).items():
        namespace, short = _split(name)
        kind = "Role" if namespace else "ClusterRole"
        tree: Tree = {"apiVersion": VERSION, "kind": kind, "metadata": _metadata(namespace, short)}
        tree["metadata"]["labels"] = told.get("labels", {}).get(name, {})
        tree["rules"] = [_rule(each) for each in rules or ()]
        if selectors := told.get("selectors", {}).get(name):
            tree["aggregationRule"] = {"clusterRoleSelectors": selectors}
        yield tree
    for name, (role, *subjects) in told.get("bindings", {}).items():
        namespace, short = _split(name)
        home, of = _split(role)
        yield {
            "apiVersion": VERSION,
            "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
            "metadata": {**_metadata(namespace, short), "labels": told.get("labels", {}).get(name, {})},
            "roleRef": {"kind": "Role" if home else "ClusterRole", "name": of},
            "subjects": [_subject(each) for each in subjects],
        }
    for name in told.get("accounts", ()):
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(*_split(name))}
    for name in told.get("namespaces", ()):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": _metadata("", name)}
    for name, account in told.get("pods", {}).items():
        spec = {"serviceAccountName": account}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(*_split(name)), "spec": spec}


def told(finding: Finding) -> str:
    """A finding on a line: rule, severity, whom, by which binding or role."""
    at = finding.binding or finding.role
    where = "/".join(each for each in (at or ())[1:] if each)
    return f"{finding.rule} {finding.severity} | {finding.subject or '-'} | {where}"


def _rule(tree: Tree) -> Tree:
    return tree if "nonResourceURLs" in tree else {"apiGroups": [""], **tree}


def _subject(words: str) -> Tree:
    kind, _, name = words.partition(" ")
    if kind != "ServiceAccount":
        return {"kind": kind, "name": name}
    namespace, short = _split(name)
    return {"kind": kind, "name": short, **({"namespace": namespace} if namespace else {})}


def _metadata(namespace: str, name: str) -> Tree:
    return {"name": name, **({"namespace": namespace} if namespace else {})}


def _split(name: str) -> tuple[str, str]:
    namespace, _, short = name.rpartition("/")
    return namespace, short
