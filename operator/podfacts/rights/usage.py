"""What accounts use of their rights: the calls of an audit log, or else what their opted-in pods declare."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from podfacts.core.profile import Profile
from podfacts.rights.audit_log import Recorded
from podfacts.rights.holders import account_named, account_of
from podfacts.rights.manifest import SHOWN, listed
from podfacts.rights.needs import declared
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Ref


@dataclass(frozen=True, slots=True)
class Usage:
    """The calls by account; from a log also who else was let in by the binding, and whether it let in anybody.

    ``lent`` are the calls that others made as an account, each with the account and who made it. ``gone`` are the
    namespaces of calls that were left out.
    """

    calls: Mapping[Account, frozenset[Request]]
    source: str
    others: Mapping[str, int]
    seen: bool
    declared: bool = False
    gone: tuple[str, ...] = ()
    lent: frozenset[tuple[Account, Request, str]] = frozenset()


def recorded_usage(recorded: Iterable[Recorded], ref: Ref) -> Usage:
    """What the log's service accounts were allowed, and how often others were let in by the binding.

    The log names one binding for each call, the first that allowed it. Whom another lets in as well may be among them.
    """
    calls: dict[Account, set[Request]] = defaultdict(set)
    others: Counter[str] = Counter()
    lent: set[tuple[Account, Request, str]] = set()
    seen = False
    for each in recorded:
        if not each.allowed:
            continue
        by_it = names(each.reason, ref)
        seen = seen or by_it
        if actor := account_named(each.impersonator):
            calls[actor].add(impersonation(each.user))
        account = account_named(each.user)
        if account and each.lent:
            # No need of it, but it was let in, so it is asked about.
            calls.setdefault(account, set())
            lent.add((account, each.request, each.impersonator))
        elif account:
            calls[account].add(each.request)
        elif by_it:
            others[each.user] += 1
    told = {key: frozenset(value) for key, value in calls.items()}
    return Usage(told, "the audit log", others, seen, lent=frozenset(lent))


def declared_usage(pods: Iterable[dict[str, Any]], profiles: Mapping[str, Profile]) -> Usage:
    """What the opted-in pods say that they need."""
    calls: dict[Account, set[Request]] = defaultdict(set)
    for pod in pods:
        if asked := declared(pod, profiles):
            calls[account_of(pod)].update(asked)
    source = "the declarations of the opted-in pods"
    return Usage(
        {key: frozenset(value) for key, value in calls.items()}, source, {}, seen=False, declared=True
    )


def within(usage: Usage, namespaces: Collection[str]) -> Usage:
    """The usage less the calls in namespaces that are gone since: nothing can be granted there, nor is it needed."""
    named = {each.namespace for calls in usage.calls.values() for each in calls} - {""}
    gone = named - set(namespaces)
    calls = {
        account: frozenset(each for each in calls if each.namespace not in gone)
        for account, calls in usage.calls.items()
    }
    return replace(usage, calls=calls, gone=tuple(sorted(gone)))


def passed_over(usage: Usage) -> Iterator[str]:
    """What was recorded and is nobody's need, a line for each reason."""
    if usage.lent:
        distinct = len({(account, request) for account, request, _ in usage.lent})
        calls = f"{distinct} call{'' if distinct == 1 else 's'}"
        by = listed(sorted({actor for *_, actor in usage.lent}), SHOWN)
        yield f"what others did as service accounts is no need of those: {calls}, by {by}"
    if usage.gone:
        yield f"calls in namespaces that are gone are left out: {listed(usage.gone, SHOWN)}"


def impersonation(user: str) -> Request:
    """What ``--as`` asks for before the call itself (``apiserver/pkg/endpoints/filters/impersonation``).

    Groups that were named beside the user are not in the log's question, so not here.
    """
    if account := account_named(user):
        target = {"resource": "serviceaccounts", "namespace": account.namespace, "name": account.name}
        return Request("impersonate", **target)
    return Request("impersonate", resource="users", name=user)


def names(reason: str, ref: Ref) -> bool:
    """Whether the authorizer's reason names the binding (``rule.go``, the two describers: name first, then namespace)."""
    name = f"{ref.name}/{ref.namespace}" if ref.namespace else ref.name
    return reason.startswith(f'RBAC: allowed by {ref.kind} "{name}" of ')
