"""A profile is the admin's list of facts, parsed once, checked whole, and frozen ready for use."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from podfacts.core.ambassador import Ambassador, parse_ambassador
from podfacts.core.apiaccess import STANDARD, ApiAccess, parse_api_access
from podfacts.core.env import authored
from podfacts.core.facts import FACTS, Fact, parse_fact
from podfacts.core.gate import PLACE
from podfacts.core.mountpath import mount_path_fault, overlap
from podfacts.core.pod import EnvVar, FieldRef, Item
from podfacts.core.refusal import Refused
from podfacts.core.shape import keyed, text

API_VERSION = "podfacts.dev/v1alpha1"
MOUNT_PATH = "/etc/downward"

# The opt-in label's value names the profile, so the name must be a label value too.
PROFILE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
CONTAINER_FILES = "containers"
# The part of an annotation's key after the "/" (apimachinery's IsQualifiedName).
LONGEST_KEY = 63
BOTH = "and apiAccess.enabled cannot both be true: with the ambassador the containers hold no token. Keep one of them"


# How a pod reaches the API server: not by us, with a token of its own, or through the sidecar.
Access = Literal["", "bundle", "ambassador"]

# What the controller does about a pod that runs without its facts, beside saying so.
Remedy = Literal["none", "evict"]


class Limit(NamedTuple):
    """A resource whose limit a profile shows, the node's where it is unset: the env names that show it, and whether a file does."""

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
    remediate: Remedy = "none"
    hash: str = field(init=False)
    env: tuple[EnvVar, ...] = field(init=False)
    authored: tuple[EnvVar, ...] = field(init=False)  # Those of env that a pod may keep from fitting.
    pod_files: tuple[Item, ...] = field(init=False)
    container_facts: tuple[Fact, ...] = field(init=False)
    limits: tuple[Limit, ...] = field(init=False)
    demanded: tuple[Fact, ...] = field(init=False)  # A pod that lacks one is refused.
    carried: tuple[Fact, ...] = field(init=False)
    topology: tuple[str, ...] = field(init=False)  # Labels that Kubernetes sets, and nobody else may.
    gate: tuple[str, ...] = field(init=False)  # Env names that a container does not start without.
    access: Access = field(init=False)  # Of a pod that does not say.

    def __post_init__(self) -> None:
        """Compile."""
        told = [each.told for each in self.facts]
        # Only what differs from the built-in: a profile's hash stays what it was before there was more to set.
        built_in = (ApiAccess().told, Ambassador().told)
        access = [each.told for each in (self.api_access, self.ambassador) if each.told not in built_in]
        remedy = [] if self.remediate == "none" else [self.remediate]
        whole = json.dumps([told, self.mount_path, *access, *remedy], sort_keys=True)
        digest = hashlib.sha256(whole.encode()).hexdigest()
        env = tuple(
            EnvVar(name=each.env, valueFrom=each.source) for each in self.facts if each.env is not None
        )
        compiled = {
            "hash": digest[:12],
            "env": env,
            "authored": tuple(each for each in env if authored(each)),
            "pod_files": tuple(
                Item(path=each.file, **each.source)
                for each in self.facts
                if each.file is not None and not each.per_container
            ),
            "container_facts": tuple(
                each for each in self.facts if each.file is not None and each.per_container
            ),
            "limits": tuple(_limits(self.facts)),
            "demanded": tuple(each for each in self.facts if each.required and not each.late),
            "carried": tuple(each for each in self.facts if each.carried),
            "topology": tuple(
                dict.fromkeys(
                    each.key for each in self.facts if each.kind == "nodeLabel" and not each.carried
                )
            ),
            "access": "ambassador"
            if self.ambassador.enabled
            else "bundle"
            if self.api_access.enabled
            else "",
            "gate": tuple(each.env for each in self.facts if each.required and each.late and each.env),
        }
        for name, value in compiled.items():
            object.__setattr__(self, name, value)

    def container_files(self, container: str) -> Iterator[Item]:
        """The files about one container: ``containers/<name>/cpu-limit``."""
        for each in self.container_facts:
            path = f"{CONTAINER_FILES}/{container}/{each.file}"
            if each.kind == "image":
                if key := image_annotation(each, container):
                    yield Item(path=path, fieldRef=FieldRef(fieldPath=f"metadata.annotations['{key}']"))
                continue
            reference = each.source["resourceFieldRef"]
            yield {"path": path, "resourceFieldRef": {"containerName": container, **reference}}


def image_annotation(fact: Fact, container: str) -> str | None:
    """The key of the annotation that carries one container's value; ``None`` when it would be too long for a key."""
    name = f"{fact.name}.{container}"
    return FACTS + name if len(name) <= LONGEST_KEY else None


def parse_profile(tree: Any, *, topology_labels: bool = True) -> Profile:
    """The profile that ``tree`` (a ``Profile`` object as read from YAML or the API server) describes.

    ``topology_labels`` says that the API server sets a pod's zone and region labels by itself, as from 1.35 on: then
    those facts refer to them. Raises ``Refused`` with the path of the first thing that is wrong.
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
    spec = keyed(
        tree["spec"],
        ("spec",),
        required=("facts",),
        allowed=("volume", "apiAccess", "ambassador", "remediate"),
    )
    volume = keyed(spec.get("volume", {}), ("spec", "volume"), allowed=("mountPath",))
    mount_path = text({"mountPath": MOUNT_PATH, **volume}, "mountPath", ("spec", "volume"))
    if fault := mount_path_fault(mount_path):
        raise Refused(("spec", "volume", "mountPath"), fault)
    if not isinstance(spec["facts"], list) or not spec["facts"]:
        raise Refused(("spec", "facts"), "must be a list of at least one fact")
    facts = tuple(
        parse_fact(each, ("spec", "facts", index), topology_labels=topology_labels)
        for index, each in enumerate(spec["facts"])
    )
    _refuse_clashes(facts)
    api_access = parse_api_access(spec.get("apiAccess", {}), ("spec", "apiAccess"))
    ambassador = parse_ambassador(spec.get("ambassador", {}), ("spec", "ambassador"))
    if api_access.enabled and ambassador.enabled:
        raise Refused(("spec", "ambassador", "enabled"), BOTH)
    remediate = spec.get("remediate", "none")
    if remediate not in get_args(Remedy):
        raise Refused(("spec", "remediate"), "must be none or evict")
    profile = Profile(name, facts, mount_path, api_access, ambassador, remediate)
    _refuse_meetings(profile)
    return profile


def _refuse_meetings(profile: Profile) -> None:
    """What may come into one pod must not meet there."""
    mount_path = profile.mount_path
    for place in (profile.api_access.mount_path, STANDARD):
        if overlap(mount_path, place):
            raise Refused(
                ("spec", "volume", "mountPath"),
                f"{mount_path} meets {place}, where API access may be: write another path, such as {MOUNT_PATH}",
            )
    paths = (("volume", mount_path, MOUNT_PATH), ("apiAccess", profile.api_access.mount_path, STANDARD))
    for key, path, better in paths if profile.gate else ():
        if overlap(path, PLACE):
            raise Refused(
                ("spec", key, "mountPath"),
                f"{path} meets {PLACE}, where required facts are held: write another path, such as {better}",
            )
    # A pod may switch API access on by annotation, so these names are taken in every profile.
    for index, fact in enumerate(profile.facts):
        if fact.env in profile.api_access.names:
            raise Refused(
                ("spec", "facts", index), f"env {fact.env} is set by apiAccess: give this fact another name"
            )


def _limits(facts: Iterable[Fact]) -> Iterator[Limit]:
    # Huge pages have no allocatable to fall back to: unset is 0 there.
    found = [fact for fact in facts if fact.limit and not fact.limit.startswith("hugepages-")]
    for resource in dict.fromkeys(fact.limit for fact in found):
        same = [fact for fact in found if fact.limit == resource]
        env = frozenset(fact.env for fact in same if fact.env)
        yield Limit(resource or "", env, any(fact.file for fact in same))


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
