"""What one check found: a state, a sentence, and what to do about it."""

from typing import Literal, NamedTuple

State = Literal["ok", "warn", "FAIL"]
# Not `kubectl apply -k rbac`: an overlay leaves parts of it away on purpose.
APPLY = "apply again what you installed with"


class Outcome(NamedTuple):
    """``cure`` is what to type or to ask for; "" when there is nothing to do."""

    state: State
    text: str
    cure: str = ""


def ok(text: str) -> Outcome:
    """As it should be."""
    return Outcome("ok", text)


def warn(text: str, cure: str = "") -> Outcome:
    """It works, and somebody should know."""
    return Outcome("warn", text, cure)


def fail(text: str, cure: str) -> Outcome:
    """It does not work, or is not safe."""
    return Outcome("FAIL", text, cure)
