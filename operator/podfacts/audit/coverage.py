"""Whether rules cover a rule, as Kubernetes asks before it lets somebody hand on rights.

Read from Kubernetes 1.36, ``component-helpers/auth/rbac/validation/policy_comparator.go``: the rule is broken down into
atoms, and for each of them one of the other rules must be enough.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Tree = Mapping[str, Any]


class Atom(NamedTuple):
    """One verb on one resource, of one name (``None``: of any), or on URLs."""

    verb: str
    group: str = ""
    resource: str = ""
    name: str | None = None
    url: str = ""


def atoms(rule: Tree) -> Iterator[Atom]:
    """All that a rule says, one by one."""
    for verb in rule.get("verbs") or ():
        for url in rule.get("nonResourceURLs") or ():
            yield Atom(verb, url=url)
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                for name in rule.get("resourceNames") or (None,):
                    yield Atom(verb, group, resource, name)


def covers(rule: Tree, atom: Atom) -> bool:
    """Whether the rule allows whatever the atom does."""
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and atom.verb not in verbs:
        return False
    if atom.url:
        return any(_url_covers(each, atom.url) for each in rule.get("nonResourceURLs") or ())
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    names = rule.get("resourceNames") or (atom.name,)
    return (
        ("*" in groups or atom.group in groups)
        and atom.name in names
        and ("*" in resources or atom.resource in resources or _any_with(atom.resource) in resources)
    )


def _any_with(resource: str) -> str:
    """``*/log``, which covers ``pods/log``."""
    _, slash, subresource = resource.partition("/")
    return f"*/{subresource}" if slash else resource


def _url_covers(written: str, url: str) -> bool:
    return written == url or (written.endswith("*") and url.startswith(written.rstrip("*")))
