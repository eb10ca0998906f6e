"""What is explained of a pod, and the lines it is explained by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from podfacts.core.carried import Owner
from podfacts.core.catalogue import Catalogue
from podfacts.core.observed import Observed
from podfacts.core.options import Options
from podfacts.core.pod import Tree

# no: a fact is missing or not true. unknown: it could not be seen. note: worth knowing, nothing is wrong.
State = Literal["ok", "no", "unknown", "note"]


class Line(NamedTuple):
    """One sentence about one part."""

    part: str
    state: State
    text: str


class Webhook(NamedTuple):
    """An entry of a MutatingWebhookConfiguration, and that one's name."""

    configuration: str
    tree: Tree


@dataclass(frozen=True)
class Seen:
    """What could be read. ``None`` is what could not, and ``unseen`` says why, by what it is: ``node``, ``webhooks`` ..."""

    pod: Tree
    catalogue: Catalogue
    namespace: Tree | None = None
    node: Tree | None = None
    webhooks: Sequence[Webhook] | None = None
    owner: Owner | None = None
    unseen: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace_labels(self) -> Mapping[str, str] | None:
        """Those of the pod's namespace."""
        return None if self.namespace is None else self.namespace["metadata"].get("labels") or {}


@dataclass(frozen=True)
class Subject:
    """What is explained: what was seen, the pod's record, and what it asks for."""

    seen: Seen
    pod: Observed
    asked: Options

    @property
    def outdated(self) -> bool:
        """Whether the profile has changed since the pod was made."""
        return self.pod.record is not None and self.pod.record.hash != self.asked.profile.hash
