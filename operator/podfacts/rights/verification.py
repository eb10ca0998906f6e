"""Whether a binding is replaced: every call that was needed is allowed, and no power that it gave is left.

The authorizer's own answers decide, and its reason tells whose doing an allowed power is. Left by this binding: not
verified. Left by another one: an admin who was told "verified" would believe that the power is gone, so it is not verified
either, and the other binding is named. By a binding to itself an account may have the powers that it is known to use, for
those are its grants, and in kube-system any: the controllers have them from Kubernetes. Both are named, and counted apart.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from podfacts.core.refusal import BadInput
from podfacts.rights.grant import sayable
from podfacts.rights.manifest import visible
from podfacts.rights.names import made_up
from podfacts.rights.powers import SYSTEM
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Ref
from podfacts.rights.usage import Usage, names, passed_over

# "RBAC: allowed by RoleBinding "name/namespace" of Role "name" to ServiceAccount "name/namespace"": rule.go, describers.
OWN = re.compile(r' to (?:ServiceAccount|User) "[^"]*"\Z')


@dataclass(frozen=True, slots=True)
class Answer:
    """The authorizer's: yes or no, and why."""

    allowed: bool
    reason: str


Ask = Callable[[Account, Request], Answer]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Lines for the reader, the last one the verdict itself; each is printed as it is."""

    lines: tuple[str, ...]
    verified: bool


@dataclass(slots=True)
class _Found:
    lines: list[str]
    calls: int = 0
    callers: int = 0
    missing: int = 0
    left: int = 0
    needed: int = 0
    own: int = 0


def verification(
    ref: Ref, accounts: Sequence[Account], usage: Usage, powers: Sequence[Request], ask: Ask
) -> Verdict:
    """Ask everything about every account. Raises ``BadInput`` where there is none: that would verify nothing."""
    if not accounts:
        raise BadInput(f"no service account is known to have held the {ref}: there is nobody to ask about")
    found = _Found([*passed_over(usage)])
    for account in accounts:
        recorded = sorted(usage.calls.get(account, ()))
        calls = [each for each in recorded if sayable(each)]
        missing = [each for each in calls if not ask(account, each).allowed]
        found.calls += len(calls)
        found.callers += bool(calls)
        found.missing += len(missing)
        if calls:
            found.lines.append(f"{account}: calls allowed: {len(calls) - len(missing)} of {len(calls)}")
        found.lines += [f"{account}: no longer allowed: {each}" for each in missing]
        strange = [each for each in recorded if not sayable(each)]
        found.lines += [f"{account}: not granted, for no rule can say it: {each}" for each in strange]
        used = {replace(each, name="") if made_up(each) else each for each in calls}
        found.lines += _leftovers(ref, account, powers, used, ask, found)
    lines = (*found.lines, _sentence(ref, len(accounts), len(powers), found))
    return Verdict(tuple(map(visible, lines)), _good(found))


def _leftovers(
    ref: Ref, account: Account, powers: Sequence[Request], used: Collection[Request], ask: Ask, found: _Found
) -> Iterator[str]:
    for power in powers:
        answer = ask(account, power)
        if not answer.allowed:
            continue
        by = answer.reason.removeprefix("RBAC: allowed by ") or "an authorizer that is not RBAC"
        own = OWN.search(answer.reason) and not names(answer.reason, ref)
        if own and power in used:
            found.needed += 1
            yield f"{account}: may, as it is known to need: {power}, by {by.partition(' of ')[0]}"
        elif own and account.namespace == SYSTEM:
            found.own += 1
            yield f"{account}: may, by a binding of its own: {power}, by {by.partition(' of ')[0]}"
        else:
            found.left += 1
            yield f"{account}: still may: {power}, by {by}"


def _good(found: _Found) -> bool:
    return not found.missing and not found.left


def _sentence(ref: Ref, accounts: int, powers: int, found: _Found) -> str:
    if not _good(found):
        wrong = [
            f"calls no longer allowed: {found.missing}" if found.missing else "",
            f"powers left: {found.left}" if found.left else "",
        ]
        return f"not verified: {', '.join(filter(None, wrong))}; see the lines above"
    allowed = f"verified: {_count(found.calls, 'call')} of {_count(found.callers, 'account')} still allowed"
    if not powers:
        return f"{allowed}; the {ref} gave none of the powers that are asked about"
    apart = [
        f"{found.needed} known to be needed" if found.needed else "",
        f"{found.own} of {SYSTEM}'s own" if found.own else "",
    ]
    named = f", apart from those above: {', '.join(filter(None, apart))}" if any(apart) else ""
    return (
        f"{allowed}, and none of {_count(accounts, 'account')} has one of {_count(powers, 'power')}, "
        f"by the {ref} or otherwise{named}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
