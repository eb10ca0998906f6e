"""Whether our accounts may do what rbac/ says, and nothing else: roles and bindings as they are against the table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from podfacts.cluster.expected_rights import ACCOUNTS, EXPECTED, SYSTEM, Grant
from podfacts.cluster.outcome import APPLY, Outcome, fail, ok, warn
from podfacts.rights.manifest import listed
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Ref, subject_key

Tree = dict[str, Any]

SHOWN = 5
# What Kubernetes binds by itself, to everybody (kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
BOOTSTRAPPED = ("kubernetes.io/bootstrapping", "rbac-defaults")


def exact_rights(
    roles: Sequence[Tree],
    cluster_roles: Sequence[Tree],
    role_bindings: Sequence[Tree],
    cluster_role_bindings: Sequence[Tree],
) -> Iterator[Outcome]:
    """A line for each role that differs, each binding too many, and one when nothing differs."""
    rules = {_address(each): each.get("rules") or () for each in (*roles, *cluster_roles)}
    bindings = {_address(each): each for each in (*role_bindings, *cluster_role_bindings)}
    found = [
        *(each for grant in EXPECTED for each in _granted(grant, rules, bindings)),
        *(each for account in ACCOUNTS for each in _beyond(account, bindings)),
        *_through_groups(bindings),
    ]
    if not any(each.state == "FAIL" for each in found):
        yield ok("our accounts may do exactly what rbac/ says")
    yield from found


def atoms(rules: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Each single thing that the rules allow: ``list nodes``."""
    found = set()
    for rule in rules:
        for verb in rule.get("verbs") or ():
            found |= {str(Request(verb, path=url)) for url in rule.get("nonResourceURLs") or ()}
            for group in rule.get("apiGroups") or ():
                for written in rule.get("resources") or ():
                    resource, _, subresource = written.partition("/")
                    for name in rule.get("resourceNames") or ("",):
                        found.add(str(Request(verb, group, resource, subresource, name=name)))
    return frozenset(found)


def _granted(
    grant: Grant,
    rules: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
    bindings: Mapping[tuple[str, str], Tree],
) -> Iterator[Outcome]:
    address = (grant.namespace, grant.name)
    ref = Ref(*address)
    role = "Role" if grant.namespace else "ClusterRole"
    binding = bindings.get(address)
    if binding is None:
        if not grant.optional:
            yield fail(f"there is no {ref}, so {grant.account.name} cannot do its work", APPLY)
        return
    if (binding["roleRef"]["kind"], binding["roleRef"]["name"]) != (role, grant.name):
        yield fail(f"the {ref} gives another role: {binding['roleRef']['name']}", f"delete it, and {APPLY}")
    if _keys(binding, grant.namespace) != {("User", grant.account.user)}:
        yield fail(f"the {ref} does not hold {grant.account} alone", APPLY)
    allowed = atoms(rules.get(address, ()))
    for words, what in ((allowed - grant.allowed, "allows too much"), (grant.allowed - allowed, "lacks")):
        if words:
            yield fail(f"the {role} {grant.name} {what}: {listed(sorted(words), SHOWN)}", APPLY)


def _beyond(account: Account, bindings: Mapping[tuple[str, str], Tree]) -> Iterator[Outcome]:
    ours = {(each.namespace, each.name) for each in EXPECTED if each.account == account}
    for address, binding in bindings.items():
        if address not in ours and ("User", account.user) in _keys(binding, address[0]):
            role = binding["roleRef"]["name"]
            yield fail(f"the {Ref(*address)} gives {account} {role}, which rbac/ does not", "delete it")


def _through_groups(bindings: Mapping[tuple[str, str], Tree]) -> Iterator[Outcome]:
    key, value = BOOTSTRAPPED
    groups = {("Group", "system:serviceaccounts"), ("Group", f"system:serviceaccounts:{SYSTEM}")}
    for (namespace, name), binding in bindings.items():
        labels = binding["metadata"].get("labels") or {}
        if labels.get(key) != value and groups & _keys(binding, namespace):
            ref, where = Ref(namespace, name), f" -n {namespace}" if namespace else ""
            yield warn(
                f"the {ref} gives {binding['roleRef']['name']} to service accounts by group, ours among them",
                f"podfacts replace-binding {name}{where}",
            )


def _keys(binding: Tree, namespace: str) -> set[tuple[str, str]]:
    found = (subject_key(each, namespace) for each in binding.get("subjects") or ())
    return {each for each in found if each}


def _address(tree: Tree) -> tuple[str, str]:
    return tree["metadata"].get("namespace", ""), tree["metadata"]["name"]
