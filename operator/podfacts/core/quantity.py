"""Requests and limits that an admin sets for what we add: all four, and none larger than its limit.

The API server would refuse every pod that gets them otherwise, one by one, and far from where they were written.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from podfacts.core.refusal import Refused
from podfacts.core.shape import Place, keyed, text

# The forms of k8s.io/apimachinery/pkg/api/resource that people write; no exponents.
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|Ki|Mi|Gi)?")
SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
}
KINDS = ("cpu", "memory")


def parse_resources(tree: Any, path: Place) -> Mapping[str, Mapping[str, str]]:
    """``{"requests": {"cpu", "memory"}, "limits": {"cpu", "memory"}}``. Raises ``Refused``."""
    keyed(tree, path, required=("requests", "limits"))
    found: dict[str, dict[str, str]] = {}
    amounts: dict[tuple[str, str], Decimal] = {}
    for side in ("requests", "limits"):
        given = keyed(tree[side], (*path, side), required=KINDS)
        found[side] = {}
        for kind in KINDS:
            written = text(given, kind, (*path, side))
            match = QUANTITY.fullmatch(written)
            if not match or Decimal(match[1]) == 0:
                raise Refused((*path, side, kind), "must be an amount such as 100m or 64Mi, in double quotes")
            found[side][kind] = written
            amounts[side, kind] = Decimal(match[1]) * SUFFIXES[match[2] or ""]
    for kind in KINDS:
        if amounts["requests", kind] > amounts["limits", kind]:
            raise Refused((*path, "requests", kind), f"must not be above limits.{kind}")
    return found
