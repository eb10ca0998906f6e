"""A profile is the admin's list of facts, parsed once, checked whole, and frozen ready for use.

All that the Downward API would refuse later, inside somebody's pod, is refused here. What a reference may be used for
was read in Kubernetes 1.36: ``pkg/apis/core/validation/validation.go`` and ``pkg/apis/core/pods/helpers.go``.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from podfacts.core.ambassador import Ambassador, parse_ambassador
from podfacts.core.apiaccess import STANDARD, ApiAccess, parse_api_access
from podfacts.core.env import ENV_NAME
from podfacts.core.mountpath import mount_path_fault, overlap
from podfacts.core.pod import EnvVar, FieldRef, Item, ResourceFieldRef, Source
from podfacts.core.refusal import Refused, Segment
from podfacts.core.shape import keyed, text

API_VERSION = "podfacts.dev/v1alpha1"
MOUNT_PATH = "/etc/downward"

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

FACT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
FILE_PART = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,254}")
# A DNS subdomain and a name, as in apimachinery's IsQualifiedName; the prefix has 253 characters at most.
QUALIFIED = re.compile(
    r"(?=[^/]{1,253}(/|$))([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
# The opt-in label's value names the profile, so the name must be a label value too.
PROFILE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
CONTAINER_FILES = "containers"
BOTH = "and apiAccess.enabled cannot both be true: with the ambassador the containers hold no token. Keep one of them"


@dataclass(frozen=True, slots=True)
class Fact:
    """One named value about a pod: where it comes from, and how it travels.

    ``env`` and ``file`` are ``None`` when the fact does not go that way.
    """

    name: str
    source: Source
    env: str | None
    file: str | None

    @property
    def per_container(self) -> bool:
        """Whether each container has a value of its own."""
        return "resourceFieldRef" in self.source

    @property
    def limit(self) -> str | None:
        """The resource whose limit it is: ``cpu``; ``None`` if it is anything else."""
        resource = self.source["resourceFieldRef"]["resource"] if self.per_container else ""
        return resource.removeprefix("limits.") if resource.startswith("limits.") else None


class Limit(NamedTuple):
    """A resource whose limit a profile shows: the env names that show it, and whether a file does."""

    resource: str
    env: frozenset[str]
    file: bool


@dataclass(frozen=True)
class Profile:
    """Facts and options, compiled: the lists below are what goes into a pod, shared by all pods, never changed."""

    name: str
    facts: tuple[Fact, ...]
    mount_path: str = MOUNT_PATH
    api_access: ApiAccess = field(default_factory=ApiAccess)
    ambassador: Ambassador = field(default_factory=Ambassador)
    hash: str = field(init=False)
    env: tuple[EnvVar, ...] = field(init=False)
    pod_files: tuple[Item, ...] = field(init=False)
    container_facts: tuple[Fact, ...] = field(init=False)
    limits: tuple[Limit, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Compile."""
        told = [[each.name, each.source, each.env, each.file] for each in self.facts]
        # Only what differs from the built-in: a profile's hash stays what it was before there was more to set.
        built_in = (ApiAccess().told, Ambassador().told)
        access = [each.told for each in (self.api_access, self.ambassador) if each.told not in built_in]
        whole = json.dumps([told, self.mount_path, *access], sort_keys=True)
        digest = hashlib.sha256(whole.encode()).hexdigest()
        compiled = {
            "hash": digest[:12],
            "env": tuple(
                EnvVar(name=each.env, valueFrom=each.source) for each in self.facts if each.env is not None
            ),
            "pod_files": tuple(
                Item(path=each.file, **each.source)
                for each in self.facts
                if each.file is not None and not each.per_container
            ),
            "container_facts": tuple(
                each for each in self.facts if each.file is not None and each.per_container
            ),
            "limits": tuple(_limits(self.facts)),
        }
        for name, value in compiled.items():
            object.__setattr__(self, name, value)

    def container_files(self, container: str) -> Iterator[Item]:
        """The files about one container: ``containers/<name>/cpu-limit``."""
        for each in self.container_facts:
            reference: ResourceFieldRef = {"containerName": container, **each.source["resourceFieldRef"]}
            yield Item(path=f"{CONTAINER_FILES}/{container}/{each.file}", resourceFieldRef=reference)


def parse_profile(tree: Any) -> Profile:
    """The profile that ``tree`` (a ``Profile`` object as read from YAML or the API server) describes.

    Raises ``Refused`` with the path of the first thing that is wrong.
    """
    keyed(tree, (), required=("apiVersion", "kind", "metadata", "spec"), allowed=("status",))
    if tree["apiVersion"] != API_VERSION or tree["kind"] != "Profile":
        raise Refused(("kind",), f"must be kind Profile of apiVersion {API_VERSION}")
    name = text(keyed(tree["metadata"], ("metadata",), required=("name",), open_=True), "name", ("metadata",))
    if not PROFILE_NAME.fullmatch(name) or name in ("true", "false"):
        raise Refused(
            ("metadata", "name"),
            "must be usable as a label value (lower case, digits, '-' and '.', at most 63), and not true or false",
        )
    spec = keyed(tree["spec"], ("spec",), required=("facts",), allowed=("volume", "apiAccess", "ambassador"))
    volume = keyed(spec.get("volume", {}), ("spec", "volume"), allowed=("mountPath",))
    mount_path = text({"mountPath": MOUNT_PATH, **volume}, "mountPath", ("spec", "volume"))
    if fault := mount_path_fault(mount_path):
        raise Refused(("spec", "volume", "mountPath"), fault)
    if not isinstance(spec["facts"], list) or not spec["facts"]:
        raise Refused(("spec", "facts"), "must be a list of at least one fact")
    facts = tuple(_fact(each, ("spec", "facts", index)) for index, each in enumerate(spec["facts"]))
    _refuse_clashes(facts)
    api_access = parse_api_access(spec.get("apiAccess", {}), ("spec", "apiAccess"))
    ambassador = parse_ambassador(spec.get("ambassador", {}), ("spec", "ambassador"))
    if api_access.enabled and ambassador.enabled:
        raise Refused(("spec", "ambassador", "enabled"), BOTH)
    for place in (api_access.mount_path, STANDARD):
        if overlap(mount_path, place):
            raise Refused(
                ("spec", "volume", "mountPath"),
                f"{mount_path} meets {place}, where API access may be: write another path, such as {MOUNT_PATH}",
            )
    # A pod may switch API access on by annotation, so these names are taken in every profile.
    for index, fact in enumerate(facts):
        if fact.env in api_access.names:
            raise Refused(
                ("spec", "facts", index), f"env {fact.env} is set by apiAccess: give this fact another name"
            )
    return Profile(name, facts, mount_path, api_access, ambassador)


def _limits(facts: Iterable[Fact]) -> Iterator[Limit]:
    found = [fact for fact in facts if fact.limit]
    for resource in dict.fromkeys(fact.limit for fact in found):
        same = [fact for fact in found if fact.limit == resource]
        env = frozenset(fact.env for fact in same if fact.env)
        yield Limit(resource or "", env, any(fact.file for fact in same))


def _fact(tree: Any, path: tuple[Segment, ...]) -> Fact:
    sources = ("field", "resource", "label", "annotation")
    keyed(tree, path, required=("name",), allowed=(*sources, "divisor", "env", "file"))
    name = text(tree, "name", path)
    if not FACT_NAME.fullmatch(name):
        raise Refused(
            (*path, "name"), "must be lower case words joined by '-', at most 63 characters: cpu-limit"
        )
    given = [each for each in sources if each in tree]
    if len(given) != 1:
        raise Refused(path, f"needs exactly one source: one of {', '.join(sources)}")
    key = given[0]
    if "divisor" in tree and key != "resource":
        raise Refused((*path, "divisor"), "goes with resource only")
    if key == "resource":
        source, in_env, in_files = _resource(tree, path), True, True
    else:
        field_path = _field_path(key, text(tree, key, path), (*path, key))
        source = Source(fieldRef=FieldRef(fieldPath=field_path))
        subscripted = field_path.endswith("]")
        in_env, in_files = subscripted or field_path in IN_ENV, subscripted or field_path in IN_FILES
    return Fact(
        name,
        source,
        _way(tree, "env", path, can=in_env, otherwise=name.upper().replace("-", "_")),
        _way(tree, "file", path, can=in_files, otherwise=name),
    )


def _resource(tree: Any, path: tuple[Segment, ...]) -> Source:
    resource = text(tree, "resource", path)
    match = RESOURCE.fullmatch(resource)
    if not match:
        raise Refused(
            (*path, "resource"),
            "must be limits. or requests. with cpu, memory, ephemeral-storage or hugepages-<size>: "
            "the Downward API carries no other resource",
        )
    divisors = CPU_DIVISORS if match[1] == "cpu" else SIZE_DIVISORS
    divisor = tree.get("divisor", "1")
    divisor = str(divisor) if isinstance(divisor, int) and not isinstance(divisor, bool) else divisor
    if divisor not in divisors:
        raise Refused((*path, "divisor"), f"must be one of {', '.join(divisors)} for {match[1]}")
    return Source(resourceFieldRef=ResourceFieldRef(resource=resource, divisor=divisor))


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


def _refuse_clashes(facts: Iterable[Fact]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for index, fact in enumerate(facts):
        # A pod's file may not stand where the folder of another file is, and containers/ is ours.
        folder = "container file" if fact.per_container else "file"
        for kind, value in (("name", fact.name), ("env", fact.env), (folder, fact.file)):
            if value is None:
                continue
            if (kind, value) in seen:
                raise Refused(
                    ("spec", "facts", index), f"{kind} {value} is taken by the fact {seen[kind, value]}"
                )
            seen[kind, value] = fact.name
        if fact.file and not fact.per_container and fact.file.split("/")[0] == CONTAINER_FILES:
            raise Refused(
                ("spec", "facts", index, "file"), f"{CONTAINER_FILES}/ is kept for per-container facts"
            )
    for kind, value in seen:
        parents = value.split("/")[:-1]
        for end in range(1, len(parents) + 1):
            if "file" in kind and (kind, "/".join(parents[:end])) in seen:
                raise Refused(("spec", "facts"), f"{value} needs a folder where a file of that name stands")


DEFAULT = parse_profile(
    {
        "apiVersion": API_VERSION,
        "kind": "Profile",
        "metadata": {"name": "default"},
        "spec": {
            "facts": [
                {"name": "pod-name", "field": "metadata.name"},
                {"name": "pod-namespace", "field": "metadata.namespace"},
                {"name": "pod-uid", "field": "metadata.uid"},
                {"name": "pod-ip", "field": "status.podIP"},
                {"name": "node-name", "field": "spec.nodeName"},
                {"name": "host-ip", "field": "status.hostIP"},
                {"name": "service-account", "field": "spec.serviceAccountName"},
                {
                    "name": "cpu-request",
                    "resource": "requests.cpu",
                    "divisor": "1m",
                    "env": "CONTAINER_CPU_REQUEST_MILLICORES",
                },
                {
                    "name": "cpu-limit",
                    "resource": "limits.cpu",
                    "divisor": "1m",
                    "env": "CONTAINER_CPU_LIMIT_MILLICORES",
                },
                {
                    "name": "memory-request",
                    "resource": "requests.memory",
                    "divisor": "1Ki",
                    "env": "CONTAINER_MEMORY_REQUEST_KIBIBYTES",
                },
                {
                    "name": "memory-limit",
                    "resource": "limits.memory",
                    "divisor": "1Ki",
                    "env": "CONTAINER_MEMORY_LIMIT_KIBIBYTES",
                },
                {"name": "labels", "field": "metadata.labels"},
                {"name": "annotations", "field": "metadata.annotations"},
            ]
        },
    }
)
