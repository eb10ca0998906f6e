"""The least Roles and bindings that allow a service account what it asked for, and nothing else.

- What lies in a namespace is granted by a Role there; what is cluster-wide, or no resource, by a ClusterRole bound to the
  one service account.
- A verb is granted where it was asked for: ``list`` brings no ``watch``, a name no other name. Requests share a rule only
  where the product of its verbs, resources and names is exactly what was asked, so that nothing can be taken away.
- What everyone may do already, and what another request of the same grant covers, is not in it.
- Names that will not hold are left out, which makes the rule wider: ``left_out`` says so.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

from podfacts.rights.everyone import everyone_may
from podfacts.rights.manifest import listed, text
from podfacts.rights.names import made_up
from podfacts.rights.request import Account, Request

__all__ = ["grants", "left_out", "sayable", "text"]

GROUP = "rbac.authorization.k8s.io"
VERSION = f"{GROUP}/v1"
LABELS = {"app.kubernetes.io/managed-by": "podfacts"}
# As people say them: what looks first, what destroys last.
VERBS = (
    "get",
    "head",
    "list",
    "watch",
    "create",
    "post",
    "update",
    "put",
    "patch",
    "delete",
    "deletecollection",
)
SHOWN = 3


def grants(
    account: Account, requests: Iterable[Request], as_named: Collection[Request] = ()
) -> list[dict[str, Any]]:
    """The objects to apply, in that order: each namespace's, then the cluster's.

    Those ``as_named`` keep their names, though these may look made up: somebody wrote them, or nobody gave more.
    """
    places = defaultdict(set)
    for request in _needed(requests, as_named):
        places[request.namespace].add(request)
    objects = []
    for namespace in sorted(places, key=lambda each: (not each, each)):
        objects += _objects(account, namespace, _rules(places[namespace]))
    return objects


def left_out(requests: Iterable[Request], as_named: Collection[Request] = ()) -> list[str]:
    """For the reviewer, a line each: the names that are not kept, and what no rule can say."""
    names = defaultdict(set)
    lines = []
    for request in sorted(set(requests)):
        if not sayable(request):
            lines.append(f"Not granted, for no rule can say it and nothing more: {request}")
        elif made_up(request) and request not in as_named:
            names[replace(request, name="")].add(request.name)
    for request, found in sorted(names.items()):
        shown = listed(sorted(found), SHOWN)
        lines.append(f"{request}: any name, for the next rollout will have others than {shown}")
    return lines


def _needed(requests: Iterable[Request], as_named: Collection[Request]) -> set[Request]:
    held = {
        replace(each, name="") if made_up(each) and each not in as_named else each
        for each in requests
        if sayable(each) and not everyone_may(each)
    }
    return {each for each in held if held.isdisjoint(_wider(each))}


def _wider(request: Request) -> Iterator[Request]:
    """The requests whose grant covers it too."""
    nameless = replace(request, name="")
    for each in (nameless, replace(request, namespace=""), replace(nameless, namespace="")):
        if each != request:
            yield each


def sayable(request: Request) -> bool:
    """Whether a rule can allow it without more: a ``*`` is a wildcard there, and only UTF-8 can be sent."""
    try:
        str(request).encode()
    except UnicodeEncodeError:
        return False
    if request.path:
        return request.verb != "*" and not request.path.endswith("*")
    whole = all((request.verb, request.resource))
    return whole and "*" not in (request.verb, request.group, request.resource)


def _rules(requests: Iterable[Request]) -> list[dict[str, Any]]:
    verbs = defaultdict(list)
    for request in sorted(requests):
        verbs[replace(request, verb="", namespace="")].append(request.verb)
    # Those of equal verbs share a rule: resources of one group, names of one resource, URLs.
    shared = defaultdict(list)
    for target in sorted(verbs):
        resource = target.resource + (f"/{target.subresource}" if target.subresource else "")
        same = tuple(sorted(verbs[target], key=_order))
        if target.path:
            shared[True, "", "", same].append(target.path)
        elif target.name:
            shared[False, target.group, resource, same].append(target.name)
        else:
            shared[False, target.group, "", same].append(resource)
    rules = [_rule(*key, sorted(values)) for key, values in shared.items()]
    return sorted(rules, key=lambda each: [list(each.get(key, ())) for key in KEYS])


KEYS = ("nonResourceURLs", "apiGroups", "resources", "resourceNames", "verbs")


def _rule(
    of_urls: bool, group: str, resource: str, verbs: tuple[str, ...], values: list[str]
) -> dict[str, Any]:
    if of_urls:
        return {"nonResourceURLs": values, "verbs": [*verbs]}
    if resource:
        return {"apiGroups": [group], "resources": [resource], "resourceNames": values, "verbs": [*verbs]}
    return {"apiGroups": [group], "resources": values, "verbs": [*verbs]}


def _objects(account: Account, namespace: str, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    cluster = "" if namespace else "Cluster"
    # Neither can be another account's: a name of its own namespace has no colon, and the others hold both its names.
    own = namespace == account.namespace
    name = f"podfacts-{account.name}" if own else f"podfacts:{account.namespace}:{account.name}"
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": LABELS}
    subject = {"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}
    reference = {"apiGroup": GROUP, "kind": f"{cluster}Role", "name": name}
    return [
        {"apiVersion": VERSION, "kind": f"{cluster}Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": VERSION,
            "kind": f"{cluster}RoleBinding",
            "metadata": metadata,
            "roleRef": reference,
            "subjects": [subject],
        },
    ]


def _order(verb: str) -> tuple[int, str]:
    return (VERBS.index(verb) if verb in VERBS else len(VERBS)), verb
