"""Records of ten thousand pods hold each text once, and say what they said."""

import json
from typing import Any

from podfacts.controller.records import Pods, shared
from podfacts.core.observed import observed
from tests.core.test_observed import pod


def read_anew(**changes: Any) -> Any:
    """A pod as if it had come through the network: no text is the same object as before."""
    return json.loads(json.dumps(pod(**changes)))


def test_a_shared_record_is_equal() -> None:
    for tree in (read_anew(), read_anew(annotations={}), read_anew(ownerReferences=[])):
        assert shared(observed(tree)) == observed(tree)


def test_two_pods_hold_their_texts_once() -> None:
    known = Pods()
    first, second = (observed(read_anew(name=name, uid=f"u-{name}")) for name in ("a", "b"))
    assert first.controller is not None
    assert second.controller is not None
    assert first.controller.uid is not second.controller.uid, "else this shows nothing"
    for each in (first, second):
        assert known.put(each)
        assert not known.put(each), "nothing new"
    one, other = known.get(first.key), known.get(second.key)
    assert one is not None
    assert other is not None
    assert one.node is other.node
    assert one.created is other.created
    assert one.controller is not None
    assert other.controller is not None
    assert one.controller.uid is other.controller.uid
    images = [each.tree["status"]["containerStatuses"][0]["imageID"] for each in (one, other)]
    assert images[0] is images[1]
