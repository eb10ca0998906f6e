"""From the inventory to the findings: each binding's subjects, by what they have and by who they are.

- Who is one (an account, a user, a group of the company's) is judged by what the rules amount to: a finding for each hit.
- Who is many (all accounts, all of a namespace, nobody in particular) is one finding, whatever there is to the role.
- What several bindings amount to only together is said once, at one of them.
- **What Kubernetes gives a subject by itself is only worth knowing**, and compared by content: see ``bootstrap``.
"""

from collections.abc import Iterable, Iterator

from podfacts.audit.bootstrap import gives
from podfacts.audit.finding import Finding, Severity, worst_first
from podfacts.audit.inventory import Binding, Inventory, named
from podfacts.audit.judgement.combination import combinations
from podfacts.audit.judgement.grants import Grant, Grants
from podfacts.audit.judgement.sentences import (
    LEAVE,
    SHIPPED,
    binding_words,
    capital,
    ending,
    listed_powers,
    replaced,
    why,
)
from podfacts.audit.judgement.spread import spread
from podfacts.audit.judgement.widening import widenings
from podfacts.audit.powers.hits import Hit, rules_of
from podfacts.audit.powers.wildcards import READS
from podfacts.audit.subjects import Crowd, Holding, account, crowd, nobody
from podfacts.rights.request import Account


def findings(inventory: Inventory) -> tuple[Finding, ...]:
    """All that is to be said of it, worst first."""
    grants, holding = Grants(inventory), Holding(inventory)
    found: list[Finding] = []
    given: list[Grant] = []
    for binding in inventory.bindings:
        found += _of_nobody(binding)
        if binding.role not in inventory.roles:
            found += _of_no_role(binding, inventory)
        for grant in grants.of(binding):
            if nobody(grant.subject):
                continue
            found += _judged(grant, inventory, holding)
            given.append(grant)
    found += combinations(given, holding, grants.strength)
    found += spread(given, inventory, holding)
    found += widenings(inventory)
    return tuple(sorted(_worst(found), key=worst_first))


def _worst(found: Iterable[Finding]) -> Iterable[Finding]:
    """Of what one rule says of one grant the worst: together with another binding it may be worse than alone."""
    kept: dict[object, Finding] = {}
    for each in found:
        of = each.rule, each.subject, each.binding, each.role
        if of not in kept or each.severity > kept[of].severity:
            kept[of] = each
    return kept.values()


def _judged(grant: Grant, inventory: Inventory, holding: Holding) -> Iterator[Finding]:
    yield from _ineffective(grant)
    if not grant.rules:
        return
    many = crowd(grant.subject)
    if many and not grant.is_shipped:
        yield _of_many(grant, many, holding)
        return
    for hit in grant.hits:
        yield _of_hit(grant, hit, holding)
    one = account(grant.subject)
    if one and not grant.is_shipped:
        yield from _of_default(grant, one, holding)
        yield from _of_missing(grant, one, inventory)


def _of_hit(grant: Grant, hit: Hit, holding: Holding) -> Finding:
    accounts, pods = holding.by(grant.subject)
    severity = grant.severity(hit)
    is_news = severity == hit.severity
    return Finding.of(
        grant.binding,
        grant.subject,
        hit.rule,
        severity,
        f"{grant.subject} {hit.what}, by {binding_words(grant.binding)}. {why(hit.rule) if is_news else SHIPPED}",
        ending(hit, {grant: frozenset(hit.cut)}) if is_news else LEAVE,
        rules=hit.rules,
        accounts=accounts,
        pods=pods,
        also=hit.also,
    )


def _of_many(grant: Grant, many: Crowd, holding: Holding) -> Finding:
    news = [each for each in grant.hits if grant.severity(each) == each.severity]
    accounts, pods = holding.by(grant.subject)
    worst = max((each.severity for each in news), default=Severity.INFO)
    rules = tuple(each for each in grant.rules if each not in grant.shipped)
    said = f"{capital(many.who)} {listed_powers(news, rules)}, by {binding_words(grant.binding)}."
    return Finding.of(
        grant.binding,
        grant.subject,
        many.rule,
        _severity_of_many(many.rule, worst, grant),
        f"{said} {why(many.rule)}",
        _end_of_many(grant.binding, many.rule),
        rules=rules,
        accounts=accounts,
        pods=pods,
        also=tuple(each for each in rules_of(news) if each != many.rule),
    )


def _severity_of_many(rule: str, worst: Severity, grant: Grant) -> Severity:
    match rule:
        case "RB01":
            return max(worst, Severity.MEDIUM)
        case "RB02":
            reads = all(READS.issuperset(each.tree["verbs"]) for each in grant.rules)
            return max(worst, Severity.HIGH) if reads else Severity.CRITICAL
        case "RB03":
            return max(worst, Severity.LOW)
        case _:
            return Severity.HIGH


def _end_of_many(binding: Binding, rule: str) -> str:
    match rule:
        case "RB02":
            return f"Take the subject out of the {binding}; whoever needs it can log in."
        case "RB06":
            return f"Take the subject out of the {binding}, which gives the group nothing that it has not."
        case _:
            return replaced(binding)


def _of_default(grant: Grant, one: Account, holding: Holding) -> Iterator[Finding]:
    if one.name != "default":
        return
    accounts, pods = holding.by(grant.subject)
    yield Finding.of(
        grant.binding,
        grant.subject,
        "RB07",
        Severity.MEDIUM,
        f"{grant.subject} has rights, by {binding_words(grant.binding)}. {why('RB07')}",
        f"Make an account for the pods that need them, and name it in the {grant.binding} instead.",
        rules=grant.rules,
        accounts=accounts,
        pods=pods,
    )


def _of_missing(grant: Grant, one: Account, inventory: Inventory) -> Iterator[Finding]:
    spaces, accounts = inventory.namespaces, inventory.accounts
    if spaces is not None and one.namespace not in spaces:
        what = f"there is no namespace {one.namespace}: whoever may create it and an account in it"
    elif accounts is not None and one not in accounts:
        what = f"there is no such account: whoever may create accounts in {one.namespace}"
    else:
        return
    worst = max((grant.severity(each) for each in grant.hits), default=Severity.INFO)
    yield Finding.of(
        grant.binding,
        grant.subject,
        "RB09",
        Severity.MEDIUM if worst >= Severity.MEDIUM else Severity.LOW,
        f"{grant.subject} has rights by {binding_words(grant.binding)}, but {what} can take its name. {why('RB09')}",
        f"Take the subject out of the {grant.binding}, or create the account.",
        rules=grant.rules,
    )


def _of_no_role(binding: Binding, inventory: Inventory) -> Iterator[Finding]:
    role = named(binding.role)
    missing = (
        f"the {role} does not exist"
        if inventory.is_live
        else f"the {role} is not among what was read, and Kubernetes ships none of that name"
    )
    for subject in dict.fromkeys(each for each in binding.subjects if not nobody(each)):
        yield Finding.of(
            binding,
            subject,
            "RB08",
            Severity.MEDIUM,
            f"The {binding} gives {subject} nothing yet: {missing}. {why('RB08')}",
            f"Delete the {binding}, or write the {role}.",
        )


def _ineffective(grant: Grant) -> Iterator[Finding]:
    # That by a RoleBinding not all of a role that Kubernetes ships is given is no news, unless nothing is.
    news = [
        each
        for each in grant.voids
        if not grant.rules or (each.is_news and not gives(grant.role.address, each.rule))
    ]
    if not news:
        return
    fixes = " ".join(dict.fromkeys(each.fix for each in news))
    reasons = "; ".join(dict.fromkeys(each.reason for each in news))
    yield Finding.of(
        grant.binding,
        grant.subject,
        "RB34",
        Severity.INFO,
        f"Not all that the {grant.role} says reaches {grant.subject} by the {grant.binding}: {reasons}.",
        fixes,
        rules=tuple(each.rule for each in news),
    )


def _of_nobody(binding: Binding) -> Iterator[Finding]:
    for subject in dict.fromkeys(binding.subjects):
        reason = nobody(subject)
        if reason:
            meant, _, fix = reason.partition(": ")
            yield Finding.of(
                binding,
                subject,
                "RB34",
                Severity.INFO,
                f"The {binding} gives nobody anything as {subject}: {meant}.",
                f"{capital(fix)}, or take the subject out.",
            )
