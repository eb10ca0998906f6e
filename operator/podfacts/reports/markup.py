"""HTML as a tree of texts, each escaped where it is put in: what a cluster's objects are called is never markup."""

from html import escape

from podfacts.rights.manifest import visible

VOID = frozenset(("input", "meta"))


class Markup(str):
    """A text that is markup already."""

    __slots__ = ()


Child = str | Markup


def element(name: str, /, *children: Child, **attributes: str | int | bool) -> Markup:
    """An element.

    ``class_`` is an attribute without its ``_``, any other ``_`` is a ``-``; ``True`` has no value, ``False`` is left out.
    """
    words = "".join(_attribute(key, value) for key, value in attributes.items() if value is not False)
    if name in VOID:
        return Markup(f"<{name}{words}>")
    return Markup(f"<{name}{words}>{together(*children)}</{name}>")


def together(*children: Child) -> Markup:
    """One after the other."""
    return Markup("".join(each if isinstance(each, Markup) else escape(visible(each)) for each in children))


def lines(text: str) -> list[Child]:
    """A text whose ends of lines are meant, for a ``pre``: in any other text they are escaped, as what is not printed."""
    first, *more = text.split("\n")
    return [first, *(child for each in more for child in (Markup("\n"), each))]


def _attribute(key: str, value: str | int | bool) -> str:
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(visible(str(value)))}"'
