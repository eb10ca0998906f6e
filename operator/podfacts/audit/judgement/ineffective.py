"""What a rule says and does not give: the author believes something untrue.

What counts is how the authorizer asks (``apiserver/pkg/endpoints/request/requestinfo.go``) and compares
(``pkg/apis/rbac/v1/evaluation_helpers.go``), both of Kubernetes 1.36.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from podfacts.audit.asked import UNLISTED
from podfacts.audit.inventory import Rule, Tree
from podfacts.core.resources import cluster_scoped
from podfacts.rights.request import NAMELESS, Request
from podfacts.rights.rules import allows

# The namespace of a request for namespaces/foo is foo: a RoleBinding there gives it. These are asked without a name.
OF_ALL_NAMESPACES = NAMELESS | {"list"}
APPLYING = frozenset(("patch", "update", "*"))


@dataclass(frozen=True, slots=True)
class Void:
    """A rule that gives nothing, or not all that it says: why, and what to write.

    ``whole`` when nothing is left; ``is_news`` when somebody may have meant it otherwise.
    """

    rule: Rule
    reason: str
    fix: str
    whole: bool
    is_news: bool = True


def voids(rules: Sequence[Rule], *, namespaced: bool) -> Iterator[Void]:
    """What is ineffective in the rules of a role that is given by a RoleBinding, or else cluster-wide."""
    applied = _Applied(rules)
    for rule in rules:
        found = _void(rule, applied, namespaced=namespaced)
        if found:
            yield found


def _void(rule: Rule, applied: "_Applied", *, namespaced: bool) -> Void | None:
    tree = rule.tree
    if tree.get("nonResourceURLs"):
        if not namespaced:
            return None
        urls = ", ".join(tree["nonResourceURLs"])
        reason = f"a RoleBinding gives no URLs ({urls})"
        # That a role for all should give all here, and cannot, is no news.
        is_news = tree["nonResourceURLs"] != ["*"]
        return Void(rule, reason, "Give URLs by a ClusterRoleBinding.", whole=True, is_news=is_news)
    resources = tree.get("resources") or ()
    if literal := [each for each in resources if _literal(each)]:
        return Void(rule, *_star(literal), whole=len(literal) == len(resources))
    if words := _partial(tree):
        reason = f"a * stands for all only by itself, and {', '.join(words)} matches nothing"
        lists = (tree.get(field) or () for field in ("verbs", "apiGroups", "resources"))
        whole = any(set(words).issuperset(each) for each in lists)
        return Void(rule, reason, "Write the whole words, or * alone.", whole=whole)
    if namespaced and (wide := [each for each in resources if _cluster_only(tree, each)]):
        reason = f"{', '.join(wide)} lie in no namespace, so a RoleBinding gives nothing of them"
        fix = f"Give {', '.join(wide)} by a ClusterRoleBinding, or take them out of the rule."
        return Void(rule, reason, fix, whole=len(wide) == len(resources))
    if _never_named(tree) and not applied.to(tree):
        verbs = ", ".join(tree["verbs"])
        reason = f"a request to {verbs} has no name to compare with resourceNames"
        return Void(
            rule, reason, f"Take resourceNames out of the rule, if {verbs} of any is meant.", whole=True
        )
    return None


def _literal(resource: str) -> bool:
    """``pods/*``, and ``*/*`` as well: a star for the subresource is a star, and nothing else."""
    return resource.endswith("/*")


def _star(literal: Sequence[str]) -> tuple[str, str]:
    words = ", ".join(literal)
    bases = [each.removesuffix("/*") for each in literal]
    plain = "* (all of everything)" if "*" in bases else "/log, /status and so on"
    return f"{words} is taken literally and matches no subresource", f"Write each subresource: {plain}."


def _partial(tree: Tree) -> list[str]:
    """The words with a star somewhere in them: groups such as *.example.com, resources such as pod*, verbs."""
    groups_and_verbs = (*(tree.get("apiGroups") or ()), *(tree.get("verbs") or ()))
    return [each for each in groups_and_verbs if "*" in each and each != "*"] + [
        each for each in tree.get("resources") or () if "*" in each.removeprefix("*/") and each != "*"
    ]


def _cluster_only(tree: Tree, resource: str) -> bool:
    """Whether a word means cluster-scoped things only. With a wildcard it may mean others too."""
    base = resource.partition("/")[0]
    groups = tree.get("apiGroups") or ()
    if base == "namespaces":
        return "/" not in resource and set(tree.get("verbs") or ()) <= OF_ALL_NAMESPACES
    # Whether a ClusterRole may be bound is asked in the namespace of the binding (registry/rbac/escalation_check.go).
    if resource == "clusterroles" and not {"bind", "*"}.isdisjoint(tree.get("verbs") or ()):
        return False
    return bool(groups) and all(cluster_scoped(each, base) or (each, base) in UNLISTED for each in groups)


def _never_named(tree: Tree) -> bool:
    # A subresource is always of something with a name; and an empty name in the list is the name of nameless requests.
    names, resources = tree.get("resourceNames") or (), tree.get("resources") or ()
    plain = all("/" not in each and each != "*" for each in resources)
    return bool(names) and "" not in names and plain and set(tree.get("verbs") or ()) <= NAMELESS


class _Applied:
    """What the rules of a role patch or update, by the words in them.

    Of those a rule that creates by name does give something: a server-side apply of what is not there yet asks whether its
    name may be created (``apiserver/pkg/endpoints/handlers/patch.go`` and ``update.go``, ``withAuthorization``).
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules

    @cached_property
    def _by_words(self) -> Mapping[tuple[str, str], Sequence[Tree]]:
        """By resource and name, each as it is written; the name "" is every name."""
        found: dict[tuple[str, str], list[Tree]] = defaultdict(list)
        for tree in (each.tree for each in self._rules):
            if not APPLYING.isdisjoint(tree.get("verbs") or ()):
                for resource in tree.get("resources") or ():
                    for name in tree.get("resourceNames") or ("",):
                        found[resource, name].append(tree)
        return found

    def to(self, tree: Tree) -> bool:
        """Whether one of those that the rule creates by name is among them."""
        return "create" in tree["verbs"] and any(
            allows(other, Request(verb, group, resource, "", "", name))
            for resource in tree.get("resources") or ()
            for name in tree["resourceNames"]
            for words in ((resource, name), (resource, ""), ("*", name), ("*", ""))
            for other in self._by_words.get(words, ())
            for group in tree.get("apiGroups") or ()
            for verb in ("patch", "update")
        )
