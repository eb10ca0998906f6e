"""Rights that nobody used: a grant's rules held against the calls of an audit log, and the smaller role that does.

A rule is needed when it allows one of the recorded calls, whether another binding does so too or not: what is told here can
be taken away, and every recorded call is still allowed. Of a group whose members a log does not tell nothing is said, nor of
what Kubernetes ships.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from podfacts.audit.bootstrap import is_of_kubernetes
from podfacts.audit.finding import Finding, Severity, worst_first
from podfacts.audit.inventory import Inventory, Rule
from podfacts.audit.judgement.calls import Calls
from podfacts.audit.judgement.grants import Grant, Grants
from podfacts.audit.judgement.sentences import binding_words, capital, why
from podfacts.audit.powers.hits import hits
from podfacts.audit.subjects import account
from podfacts.rights.audit_log import Recorded
from podfacts.rights.grant import grants, left_out, text
from podfacts.rights.manifest import listed, visible
from podfacts.rights.names import made_up
from podfacts.rights.replacement import rule_text
from podfacts.rights.request import Request
from podfacts.rights.rules import allows

RULE = "RB35"
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Unused:
    """A grant, those of its rules that no call needed, and the calls that needed the others."""

    grant: Grant
    rules: tuple[Rule, ...]
    needed: frozenset[Request]


def unused(inventory: Inventory, records: Iterable[Recorded]) -> tuple[Finding, ...]:
    """A finding for each binding and subject with rules that none of the recorded calls needed, worst first."""
    calls = Calls(records)
    return tuple(sorted((_finding(each, calls) for each in _all(inventory, calls)), key=worst_first))


def proposals(inventory: Inventory, records: Iterable[Recorded]) -> tuple[str, ...]:
    """The smaller role, and its binding, as YAML: one text for each binding and service account that needs some of it."""
    found = _all(inventory, Calls(records))
    return tuple(each for each in map(_proposal, found) if each)


def _all(inventory: Inventory, calls: Calls) -> Iterator[Unused]:
    given = Grants(inventory)
    for binding in inventory.bindings:
        for grant in given.of(binding):
            made = calls.of(grant.subject)
            if made is not None and (found := _unused(grant, made)):
                yield found


def _unused(grant: Grant, made: Collection[Request]) -> Unused | None:
    namespace = grant.binding.namespace
    here = [each for each in made if not namespace or (each.namespace == namespace and not each.path)]
    by = {rule: [each for each in here if allows(rule.tree, each)] for rule in grant.rules}
    idle = tuple(rule for rule, needed in by.items() if not needed and rule not in grant.shipped)
    needed = frozenset(each for requests in by.values() for each in requests)
    return Unused(grant, idle, needed) if idle else None


def _finding(found: Unused, calls: Calls) -> Finding:
    grant = found.grant
    risks = hits(found.rules, grant.binding.namespace)
    worst = max((each.severity for each in risks), default=Severity.LOW)
    return Finding.of(
        grant.binding,
        grant.subject,
        RULE,
        Severity.MEDIUM if worst >= Severity.MEDIUM else Severity.LOW,
        f"{_said(found, calls)} {why(RULE)}",
        _remedy(found),
        rules=found.rules,
        also=tuple(each.rule for each in risks),
    )


def _said(found: Unused, calls: Calls) -> str:
    """How much of it was used, and in how many calls."""
    grant = found.grant
    count = calls.count(grant.subject)
    of_log = f"the log, which holds {calls.total:,} call{'' if calls.total == 1 else 's'}"
    if not count:
        return f"{grant.subject} made no call in {of_log}, and has {binding_words(grant.binding)}."
    idle = listed([rule_text(each.tree) for each in found.rules], SHOWN)
    made = f"its {count:,} calls" if count > 1 else "its only call"
    return (
        f"{grant.subject} needed {len(grant.rules) - len(found.rules)} of the {len(grant.rules)} rules of "
        f"{binding_words(grant.binding)}, for {made} in {of_log}: not {idle}."
    )


def _remedy(found: Unused) -> str:
    if not found.needed:
        return f"Take {found.grant.subject} out of the {found.grant.binding}."
    grant, proposal = found.grant, _proposal(found)
    instead = f"take {grant.subject} out of the {grant.binding}, and " + (
        f"apply:\n{proposal}" if proposal else "bind a smaller role."
    )
    # Nobody should change a role that Kubernetes ships: the API server would write it anew.
    if any(is_of_kubernetes(each, grant.role) for each in found.rules):
        return capital(instead)
    idle = listed([visible(str(each)) for each in found.rules], SHOWN)
    return f"Remove {idle}; or {instead}"


def _proposal(found: Unused) -> str:
    """The smaller role; "" for whom none can be made: nobody who made a call needs it, or many do."""
    who = account(found.grant.subject)
    if not who or not found.needed:
        return ""
    kept = [each for each in found.needed if made_up(each) and not _any_name(found.grant, each)]
    heading = [f"What {who} used of the {found.grant.binding}", *left_out(found.needed, kept)]
    objects: list[dict[str, Any]] = grants(who, found.needed, kept)
    return text(objects, heading) if objects else ""


def _any_name(grant: Grant, request: Request) -> bool:
    """Whether the grant allows it whatever the name is, so that the smaller one may as well."""
    return any(allows(each.tree, replace(request, name="")) for each in grant.rules)
