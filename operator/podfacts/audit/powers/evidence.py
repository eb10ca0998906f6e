"""What rules answer to a need of a row: whether it is met, by which of them, and for which names."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from podfacts.audit.inventory import Rule, Tree
from podfacts.audit.powers.danger import ANY, Ask, Need
from podfacts.core.resources import Kind
from podfacts.rights.request import NAMELESS, Request
from podfacts.rights.rules import allows

# These have a name only by a field selector.
SELECTED = ("list", "watch")


@dataclass(frozen=True, slots=True)
class Grants:
    """What one rule gives of a need: by which verb on which kind, for which name ("": for all)."""

    rule: Rule
    asked: tuple[tuple[str, Kind, str], ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What rules give of a need. ``unlimited``: for every name, or names are no limit to it."""

    grants: tuple[Grants, ...]
    unlimited: bool

    def __bool__(self) -> bool:
        return bool(self.grants)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that give it."""
        return tuple(each.rule for each in self.grants)

    @property
    def named(self) -> frozenset[str]:
        """The names for which it is given."""
        return frozenset(name for each in self.grants for _, _, name in each.asked if name)

    def only(self, names: Collection[str]) -> "Evidence":
        """What of it is given for these names."""
        kept = (
            Grants(each.rule, tuple(one for one in each.asked if not one[2] or one[2] in names))
            for each in self.grants
        )
        return Evidence(tuple(each for each in kept if each.asked), self.unlimited)


def evidence(need: Need, rules: Sequence[Rule], namespace: str) -> Evidence:
    """What the rules give of it. Where one of them gives it for every name, those that name some are left out."""
    whole = tuple(_all(need, rules, namespace))
    if whole and not need.by_name:
        return Evidence(whole, unlimited=True)
    if need.name != ANY:
        return Evidence((), unlimited=False)
    some = tuple(
        Grants(rule, asked)
        for rule in rules
        if rule.tree.get("resourceNames") and (asked := tuple(_named(need, rule.tree, namespace)))
    )
    return Evidence(some, unlimited=need.any_name)


def _all(need: Need, rules: Iterable[Rule], namespace: str) -> Iterator[Grants]:
    for rule in rules:
        asked = tuple(
            (verb, kind, "")
            for verb, kind in _questions(need, rule.tree)
            if allows(rule.tree, _request(verb, kind, _unnamed(need, verb, kind, namespace)))
        )
        if asked:
            yield Grants(rule, asked)


def _named(need: Need, tree: Tree, namespace: str) -> Iterator[tuple[str, Kind, str]]:
    for verb, kind in _questions(need, tree):
        if _nameless(verb, kind) or (_itself(kind) and namespace):
            continue
        names = [each for each in tree["resourceNames"] if each and (not need.only or each in need.only)]
        # Of those that a rule names the answer is the same for each.
        if names and allows(tree, _request(verb, kind, names[0])):
            yield from ((verb, kind, each) for each in names)


def _unnamed(need: Need, verb: str, kind: Kind, namespace: str) -> str:
    """The name with which it is asked whether all are allowed."""
    if _nameless(verb, kind) or verb in SELECTED:
        return ""
    # A namespace lies in itself, so what is bound in it is about this one (requestinfo.go).
    return namespace if _itself(kind) and namespace else need.name


def _nameless(verb: str, kind: Kind) -> bool:
    return verb in NAMELESS and not kind.subresource


def _itself(kind: Kind) -> bool:
    return (kind.group, kind.resource) == ("", "namespaces")


def _request(verb: str, kind: Kind, name: str) -> Request:
    return Request(verb, kind.group, kind.resource, kind.subresource, name=name)


def _questions(need: Need, tree: Tree) -> Iterator[tuple[str, Kind]]:
    for ask in need.asks:
        for verb in _verbs(ask, tree):
            for kind in _kinds(ask, tree):
                yield verb, kind


def _verbs(ask: Ask, tree: Tree) -> Iterator[str]:
    """The verbs to ask for; of those that are any that begin so, those that the rule has."""
    for verb in ask.verbs:
        if not verb.endswith(":*"):
            yield verb
            continue
        start = verb.removesuffix("*")
        yield from (each for each in tree.get("verbs") or () if each.startswith(start))
        yield start + ANY


def _kinds(ask: Ask, tree: Tree) -> Iterator[Kind]:
    """The kinds to ask for; of those that are any, those that the rule has, or one that it can have by ``*`` only."""
    for kind in ask.on:
        if kind.resource == "*":
            groups = tree.get("apiGroups") or ()
            yield from (_read(word, group) for group in groups for word in tree.get("resources") or ())
        elif kind.subresource == "*":
            start = f"{kind.resource}/"
            for word in tree.get("resources") or ():
                if word.startswith(start) and word not in (start, f"{start}*"):
                    yield kind._replace(subresource=word.removeprefix(start))
            yield kind._replace(subresource=ANY)
        else:
            yield kind


def _read(word: str, group: str) -> Kind:
    resource, _, subresource = word.partition("/")
    return Kind(group, resource, subresource)
