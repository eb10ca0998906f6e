"""Objects as they were read become the inventory. What the API server would refuse is refused here, in its words or ours.

Validation is that of Kubernetes 1.36 (``pkg/apis/rbac/validation/validation.go``, ``pkg/apis/rbac/v1/defaults.go``).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podfacts.audit.inventory import Address, Binding, Place, Pod, Role, Rule, Subject
from podfacts.core.refusal import Refused, Segment
from podfacts.rights.holders import account_of
from podfacts.rights.request import Account

Tree = Mapping[str, Any]
At = Callable[[tuple[Segment, ...]], Place]  # Where in what was read a value of the object stands.

GROUP = "rbac.authorization.k8s.io"
VERSION = f"{GROUP}/v1"
ROLES = ("Role", "ClusterRole")
BINDINGS = ("RoleBinding", "ClusterRoleBinding")
ROLES_AND_BINDINGS = (*ROLES, *BINDINGS)
NAMESPACED = ("Role", "RoleBinding", "ServiceAccount", "Pod")
# A DNS subdomain (ValidateServiceAccountName).
ACCOUNT = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LONGEST = 253
QUOTES = "must be a text: write it in double quotes"  # To YAML, y and 1 are none.
ENDED = ("Succeeded", "Failed")
KINDS = (*ROLES_AND_BINDINGS, "ServiceAccount", "Namespace", "Pod")


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace that is there."""

    name: str


Entry = Role | Binding | Account | Namespace | Pod


def entry(tree: Tree, at: At, namespace: str) -> Entry | None:
    """The object as the inventory knows it; ``None`` for what an audit does not look at. Raises ``Refused``.

    ``namespace`` is where an object that says none would land, as ``kubectl apply -n`` has it.
    """
    kind, version = tree.get("kind"), tree.get("apiVersion")
    group = str(version).partition("/")[0]
    if group == GROUP:
        _check_kind(kind, version)
    elif version != "v1" or kind not in ("ServiceAccount", "Namespace", "Pod"):
        return None
    metadata = _mapping(tree, ("metadata",))
    name = _name(str(kind), metadata)
    home = _home(str(kind), metadata, namespace)
    match kind:
        case "Role" | "ClusterRole":
            return _role(tree, kind, home, name, at)
        case "RoleBinding" | "ClusterRoleBinding":
            return _binding(tree, home, name, at)
        case "ServiceAccount":
            return Account(home, name)
        case "Namespace":
            return Namespace(name)
        case _:
            return _pod(tree, home, name)


def _check_kind(kind: Any, version: Any) -> None:
    if kind not in ROLES_AND_BINDINGS:
        raise Refused(("kind",), f"{kind} is no kind of {GROUP}: write {', '.join(ROLES_AND_BINDINGS)}")
    if version != VERSION:
        raise Refused(("apiVersion",), f"{version} is not served by Kubernetes 1.36: write {VERSION}")


def _name(kind: str, metadata: Tree) -> str:
    name = metadata.get("name")
    if kind == "Pod" and not name:
        name = metadata.get("generateName")  # `kubectl create` takes one; which name it gets, it says then.
    if name is None or name == "":
        raise Refused(("metadata",), f"the {kind} has no name: write metadata.name")
    if not isinstance(name, str):
        raise Refused(("metadata", "name"), QUOTES)
    if reason := _bad_name(name):
        raise Refused(("metadata", "name"), reason)
    return name


def _bad_name(name: str) -> str:
    """What is wrong with it as part of a path, which every name must fit into (``IsPathSegmentName``)."""
    if name in (".", "..") or "/" in name or "%" in name:
        return f"{name!r} cannot be a name: it must be neither . nor .. and hold no / and no %"
    return ""


def _home(kind: str, metadata: Tree, namespace: str) -> str:
    written = metadata.get("namespace") or ""
    if not isinstance(written, str):
        raise Refused(("metadata", "namespace"), QUOTES)
    if reason := _bad_name(written):
        raise Refused(("metadata", "namespace"), reason)
    return (written or namespace) if kind in NAMESPACED else ""


def _pod(tree: Tree, home: str, name: str) -> Pod | None:
    """The pod; ``None`` for one that has ended: nothing runs in it that could use what it was given."""
    spec, status = _mapping(tree, ("spec",)), tree.get("status")
    if isinstance(status, dict) and status.get("phase") in ENDED:
        return None
    if not isinstance(spec.get("serviceAccountName") or "", str):
        raise Refused(("spec", "serviceAccountName"), QUOTES)
    return Pod(home, name, account_of({"metadata": {"namespace": home}, "spec": spec}))


def _role(tree: Tree, kind: str, home: str, name: str, at: At) -> Role:
    rules = []
    for index, each in enumerate(_list(tree, ("rules",), "rules")):
        path: tuple[Segment, ...] = ("rules", index)
        rules.append(Rule(_rule(each, path, kind), at(path), name, index))
    return Role(
        kind, home, name, tuple(rules), at(("metadata", "name")), _labels(tree), _selectors(tree, kind)
    )


def _rule(rule: Any, path: tuple[Segment, ...], kind: str) -> Tree:
    if not isinstance(rule, dict):
        raise Refused(path, "a rule must be a mapping with verbs, apiGroups and resources")
    for field in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"):
        words = rule.get(field)
        if words is not None and not (
            isinstance(words, list) and all(isinstance(each, str) for each in words)
        ):
            raise Refused((*path, field), f"must be a list of texts: write {field}: [...]")
    if not rule.get("verbs"):
        raise Refused((*path, "verbs"), "a rule needs at least one verb")
    if rule.get("nonResourceURLs"):
        if kind == "Role":
            raise Refused((*path, "nonResourceURLs"), "a Role cannot give URLs: write a ClusterRole")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            reason = "one rule cannot give both resources and nonResourceURLs: write two rules"
            raise Refused((*path, "nonResourceURLs"), reason)
    elif not rule.get("resources"):
        raise Refused((*path, "resources"), "a rule needs at least one resource, or nonResourceURLs")
    elif not rule.get("apiGroups"):
        raise Refused((*path, "apiGroups"), 'a rule needs at least one API group: "" is the core group')
    return rule


def _selectors(tree: Tree, kind: str) -> tuple[Tree, ...] | None:
    rule = tree.get("aggregationRule")
    if rule is None or kind == "Role":
        return None
    if not isinstance(rule, dict) or not (found := rule.get("clusterRoleSelectors")):
        raise Refused(("aggregationRule",), "must have at least one of clusterRoleSelectors")
    path = ("aggregationRule", "clusterRoleSelectors")
    if not isinstance(found, list):
        raise Refused(path, "must be a list")
    for index, each in enumerate(found):
        if reason := _bad_selector(each):
            raise Refused((*path, index), reason)
    return tuple(found)


def _bad_selector(selector: Any) -> str:
    """What is wrong with a label selector, as ``LabelSelectorAsSelector`` reads one."""
    if not isinstance(selector, dict):
        return "must be a label selector"
    labels, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not isinstance(labels, dict) or not all(isinstance(each, str) for each in labels.values()):
        return "matchLabels must be a mapping of texts"
    if not isinstance(expressions, list) or not all(isinstance(each, dict) for each in expressions):
        return "matchExpressions must be a list of mappings"
    for each in expressions:
        values = each.get("values") or []
        operator = each.get("operator")
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist") or not isinstance(each.get("key"), str):
            return "an expression needs a key, and an operator: In, NotIn, Exists or DoesNotExist"
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            return "values must be a list of texts"
        if bool(values) != (operator in ("In", "NotIn")):
            return "In and NotIn need values, Exists and DoesNotExist have none"
    return ""


def _binding(tree: Tree, home: str, name: str, at: At) -> Binding:
    subjects = []
    for index, each in enumerate(_list(tree, ("subjects",), "subjects")):
        subjects.append(_subject(each, ("subjects", index), home))
    return Binding(
        home, name, _role_ref(tree, home), tuple(subjects), at(("metadata", "name")), _labels(tree)
    )


def _role_ref(tree: Tree, home: str) -> Address:
    ref = _mapping(tree, ("roleRef",))
    kind, name = ref.get("kind"), ref.get("name")
    if ref.get("apiGroup") not in (GROUP, "", None):
        raise Refused(("roleRef", "apiGroup"), f"must be {GROUP}")
    if name is None or name == "":
        raise Refused(("roleRef",), "the binding names no role: write roleRef.kind and roleRef.name")
    if not isinstance(name, str):
        raise Refused(("roleRef", "name"), QUOTES)
    if reason := _bad_name(name):
        raise Refused(("roleRef", "name"), reason)
    if not home and kind == "Role":
        reason = "a ClusterRoleBinding cannot give a Role: bind it by a RoleBinding in its namespace, or write a ClusterRole"
        raise Refused(("roleRef", "kind"), reason)
    if kind not in ROLES:
        raise Refused(("roleRef", "kind"), f"{kind} is no kind of role: write Role or ClusterRole")
    return str(kind), home if kind == "Role" else "", name


def _subject(subject: Any, path: tuple[Segment, ...], home: str) -> Subject:
    if not isinstance(subject, dict):
        raise Refused(path, "a subject must be a mapping with kind and name")
    kind, name, namespace = subject.get("kind"), subject.get("name"), subject.get("namespace") or ""
    if kind not in ("ServiceAccount", "User", "Group"):
        raise Refused((*path, "kind"), f"{kind} is no kind of subject: write ServiceAccount, User or Group")
    if name is None or name == "":
        raise Refused(path, f"the {kind} has no name: write name")
    for field, word in (("name", name), ("namespace", namespace)):
        if not isinstance(word, str):
            raise Refused((*path, field), QUOTES)
    wanted = ("", None) if kind == "ServiceAccount" else ("", None, GROUP)
    if subject.get("apiGroup") not in wanted:
        reason = f"must be {GROUP if kind != 'ServiceAccount' else 'left out'} for a {kind}"
        raise Refused((*path, "apiGroup"), reason)
    if kind != "ServiceAccount":
        return Subject(kind, "", name)
    if not ACCOUNT.fullmatch(name) or len(name) > LONGEST:
        raise Refused((*path, "name"), f"{name!r} cannot be the name of a service account")
    if not namespace and not home:
        raise Refused(path, "a ServiceAccount of a ClusterRoleBinding needs its namespace")
    return Subject(kind, namespace or home, name)


def _labels(tree: Tree) -> Tree:
    labels = tree["metadata"].get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(each, str) for each in labels.values()):
        raise Refused(("metadata", "labels"), "must be a mapping of texts")
    return labels


def _mapping(tree: Tree, path: tuple[str]) -> Tree:
    found = tree.get(path[0])
    if not isinstance(found, dict):
        raise Refused(path if found is not None else (), f"{path[0]} must be a mapping")
    return found


def _list(tree: Tree, path: tuple[str], what: str) -> Sequence[Any]:
    found = tree.get(path[0])
    if found is not None and not isinstance(found, list):
        raise Refused(path, f"{what} must be a list")
    return found or []
