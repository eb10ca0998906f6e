"""Label selectors as the API server reads them (``apimachinery/pkg/apis/meta/v1/helpers.go``, ``LabelSelectorAsSelector``)."""

from collections.abc import Mapping
from typing import Any


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether labels match. A webhook without a selector takes all, as an empty one does."""
    selector = selector or {}
    exact = (selector.get("matchLabels") or {}).items()
    expressions = selector.get("matchExpressions") or ()
    return all(labels.get(key) == value for key, value in exact) and all(
        _matches(each, labels) for each in expressions
    )


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    values = expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":  # An absent label is not in the list either.
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
