"""Whether rules amount to everything: by ``*``, by lists, or by several of them together.

They do when they let whoever has them read, make, change and delete objects of every kind that Kubernetes has; of a namespace,
of every kind that lies in one. What is left out then (URLs, verbs such as ``escalate``, kinds of others) can be had by these.
"""

from collections.abc import Sequence

from podfacts.audit.inventory import Rule
from podfacts.audit.powers.danger import ANY
from podfacts.core.resources import BUILT_IN
from podfacts.rights.request import NAMELESS, Request
from podfacts.rights.rules import allows

# One verb of each line is enough: what may be listed is read, what may be patched is changed.
WAYS = (("create",), ("delete", "deletecollection"), ("update", "patch"), ("list", "get"))
OF_ALL = NAMELESS | {"list"}
# First what nearly nobody may: so nearly every role is through after one question.
LOCAL = (
    ("rbac.authorization.k8s.io", "rolebindings"),
    *((group, each) for group, scoped in BUILT_IN.items() for each in sorted(scoped.namespaced)),
)
ALL = (
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    *LOCAL,
    # Nobody writes componentstatuses: they are reports.
    *(
        (group, each)
        for group, scoped in BUILT_IN.items()
        for each in sorted(scoped.cluster - {"componentstatuses"})
    ),
)


def everything(rules: Sequence[Rule], namespace: str) -> tuple[Rule, ...]:
    """The rules that amount to everything, as few as come first; none when they do not."""
    by: dict[Rule, None] = {}
    for group, resource in LOCAL if namespace else ALL:
        for verbs in WAYS:
            asked = [Request(each, group, resource, name="" if each in OF_ALL else ANY) for each in verbs]
            giver = _giver(asked, by, rules)
            if giver is None:
                return ()
            by[giver] = None
    return tuple(each for each in rules if each in by)


def _giver(asked: Sequence[Request], before: dict[Rule, None], rules: Sequence[Rule]) -> Rule | None:
    """One of the rules that allow one of the requests: one that is needed already, if it does."""
    for some in (before, rules):
        for rule in some:
            if any(allows(rule.tree, each) for each in asked):
                return rule
    return None
