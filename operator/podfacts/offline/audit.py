"""Roles and bindings from files: what manifests give, each rule knowing the line it stands on.

What is no matter of RBAC passes; what is, and is not right, refuses the whole run: half an audit looks like a whole one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import IO, Any

from podfacts.audit.gathered import Gathered
from podfacts.audit.intake import ROLES_AND_BINDINGS, Entry, entry
from podfacts.audit.inventory import Binding, Inventory, Place, Role
from podfacts.core.refusal import BadInput, Refused, Segment, place
from podfacts.offline.manifests import STDIN, Manifest, Problem, read, refusal
from podfacts.rights.manifest import listed, visible
from podfacts.yamltext.documents import documents
from podfacts.yamltext.nodes import Broken, Node, locate, value
from podfacts.yamltext.scalars import Scalar

NAMESPACE = "default"  # Of what names none, where nobody says which: as kubectl has it.
SHOWN = 3

Tree = Mapping[str, Any]
Path = tuple[Segment, ...]


def inventory_of(sources: Sequence[str], namespace: str | None, stdin: IO[bytes]) -> Inventory:
    """What files, folders and ``-`` say; objects that name no namespace are in this one.

    Raises ``BadInput``, a line for each problem: ``file:line: reason``.
    """
    gathered = Gathered()
    problems: list[Problem] = []
    found = False
    for manifest in read(sources, stdin):
        if isinstance(manifest, Problem):
            problems.append(manifest)
            continue
        for each in _Reading(manifest, namespace or NAMESPACE).entries():
            if isinstance(each, Problem):
                problems.append(each)
                continue
            made, offset = each
            try:
                gathered.add(made)
            except Refused as refused:
                problems.append(manifest.problem(offset, visible(str(refused))))
            found |= isinstance(made, Role | Binding)
    if problems:
        raise refusal(problems)
    if not found:
        raise BadInput(
            f"there is nothing to audit: no {', '.join(ROLES_AND_BINDINGS)} in {scope_of(sources)}"
        )
    return gathered.offline()


def scope_of(sources: Sequence[str]) -> str:
    """What was read, for a heading."""
    return listed([STDIN if each == "-" else each for each in sources], SHOWN)


Placed = tuple[Entry, int]  # What an object is, and where its name stands.


class _Reading:
    """One manifest. Of a list each object is taken when it was read, so that a whole cluster's list is never held."""

    def __init__(self, manifest: Manifest, namespace: str) -> None:
        self._manifest = manifest
        self._namespace = namespace
        self._taken: dict[int, list[Placed | Problem]] = {}

    def entries(self) -> Iterator[Placed | Problem]:
        for document in documents(self._manifest.text, self._take):
            taken, self._taken = self._taken, {}
            if isinstance(document, Broken):
                yield self._manifest.problem(document.offset, document.reason)
                continue
            # What says only further below that it is no list had no objects in it.
            if _is_list(document.tree):
                for each in taken.values():
                    yield from each
            yield from self._objects(document.root, document.tree, (), taken)

    def _take(self, index: int, node: Node, top: Mapping[str, Scalar]) -> bool:
        """Whether it is known by now what the object of a list is."""
        if "kind" in top and not str(top["kind"]).endswith("List"):
            return False
        tree = {**_implied(top), **value(node)}
        if "kind" not in top and not {"kind", "apiVersion"} <= tree.keys():
            return False
        self._taken[index] = list(self._objects(node, tree, ("items", index)))
        return True

    def _objects(
        self, root: Node, tree: Any, above: Path, taken: Collection[int] = ()
    ) -> Iterator[Placed | Problem]:
        """The objects of a tree at ``root``, which is ``above`` in its document."""
        found = _opened(tree, (), taken)
        while True:
            path: Path = ()
            try:
                path, each = next(found)
                made = self._made(root, path, each)
            except StopIteration:
                return
            except Refused as refused:
                inside = (*path, *refused.path)
                yield self._problem(locate(root, inside), (*above, *inside), refused.reason)
            else:
                if made is not None:
                    yield made, locate(root, (*path, "metadata", "name"))

    def _made(self, root: Node, path: Path, tree: Tree) -> Entry | None:
        manifest = self._manifest

        def at(inside: Path) -> Place:
            return Place(manifest.name, manifest.line(locate(root, (*path, *inside))))

        return entry(tree, at, self._namespace)

    def _problem(self, offset: int, path: Path, reason: str) -> Problem:
        return self._manifest.problem(offset, visible(f"{place(path)}: {reason}" if path else reason))


def _opened(tree: Any, path: Path, taken: Collection[int]) -> Iterator[tuple[Path, Tree]]:
    """The objects of a document, those of lists among them, each with the way to it. Raises ``Refused``."""
    if not isinstance(tree, dict):
        raise Refused(path, "is no Kubernetes object: write a mapping with apiVersion, kind and metadata")
    for field in ("apiVersion", "kind"):
        if not isinstance(tree.get(field), str) or not tree[field]:
            raise Refused(path, f"is no Kubernetes object: write its {field}")
    if not _is_list(tree):
        yield path, tree
        return
    items = tree.get("items")
    if items is not None and not isinstance(items, list):
        raise Refused((*path, "items"), "must be a list")
    implied = _implied(tree)
    for index, item in enumerate(items or ()):
        if index not in taken:
            below: Path = (*path, "items", index)
            yield from _opened({**implied, **item} if isinstance(item, dict) else item, below, ())


def _is_list(tree: Any) -> bool:
    """As kubectl: a kind that ends in List and has items, whatever its group."""
    kind = tree.get("kind") if isinstance(tree, dict) else None
    return isinstance(kind, str) and kind.endswith("List") and (kind == "List" or "items" in tree)


def _implied(tree: Tree) -> Tree:
    """What an item of a list is that does not say so: `kubectl get --raw` gives lists that name a kind at the top only."""
    kind, version = tree.get("kind"), tree.get("apiVersion")
    each = kind.removesuffix("List") if isinstance(kind, str) else ""
    return {"apiVersion": version, "kind": each} if each and each != kind else {}
