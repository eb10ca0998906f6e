"""What the controller knows of the cluster: records of pods, and the parts of nodes, namespaces and profiles.

All of it comes from the watches and is gone with the term. Whoever acts looks here at that moment, so it is always the
latest state that is acted on.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from podfacts.controller.apiserver import Tree
from podfacts.controller.records import Named, Pods
from podfacts.core.carried import node_values
from podfacts.core.catalogue import Catalogue, catalogue
from podfacts.core.facts import NAMESPACE_KINDS
from podfacts.core.observed import Key, Observed, namespace_part, node_part
from podfacts.core.profile import Profile


class Table:
    """Everything that is known. ``touched`` hears which pods have to be looked at again, ``judged`` of each new catalogue."""

    def __init__(
        self,
        built_in: Mapping[str, Profile],
        *,
        topology_labels: bool,
        touched: Callable[[Iterable[Key]], None],
        judged: Callable[[Iterable[str]], None],
    ) -> None:
        self.pods = Pods()
        self.nodes = Named[Tree]()
        self.namespaces = Named[Tree]()
        self.profiles = Named[Tree]()  # Whole objects.
        self.catalogue = Catalogue({})
        self._built_in = built_in
        self._topology_labels = topology_labels
        self._touched = touched
        self._judged = judged
        self._unjudged = True
        self._seen: dict[str, dict[Any, float]] = defaultdict(dict)

    def node(self, name: str, uid: str, tree: Tree | None) -> None:
        """Take a node. One that is gone tells nothing any more: its pods keep what they were told."""
        self._sight("nodes", (name, uid), tree)
        if tree is None:
            self.nodes.drop(name, uid)
            return
        after = dict(node_part(tree))
        before = self.nodes.put(name, uid, after)
        facts = self.catalogue.node_facts
        if before is None or node_values(facts, before) != node_values(facts, after):
            self._touched(self.pods.on_node(name))

    def namespace(self, name: str, uid: str, tree: Tree | None) -> None:
        """Take a namespace."""
        self._sight("namespaces", (name, uid), tree)
        if tree is None:
            self.namespaces.drop(name, uid)
            return
        after = dict(namespace_part(tree))
        before = self.namespaces.put(name, uid, after)
        if before is None or self._named(before) != self._named(after):
            self._touched(self.pods.in_namespace(name))

    def profile(self, name: str, uid: str, tree: Tree | None) -> None:
        """Take a Profile; it is judged with all others, in ``settled``."""
        self._sight("profiles", (name, uid), tree)
        if tree is None:
            self.profiles.drop(name, uid)
        else:
            self.profiles.put(name, uid, tree)
        self._unjudged = True

    def pod(self, pod: Observed) -> bool:
        """Take a pod; return whether it is new or another one than before."""
        self._sight("pods", pod.key, pod)
        return self.pods.put(pod)

    def forget_pod(self, key: Key) -> None:
        """A pod is gone."""
        self._sight("pods", key, None)
        self.pods.drop(key)

    def unseen(self, plural: str, since: float) -> list[Any]:
        """What was not seen since then: keys of pods, else name and uid."""
        return [each for each, at in self._seen[plural].items() if at < since]

    def settled(self) -> None:
        """Judge the profiles, if there is anything new of them."""
        if not self._unjudged:
            return
        self._unjudged = False
        before = self.catalogue
        self.catalogue = catalogue(
            self.profiles,
            self._built_in,
            before if before.verdicts else None,
            topology_labels=self._topology_labels,
        )
        self._judged(tuple(self.catalogue.verdicts))
        for name in {*before.profiles, *self.catalogue.profiles}:
            if before.profiles.get(name) != self.catalogue.profiles.get(name):
                self._touched(self.pods.of_profile(name))

    def _sight(self, plural: str, which: object, thing: object) -> None:
        if thing is None:
            self._seen[plural].pop(which, None)
        else:
            self._seen[plural][which] = time.monotonic()

    def _named(self, namespace: Tree) -> list[object]:
        """What the profiles in force name of a namespace."""
        parts = {"namespaceLabel": "labels", "namespaceAnnotation": "annotations"}
        return [
            namespace["metadata"][parts[fact.kind]].get(fact.key)
            for profile in self.catalogue.profiles.values()
            for fact in profile.carried
            if fact.kind in NAMESPACE_KINDS
        ]
