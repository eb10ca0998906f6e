"""What is remembered of objects, each under its uid: two objects may have one name, one after the other.

The events of one object come in order. Those of two do not: that the old one is gone may be heard after the new one was.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Generic, TypeVar

from podfacts.core.observed import Key, Observed

T = TypeVar("T")


class Named(Generic[T]):
    """Objects by name. Of two that have the same, the one that was seen first is on its way out."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, T]] = {}

    def __iter__(self) -> Iterator[T]:
        return (next(reversed(each.values())) for each in self._names.values())

    def get(self, name: str) -> T | None:
        """The present one of that name."""
        found = self._names.get(name)
        return next(reversed(found.values())) if found else None

    def put(self, name: str, uid: str, thing: T) -> T | None:
        """Take one; return what was known of it before."""
        uids = self._names.setdefault(name, {})
        before = uids.get(uid)
        uids[uid] = thing
        return before

    def drop(self, name: str, uid: str) -> None:
        """Forget one."""
        if found := self._names.get(name):
            found.pop(uid, None)
            if not found:
                del self._names[name]


class Pods:
    """Records by key, and which are on a node, in a namespace, of a profile."""

    def __init__(self) -> None:
        self._records: dict[Key, Observed] = {}
        self._sets: dict[tuple[str, str], set[Key]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: Key) -> Observed | None:
        """The record."""
        return self._records.get(key)

    def put(self, pod: Observed) -> bool:
        """Take a record; return whether it is new or another one."""
        before = self._records.get(pod.key)
        if before == pod:
            return False
        if before:
            self.drop(pod.key)
        self._records[pod.key] = shared(pod)
        for each in _places(pod):
            self._sets[each].add(pod.key)
        return True

    def drop(self, key: Key) -> None:
        """Forget it."""
        if pod := self._records.pop(key, None):
            for each in _places(pod):
                self._sets[each].discard(key)
                if not self._sets[each]:
                    del self._sets[each]

    def keys(self) -> Iterable[Key]:
        """All of them."""
        return tuple(self._records)

    def youngest(self) -> str:
        """When the last one was created, by the API server's clock; "" if there is none."""
        return max((each.created for each in self._records.values()), default="")

    def on_node(self, name: str) -> Iterable[Key]:
        """Those on a node."""
        return tuple(self._sets.get(("node", name), ()))

    def in_namespace(self, name: str) -> Iterable[Key]:
        """Those in a namespace."""
        return tuple(self._sets.get(("namespace", name), ()))

    def of_profile(self, name: str) -> Iterable[Key]:
        """Those of a profile."""
        return tuple(self._sets.get(("profile", name), ()))


def shared(pod: Observed) -> Observed:
    """An equal record whose texts are shared with others: but for its name and uid, a pod says what its neighbours say."""
    controller, record = pod.controller, pod.record
    return replace(
        pod,
        key=Key(sys.intern(pod.key.namespace), pod.key.name, pod.key.uid),
        node=sys.intern(pod.node),
        profile=sys.intern(pod.profile),
        record=record and type(record)(*map(sys.intern, record)),
        controller=controller and type(controller)(*map(sys.intern, controller)),
        created=sys.intern(pod.created),
        tree=_shared(pod.tree),
    )


def _shared(tree: Any) -> Any:
    # Only a plain str can be interned, and whatever comes of JSON is one.
    if isinstance(tree, str):
        return sys.intern(tree)
    if isinstance(tree, Mapping):
        return {sys.intern(key): _shared(value) for key, value in tree.items()}
    return [_shared(each) for each in tree] if isinstance(tree, list) else tree


def _places(pod: Observed) -> tuple[tuple[str, str], ...]:
    return ("node", pod.node), ("namespace", pod.key.namespace), ("profile", pod.profile)
