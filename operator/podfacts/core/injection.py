"""The main job: the smallest JSON patch that gives a pod its facts. Both doors, webhook and command line, call it.

It reads the pod as it was received and writes operations; the pod is never touched and never rebuilt. What the author
wrote wins, and what was kept is told twice: in ``podfacts.dev/injected``, and as an admission warning. A second pass
over its own result finds nothing to do, so that Kubernetes may call it again (``reinvocationPolicy: IfNeeded``).
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import orjson

from podfacts.core.ambassador import NAME, sidecar
from podfacts.core.apiaccess import NONE, Access, bundle
from podfacts.core.carried import NODE_FACTS, Surroundings, at_create
from podfacts.core.env import EnvPlan, env_plan, unfit
from podfacts.core.facts import FACTS, NODE_KINDS
from podfacts.core.gate import gate
from podfacts.core.mounts import mounted
from podfacts.core.options import INJECTED, Options, options
from podfacts.core.patch import Operation, escaped, pointer
from podfacts.core.pod import Container, Tree, containers, mapping, texts
from podfacts.core.profile import Profile
from podfacts.core.refusal import Refused
from podfacts.core.volume import VolumePlan, volume_plan

# Keys and values of all annotations together: TotalAnnotationSizeLimitB in apimachinery's validation.
ANNOTATIONS_LIMIT = 256 * 1024
ANNOTATIONS = pointer("metadata", "annotations")

# A quantity above nothing: a digit that counts, in front of its exponent.
SOME = re.compile("[^eE1-9]*[1-9]")

Outcome = Literal["injected", "unchanged", "skipped"]


class Injection(NamedTuple):
    """What to do to one pod, and what to say about it.

    ``patch`` is empty when there is nothing to do; ``injected`` counts the env entries and files it adds. ``kept``
    is what the author has already, ``skipped`` is what was left out, each with its reason.
    """

    outcome: Outcome
    reason: str
    profile: str = ""
    patch: tuple[Operation, ...] = ()
    injected: int = 0
    kept: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def inject(
    pod: Tree, profiles: Mapping[str, Profile], around: Surroundings | None = None, namespace: str = ""
) -> Injection:
    """What gives ``pod`` the facts it asks for.

    ``profiles`` by name, ``default`` among them. ``around`` is the cluster that the pod is created in, in
    ``namespace``; ``None`` when there is none, as in a file. Raises ``Refused`` when the pod's own label or annotation
    asks for the impossible, when it lacks what its profile requires, or when what was read is no pod.
    """
    asked = options(pod, profiles)
    if isinstance(asked, str):
        return Injection("skipped", asked)
    profile = asked.profile
    values = at_create(pod, profile, namespace, around)
    chosen, skipped = _choose(pod, asked)
    unsuited = unfit(pod, profile.authored)
    facts = [each for each in profile.env if each["name"] not in unsuited] if unsuited else profile.env
    skipped += unsuited.values()

    access, after = _access(pod, chosen, asked)
    patch: list[Operation] = []
    kept: list[str] = []
    warnings = list(asked.warnings)
    injected = 0
    plans = []
    for container in chosen:
        more = access.env.get(container.name)
        plans.append(env_plan(container, [*facts, *more] if more else facts, asked.overwrite))
    for env in plans:
        patch += env.patch
        kept += env.kept
        warnings += env.warnings
        injected += env.injected
    files = [*profile.pod_files]
    for container in chosen:
        files += profile.container_files(container.name)
    volume = volume_plan(pod, chosen, files, asked.mount_path)
    held = gate(pod, chosen, profile.gate, asked.mount_path)
    patch += mounted(
        pod,
        (*volume.mounts, *held.mounts, *access.mounts),
        (*volume.volumes, *held.volumes, *access.volumes),
    )
    patch += volume.grown
    kept += volume.kept
    kept += access.kept
    injected += volume.injected
    warnings += access.warnings
    if profile.limits:
        for container, env in zip(chosen, plans, strict=True):
            warnings += _unlimited(pod, container, profile, env, volume)

    if profile.carried:
        warnings += _unknown(profile, values, namespace, around)
    patch += after
    if around is None:
        _refuse_forged(pod, values)
    record = _record(profile, asked.access, kept, skipped)
    patch += _annotated(pod, values, record, lambda: _record(profile, asked.access, [], []))
    return Injection(
        "injected" if patch else "unchanged",
        "ok",
        profile.name,
        tuple(patch),
        injected,
        tuple(kept),
        tuple(skipped),
        (*[f"kept: {each}" for each in kept], *[f"skipped: {each}" for each in skipped], *warnings),
    )


def _access(pod: Tree, chosen: list[Container], asked: Options) -> tuple[Access, tuple[Operation, ...]]:
    """What gives the pod its way to the API server, and what is to be done when all is added."""
    if not asked.access or not chosen:
        return NONE, ()
    profile = asked.profile
    if asked.access == "bundle":
        return bundle(pod, chosen, profile.api_access), ()
    added = sidecar(pod, chosen, profile.ambassador, profile.api_access)
    return added.access, added.after


def _choose(pod: Tree, asked: Options) -> tuple[list[Container], list[str]]:
    named = asked.only | asked.skip
    if not named and asked.access != "ambassador":
        return [*containers(pod)], []
    chosen, skipped = [], []
    found = set()
    for each in containers(pod):
        # The sidecar of an earlier pass is nobody to give facts to.
        if asked.access == "ambassador" and each.name == NAME:
            continue
        found.add(each.name)
        if each.name in asked.skip:
            skipped.append(f"{each.name}: in podfacts.dev/skip-containers")
        elif asked.only and each.name not in asked.only:
            skipped.append(f"{each.name}: not in podfacts.dev/containers")
        else:
            chosen.append(each)
    # Another webhook may still bring it, and then the second pass finds it: no reason to refuse the pod.
    skipped += [f"{name}: no container has that name" for name in sorted(named - found)]
    return chosen, skipped


def _unlimited(
    pod: Tree, container: Container, profile: Profile, env: EnvPlan, volume: VolumePlan
) -> list[str]:
    """A warning where a fact shows a limit that is unset: its value is the node's, and not the container's.

    A limit of the pod as a whole is what env shows then; files do not know it (``kubelet_resources.go`` against
    ``volume/downwardapi``).
    """
    limits = mapping(mapping(container.spec, "resources", container.path), "limits", container.path)
    unset = [each for each in profile.limits if _zero(limits.get(each.resource))]
    if not unset:
        return []
    pod_limits = mapping(mapping(mapping(pod, "spec"), "resources", ("spec",)), "limits", ("spec",))
    everywhere, in_files = [], []
    for each in unset:
        by_file = volume.shown and each.file
        if _zero(pod_limits.get(each.resource)) and (by_file or each.env - env.foreign):
            everywhere.append(f"limits.{each.resource}")
        elif by_file:
            in_files.append(f"limits.{each.resource}")
    told = []
    if everywhere:
        told.append(f"{container.name}: {', '.join(everywhere)} unset: the fact shows the node's allocatable")
    if in_files:
        names = ", ".join(in_files)
        told.append(
            f"{container.name}: {names} unset: the file shows the node's allocatable, not the pod's limit"
        )
    return told


def _zero(quantity: object) -> bool:
    return not quantity or not SOME.match(str(quantity))


def _record(profile: Profile, access: str, kept: list[str], skipped: list[str]) -> str:
    """What was done, for ``podfacts.dev/injected``. The same on every pass, or the second would not be empty."""
    told: dict[str, object] = {"profile": profile.name, "hash": profile.hash}
    if access:
        told["access"] = access
    if kept:
        told["kept"] = kept
    if skipped:
        told["skipped"] = skipped
    return orjson.dumps(told).decode()


def _annotated(
    pod: Tree, values: Mapping[str, str], record: str, shorter: Callable[[], str]
) -> list[Operation]:
    """The operations that write carried facts and the record, and take away what only Podfacts may write.

    Nothing for what stands there. A record that finds no room says less. Raises ``Refused`` when there is none for that
    either: without a record the pod would be taken for one that was missed.
    """
    annotations = texts(mapping(pod, "metadata"), "annotations", ("metadata",))
    forged = forgeries(annotations, values)
    left_out = [*forged, INJECTED] if INJECTED in annotations else forged
    beside = {**annotations, **values} if values else annotations
    room = ANNOTATIONS_LIMIT - len(INJECTED) - _size(beside)
    if left_out:
        room += _size({key: beside[key] for key in left_out})
    record = record if len(record.encode()) <= room else shorter()
    if len(record.encode()) > room:
        raise Refused(
            ("metadata", "annotations"),
            "hold 256 KiB at most, with what Podfacts writes there: shorten them",
        )
    wanted = {**values, INJECTED: record}
    missing = {key: value for key, value in wanted.items() if annotations.get(key) != value}
    if not annotations:
        return [Operation(op="add", path=ANNOTATIONS, value=missing)] if missing else []
    written: list[Operation] = [
        {"op": "add", "path": f"{ANNOTATIONS}/{escaped(key)}", "value": value}
        for key, value in missing.items()
    ]
    return [*written, *[Operation(op="remove", path=f"{ANNOTATIONS}/{escaped(key)}") for key in forged]]


def _size(annotations: Mapping[str, str]) -> int:
    """In bytes, keys and values, as the API server counts them."""
    return sum(map(len, map(str.encode, annotations))) + sum(map(len, map(str.encode, annotations.values())))


def _refuse_forged(pod: Tree, values: Mapping[str, str]) -> None:
    """In a file it can be taken away by who wrote it; from a pod that is being created, we take it."""
    for key in forgeries(texts(mapping(pod, "metadata"), "annotations", ("metadata",)), values):
        raise Refused(
            ("metadata", "annotations", key), "is written by Podfacts when the pod is created: remove it"
        )


def forgeries(annotations: Mapping[str, str], values: Mapping[str, str]) -> list[str]:
    """The annotations that only Podfacts may write, and that do not come from it."""
    return [key for key in annotations if key.startswith(FACTS) and key not in values]


def stripped(pod: Tree) -> tuple[Operation, ...]:
    """What takes from a pod that is let through as it is what its author may not have written."""
    annotations = texts(mapping(pod, "metadata"), "annotations", ("metadata",))
    forged = [*forgeries(annotations, {}), *(key for key in annotations if key == INJECTED)]
    return tuple(Operation(op="remove", path=f"{ANNOTATIONS}/{escaped(key)}") for key in forged)


def _unknown(
    profile: Profile, values: Mapping[str, str], namespace: str, around: Surroundings | None
) -> list[str]:
    """What the pod's author should know of facts that have no value yet."""
    unknown = [each for each in profile.carried if FACTS + each.name not in values and not each.required]
    late = [each.name for each in unknown if each.kind in NODE_KINDS]
    if around is None:
        return [f"{', '.join(late)}: told by the cluster when the pod is bound to a node"] if late else []
    there = around.namespaces.get(namespace) or {}
    labels = mapping(mapping(there, "metadata"), "labels")
    # Files follow; and containers that wait for one fact find all of them.
    names = [each.env for each in unknown if each.kind in NODE_KINDS and each.env and not profile.gate]
    if names and labels.get(NODE_FACTS) != "enabled":
        return [
            f"env {', '.join(names)}: empty when the containers start, unless the namespace has the label "
            f"{NODE_FACTS}=enabled"
        ]
    return []
