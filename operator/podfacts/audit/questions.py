"""Whether somebody may do something, and who may: the authorizer's answers, with the rules that give them.

What allows it is said by ``Rights`` alone; here it is traced to the role's rule and its line. For a "no" the nearest thing
that somebody has is looked for, so that the answer says what is missing.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from podfacts.audit.asked import Who
from podfacts.audit.inventory import Binding, Inventory, Role, Rule, Subject, Tree, named
from podfacts.audit.subjects import AUTHENTICATED, MASTERS, key
from podfacts.core.resources import cluster_scoped, word
from podfacts.rights.everyone import everyone_may
from podfacts.rights.holders import account_named
from podfacts.rights.manifest import listed
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Key, allows

SHOWN = 5
BY_DEFAULT = f"Kubernetes itself gives it to the group {AUTHENTICATED}, unless a cluster took that away"


@dataclass(frozen=True, slots=True)
class Grant:
    """One rule that allows it, with the way to it; ``subjects`` are those of the binding that are meant."""

    binding: Binding
    role: Role
    rule: Rule
    subjects: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """``reasons`` say why, in a sentence each, where no grant does: somebody above RBAC, or what is missing."""

    allowed: bool
    grants: tuple[Grant, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Holder:
    """A subject that may, by which grants; ``accounts`` are those in it now, of a group, where that is known."""

    subject: Subject
    grants: tuple[Grant, ...]
    accounts: tuple[Account, ...] = ()


class Questions:
    """An inventory, to be asked."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._by_address = {(each.namespace, each.name): each for each in inventory.bindings}
        self._by_subject: dict[Key, list[Binding]] = defaultdict(list)
        for binding in inventory.bindings:
            for each in dict.fromkeys(map(key, binding.subjects)):
                self._by_subject[each].append(binding)

    def grants(self, who: Who, request: Request) -> tuple[Grant, ...]:
        """All that allows it, cluster-wide bindings first."""
        keys = _keys(who)
        refs = self._inventory.rights.granting(who.user, who.groups, request)
        return tuple(
            Grant(binding, role, rule, tuple(each for each in binding.subjects if key(each) in keys))
            for ref in refs
            for binding in [self._by_address[ref.namespace, ref.name]]
            for role, rule in self._allowing(binding, request)
        )

    def answer(self, who: Who, request: Request) -> Answer:
        """Yes or no, and why."""
        grants = self.grants(who, request)
        if who.is_master:
            reason = f"the group {MASTERS} may do everything: RBAC is not asked"
            return Answer(allowed=True, grants=grants, reasons=(reason,))
        if grants:
            return Answer(allowed=True, grants=grants)
        if AUTHENTICATED in who.groups and self.by_default(request):
            return Answer(allowed=True, reasons=(BY_DEFAULT,))
        return Answer(allowed=False, reasons=tuple(self._missing(who, request)))

    def by_default(self, request: Request) -> bool:
        """Whether whoever is logged in may, by bindings that files leave out and every new cluster has."""
        return not self._inventory.is_live and everyone_may(request)

    def holders(self, request: Request) -> tuple[Holder, ...]:
        """Who may, each once, by kind and name; those whom RBAC is not asked about are not among them."""
        found: dict[Subject, list[Grant]] = defaultdict(list)
        for binding in self._inventory.bindings:
            if binding.namespace in ("", "" if request.path else request.namespace):
                allowing = list(self._allowing(binding, request))
                for subject in dict.fromkeys(binding.subjects):
                    found[subject] += [Grant(binding, role, rule, (subject,)) for role, rule in allowing]
        return tuple(
            Holder(each, tuple(found[each]), tuple(self._members(each)))
            for each in sorted(found)
            if found[each]
        )

    def _allowing(self, binding: Binding, request: Request) -> Iterator[tuple[Role, Rule]]:
        role = self._inventory.roles.get(binding.role)
        if role:
            yield from ((role, each) for each in role.rules if allows(each.tree, request))

    def _members(self, subject: Subject) -> list[Account]:
        if subject.kind != "Group":
            return []
        return sorted(each for each in self._inventory.accounts or () if subject.name in each.groups)

    def _missing(self, who: Who, request: Request) -> Iterator[str]:
        """What comes nearest, for a "no"."""
        keys = _keys(who)
        bindings = list(dict.fromkeys(each for key in keys for each in self._by_subject.get(key, ())))
        account, existing = account_named(who.user), self._inventory.accounts
        if account and existing is not None and account not in existing:
            yield f"there is no service account {account}"
        if not bindings:
            yield f"no binding names {who}, nor a group that it has"
        near = [each for binding in bindings for each in self._near(binding, request)]
        yield from dict.fromkeys(near)
        if bindings and not near:
            which = "the one binding" if len(bindings) == 1 else f"the {len(bindings)} bindings"
            yield f"nothing of the kind is in {which} of {who}"

    def _near(self, binding: Binding, request: Request) -> Iterator[str]:
        role = self._inventory.roles.get(binding.role)
        if not role:
            yield f"the {binding} names the {named(binding.role)}, which is not there"
            return
        here = binding.namespace in ("", request.namespace) and not (binding.namespace and request.path)
        for rule in role.rules:
            by = f"by the {binding}"
            if not here and allows(rule.tree, request):
                yield f"{_elsewhere(binding, request)}, {by}"
            elif here:
                yield from (f"{each}, {by}" for each in _nearly(rule, request))


def _elsewhere(binding: Binding, request: Request) -> str:
    if request.path:
        return "a URL is given by a ClusterRoleBinding only"
    if not request.namespace:
        if cluster_scoped(request.group, request.resource) and request.verb != "bind":
            kind = word(request.group, request.resource, "")
            return f"{kind} lie in no namespace, and are given by a ClusterRoleBinding only"
        return f"only in the namespace {binding.namespace}, and not in all of them"
    return f"only in the namespace {binding.namespace}"


def _nearly(rule: Rule, request: Request) -> Iterator[str]:
    """What the rule allows instead, where one thing alone is different."""
    tree = rule.tree
    kind = request.path or word(request.group, request.resource, request.subresource)
    verbs = [each for each in tree.get("verbs") or () if allows(tree, replace(request, verb=each))]
    if verbs:
        yield f"only {', '.join(verbs)} of {kind}, not {request.verb}"
    if request.path:
        return
    names = tree.get("resourceNames") or ()
    if any(allows(tree, replace(request, name=each)) for each in names):
        yield f"only by name ({listed(list(names), SHOWN)}), not {request.name or 'without a name'}"
    groups = [each for each in tree.get("apiGroups") or () if allows(tree, replace(request, group=each))]
    if groups:
        other = listed([word(each, request.resource, request.subresource) for each in groups], SHOWN)
        yield f"only in another API group ({other}), not {kind}"
    yield from _of_subresources(tree, request, kind)


def _of_subresources(tree: Tree, request: Request, kind: str) -> Iterator[str]:
    if request.subresource and allows(tree, replace(request, subresource="")):
        yield f"only {word(request.group, request.resource, '')}, not {kind}"
    for each in tree.get("resources") or ():
        resource, _, subresource = each.partition("/")
        if not subresource or resource != request.resource:
            continue
        if subresource == "*":
            yield f"{each} is no pattern, and gives nothing: * and */log are patterns, pods/log is exact"
        elif not request.subresource and allows(tree, replace(request, subresource=subresource)):
            yield f"only {word(request.group, resource, subresource)}, not {kind}"


def _keys(who: Who) -> Sequence[Key]:
    return [("User", who.user), *(("Group", each) for each in who.groups)]
