"""Writes what became of each Profile into its status, so that `kubectl get profiles` says it."""

from datetime import UTC, datetime

from podfacts.controller.apiserver import Failed, Resource
from podfacts.controller.reach import Reach
from podfacts.core.profile_status import status_patch


class Statuses:
    """The statuses. A conflict is tried again: whoever was quicker is seen by then."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    async def write(self, name: str) -> bool:
        """Write one, if it does not say so already. Raises Failed."""
        tree, verdict = self._reach.table.profiles.get(name), self._reach.table.catalogue.verdicts.get(name)
        if tree is None or verdict is None:
            return False
        patch = status_patch(tree, verdict, timestamp())
        if not patch or not self._reach.leads():
            return False
        resource = Resource("podfacts.dev", "v1alpha1", "profiles", name, subresource="status")
        try:
            await self._reach.api.merge(resource, patch)
        except Failed as error:
            if error.reason == "absent":
                return False
            raise
        return True


def timestamp() -> str:
    """Now, as the API server writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
