"""The README's table of rights, made from ``rbac/``: ``python -m tests.rbac_table`` writes it anew, and a test compares.

A rule's row is its verbs and resources, where they count, and from the comment above it why. The call stands there too.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Tree = dict[str, Any]

CHECKOUT = Path(__file__).parents[1]
README = CHECKOUT / "README.md"
# In the order of the table; who holds them beside the installation says where it comes from.
FILES = {
    "webhook.yaml": "",
    "controller.yaml": "",
    "evict/evict.yaml": "with the overlay `evict`",
    "audit/audit.yaml": "with the overlay `audit`",
    "apps.yaml": "bound to nobody",
}
BEGIN, END = "<!-- made from rbac/ by `make manifests` -->", "<!-- until here -->"


class Ruled(NamedTuple):
    """One rule of a role, with the comment above it: the call, and why it is made."""

    role: Tree
    rule: Tree
    call: str
    why: str


def ruled(path: Path) -> Iterator[Ruled]:
    """Each rule of a file in ``rbac/``."""
    for document in re.split(r"^---\n", path.read_text(), flags=re.MULTILINE):
        role = yaml.safe_load(document) or {}
        rules = role.get("rules", [])
        comments = list(_comments(document.partition("\nrules:\n")[2]))
        for comment, rule in zip(comments, rules, strict=True):
            call, _, why = comment.partition(": ")
            yield Ruled(role, rule, call, why)


def _comments(rules: str) -> Iterator[str]:
    above: list[str] = []
    for line in rules.splitlines():
        if line.startswith("  #"):
            above.append(line.strip("# "))
        elif line.startswith("  - "):
            yield " ".join(above)
            above = []


def table() -> str:
    """A row a rule."""
    lines = ["| role | may | of | where | why |", "|---|---|---|---|---|"]
    for file, note in FILES.items():
        lines += [_row(each, note) for each in ruled(CHECKOUT / "rbac" / file)]
    return "\n".join(lines)


def _row(ruled: Ruled, note: str) -> str:
    metadata, rule = ruled.role["metadata"], ruled.rule
    named = f" named `{'`, `'.join(rule['resourceNames'])}`" if rule.get("resourceNames") else ""
    of = ", ".join(f"`{each}`" for each in rule["resources"]) + named
    where = f"`{metadata['namespace']}`" if "namespace" in metadata else "the cluster"
    if note == "bound to nobody":
        where = "where you bind it"
    who = f"`{metadata['name']}`" + (f", {note}" if note else "")
    cells = (who, ", ".join(rule["verbs"]), of, where, ruled.why.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def written(readme: str) -> str:
    """The README with the table as it must be."""
    return between(readme, BEGIN, table())


def between(document: str, begin: str, made: str) -> str:
    """The document with what is made, between its two marks. Raises when they are gone."""
    before, found, rest = document.partition(begin)
    _, end, after = rest.partition(END)
    if not found or not end:
        raise ValueError(f"there must be {begin} and {END}, each on a line of its own")
    return f"{before}{begin}\n{made}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
    sys.stdout.write("README.md has the rights of rbac/\n")
