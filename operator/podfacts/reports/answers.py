"""The answers of ``podfacts can`` and ``podfacts who-can``, as lines for people and as JSON. The only place that words them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from podfacts.audit.asked import Who
from podfacts.audit.inventory import Binding, Role, Subject
from podfacts.audit.questions import BY_DEFAULT, Answer, Grant, Holder
from podfacts.audit.subjects import AUTHENTICATED, MASTERS
from podfacts.reports.wording import in_file
from podfacts.rights.manifest import listed, visible
from podfacts.rights.request import Request

SHOWN = 10


def can_text(answer: Answer) -> str:
    """A line for each rule that allows it, or for each reason why none does; the first word is the answer."""
    word = "yes" if answer.allowed else "no"
    lines = [*answer.reasons, *(f"{_given(each)} to {_whom(each.subjects)}" for each in answer.grants)]
    more = [f"... and {len(lines) - SHOWN} more like these"] if len(lines) > SHOWN else []
    return _lines(f"{word}: {each}" for each in (*lines[:SHOWN], *more))


def can_json(answer: Answer, who: Who, request: Request) -> str:
    """The same, whole."""
    return _json(
        {
            "allowed": answer.allowed,
            "subject": {"user": who.user, "groups": list(who.groups)},
            "request": asdict(request),
            "grants": [_grant(each) for each in answer.grants],
            "reasons": list(answer.reasons),
        }
    )


def who_can_text(holders: Sequence[Holder], request: Request, *, by_default: bool) -> str:
    """A line for each subject and rule; whoever is above RBAC is named in the last line."""
    lines = list(_held(holders))
    if by_default:
        lines.append(f"Group {AUTHENTICATED}: {BY_DEFAULT}")
    above = f"Group {MASTERS}: it may {request} as it may do everything, RBAC is not asked"
    return _lines([*lines, f"{'also' if lines else 'nobody but'} {above}"])


def who_can_json(holders: Sequence[Holder], request: Request, *, by_default: bool) -> str:
    """The same, whole; without the group that RBAC is not asked about."""
    return _json(
        {
            "request": asdict(request),
            "by_default": by_default,
            "subjects": [
                {
                    "subject": _address(each.subject),
                    "grants": [_grant(grant) for grant in each.grants],
                    "accounts": [asdict(account) for account in each.accounts],
                }
                for each in holders
            ],
        }
    )


def _held(holders: Sequence[Holder]) -> Iterator[str]:
    for each in holders:
        for grant in each.grants:
            yield f"{each.subject}: {_given(grant)}"
        if each.accounts:
            yield f"    in it now: {listed([str(account) for account in each.accounts], SHOWN)}"


def _given(grant: Grant) -> str:
    rule, role = grant.rule, grant.role
    origin = "" if rule.origin == role.name else f", from ClusterRole {rule.origin}"
    place = in_file(rule.place)
    shipped = ", as Kubernetes ships it" if role.built_in else f" ({place})" if place else ""
    return f"{grant.binding} gives {role.kind} {role.name}{origin} rules[{rule.index}]{shipped}"


def _whom(subjects: Sequence[Subject]) -> str:
    return " and ".join(dict.fromkeys(map(str, subjects)))


def _grant(grant: Grant) -> Mapping[str, Any]:
    rule = grant.rule
    return {
        "binding": _address(grant.binding),
        "role": _address(grant.role),
        "rule": {
            "origin": rule.origin,
            "index": rule.index,
            "file": rule.place.file,
            "line": rule.place.line,
        },
        "subjects": [_address(each) for each in grant.subjects],
    }


def _address(has: Binding | Role | Subject) -> Mapping[str, str]:
    return {"kind": has.kind, "namespace": has.namespace, "name": has.name}


def _lines(lines: Iterator[str] | Sequence[str]) -> str:
    return "".join(f"{visible(each)}\n" for each in lines)


def _json(tree: Mapping[str, Any]) -> str:
    return json.dumps(tree, indent=2) + "\n"
