"""A user's mistake is one sentence that says what to write, and the place it is about.

The core raises it; the doors decide what it becomes: a denied admission, or ``file:line: reason`` on stderr.
"""

from collections.abc import Sequence

Segment = str | int


class Refused(ValueError):  # noqa: N818 - it is a refusal, not a failure of ours
    """Bad input, refused whole.

    ``path`` leads from the top of the object to the value at fault, for example
    ``("metadata", "annotations", "podfacts.dev/mount-path")``.
    """

    def __init__(self, path: Sequence[Segment], reason: str) -> None:
        self.path = tuple(path)
        self.reason = reason
        super().__init__(f"{place(self.path)}: {reason}" if self.path else reason)


def place(path: Sequence[Segment]) -> str:
    """The path as Kubernetes writes it in its own messages: ``spec.containers[0].env``.

    A key that is no plain word stands in brackets: ``metadata.annotations[podfacts.dev/containers]``.
    """
    text = ""
    for segment in path:
        if isinstance(segment, int) or not segment.replace("_", "").replace("-", "").isalnum():
            text += f"[{segment}]"
        else:
            text += f".{segment}" if text else segment
    return text


class BadInput(ValueError):  # noqa: N818 - the sentence is the name
    """What was given cannot be used: ``file:line: reason``, one a line, as the command line prints it."""
