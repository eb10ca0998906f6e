"""Escalation: from a subject, step by step, to what must not be reached."""

from dataclasses import dataclass

from podfacts.audit.inventory import Address, Rule

GOALS = ("cluster-admin", "node", "secrets")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: who has ``start`` becomes, or gets, ``end`` by ``does``, which ``rules`` of ``binding`` grant.

    What needs no grant (a group's members, a node's pods) has neither binding nor rules. What somebody bound to itself in
    the step before has a role and rules, and no binding. ``via`` are further bindings that it takes.
    """

    start: str
    end: str
    does: str
    binding: Address | None = None
    role: Address | None = None
    rules: tuple[Rule, ...] = ()
    via: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """The shortest chain from a subject to a goal. ``steps`` are in their order."""

    source: str
    goal: str
    steps: tuple[Step, ...]
