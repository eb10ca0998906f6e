"""Whom a spot that stands for many stands for: as whom one can run, log in or act who can do so as any of them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from podfacts.audit.escalation import chart
from podfacts.audit.escalation.chart import EVERYWHERE, Line, Spot
from podfacts.audit.inventory import Inventory
from podfacts.audit.subjects import ANONYMOUS, MASTERS, OF_NAMESPACE
from podfacts.rights.holders import account_named
from podfacts.rights.request import Account

LAST = 99
WHOLE = ("", EVERYWHERE)
PRIVILEGED = "creating a privileged pod there: Pod Security is its own to lift"


class Crowds:
    """The lines onward from each such spot: to users and groups that some binding names, for others have nothing.

    The account ``default`` of a namespace stands for those of which no binding speaks: what the groups of service accounts
    have, it has.
    """

    def __init__(self, inventory: Inventory, bound: Iterable[Spot]) -> None:
        self._users: list[Spot] = []
        self._groups: set[Spot] = {Spot("Group", "", MASTERS)}
        self._accounts: dict[str, set[Account]] = defaultdict(set)
        self._pods = inventory.pods or ()
        there = inventory.accounts
        for each in bound:
            account = account_named(each.name) if each.kind == "User" else None
            if account and (there is None or account in there):
                self._accounts[account.namespace].add(account)
            elif each.kind == "Group":
                self._groups.add(each)
                if each.name.startswith(OF_NAMESPACE):
                    home = each.name.removeprefix(OF_NAMESPACE)
                    self._accounts[home].add(Account(home, "default"))
            elif not account and each.name != ANONYMOUS:
                self._users.append(each)
        self._accounts["default"].add(Account("default", "default"))
        self._there = there

    def constant(self) -> Iterator[tuple[Spot, Line]]:
        """What is so in every cluster."""
        # k8s.io/apiserver lets this group through before any other authorizer is asked (pkg/kubeapiserver/authorizer).
        yield (
            Spot("Group", "", MASTERS),
            Line(chart.CLUSTER_ADMIN, "being let through before RBAC is asked", LAST),
        )
        yield chart.CLUSTER_ADMIN, Line(chart.SECRETS, "having every right", LAST)
        yield chart.CLUSTER_ADMIN, Line(chart.NODE, "having every right", LAST)
        yield (
            chart.NODE,
            Line(Spot(chart.POD_ACCOUNTS), "taking the token of a pod of it that runs on the node", LAST),
        )

    def beyond(self, spot: Spot) -> Iterator[Line]:
        """The lines onward."""
        match spot.kind:
            case chart.ACCOUNTS:
                yield from (Line(_user(each)) for each in self._meant(spot))
            case chart.POD_ACCOUNTS:
                yield from (Line(_user(each)) for each in self._running(spot))
            case chart.USERS | chart.GROUPS:
                yield from (Line(each) for each in self._logins(spot))
            case chart.CERTIFIED:
                yield Line(Spot(chart.USERS))
                yield Line(Spot(chart.ACCOUNTS))
                yield from (Line(each) for each in sorted(self._groups) if each.name != MASTERS)
            case chart.MASTER:
                yield from self._mastered(spot)

    def _meant(self, spot: Spot) -> Iterable[Account]:
        """The accounts of a namespace, or of that name, or both."""
        whole = spot.namespace in WHOLE
        if not spot.name:
            found = set().union(*self._accounts.values()) if whole else set(self._accounts[spot.namespace])
            return sorted(found if whole else found | {Account(spot.namespace, "default")})
        if not whole:
            account = Account(spot.namespace, spot.name)
            return [account] if self._there is None or account in self._there else []
        found = {each for some in self._accounts.values() for each in some if each.name == spot.name}
        return sorted(found)

    def _running(self, spot: Spot) -> Iterable[Account]:
        return sorted(
            {
                each.account
                for each in self._pods
                if (spot.namespace in WHOLE or each.namespace == spot.namespace)
                and spot.name in ("", each.name)
            }
        )

    def _logins(self, spot: Spot) -> Iterable[Spot]:
        """Users or groups: a user that is an account cannot be impersonated as a user."""
        if spot.name:
            kind = "User" if spot.kind == chart.USERS else "Group"
            return () if kind == "User" and account_named(spot.name) else (Spot(kind, "", spot.name),)
        return sorted(self._users if spot.kind == chart.USERS else self._groups)

    def _mastered(self, spot: Spot) -> Iterator[Line]:
        """Every right in a namespace, or in each of them."""
        yield Line(Spot(chart.ACCOUNTS, spot.namespace), "running a pod there as it", LAST)
        yield Line(chart.NODE, PRIVILEGED, LAST)
        if spot.namespace == EVERYWHERE:
            yield Line(chart.SECRETS, "reading them in each namespace", LAST)


def _user(account: Account) -> Spot:
    return Spot("User", "", account.user)
