"""A question about files: who may do what once these are applied."""

from collections.abc import Sequence
from typing import IO

from podfacts.audit.inventory import Inventory
from podfacts.offline.audit import NAMESPACE, inventory_of


def asked_of(sources: Sequence[str], namespace: str | None, stdin: IO[bytes]) -> tuple[Inventory, str]:
    """What the files hold, and the namespace that is meant where none is named. Raises ``BadInput``.

    That is the one given, or the one that objects without a namespace land in: to a question and to a manifest ``-n`` is
    the same.
    """
    return inventory_of(sources, namespace, stdin), namespace or NAMESPACE
