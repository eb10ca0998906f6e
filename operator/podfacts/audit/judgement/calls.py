"""The calls of an audit log, by who made them: what is asked again and again is kept once.

Calls that somebody made as another (``--as``) are no calls of the other: they are the right to impersonate it, used.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property

from podfacts.audit.inventory import Subject
from podfacts.audit.subjects import AUTHENTICATED, OF_NAMESPACE, UNAUTHENTICATED, groups_of, key
from podfacts.rights.audit_log import Recorded
from podfacts.rights.everyone import everyone_may
from podfacts.rights.holders import ALL
from podfacts.rights.request import Request
from podfacts.rights.usage import impersonation


class Calls:
    """What was allowed to whom."""

    def __init__(self, records: Iterable[Recorded]) -> None:
        self._by: dict[str, set[Request]] = defaultdict(set)
        self._counts: Counter[str] = Counter()
        for each in records:
            user = each.impersonator if each.lent else each.user
            self._counts[user] += 1
            if each.allowed:
                self._by[user].add(impersonation(each.user) if each.lent else each.request)

    @property
    def total(self) -> int:
        """How many calls the log holds."""
        return self._counts.total()

    def of(self, subject: Subject) -> frozenset[Request] | None:
        """The calls that it, or those in it, made and that not everybody may; ``None`` where a log does not say who is in it."""
        users = self.users(subject)
        if users is None:
            return None
        if subject.kind == "Group":
            return self._of_groups[subject.name]
        return frozenset(each for user in users for each in self._by.get(user, ()) if not everyone_may(each))

    def count(self, subject: Subject) -> int:
        """How many calls that is, the refused ones too."""
        return sum(self._counts[each] for each in self.users(subject) or ())

    def users(self, subject: Subject) -> tuple[str, ...] | None:
        """Who of those that made a call is meant."""
        kind, name = key(subject)
        if kind == "User":
            return (name,) if name in self._counts else ()
        if name != ALL and not name.startswith(OF_NAMESPACE) and name not in (AUTHENTICATED, UNAUTHENTICATED):
            return None
        return self._members.get(name, ())

    @cached_property
    def _members(self) -> dict[str, tuple[str, ...]]:
        found = defaultdict(list)
        for user in sorted(self._counts):
            for group in groups_of(("User", user)):
                found[group].append(user)
        return {group: tuple(users) for group, users in found.items()}

    @cached_property
    def _of_groups(self) -> dict[str, frozenset[Request]]:
        return defaultdict(
            frozenset,
            {
                group: frozenset(
                    each for user in users for each in self._by.get(user, ()) if not everyone_may(each)
                )
                for group, users in self._members.items()
            },
        )
