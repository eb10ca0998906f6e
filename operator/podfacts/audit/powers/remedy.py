"""The smallest change that ends a hit, as a sentence with the words of the rule in it."""

from collections.abc import Sequence

from podfacts.audit.inventory import Rule
from podfacts.audit.powers.danger import ANY
from podfacts.audit.powers.evidence import Evidence, Grants
from podfacts.core.resources import MORE_THAN_READING, word
from podfacts.rights.manifest import listed, visible
from podfacts.rights.request import Request
from podfacts.rights.rules import allows

SHOWN = 12
RULES_SHOWN = 5
# They mean something on few resources, so nothing else is lost with them.
SPECIAL = ("escalate", "bind", "impersonate", "approve")


def change(found: Evidence, instead: str) -> str:
    """What to take away, so that the evidence is none."""
    parts = [_taken(each) for each in found.grants]
    sentence = listed_parts(parts)
    return f"{sentence[0].upper()}{sentence[1:]}{f'; if it is needed, {instead} instead' if instead else ''}."


def replacing(rules: Sequence[Rule]) -> str:
    """What to do about rules that are everything."""
    return f"Write the rules that are needed instead of {_rules(rules)}, or bind a smaller role."


def unwildcarded(rules: Sequence[Rule]) -> str:
    """What to do about each ``*``."""
    return f"Write the words that are needed instead of * in {_rules(rules)}."


def listed_parts(parts: Sequence[str]) -> str:
    """Changes, one after the other."""
    different = list(dict.fromkeys(parts))
    more = f", and so on in {len(different) - RULES_SHOWN} more rules" if len(different) > RULES_SHOWN else ""
    return ", and ".join(different[:RULES_SHOWN]) + more


def _rules(rules: Sequence[Rule]) -> str:
    return listed([visible(str(each)) for each in rules], RULES_SHOWN)


def _taken(grants: Grants) -> str:
    """The change of one rule."""
    tree, place = grants.rule.tree, visible(str(grants.rule))
    given = list(dict.fromkeys(tree.get("verbs") or ()))
    verbs = list(dict.fromkeys(verb for verb, _, _ in grants.asked))
    resources = [each for each in dict.fromkeys(tree.get("resources") or ()) if _gives(each, grants)]
    if fields := [field for field, words in (("verbs", given), ("resources", resources)) if "*" in words]:
        left = verbs if fields == ["verbs"] else _kinds(grants)
        return (
            f"write the {' and '.join(fields)} that are needed instead of * in {place}, without {_few(left)}"
        )
    only_some = len(resources) < len(set(tree["resources"]))
    if only_some and all(each.partition("/")[2] in MORE_THAN_READING for each in resources):
        return f"remove the resource{_s(resources)} {_few(resources)} from {place}"  # No verb of them is harmless.
    if len(verbs) < len(given) and (not only_some or all(each.startswith(SPECIAL) for each in verbs)):
        return f"remove the verb{_s(verbs)} {_few(verbs)} from {place}"
    if len(verbs) < len(given):
        return f"move {_few(resources)} from {place} to a rule without the verb{_s(verbs)} {_few(verbs)}"
    if only_some:
        return f"remove the resource{_s(resources)} {_few(resources)} from {place}"
    return f"remove {place}"


def _gives(written: str, grants: Grants) -> bool:
    """Whether this word for a resource is one that gives it."""
    tree = {"verbs": ["*"], "apiGroups": ["*"], "resources": [written]}
    return any(
        allows(tree, Request(verb, kind.group, kind.resource, kind.subresource))
        for verb, kind, _ in grants.asked
    )


def _kinds(grants: Grants) -> list[str]:
    words = (word("", kind.resource, kind.subresource) for _, kind, _ in grants.asked)
    return [each.replace(ANY, "*") for each in dict.fromkeys(words)]


def _few(words: Sequence[str]) -> str:
    return listed(list(map(visible, words)), SHOWN)


def _s(words: Sequence[str]) -> str:
    return "s" if len(words) > 1 else ""
