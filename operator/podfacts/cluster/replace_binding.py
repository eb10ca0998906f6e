"""``podfacts replace-binding``: what is read of the cluster for it, and what the authorizer is asked.

It only reads, and never a Secret; the one thing it creates is a question (SubjectAccessReview), which is kept nowhere.
Each mistake of the user is one sentence (``BadInput``).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from podfacts.cluster.access import ApiServer
from podfacts.core.profile import Profile
from podfacts.core.refusal import BadInput
from podfacts.rights.audit_log import Recorded
from podfacts.rights.holders import holders
from podfacts.rights.powers import powers
from podfacts.rights.replacement import REPLACED, Replacement, State, address, command, deletion, replacement
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Ref, Rights
from podfacts.rights.usage import Usage, declared_usage, recorded_usage, within
from podfacts.rights.verification import Answer, Verdict, verification

Tree = dict[str, Any]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
LISTS = {
    "Role": "roles",
    "ClusterRole": "clusterroles",
    "RoleBinding": "rolebindings",
    "ClusterRoleBinding": "clusterrolebindings",
}


def replaced(
    api: ApiServer, ref: Ref, recorded: Iterable[Recorded] | None, profiles: Mapping[str, Profile]
) -> Replacement:
    """What to apply instead of the binding."""
    binding = _binding(api, ref)
    if binding is None:
        raise BadInput(_unknown(api, ref))
    if not binding.get("subjects"):
        done = REPLACED in (binding["metadata"].get("annotations") or {})
        then = f"check with {command(ref)} --verify, or delete it" if done else "delete it"
        raise BadInput(f"the {ref} has no subjects, so nobody holds it: {then}: {deletion(ref)}")
    state = _state(api, ref, binding)
    return replacement(state, _usage(state.pods, ref, recorded, profiles))


def verified(
    api: ApiServer, ref: Ref, recorded: Iterable[Recorded] | None, profiles: Mapping[str, Profile]
) -> Verdict:
    """Whether what was printed for it is in force, by the authorizer's word."""
    binding = _binding(api, ref)
    if binding and binding.get("subjects"):
        return Verdict(
            (f"not verified: the {ref} is still in force: apply first what replaces it",), verified=False
        )
    existing = _accounts(api)
    annotations = (binding or {"metadata": {}})["metadata"].get("annotations") or {}
    if binding is None or REPLACED not in annotations:
        if recorded is None:
            raise BadInput(
                f"{_unknown(api, ref, binding)}; whom it held only a log can tell now: give --audit-log"
            )
        usage = recorded_usage(recorded, ref)
        if not usage.seen:
            raise BadInput(
                f"{_unknown(api, ref, binding)}, and it allowed none of the calls in the audit log"
            )
        # An account that is gone was granted nothing.
        accounts: Iterable[Account] = sorted(usage.calls.keys() & set(existing))
    else:
        pods = api.items("/api/v1/pods") if recorded is None else []
        usage = _usage(pods, ref, recorded, profiles)
        accounts = holders(_noted(ref, annotations), ref.namespace, existing).accounts
    rules = _rules(api, binding, ref.namespace) if binding else None

    def ask(account: Account, request: Request) -> Answer:
        return answer(api, account.user, account.groups, request)

    usage = within(usage, {each.namespace for each in existing})
    return verification(ref, list(accounts), usage, powers(rules, ref.namespace), ask)


def _usage(
    pods: Iterable[Tree], ref: Ref, recorded: Iterable[Recorded] | None, profiles: Mapping[str, Profile]
) -> Usage:
    return declared_usage(pods, profiles) if recorded is None else recorded_usage(recorded, ref)


def _binding(api: ApiServer, ref: Ref) -> Tree | None:
    return api.get(_path(ref.kind, ref.namespace, ref.name))


def _path(kind: str, namespace: str, name: str) -> str:
    # Names of RBAC are path segments (ValidatePathSegmentName): anything else would be another path.
    for what, word in ((f"a {kind}", name), ("a namespace", namespace or "none")):
        if word in ("", ".", "..") or "/" in word or "%" in word or not word.isprintable():
            raise BadInput(f"{word!r} cannot be the name of {what}")
    scope = f"/namespaces/{quote(namespace)}" if namespace else ""
    return f"{RBAC}{scope}/{LISTS[kind]}/{quote(name)}"


def _unknown(api: ApiServer, ref: Ref, binding: Tree | None = None) -> str:
    if binding:
        return f"the {ref} has no subjects, and no annotation {REPLACED}"
    said = f"there is no {ref}"
    others = [
        each["metadata"]["namespace"]
        for each in _list(api, "RoleBinding")
        if each["metadata"]["name"] == ref.name
    ]
    ways = [f"a RoleBinding {ref.name} in {each} (write -n {each})" for each in others]
    if ref.namespace and api.get(_path("ClusterRoleBinding", "", ref.name)):
        ways.insert(0, f"a ClusterRoleBinding {ref.name} (leave -n out)")
    return said + (f", but there is {' and '.join(ways[:3])}" if ways else "")


def _list(api: ApiServer, kind: str) -> list[Tree]:
    # The items of a list have no kind of their own.
    return [{**each, "kind": kind} for each in api.items(f"{RBAC}/{LISTS[kind]}")]


def rights(api: ApiServer) -> Rights:
    """What the cluster's roles and bindings give now."""
    return _rights({kind: _list(api, kind) for kind in LISTS})


def _rights(lists: Mapping[str, list[Tree]]) -> Rights:
    return Rights(
        roles=lists["Role"],
        cluster_roles=lists["ClusterRole"],
        role_bindings=lists["RoleBinding"],
        cluster_role_bindings=lists["ClusterRoleBinding"],
    )


def _state(api: ApiServer, ref: Ref, binding: Tree) -> State:
    lists = {kind: _list(api, kind) for kind in LISTS}
    taken = frozenset(address(each) for trees in lists.values() for each in trees)
    return State(ref, binding, _rights(lists), taken, _accounts(api), api.items("/api/v1/pods"))


def _accounts(api: ApiServer) -> list[Account]:
    found = (each["metadata"] for each in api.items("/api/v1/serviceaccounts"))
    return [Account(each["namespace"], each["name"]) for each in found]


def _rules(api: ApiServer, binding: Tree, namespace: str) -> list[Tree] | None:
    """What its role gives; ``None`` when the role is gone."""
    role = binding["roleRef"]
    tree = api.get(_path(role["kind"], namespace if role["kind"] == "Role" else "", role["name"]))
    return None if tree is None else tree.get("rules") or []


def _noted(ref: Ref, annotations: Mapping[str, str]) -> list[Tree]:
    """The subjects that the emptied binding had."""
    try:
        subjects = json.loads(annotations[REPLACED])["subjects"]
        if all(isinstance(each, dict) for each in subjects):
            return list(subjects)
    except (ValueError, TypeError, KeyError):
        pass
    raise BadInput(
        f"the annotation {REPLACED} of the {ref} is not what podfacts wrote: it must hold its subjects"
    )


def answer(api: ApiServer, user: str, groups: Iterable[str], request: Request) -> Answer:
    """What the authorizer says of this user's request."""
    if request.path:
        asked: Tree = {"nonResourceAttributes": {"verb": request.verb, "path": request.path}}
    else:
        keys = ("verb", "group", "resource", "subresource", "namespace", "name")
        asked = {"resourceAttributes": {key: getattr(request, key) for key in keys}}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": [*groups], **asked},
    }
    status = api.create(REVIEWS, review)["status"]
    return Answer(bool(status.get("allowed")), str(status.get("reason", "")))
