"""A binding replaced: the grants that its holders need instead, and the binding itself with nobody in it.

**Nobody gets more than the binding gave, and nobody who is not known to need it gets anything.** A call needs a grant
when this binding, and no other, allows it; a name that looks made up stays where the binding gave no other. The emptied
binding comes last, and says in an annotation whom it held.
"""

import json
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from podfacts.rights.everyone import everyone_may
from podfacts.rights.grant import grants, left_out, sayable, text
from podfacts.rights.holders import Holders, account_of, holders, pods_of
from podfacts.rights.manifest import SHOWN, listed, visible
from podfacts.rights.names import made_up
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Ref, Rights
from podfacts.rights.usage import Usage, passed_over, within

Tree = dict[str, Any]
Address = tuple[str, str, str]  # Kind, namespace, name.

REPLACED = "podfacts.dev/replaced"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# The API server makes such a binding whole again when it starts (pkg/registry/rbac/reconciliation).
BOOTSTRAP = ("kubernetes.io/bootstrapping", "rbac-defaults")
LAST = (
    "From here on nobody has it. Whom it held, for the way back, stands in its annotation. When satisfied:",
)


@dataclass(frozen=True)
class State:
    """What was read of the cluster."""

    ref: Ref
    binding: Tree
    rights: Rights
    taken: frozenset[Address]
    accounts: Sequence[Account]
    pods: Sequence[Tree]


@dataclass(frozen=True, slots=True)
class Replacement:
    """The YAML to review and apply, and what whoever applies it has to know first, each on a line of its own."""

    text: str
    warnings: tuple[str, ...]


def replacement(state: State, usage: Usage) -> Replacement:
    """What to apply instead of the binding."""
    usage = within(usage, {each.namespace for each in state.accounts})
    held = holders(state.binding.get("subjects") or (), state.ref.namespace, state.accounts)
    sorted_out = {each: _sorted_out(state, each, usage) for each in held.accounts}
    needs = {account: calls for account, (calls, _) in sorted_out.items() if calls}
    stale = [f"{account} ({len(calls)})" for account, (_, calls) in sorted_out.items() if calls]
    named = {account: _named(state, account, calls) for account, calls in needs.items()}
    objects = list(_under_free_names(needs, named, state.taken))
    warnings = tuple(map(visible, _warnings(state, held, usage, stale)))
    heading = [*_heading(state, held), *_needed(needs, named, usage), *warnings]
    last = text([emptied(state)], [*LAST, f"    {deletion(state.ref)}"])
    return Replacement(f"{text(objects, heading)}---\n{last}", warnings)


def _sorted_out(state: State, account: Account, usage: Usage) -> tuple[list[Request], list[Request]]:
    """The account's calls that this binding allows, and no other does; and those that none does any more."""
    calls = sorted(each for each in usage.calls.get(account, ()) if not everyone_may(each))
    by = {each: state.rights.granting(account.user, account.groups, each) for each in calls}
    return [each for each in calls if by[each] == [state.ref]], [each for each in calls if not by[each]]


def _named(state: State, account: Account, calls: Iterable[Request]) -> set[Request]:
    """Those for a made-up name that are granted for this name only, as the binding does not allow any."""
    nameless = {each: replace(each, name="") for each in calls if made_up(each)}
    return {
        each
        for each, wider in nameless.items()
        if state.ref not in state.rights.granting(account.user, account.groups, wider)
    }


def _under_free_names(
    needs: Mapping[Account, Sequence[Request]],
    named: Mapping[Account, Collection[Request]],
    taken: Iterable[Address],
) -> Iterator[Tree]:
    """The grants. One applied over an object that is there would take the rights that the object gives."""
    used = set(taken)
    for account, calls in needs.items():
        objects = grants(account, calls, named[account])
        moved: dict[Address, str] = {}
        for kind, namespace, name in map(address, objects):
            free, number = name, 2
            while (kind, namespace, free) in used:
                free, number = f"{name}-{number}", number + 1
            moved[kind, namespace, name] = free
            used.add((kind, namespace, free))
        for each in objects:
            yield _moved(each, moved)


def _moved(tree: Tree, moved: Mapping[Address, str]) -> Tree:
    kind, namespace, name = address(tree)
    new = {**tree, "metadata": {**tree["metadata"], "name": moved[kind, namespace, name]}}
    if role := tree.get("roleRef"):
        place = (role["kind"], namespace if role["kind"] == "Role" else "", role["name"])
        new["roleRef"] = {**role, "name": moved.get(place, role["name"])}
    return new


def address(tree: Tree) -> Address:
    """Where an object is in the cluster."""
    metadata = tree["metadata"]
    return tree["kind"], metadata.get("namespace", ""), metadata["name"]


def command(ref: Ref) -> str:
    """The words that name the binding to ``podfacts replace-binding``."""
    return shlex.join(["podfacts", "replace-binding", ref.name, *_in_namespace(ref)])


def _heading(state: State, held: Holders) -> Iterator[str]:
    role = state.binding["roleRef"]
    yield f"What replaces the {state.ref}. Read it, then:"
    yield "    kubectl apply --dry-run=server -f FILE    # whether the API server takes it all"
    yield "    kubectl apply -f FILE"
    yield f"    {command(state.ref)} --verify    # with the same --audit-log and --profile, if any"
    yield ""
    yield f"The {state.ref} gives what the {role['kind']} {role['name']} allows:"
    yield from _some([rule_text(each) for each in state.rights.rules(role, state.ref.namespace)], "rules")
    yield f"Service accounts that hold it: {len(held.accounts)}"
    yield from _some([str(each) for each in held.accounts], "accounts")
    pods = pods_of(state.pods, held.accounts)
    yield f"Pods that run as one of them: {len(pods)}"
    yield from _some(pods, "pods")


def _needed(
    needs: Mapping[Account, Sequence[Request]], named: Mapping[Account, Collection[Request]], usage: Usage
) -> Iterator[str]:
    yield ""
    yield f"Needs are those of {usage.source}."
    if not needs:
        yield "No account is known to need it: nothing is granted."
        return
    counts = {account: sum(map(sayable, calls)) for account, calls in needs.items()}
    granted = [f"{account}: {count}" for account, count in counts.items() if count]
    if granted:
        yield f"Accounts that need calls which nothing else allows, and are granted those: {len(granted)}"
        yield from _some(granted, "accounts")
    else:
        yield "No rule can say what is needed: nothing is granted."
    kept = {each for calls in named.values() for each in calls}
    widened = {each for account, calls in needs.items() for each in calls if each not in named[account]}
    yield from left_out(widened | kept, kept - widened)


def _warnings(state: State, held: Holders, usage: Usage, stale: Sequence[str]) -> Iterator[str]:
    if held.others:
        yield f"who else holds it is granted nothing: {listed(held.others, SHOWN)}"
    if usage.others:
        users = [f"{user} ({count} calls)" for user, count in sorted(usage.others.items())]
        yield f"users who are no service accounts used it, and are granted nothing: {listed(users, SHOWN)}"
    if stale and not usage.declared:
        yield f"calls that no binding allows any more are granted to nobody: of {listed(stale, SHOWN)}"
    yield from passed_over(usage)
    if usage.declared:
        silent = [each for each in state.pods if account_of(each) not in usage.calls]
        if pods := pods_of(silent, held.accounts):
            yield f"what these pods need is not known, they declare nothing: {listed(pods, SHOWN)}. An --audit-log would tell"
    key, value = BOOTSTRAP
    if (state.binding["metadata"].get("labels") or {}).get(key) == value:
        yield "the API server ships this binding, and fills it again when it starts: replace it with care"


def emptied(state: State) -> Tree:
    """The binding with nobody in it. Its labels and annotations stay, or ``kubectl apply`` would take them away."""
    metadata, namespace = state.binding["metadata"], state.ref.namespace
    kept = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    held = json.dumps({"subjects": state.binding.get("subjects") or []}, separators=(",", ":"))
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": state.ref.kind,
        "metadata": {
            "name": state.ref.name,
            **({"namespace": namespace} if namespace else {}),
            **({"labels": metadata["labels"]} if metadata.get("labels") else {}),
            "annotations": {**kept, REPLACED: held},
        },
        "roleRef": state.binding["roleRef"],
        "subjects": [],
    }


def deletion(ref: Ref) -> str:
    """The command that deletes the binding."""
    return shlex.join(["kubectl", "delete", ref.kind.lower(), ref.name, *_in_namespace(ref)])


def _in_namespace(ref: Ref) -> tuple[str, ...]:
    return ("-n", ref.namespace) if ref.namespace else ()


def rule_text(rule: Mapping[str, Any]) -> str:
    """A rule on one line: verbs, what of, which ones."""
    verbs = ",".join(rule.get("verbs") or ())
    if urls := rule.get("nonResourceURLs"):
        return f"{verbs} of URLs {','.join(urls)}"
    groups = ",".join(each or "core" for each in rule.get("apiGroups") or ())
    names = f" named {','.join(rule['resourceNames'])}" if rule.get("resourceNames") else ""
    return f"{verbs} of {','.join(rule.get('resources') or ())}{names} in API groups {groups}"


def _some(lines: Sequence[str], what: str) -> Iterator[str]:
    yield from (f"    {each}" for each in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"    ... and {len(lines) - SHOWN} more {what}"
