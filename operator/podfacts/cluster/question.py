"""A question about a live cluster: its roles and bindings are read, and the answer is worked out from them."""

from collections.abc import Callable

from podfacts.audit.inventory import Inventory
from podfacts.cluster.access import ApiServer
from podfacts.cluster.inventory import inventory_of


def asked_of(
    api: ApiServer, namespace: str | None, progress: Callable[[int], None]
) -> tuple[Inventory, str, tuple[str, ...]]:
    """What the cluster holds, the namespace that is meant where none is named, and what could not be read.

    Raises ``NoAnswer``. The namespace is the one given, or the context's, as with kubectl.
    """
    inventory, unread = inventory_of(api, progress)
    return inventory, namespace or api.namespace, unread
