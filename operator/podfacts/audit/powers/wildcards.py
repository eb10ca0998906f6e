"""Rules with a single ``*``: they give what is in it today, and what will be."""

from collections.abc import Iterator, Sequence

from podfacts.audit.finding import Severity
from podfacts.audit.inventory import Rule

READS = frozenset(("get", "list", "watch", "head"))


def wildcards(rules: Sequence[Rule], namespace: str) -> Iterator[tuple[Rule, Severity]]:
    """The rules that have one, with how bad it is: low when all of it is reading, or by name.

    URLs are given by ClusterRoleBindings only; verbs of one URL are no more than it has.
    """
    for rule in rules:
        tree = rule.tree
        verbs = tree.get("verbs") or ()
        if tree.get("nonResourceURLs"):
            if not namespace and "*" in tree["nonResourceURLs"]:
                yield rule, Severity.LOW if READS.issuperset(verbs) else Severity.MEDIUM
        elif any("*" in (tree.get(each) or ()) for each in ("verbs", "resources", "apiGroups")):
            small = READS.issuperset(verbs) or tree.get("resourceNames")
            yield rule, Severity.LOW if small else Severity.MEDIUM
