"""The words that findings share."""

from collections.abc import Collection, Mapping, Sequence

from podfacts.audit.bootstrap import is_of_kubernetes
from podfacts.audit.catalogue import RULES
from podfacts.audit.inventory import Binding, Rule, Subject
from podfacts.audit.judgement.grants import Grant
from podfacts.audit.powers.hits import Hit
from podfacts.rights.manifest import listed
from podfacts.rights.replacement import command, rule_text
from podfacts.rights.rules import Ref

SHOWN = 5
SHIPPED = "Kubernetes itself gives it this right."
LEAVE = "Leave it: Kubernetes needs it."
MASTERY = ("RB04", "RB05")
WHYS = {each.rule: each.why for each in RULES}


def why(rule: str) -> str:
    """Why a rule of the audit matters."""
    return WHYS.get(rule, "")


def capital(sentence: str) -> str:
    """The sentence with its first letter as it begins one; the rest as it is."""
    return sentence[:1].upper() + sentence[1:]


def binding_words(binding: Binding) -> str:
    """The binding and its role: RoleBinding a in shop, which gives the ClusterRole edit."""
    kind, _, name = binding.role
    return f"{binding}, which gives {kind} {name}"


def listed_powers(hits: Sequence[Hit], rules: Sequence[Rule]) -> str:
    """What hits allow, as the end of a sentence; of rules that none hits, what they say."""
    if hits:
        return listed([each.what for each in hits], SHOWN)
    return f"has these rights: {'; '.join(_rights(rules))}"


def _rights(rules: Sequence[Rule]) -> list[str]:
    said = [rule_text(each.tree) for each in rules]
    return [*said[:SHOWN], *([f"{len(said) - SHOWN} more rules"] if len(said) > SHOWN else [])]


def ending(hit: Hit, by: Mapping[Grant, Collection[Rule]]) -> str:
    """How to end a hit of these grants and rules: at the rules, or at the bindings where Kubernetes writes one of them."""
    cut = {grant: [each for each in hit.cut if each in rules] for grant, rules in by.items()}
    fixed = [grant for grant in cut if any(is_of_kubernetes(each, grant.role) for each in cut[grant])]
    if not fixed:
        return hit.fix
    # To be the master takes all of it; anything else ends only when nothing gives it.
    ends = fixed if hit.rule in MASTERY else [grant for grant in cut if cut[grant]]
    return " ".join(_smaller(each.subject, each.binding) for each in ends)


def _smaller(subject: Subject, binding: Binding) -> str:
    """What to do about a role that Kubernetes ships: nobody should change that, the API server would write it anew."""
    _, _, name = binding.role
    return f"Take {subject} out of the {binding}, and bind it to a role with what it needs instead of {name}."


def replaced(binding: Binding) -> str:
    """How to give each holder of a binding what it needs instead."""
    ref = Ref(binding.namespace, binding.name)
    return f"Give each account what it needs instead, and nobody else anything: {command(ref)} writes it."
