"""What is in every cluster and in few files: whom Kubernetes itself makes strong enough to be worth becoming.

Asked of files only. Of a live cluster what is there was read, and what is not there is not there.
"""

from collections.abc import Iterator

from podfacts.audit.bootstrap import PLACE
from podfacts.audit.inventory import Binding, Inventory, Subject

# By the name of the ClusterRoleBinding, which is that of its ClusterRole too (plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
STRONG = (
    (
        "system:controller:clusterrole-aggregation-controller",
        "ServiceAccount",
        "clusterrole-aggregation-controller",
    ),
    ("system:kube-controller-manager", "User", "system:kube-controller-manager"),
)


def presumed(inventory: Inventory) -> Iterator[Binding]:
    """The bindings that are taken to be there beside those of the inventory."""
    there = {each.address for each in inventory.bindings}
    for name, kind, subject in () if inventory.is_live else STRONG:
        home = "kube-system" if kind == "ServiceAccount" else ""
        role = ("ClusterRole", "", name)
        binding = Binding("", name, role, (Subject(kind, home, subject),), PLACE, {})
        if binding.address not in there:
            yield binding
