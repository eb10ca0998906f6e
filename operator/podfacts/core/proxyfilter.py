"""What ``kubectl proxy`` lets through, as the flags that say so.

kubectl splits each flag at its commas and takes every part as a regular expression (RE2, not anchored) on the decoded
path (``k8s.io/kubectl/pkg/proxy/proxy_server.go``). A part that is none makes it exit, so a wrong one is refused here;
and since Python's expressions are not RE2's, only the part of the language is taken that means the same in both.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from podfacts.core.refusal import Refused
from podfacts.core.shape import Place

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

# Discovery, and what an app reads of its own kind of things; single objects and lists, and none of their subresources.
ACCEPTED = (
    "^/$",
    "^/(version|livez|readyz)$",
    "^/api(/v1)?$",
    "^/apis(/[^/]+(/[^/]+)?)?$",
    "^/api/v1/namespaces/[^/]+/(pods|services|endpoints)(/[^/]+)?$",
    "^/apis/discovery.k8s.io/v1/namespaces/[^/]+/endpointslices(/[^/]+)?$",
)
# Whatever a profile accepts: each is a way into another container, or past the API server's own checks.
NEVER = (
    "^/api/[^/]+/namespaces/[^/]+/[^/]+/[^/]+/(exec|attach|portforward|proxy|token)(/|$)",
    "^/api/[^/]+/nodes/[^/]+/proxy(/|$)",
    "^/api/[^/]+/proxy(/|$)",
)

LONGEST = 256
LEGAL = re.compile(r"[A-Za-z0-9/._~:^$()|\[\]*+?\\-]*")
# Both languages read these, and not alike: groups with options, two repetitions of one thing, escaped letters, classes
# that begin with a bracket or hold another one.
AMBIGUOUS = re.compile(r"\(\?|[*+?]{2}|\\[A-Za-z0-9]|\[\^?\]|\[[^\]]*\[|\[:")
# Nobody means these paths: what lets one through lets nearly everything through. Short, for Python's expressions go back
# and forth, and would take for ever over long ones.
NOBODYS = ("/~", "/a", "/a/b")


def parse_accept_paths(paths: Sequence[str], path: Place) -> tuple[str, ...]:
    """The expressions, each checked. Raises ``Refused``."""
    for index, each in enumerate(paths):
        if fault := _fault(each):
            raise Refused((*path, index), fault)
    return tuple(paths)


def _fault(expression: str) -> str | None:
    example = f"write one such as {ACCEPTED[-1]}"
    if len(expression) > LONGEST:
        return f"must be at most {LONGEST} characters"
    if "," in expression:
        return f"must hold no comma, for kubectl splits there: {example}"
    if not LEGAL.fullmatch(expression) or AMBIGUOUS.search(expression):
        return (
            f"{expression!r} holds more than literals, . ^ $ ( ) | [ ] * + ? and escaped signs, which is all that "
            f"is taken here: {example}"
        )
    try:
        compiled = re.compile(expression)
    except re.error as error:
        return f"{expression!r} is no regular expression ({error}): {example}"
    if not all(each.startswith("^/") for each in _alternatives(expression)):
        return f"must begin with ^/, and so each part between | signs, or it is looked for anywhere in a path: {example}"
    for each in NOBODYS:
        if compiled.search(each):
            return f"{expression!r} lets {each} through, and so nearly every path: {example}"
    return None


def _alternatives(expression: str) -> Iterator[str]:
    """The parts between the signs that stand in no group and no class."""
    depth, in_class, part, escaped = 0, False, "", False
    for sign in expression:
        if not escaped:
            in_class = (in_class or sign == "[") and sign != "]"
            depth += 0 if in_class else (sign == "(") - (sign == ")")
        if sign == "|" and not (escaped or in_class or depth):
            yield part
            part = ""
        else:
            part += sign
        escaped = sign == "\\" and not escaped
    yield part


def accepted(paths: Iterable[str]) -> Iterator[str]:
    """The expressions as kubectl needs them: it knows the root, ``/``, as the empty path."""
    written = list(paths)
    if any(re.search(each, "/") for each in written):
        yield "^$"
    yield from written


def rejected_methods(allowed: Iterable[str]) -> str:
    """The expression of every method but the ``allowed`` ones. kubectl has a list of refused methods only, and RE2 no "not"."""
    return f"^(?:{_others(sorted(allowed))})$"


def _others(words: Sequence[str]) -> str:
    """What is none of the words: it ends before one is whole, goes on behind its end, or differs in a letter."""
    firsts = sorted({word[0] for word in words if word})
    parts = [f"[^{''.join(firsts)}].*"] if firsts else [".+"]
    parts += [f"{first}(?:{_others([word[1:] for word in words if word[:1] == first])})" for first in firsts]
    return "|".join(parts if "" in words else [*parts, ""])
