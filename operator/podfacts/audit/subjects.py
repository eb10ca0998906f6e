"""Whom a subject means: one, all of a sort, or nobody at all.

Who is in which group is the API server's doing: ``k8s.io/apiserver/pkg/authentication/user/user.go`` has the names,
``serviceaccount/util.go`` the groups of service accounts.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple, TypeVar

from podfacts.audit.inventory import Inventory, Pod, Subject
from podfacts.rights.holders import ALL, account_named
from podfacts.rights.request import PREFIX, Account
from podfacts.rights.rules import Key

Each = TypeVar("Each", Account, Pod)

AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
ANONYMOUS, MASTERS = "system:anonymous", "system:masters"
OF_NAMESPACE = f"{ALL}:"


class Crowd(NamedTuple):
    """A subject that is many: the rule of the audit about it, and who that is, as the beginning of a sentence."""

    rule: str
    who: str


CROWDS: Mapping[Key, Crowd] = {
    ("Group", ALL): Crowd("RB01", "every service account, and so every pod with a token,"),
    ("Group", AUTHENTICATED): Crowd("RB01", "everybody with a login, every service account among them,"),
    ("Group", UNAUTHENTICATED): Crowd("RB02", "anybody who reaches the API server, without a login,"),
    ("User", ANONYMOUS): Crowd("RB02", "anybody who reaches the API server, without a login,"),
    ("Group", MASTERS): Crowd("RB06", "whoever is in the group system:masters"),
}
# Groups, and so nobody's user name.
GROUP_NAMES = (ALL, AUTHENTICATED, UNAUTHENTICATED, MASTERS)


def key(subject: Subject) -> Key:
    """The user or the group: an account is the user of its long name, however it is written."""
    account = subject.account
    return ("User", account.user) if account else (subject.kind, subject.name)


def account(subject: Subject) -> Account | None:
    """The one account that is meant."""
    kind, name = key(subject)
    return account_named(name) if kind == "User" else None


def crowd(subject: Subject) -> Crowd | None:
    """Whom it means, when it is a crowd."""
    if subject.kind == "Group" and subject.name.startswith(OF_NAMESPACE):
        home = subject.name.removeprefix(OF_NAMESPACE)
        return Crowd("RB03", f"every service account of namespace {home}, those to come among them,")
    return CROWDS.get(key(subject))


def nobody(subject: Subject) -> str:
    """Why nobody is meant, "" where somebody may be; and the subject to write instead."""
    kind, name = subject.kind, subject.name
    if kind == "Group" and name == ANONYMOUS:
        return f"{name} is a user, not a group: write kind User, or Group {UNAUTHENTICATED}"
    if kind == "Group" and name.startswith(PREFIX):
        return f"{name} is a service account, not a group: write kind ServiceAccount"
    if kind == "User" and (name in GROUP_NAMES or name.startswith(OF_NAMESPACE)):
        return f"{name} is a group, and a user only if a certificate is made for that name: write kind Group"
    return ""


def groups_of(who: Key) -> tuple[str, ...]:
    """The groups that a user, or whoever is in a group, is always in besides."""
    kind, name = who
    if kind == "User":
        one = account_named(name)
        return one.groups if one else (UNAUTHENTICATED if name == ANONYMOUS else AUTHENTICATED,)
    if name.startswith(OF_NAMESPACE):
        return (ALL, AUTHENTICATED)
    return () if name in (AUTHENTICATED, UNAUTHENTICATED) else (AUTHENTICATED,)


class Holding:
    """Who holds a grant now: the accounts and the pods of an inventory, by namespace and account."""

    def __init__(self, inventory: Inventory) -> None:
        self._accounts, self._pods = inventory.accounts or (), inventory.pods or ()

    @cached_property
    def _accounts_of(self) -> Mapping[str, tuple[Account, ...]]:
        return _by_namespace(self._accounts)

    @cached_property
    def _pods_of(self) -> Mapping[str, tuple[Pod, ...]]:
        return _by_namespace(self._pods)

    @cached_property
    def _pods_as(self) -> Mapping[Account, tuple[Pod, ...]]:
        found: dict[Account, list[Pod]] = {}
        for pod in sorted(self._pods):
            found.setdefault(pod.account, []).append(pod)
        return {each: tuple(pods) for each, pods in found.items()}

    @cached_property
    def _all(self) -> tuple[tuple[Account, ...], tuple[Pod, ...]]:
        return tuple(sorted(self._accounts)), tuple(sorted(self._pods))

    def by(self, subject: Subject) -> tuple[tuple[Account, ...], tuple[Pod, ...]]:
        """The accounts that are not named but meant, and the pods that run as one who is meant."""
        if subject.kind == "Group":
            if subject.name in (ALL, AUTHENTICATED):
                return self._all
            home = subject.name.removeprefix(OF_NAMESPACE)
            if home == subject.name:
                return (), ()
            return self._accounts_of.get(home, ()), self._pods_of.get(home, ())
        one = account(subject)
        return (), self._pods_as.get(one, ()) if one else ()


def _by_namespace(all_: Iterable[Each]) -> Mapping[str, tuple[Each, ...]]:
    found: dict[str, list[Each]] = {}
    for each in sorted(all_):
        found.setdefault(each.namespace, []).append(each)
    return {namespace: tuple(those) for namespace, those in found.items()}
