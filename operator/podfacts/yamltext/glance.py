"""A glance that tells most documents need no reading: nothing is wrong with them, and nothing in them is for us.

Most of what ``helm template`` prints did not opt in, custom resource definitions of a megabyte among it, and finding
each node's meaning and place costs several times what libyaml's events cost. Any doubt, and the document is read whole.
"""

import re
from typing import Any

import yaml

from podfacts.yamltext.compose import DEEPEST

# Escapes can hide a word from a search in the text, these numbers are none in JSON, and a mark may be out of place.
DOUBTFUL = re.compile(r"\\[xuU\r\n]|\.(?:nan|inf)\b|\ufeff", re.IGNORECASE)
MERGE_KEY = "<<"


def is_sound_object(part: str) -> bool:
    """Whether the text is certainly one sound object, and no list of objects. ``False`` says nothing."""
    if DOUBTFUL.search(part):
        return False
    outline = _Outline()
    try:
        if not all(outline.takes(event) for event in yaml.parse(part, Loader=yaml.CSafeLoader)):
            return False
    except yaml.YAMLError:
        return False
    kind, api_version = outline.top.get("kind", ""), outline.top.get("apiVersion", "")
    return kind.isalnum() and not kind.endswith("List") and ("/" in api_version or api_version == "v1")


class _Outline:
    """What is open while events pass by, and the text values of the outermost mapping."""

    def __init__(self) -> None:
        self.top: dict[str, str] = {}
        # Of each open mapping the keys so far, of a list None.
        self.opened: list[set[str] | None] = []
        # The key whose value is next; None where a key is next, or nothing has keys.
        self.key: str | None = None
        self.documents = 0

    def takes(self, event: Any) -> bool:
        """Whether there is no doubt about what the event means."""
        what = type(event)
        if what is yaml.ScalarEvent:
            return self._takes_scalar(event)
        if what is yaml.MappingStartEvent or what is yaml.SequenceStartEvent:
            is_key = bool(self.opened) and self.opened[-1] is not None and self.key is None
            self.opened.append(set() if what is yaml.MappingStartEvent else None)
            self.key = None
            return not (event.anchor or event.tag or is_key or len(self.opened) > DEEPEST)
        if what is yaml.MappingEndEvent or what is yaml.SequenceEndEvent:
            self.opened.pop()
            self.key = None
        elif what is yaml.DocumentStartEvent:
            self.documents += 1
        return what is not yaml.AliasEvent and self.documents <= 1

    def _takes_scalar(self, event: Any) -> bool:
        if event.anchor or event.tag or not self.opened:
            return False
        keys = self.opened[-1]
        if keys is None:
            return True
        if self.key is not None:
            if len(self.opened) == 1:
                self.top[self.key] = event.value
            self.key = None
            return True
        self.key = event.value
        if self.key in keys or self.key == MERGE_KEY:
            return False
        keys.add(self.key)
        return True
