"""Where the pods are: each kind of Kubernetes' own that makes pods, and the way to the template it makes them from.

A table, so that it can be read whole. Other kinds, and kinds of the same name in groups of others, hold no pods for us.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from podfacts.core.options import INJECT
from podfacts.core.pod import Path, Tree, mapping
from podfacts.core.refusal import Refused

APPS = ("apps", "extensions")
WORKLOADS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Pod": (("",), ()),
    "PodTemplate": (("",), ("template",)),
    "ReplicationController": (("",), ("spec", "template")),
    "Deployment": (APPS, ("spec", "template")),
    "DaemonSet": (APPS, ("spec", "template")),
    "ReplicaSet": (APPS, ("spec", "template")),
    "StatefulSet": (APPS, ("spec", "template")),
    "Job": (("batch",), ("spec", "template")),
    "CronJob": (("batch",), ("spec", "jobTemplate", "spec", "template")),
}


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """A template at ``path`` in a document, of the ``kind`` of object at ``owner``, and the ``pod`` made from it."""

    kind: str
    owner: Path
    path: Path
    pod: Tree
    asks: bool
    owner_asks: bool


def pod_templates(tree: Any, path: Path = (), kind: str = "", api_version: str = "") -> Iterator[PodTemplate]:
    """The pod templates of an object, and of the objects in it when it is a list.

    ``kind`` and ``api_version`` are for items that do not say their own, as in a DeploymentList. Raises ``Refused``
    when it is no Kubernetes object.
    """
    if not isinstance(tree, dict):
        raise Refused(path, "is no Kubernetes object: it must be a mapping with apiVersion and kind")
    kind = _said(tree, "kind", path) or kind
    api_version = _said(tree, "apiVersion", path) or api_version
    for name, value in (("kind", kind), ("apiVersion", api_version)):
        if not value:
            raise Refused(path, f"has no {name}: it is no Kubernetes object")
    items = tree.get("items")
    if kind.endswith("List") and isinstance(items, list):
        whose = ("", "") if kind == "List" else (kind.removesuffix("List"), api_version)
        for index, each in enumerate(items):
            yield from pod_templates(each, (*path, "items", index), *whose)
        return
    groups, way = WORKLOADS.get(kind, ((), ()))
    if api_version.rpartition("/")[0] in groups:
        yield _template(tree, kind, path, way)


def _template(tree: Tree, kind: str, owner: Path, way: tuple[str, ...]) -> PodTemplate:
    template, path = tree, owner
    for name in way:
        template = mapping(template, name, path)
        path = (*path, name)
    return PodTemplate(kind, owner, path, _served(template, path), _asks(template, path), _asks(tree, owner))


def _asks(tree: Tree, path: Path) -> bool:
    metadata = mapping(tree, "metadata", path)
    return INJECT in mapping(metadata, "labels", (*path, "metadata"))


def _served(template: Tree, path: Path) -> Tree:
    """The pod as the API server reads it: a label or annotation without a value is the empty string."""
    metadata = dict(mapping(template, "metadata", path))
    for name in ("labels", "annotations"):
        texts = mapping(metadata, name, (*path, "metadata"))
        if None in texts.values():
            metadata[name] = {key: "" if text is None else text for key, text in texts.items()}
    return {**template, "metadata": metadata}


def _said(tree: Tree, name: str, path: Path) -> str:
    value = tree.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused((*path, name), "must be a string: write it in double quotes")
    return value or ""
