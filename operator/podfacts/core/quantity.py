"""Requests and limits that an admin sets for what we add: all four, and none larger than its limit.

The API server would refuse every pod that gets them otherwise, one by one, and far from where they were written.
"""

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

from podfacts.core.refusal import Refused
from podfacts.core.shape import Place, keyed, text

# The forms of k8s.io/apimachinery/pkg/api/resource that people write; no exponents.
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|Ki|Mi|Gi)?")
SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}
# As the API server writes them: it also knows n and u, and exponents.
SERVED = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:[eE]([+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i)?)")
FINER = {"n": Decimal("1e-9"), "u": Decimal("1e-6")}
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


def divided(quantity: str, divisor: str) -> str | None:
    """The quantity in whole divisors, rounded up as the Downward API does; ``None`` when it is no quantity.

    The rule is ``resource.ConvertResourceCPUToString`` and its siblings in ``pkg/api/v1/resource/helpers.go``.
    """
    match = SERVED.fullmatch(quantity)
    if not match:
        return None
    scale = Decimal(10) ** int(match[2]) if match[2] else {**SUFFIXES, **FINER}[match[3] or ""]
    suffix = divisor.removeprefix("1")
    return str(int((Decimal(match[1]) * scale / SUFFIXES[suffix]).to_integral_value(ROUND_CEILING)))
