"""Roles and bindings of a live cluster, and who is there to hold them. Never a Secret, and nothing is written.

Without the four kinds of RBAC there is no audit. What else may not be listed is said, and the audit goes on without it.
"""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from podfacts.audit.gathered import Gathered
from podfacts.audit.intake import VERSION, Entry, entry
from podfacts.audit.inventory import Inventory, live
from podfacts.cluster.access import ApiServer, NoAnswer, Tree
from podfacts.core.refusal import Refused

RBAC = f"/apis/{VERSION}"
# Kind, apiVersion, where it is listed, and what the audit cannot say without it.
LISTS = (
    ("ClusterRole", VERSION, f"{RBAC}/clusterroles", ""),
    ("Role", VERSION, f"{RBAC}/roles", ""),
    ("ClusterRoleBinding", VERSION, f"{RBAC}/clusterrolebindings", ""),
    ("RoleBinding", VERSION, f"{RBAC}/rolebindings", ""),
    ("Namespace", "v1", "/api/v1/namespaces", "which namespaces there are, and which are named and are not there"),
    ("ServiceAccount", "v1", "/api/v1/serviceaccounts", "which accounts hold what a group is given"),
    ("Pod", "v1", "/api/v1/pods", "which pods hold a grant now"),
)  # fmt: skip
# What the API server says who may not, or does not serve.
REFUSALS = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


def inventory_of(api: ApiServer, progress: Callable[[int], None]) -> tuple[Inventory, tuple[str, ...]]:
    """The cluster's inventory, and what could not be read, a sentence each.

    ``progress`` is told how many objects were read so far. Raises ``NoAnswer``.
    """
    gathered = Gathered()
    unread: list[str] = []
    kinds: list[str] = []
    count = 0

    def made(tree: Tree, kind: str, version: str) -> Entry | str | None:
        nonlocal count
        count += 1
        progress(count)
        return _entry({**tree, "kind": kind, "apiVersion": version})

    for kind, version, path, without in LISTS:
        try:
            found = api.made_of(path, partial(made, kind=kind, version=version))
        except NoAnswer as error:
            if not without or error.status not in REFUSALS:
                raise
            kinds.append(kind)
            unread.append(f"{kind}s could not be listed, so the audit does not know {without}: {error}")
            continue
        for each in found:
            if isinstance(each, str):
                unread.append(each)
            elif each is not None:
                gathered.add(each)
    return gathered.live(unread=kinds), tuple(unread)


def _entry(tree: Tree) -> Entry | str | None:
    """As the audit knows it; when it cannot be read, a sentence that says so."""
    metadata = tree.get("metadata") or {}
    place = live(tree["kind"], metadata.get("namespace", ""), metadata.get("name", ""))
    try:
        return entry(tree, lambda _path: place, "")
    except Refused as refused:
        return f"{place.file} could not be read: {refused}"
