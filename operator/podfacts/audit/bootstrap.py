"""The roles and bindings that Kubernetes ships, by content: nobody's name or label makes a grant harmless.

Two questions: what a role is that nobody wrote (``shipped_roles``), and whether a rule gives a subject more than Kubernetes
itself gives that very subject there (``ships``). A shipped role bound to anybody else is news, whatever it is called.

``shipped.json`` holds what the API server of Kubernetes 1.36 makes sure of when it starts, what it adds to that where a
feature gate is open, and what kubeadm adds. ``kubeadm:cluster-admins`` is among these: to be in that group takes a
certificate that somebody with the cluster's key made, as with ``system:masters``, and unlike that it can be taken away.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import orjson

from podfacts.audit.aggregation import aggregated
from podfacts.audit.coverage import atoms, covers
from podfacts.audit.inventory import Address, Binding, Place, Role, Rule, Subject
from podfacts.audit.subjects import key
from podfacts.rights.rules import Key

Tree = Mapping[str, Any]

PLACE = Place("kubernetes 1.36")


def shipped_roles(addresses: Iterable[Address]) -> dict[Address, Role]:
    """Those of the addresses that Kubernetes ships."""
    shipped = shipment().roles
    return {each: shipped[each] for each in addresses if each in shipped}


def written_roles() -> Mapping[Address, Role]:
    """The roles of a new cluster as they are written: what an aggregated one gathers is not in it."""
    return shipment().written


def ships(rule: Rule, subject: Subject, namespace: str) -> bool:
    """Whether Kubernetes gives all that the rule allows to this very subject, there or everywhere, by itself."""
    given = shipment().given(subject, namespace)
    return bool(given) and all(any(covers(each, atom) for each in given) for atom in atoms(rule.tree))


def gives(role: Address, rule: Rule) -> bool:
    """Whether the shipped role of that address gives what the rule allows."""
    given = shipment().rules(role)
    return bool(given) and all(any(covers(each, atom) for each in given) for atom in atoms(rule.tree))


def is_of_kubernetes(rule: Rule, role: Role) -> bool:
    """Whether Kubernetes writes the rule into the role, or into the one that it is gathered from."""
    return gives(role.address, rule) or gives((role.kind, role.namespace, rule.origin), rule)


class Shipment:
    """The data file, read."""

    def __init__(self, told: Mapping[str, Sequence[Tree]]) -> None:
        own = [*told["kubernetes"], *told["kubeadm"]]
        # kubeadm's roles are on its clusters only: a binding that names one of them may be a mistake elsewhere.
        self.written = {each.address: each for each in _roles(told["kubernetes"])}
        self._added = {each.address: each for each in _roles(told["kubeadm"])}
        self._gated = {each.address: each for each in _roles(told["gated"])}
        self._bindings = [_binding(each) for each in own if "role" in each]
        self._found: dict[tuple[Key, str], tuple[Tree, ...]] = {}

    @cached_property
    def roles(self) -> Mapping[Address, Role]:
        """The roles in force on a new cluster."""
        return aggregated(self.written)

    @cached_property
    def _widest(self) -> Mapping[Address, Role]:
        """The same with all feature gates open, and with what kubeadm adds."""
        widened = dict(self.written)
        for address, role in self._gated.items():
            before = widened.get(address)
            widened[address] = replace(before, rules=before.rules + role.rules) if before else role
        return {**aggregated(widened), **self._added}

    @cached_property
    def _bound(self) -> Mapping[Key, Sequence[Binding]]:
        bound = defaultdict(list)
        for binding in self._bindings:
            for subject in binding.subjects:
                bound[key(subject)].append(binding)
        return bound

    def rules(self, role: Address) -> tuple[Tree, ...]:
        """What a role gives at most."""
        found = self._widest.get(role)
        return tuple(each.tree for each in found.rules) if found else ()

    def given(self, subject: Subject, namespace: str) -> tuple[Tree, ...]:
        """What Kubernetes gives a subject in a namespace ("": in all)."""
        who = key(subject)
        bound = self._bound.get(who)
        if not bound:
            return ()
        if (who, namespace) not in self._found:
            there = [each for each in bound if each.namespace in ("", namespace)]
            self._found[who, namespace] = tuple(rule for each in there for rule in self.rules(each.role))
        return self._found[who, namespace]


@cache
def shipment() -> Shipment:
    """What is shipped, read when it is first asked for."""
    return Shipment(orjson.loads(files(__package__).joinpath("shipped.json").read_bytes()))


def _roles(told: Iterable[Tree]) -> Iterator[Role]:
    for each in told:
        if "role" not in each:
            rules = tuple(Rule(rule, PLACE, each["name"], index) for index, rule in enumerate(each["rules"]))
            selectors = tuple(each["selectors"]) if "selectors" in each else None
            labels = each.get("labels", {})
            yield Role(
                each["kind"], each["namespace"], each["name"], rules, PLACE, labels, selectors, built_in=True
            )


def _binding(told: Tree) -> Binding:
    kind, name = told["role"]
    role = (kind, told["namespace"] if kind == "Role" else "", name)
    subjects = tuple(
        Subject(each["kind"], each.get("namespace", ""), each["name"]) for each in told["subjects"]
    )
    return Binding(told["namespace"], told["name"], role, subjects, PLACE, {})
