"""What a row of what is dangerous to have says: questions to the evaluator, how bad a yes is, and what it comes with.

- A row is met when **each** of its needs is, and a need when **any** of its asks is allowed, by one rule, whole.
- ``wide`` is the severity of what a ClusterRoleBinding gives; ``kube-system`` counts as the cluster; ``local`` is that of
  any other namespace, where there is one. A need that is ``wide`` no RoleBinding meets.
- Met only by rules with resourceNames, a row has the severity ``named``, never above the one without; no ``named``, no hit.
- **What a row covers gives no more than the row does**, so it is told with it and not beside it: whoever becomes every
  account of a namespace has what can be reached by its pods, Secrets and workloads. Nothing is covered that is more severe.

Of several rows of one rule the most severe is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from podfacts.audit.finding import Severity
from podfacts.core.resources import Kind

LOW, MEDIUM, HIGH, CRITICAL = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL
# Stands for whatever there is, or may be: no rule can mean it by its name.
ANY = "\0"


@dataclass(frozen=True, slots=True)
class Ask:
    """Any of the verbs on any of the kinds. A verb that ends in ``:*`` is any that begins so; so is a subresource ``*``."""

    verbs: tuple[str, ...]
    on: tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class Need:
    """Any of the asks. Only the names ``only`` count, if there are any.

    ``any_name``: a name is no limit, for whoever has the rest chooses it. ``by_name``: having all is another row.
    ``name`` is the one that Kubernetes asks with, where it always is the same.
    """

    asks: tuple[Ask, ...]
    wide: bool = False
    only: frozenset[str] = frozenset()
    any_name: bool = False
    by_name: bool = False
    name: str = ANY

    @property
    def words(self) -> frozenset[str]:
        """The resources of which a rule must have one, as it would write them; ``ANY`` when any will do."""
        return frozenset(word for ask in self.asks for kind in ask.on for word in _written(kind))


@dataclass(frozen=True, slots=True)
class Danger:
    """A row. ``says`` with ``every`` in it is what is allowed; with ``some`` and the names when only these are.

    ``cut`` is the need that the smallest change ends, ``instead`` what may be given for it; ``same`` asks all needs of one
    object; ``covers`` are keys of rows, and ``always`` means that it covers them though by name only.
    """

    rule: str
    wide: Severity
    local: Severity | None
    named: Severity | None
    says: str
    every: str
    some: str
    needs: tuple[Need, ...]
    cut: int = 0
    same: bool = False
    covers: tuple[str, ...] = ()
    always: bool = False
    instead: str = ""
    aspect: str = ""

    @property
    def key(self) -> str:
        """What ``covers`` of other rows calls it."""
        return f"{self.rule} {self.aspect}".strip()


def need(*asks: str, **more: object) -> Need:
    """``need("create update: pods jobs.batch", ...)``: verbs, and kinds as people write them."""
    return Need(tuple(map(_ask, asks)), **more)  # type: ignore[arg-type]  # A row that is wrong fails as it is read.


def wide(*asks: str, **more: object) -> Need:
    """The same, which is met by ClusterRoleBindings only."""
    return need(*asks, wide=True, **more)


def _ask(text: str) -> Ask:
    verbs, _, on = text.partition(": ")
    return Ask(tuple(verbs.split()), tuple(map(_kind, on.split())))


def _kind(word: str) -> Kind:
    whole, _, subresource = word.partition("/")
    resource, _, group = whole.partition(".")
    return Kind(group, resource, subresource)


def _written(kind: Kind) -> Iterator[str]:
    if kind.resource == "*":
        yield ANY
        return
    yield "*"
    if kind.subresource:
        yield f"*/{kind.subresource}"
    yield kind.resource + (f"/{kind.subresource}" if kind.subresource else "")
