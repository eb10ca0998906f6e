"""Which rules can have an answer to a need at all, by the words in them: so that of most rules nothing is asked.

A rule allows nothing of a need without one of its resources, verbs and API groups each, or a ``*``. The rest only the
evaluator can say.
"""

from collections.abc import Sequence
from typing import NamedTuple

from podfacts.audit.inventory import Rule, Tree
from podfacts.audit.powers.danger import ANY, Need


class Words(NamedTuple):
    """Words of which a rule must have one of each sort. ``ANY`` stands for whatever there is."""

    resources: frozenset[str]
    verbs: frozenset[str]
    groups: frozenset[str]


def wanted(need: Need) -> Words:
    """The words of a need, as rules would write them."""
    verbs = {verb for ask in need.asks for verb in ask.verbs}
    open_ended = any(each.endswith(":*") for each in verbs)
    kinds = [kind for ask in need.asks for kind in ask.on]
    any_kind = any(each.resource == "*" for each in kinds)
    return Words(
        need.words,
        frozenset({ANY} if open_ended else {"*", *verbs}),
        frozenset({ANY} if any_kind else {"*", *(each.group for each in kinds)}),
    )


def written(tree: Tree) -> Words:
    """The words of a rule."""
    words = tree.get("resources") or ()
    # A subresource of which any will do is asked for as users/*.
    of_any = [f"{word.partition('/')[0]}/*" for word in words if "/" in word]
    verbs, groups = tree.get("verbs") or (), tree.get("apiGroups") or ()
    return Words(frozenset((*words, *of_any, ANY)), frozenset((*verbs, ANY)), frozenset((*groups, ANY)))


class Candidates:
    """Rules, and their words."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [(rule, *written(rule.tree)) for rule in rules]

    def of(self, want: Words) -> list[Rule]:
        """Those that may have an answer."""
        return [
            rule
            for rule, resources, verbs, groups in self._rules
            if not want.resources.isdisjoint(resources)
            and not want.verbs.isdisjoint(verbs)
            and not want.groups.isdisjoint(groups)
        ]
