"""One fact of a profile: where its value comes from, and the reference by which it reaches a container.

All that the Downward API would refuse later, inside somebody's pod, is refused here. What a reference may be used for
was read in Kubernetes 1.36: ``pkg/apis/core/validation/validation.go`` and ``pkg/apis/core/pods/helpers.go``.

A fact that the Downward API cannot carry by itself is **carried**: its value stands in an annotation of the pod, and env
and file refer to that. So there is one way for all of them, and ``kubectl get pod -o yaml`` shows what a container sees.
"""

import re
from dataclasses import dataclass
from typing import Any

from podfacts.core.env import ENV_NAME
from podfacts.core.pod import FieldRef, ResourceFieldRef, Source
from podfacts.core.quantity import divided
from podfacts.core.refusal import Refused, Segment
from podfacts.core.shape import Place, keyed, switch, text

FACTS = "facts.podfacts.dev/"

IN_BOTH = frozenset({"metadata.name", "metadata.namespace", "metadata.uid"})
IN_ENV = IN_BOTH | {
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
}
IN_FILES = IN_BOTH | {"metadata.labels", "metadata.annotations"}

SUBSCRIPT = re.compile(r"metadata\.(?:labels|annotations)\['([^']+)'\]")
RESOURCE = re.compile(r"(?:limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-[A-Za-z0-9]+)")
CPU_DIVISORS = ("1", "1m")
SIZE_DIVISORS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
NODE_INFO = (
    "architecture",
    "bootID",
    "containerRuntimeVersion",
    "kernelVersion",
    "kubeletVersion",
    "machineID",
    "operatingSystem",
    "osImage",
    "systemUUID",
)
NODE_FIELD = re.compile(rf"status\.(?:nodeInfo\.(?:{'|'.join(NODE_INFO)})|(capacity|allocatable)\.(.+))")

FACT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
FILE_PART = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,254}")
# A DNS subdomain and a name, as in apimachinery's IsQualifiedName; the prefix has 253 characters at most.
QUALIFIED = re.compile(
    r"(?=[^/]{1,253}(/|$))([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)

POD_KINDS = ("field", "resource", "label", "annotation")
NODE_KINDS = ("nodeLabel", "nodeAnnotation", "nodeField")
NAMESPACE_KINDS = ("namespaceLabel", "namespaceAnnotation")
KINDS = (*POD_KINDS, *NODE_KINDS, *NAMESPACE_KINDS, "owner", "image", "value")
KEYED = (
    "label",
    "annotation",
    *NODE_KINDS,
    *NAMESPACE_KINDS,
)  # What is looked up by a key, and may be absent.
OWNERS = ("kind", "name")
IMAGES = ("digest",)
# Since 1.35 the API server sets these labels on a pod when it is bound (plugin/pkg/admission/podtopologylabels).
TOPOLOGY = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")

# Why a fact has no variable: env is read once, when a container starts.
AFTERWARDS = {
    "owner": "an owner is found after the pod was created: write required: true, and the containers wait for it, "
    "or remove the key",
    "image": "a digest is known when the container runs already: remove the key, it goes as a file",
}

# No value is longer, or a node's annotation of 200 KiB would fill a pod's 256 KiB, and no later update of it would pass.
LONGEST_VALUE = 1024


@dataclass(frozen=True, slots=True)
class Fact:
    """One named value about a pod: where it comes from, and how it travels.

    ``kind`` and ``key`` are the source as the profile has it (``nodeLabel``, its key); ``source`` is what env and file
    refer to. ``env`` and ``file`` are ``None`` when the fact does not go that way.
    """

    name: str
    kind: str
    key: str
    source: Source
    env: str | None
    file: str | None
    default: str | None = None
    required: bool = False
    divisor: str = ""

    @property
    def per_container(self) -> bool:
        """Whether each container has a value of its own."""
        return self.kind in ("resource", "image")

    @property
    def carried(self) -> bool:
        """Whether its value stands in an annotation of ours."""
        path = self.source.get("fieldRef", {}).get("fieldPath", "")
        return self.kind == "image" or path.startswith(f"metadata.annotations['{FACTS}")

    @property
    def late(self) -> bool:
        """Whether nobody can know it when the pod is created."""
        return self.kind in NODE_KINDS or self.kind in ("owner", "image")

    @property
    def limit(self) -> str | None:
        """The resource whose limit it is: ``cpu``; ``None`` if it is anything else."""
        resource = self.source["resourceFieldRef"]["resource"] if self.kind == "resource" else ""
        return resource.removeprefix("limits.") if resource.startswith("limits.") else None

    @property
    def told(self) -> list[Any]:
        """What the fact is, for a profile's hash: the same on every version of Kubernetes."""
        if self.kind in POD_KINDS and self.default is None:
            return [self.name, self.source, self.env, self.file, *([True] if self.required else [])]
        where = [self.kind, self.key, self.divisor, self.default, self.required]
        return [self.name, where, self.env, self.file]


def parse_fact(tree: Any, path: Place, *, topology_labels: bool) -> Fact:
    """The fact that ``tree`` describes. Raises ``Refused``.

    ``topology_labels`` says that the API server sets a pod's zone and region labels by itself.
    """
    keyed(tree, path, required=("name",), allowed=(*KINDS, "divisor", "required", "default", "env", "file"))
    name = text(tree, "name", path)
    if not FACT_NAME.fullmatch(name):
        raise Refused(
            (*path, "name"), "must be lower case words joined by '-', at most 63 characters: cpu-limit"
        )
    given = [each for each in KINDS if each in tree]
    if len(given) != 1:
        raise Refused(path, f"needs exactly one source: one of {', '.join(KINDS)}")
    kind = given[0]
    key = text(tree, kind, path, empty=kind == "value")
    default, required = _absence(tree, kind, path)
    divisor = _divisor(tree, kind, key, path)
    source, in_env, in_files = _source(name, kind, key, path, divisor=divisor, default=default)
    # A required one is carried: the controller can write it later, and nobody a label.
    if kind == "nodeLabel" and key in TOPOLOGY and topology_labels and default is None and not required:
        source = Source(fieldRef=FieldRef(fieldPath=f"metadata.labels['{key}']"))
    if kind == "owner" and not required:
        in_env = False
    if kind in AFTERWARDS and not in_env and tree.get("env"):
        raise Refused((*path, "env"), AFTERWARDS[kind])
    fact = Fact(
        name=name,
        kind=kind,
        key=key,
        source=source,
        env=_way(tree, "env", path, can=in_env, otherwise=name.upper().replace("-", "_")),
        file=_way(tree, "file", path, can=in_files, otherwise=name),
        default=default,
        required=required,
        divisor=divisor if kind != "resource" else "",
    )
    if required and fact.late and not fact.env:
        raise Refused(
            (*path, "required"), "needs an env name: a container waits for a variable, not for a file"
        )
    return fact


def _absence(tree: Any, kind: str, path: Place) -> tuple[str | None, bool]:
    """What to do when there is no value: the default, or that the pod must not run."""
    required = switch(tree, "required", path)
    default = text(tree, "default", path, empty=True) if "default" in tree else None
    if required and kind not in (*KEYED, "owner"):
        raise Refused((*path, "required"), f"goes with {', '.join(KEYED)} or owner: {kind} is never absent")
    if default is not None and kind not in KEYED:
        raise Refused((*path, "default"), f"goes with {', '.join(KEYED)} only")
    if required and default is not None:
        raise Refused((*path, "default"), "and required exclude each other: keep one of them")
    if default is not None and fit(default) is None:
        raise Refused((*path, "default"), f"must be at most {LONGEST_VALUE} bytes, without NUL")
    return default, required


def _divisor(tree: Any, kind: str, key: str, path: Place) -> str:
    """The divisor as written; "" when there is none."""
    amount = RESOURCE.fullmatch(key) if kind == "resource" else NODE_FIELD.fullmatch(key)
    quantity = kind in ("resource", "nodeField") and (amount is None or amount[1])
    if "divisor" not in tree:
        return "1" if kind == "resource" else ""
    if not quantity:
        raise Refused(
            (*path, "divisor"),
            "goes with resource, and with nodeField of status.capacity or status.allocatable",
        )
    divisor = tree["divisor"]
    divisor = str(divisor) if isinstance(divisor, int) and not isinstance(divisor, bool) else divisor
    resource = (amount[1] if kind == "resource" else amount[2]) if amount else ""
    divisors = CPU_DIVISORS if resource == "cpu" else SIZE_DIVISORS
    if divisor not in divisors:
        raise Refused((*path, "divisor"), f"must be one of {', '.join(divisors)} for {resource or 'this'}")
    return str(divisor)


def _source(
    name: str, kind: str, key: str, path: Place, *, divisor: str, default: str | None
) -> tuple[Source, bool, bool]:
    """What env and file refer to, and whether each of them may."""
    carried = Source(fieldRef=FieldRef(fieldPath=f"metadata.annotations['{FACTS}{name}']"))
    here = (*path, kind)
    if kind == "resource":
        if not RESOURCE.fullmatch(key):
            raise Refused(
                here,
                "must be limits. or requests. with cpu, memory, ephemeral-storage or hugepages-<size>: "
                "the Downward API carries no other resource",
            )
        return Source(resourceFieldRef=ResourceFieldRef(resource=key, divisor=divisor)), True, True
    if kind in POD_KINDS:
        field_path = _field_path(kind, key, here)
        if default is not None:
            return carried, True, True
        subscripted = field_path.endswith("]")
        in_env, in_files = subscripted or field_path in IN_ENV, subscripted or field_path in IN_FILES
        return Source(fieldRef=FieldRef(fieldPath=field_path)), in_env, in_files
    _refuse_key(kind, key, here)
    return carried, kind != "image", True


def _refuse_key(kind: str, key: str, path: Place) -> None:
    if kind in ("nodeLabel", "namespaceLabel") and not QUALIFIED.fullmatch(key):
        raise Refused(path, f"{key!r} is no label key: write it as topology.kubernetes.io/zone")
    if kind in ("nodeAnnotation", "namespaceAnnotation") and not QUALIFIED.fullmatch(key.lower()):
        raise Refused(path, f"{key!r} is no annotation key: write it as example.com/rack")
    if kind == "nodeField":
        match = NODE_FIELD.fullmatch(key)
        if not match or (match[2] and not QUALIFIED.fullmatch(match[2])):
            raise Refused(
                path,
                "must be status.capacity.RESOURCE, status.allocatable.RESOURCE or status.nodeInfo. with one of "
                + ", ".join(NODE_INFO),
            )
    for words, its in ((OWNERS, "owner"), (IMAGES, "image")):
        if kind == its and key not in words:
            raise Refused(path, f"must be {' or '.join(words)}")
    if kind == "value" and fit(key) is None:
        raise Refused(path, f"must be at most {LONGEST_VALUE} bytes, without NUL")


def fit(value: Any) -> str | None:
    """The value when a pod can carry it; ``None`` when it is absent, too long, or would keep a container from starting.

    Execve takes no NUL, and annotations may hold 256 KiB together.
    """
    if not isinstance(value, str) or "\0" in value or len(value.encode()) > LONGEST_VALUE:
        return None
    return value


def quantity_fact(value: Any, divisor: str) -> str | None:
    """A node's quantity as the fact shows it: as the node says, or in whole divisors, rounded up."""
    found = fit(value)
    return found if found is None or not divisor else divided(found, divisor)


def _field_path(key: str, value: str, path: tuple[Segment, ...]) -> str:
    if key in ("label", "annotation"):
        value = f"metadata.{key}s['{value}']"
    elif value in IN_ENV | IN_FILES:
        return value
    match = SUBSCRIPT.fullmatch(value)
    if not match:
        raise Refused(
            path,
            f"must be one of {', '.join(sorted(IN_ENV | IN_FILES))}, metadata.labels['KEY'] or "
            "metadata.annotations['KEY']",
        )
    if value.startswith(f"metadata.annotations['{FACTS}"):
        raise Refused(path, f"{match[1]!r} is written by Podfacts: write where its value comes from")
    # The API server looks at an annotation's key in lower case, and at a label's as it is.
    subscript = match[1].lower() if value.startswith("metadata.annotations") else match[1]
    if not QUALIFIED.fullmatch(subscript):
        raise Refused(path, f"{match[1]!r} is no label or annotation key: write it as example.com/team")
    return value


def _way(tree: Any, way: str, path: tuple[Segment, ...], *, can: bool, otherwise: str) -> str | None:
    """The fact's name as env or file: explicit, derived, or ``None`` where "" says so or there is no such way."""
    if way not in tree:
        return otherwise if can else None
    value = text(tree, way, path, empty=True)
    if not value:
        return None
    if not can:
        raise Refused((*path, way), f"the Downward API cannot carry this source as {way}: remove the key")
    if way == "env" and not ENV_NAME.fullmatch(value):
        raise Refused((*path, way), "must be letters, digits and '_', not starting with a digit: POD_NAME")
    if way == "file" and not all(FILE_PART.fullmatch(part) for part in value.split("/")):
        raise Refused((*path, way), "must be a relative path of letters, digits, '-', '_' and '.': zone")
    return value
