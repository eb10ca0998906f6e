"""What is written about the audit is what it does."""

from tests.rules_table import DOCUMENT, written


def test_the_table_of_rules_is_the_catalogue() -> None:
    document = DOCUMENT.read_text()
    assert written(document) == document, "write it anew: make manifests"
