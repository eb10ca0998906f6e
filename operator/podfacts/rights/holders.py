"""Who holds a binding: the service accounts that its subjects come down to, and those who are none.

A group of all service accounts means those that exist now. An account that a subject names is a holder even before
there is one: whoever creates it has the rights.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podfacts.rights.request import PREFIX, Account
from podfacts.rights.rules import subject_key

Tree = Mapping[str, Any]

ALL = "system:serviceaccounts"


@dataclass(frozen=True, slots=True)
class Holders:
    """The accounts, sorted, and the subjects that mean somebody else (too), as ``Group x`` or ``User x``."""

    accounts: tuple[Account, ...]
    others: tuple[str, ...]


def holders(subjects: Iterable[Tree], namespace: str, existing: Iterable[Account]) -> Holders:
    """The holders of a binding in this namespace ("": cluster-wide)."""
    accounts: set[Account] = set()
    others: set[str] = set()
    existing = list(existing)
    for subject in subjects:
        kind, name = subject_key(subject, namespace) or ("", "")
        named = account_named(name) if kind == "User" else None
        if named:
            accounts.add(named)
        elif kind == "Group":
            accounts.update(each for each in existing if name in each.groups)
        if kind and not named and name != ALL and not name.startswith(f"{ALL}:"):
            others.add(f"{kind} {name}")
    return Holders(tuple(sorted(accounts)), tuple(sorted(others)))


def account_named(user: str) -> Account | None:
    """The account whose user name this is (``serviceaccount.SplitUsername``)."""
    namespace, colon, name = user.removeprefix(PREFIX).partition(":")
    is_one = user.startswith(PREFIX) and colon and namespace and name and ":" not in name
    return Account(namespace, name) if is_one else None


def account_of(pod: Tree) -> Account:
    """The account as which a pod runs; the API server fills in ``default``."""
    spec: Tree = pod.get("spec") or {}
    return Account(pod["metadata"]["namespace"], spec.get("serviceAccountName") or "default")


def pods_of(pods: Iterable[Tree], accounts: Sequence[Account]) -> list[str]:
    """The pods that run as one of these accounts, as ``namespace/name``, sorted."""
    wanted = set(accounts)
    return sorted(
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in pods
        if account_of(pod) in wanted
    )
