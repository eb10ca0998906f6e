"""The table of the audit's rules in its document, made from the catalogue: ``python -m tests.rules_table`` writes it anew."""

import sys

from podfacts.audit.catalogue import RULES
from tests.rbac_table import CHECKOUT, between

DOCUMENT = CHECKOUT / "docs" / "audit.md"
BEGIN = "<!-- made from operator/podfacts/audit/catalogue.py by `make manifests` -->"


def table() -> str:
    """A row a rule."""
    rows = [f"| {each.rule} | {each.title} | {each.why} | {each.source} |" for each in RULES]
    return "\n".join(("| | | why it matters | from |", "|---|---|---|---|", *rows))


def written(document: str) -> str:
    """The document with the table as it must be."""
    return between(document, BEGIN, table())


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
    sys.stdout.write("docs/audit.md has the rules of the catalogue\n")
