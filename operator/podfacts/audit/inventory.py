"""What is audited: roles and bindings, and who is there to hold them, each knowing where it was read.

Of a live cluster all is known. Of files only what they hold: which accounts, namespaces and pods there are beside them
nobody can tell, and then it is ``None``, which is not "none".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from podfacts.rights.request import Account
from podfacts.rights.rules import Rights

Tree = Mapping[str, Any]
Address = tuple[str, str, str]  # Kind, namespace ("": of the cluster), name.


def named(address: Address) -> str:
    """An object in words: ``RoleBinding web in shop``."""
    kind, namespace, name = address
    return f"{kind} {name}" + (f" in {namespace}" if namespace else "")


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """A file and a line in it, counted from 1; of a live object ``cluster/<kind>/<namespace>/<name>``, line 1."""

    file: str
    line: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def live(kind: str, namespace: str, name: str) -> Place:
    """Where an object of a cluster is, as if clusters were folders; one of no namespace has an empty one."""
    return Place(f"cluster/{kind}/{namespace}/{name}")


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule (``PolicyRule``) as it is written: in the role ``origin``, as ``rules[index]`` of that."""

    tree: Tree
    place: Place
    origin: str  # The name of the role that it is written in: with aggregation, another than the one that gives it.
    index: int

    def __str__(self) -> str:
        return f"rules[{self.index}] of {self.origin}"


@dataclass(frozen=True, slots=True, eq=False)
class Role:
    """A Role or a ClusterRole. ``rules`` are those in force: what an aggregated one gathers is in them.

    ``selectors`` are those of its ``aggregationRule``, as label selectors; ``built_in`` is one that was not among what
    was read, and is taken as Kubernetes ships it.
    """

    kind: str
    namespace: str
    name: str
    rules: tuple[Rule, ...]
    place: Place
    labels: Mapping[str, str]
    selectors: tuple[Tree, ...] | None = None
    built_in: bool = False

    @property
    def address(self) -> Address:
        """Where it is in the cluster."""
        return self.kind, self.namespace, self.name

    def __str__(self) -> str:
        return named(self.address)


@dataclass(frozen=True, order=True, slots=True)
class Subject:
    """Whom a binding names: kind, namespace (of a ServiceAccount, the binding's where it is not written) and name."""

    kind: str
    namespace: str
    name: str

    @property
    def address(self) -> Address:
        """As with objects; a user or a group has no namespace."""
        return self.kind, self.namespace, self.name

    @property
    def account(self) -> Account | None:
        """The service account, when it is one by kind."""
        return Account(self.namespace, self.name) if self.kind == "ServiceAccount" else None

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """A RoleBinding or, without a namespace, a ClusterRoleBinding. ``role`` is the address its roleRef leads to."""

    namespace: str
    name: str
    role: Address
    subjects: tuple[Subject, ...]
    place: Place
    labels: Mapping[str, str]

    @property
    def kind(self) -> str:
        """As Kubernetes spells it."""
        return "RoleBinding" if self.namespace else "ClusterRoleBinding"

    @property
    def address(self) -> Address:
        """Where it is in the cluster."""
        return self.kind, self.namespace, self.name

    def __str__(self) -> str:
        return named(self.address)


@dataclass(frozen=True, order=True, slots=True)
class Pod:
    """A pod, and the account as which it runs."""

    namespace: str
    name: str
    account: Account

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Inventory:
    """All that is audited. ``roles`` may lack one that a binding names."""

    roles: Mapping[Address, Role]
    bindings: tuple[Binding, ...]
    accounts: frozenset[Account] | None
    namespaces: frozenset[str] | None
    pods: tuple[Pod, ...] | None
    is_live: bool = False

    @cached_property
    def rights(self) -> Rights:
        """The same, to be asked as the authorizer is."""
        trees: dict[str, list[Tree]] = {
            kind: [] for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
        }
        for role in self.roles.values():
            rules = [each.tree for each in role.rules]
            trees[role.kind].append({"metadata": _metadata(role), "rules": rules})
        for binding in self.bindings:
            kind, _, name = binding.role
            trees[binding.kind].append(
                {
                    "metadata": _metadata(binding),
                    "roleRef": {"kind": kind, "name": name},
                    "subjects": [
                        {"kind": each.kind, "name": each.name, "namespace": each.namespace}
                        for each in binding.subjects
                    ],
                }
            )
        return Rights(
            roles=trees["Role"],
            cluster_roles=trees["ClusterRole"],
            role_bindings=trees["RoleBinding"],
            cluster_role_bindings=trees["ClusterRoleBinding"],
        )


def _metadata(has: Role | Binding) -> Tree:
    return {"name": has.name, **({"namespace": has.namespace} if has.namespace else {})}
