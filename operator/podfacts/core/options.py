"""What a pod asks for, read once from its labels and annotations.

Precedence, here and nowhere else: **the pod's annotation, over the profile, over the built-in value.**

| asked by | of the pod | else of the profile | else |
|---|---|---|---|
| label ``podfacts.dev/inject`` | ``"true"``, ``"false"`` or a profile's name | | off |
| annotation ``podfacts.dev/mount-path`` | absolute path | ``spec.volume.mountPath`` | ``/etc/downward`` |
| annotation ``podfacts.dev/containers`` | comma list: only these | | all |
| annotation ``podfacts.dev/skip-containers`` | comma list: not these | | none |
| annotation ``podfacts.dev/overwrite`` | comma list of env names that may be replaced | | none |
"""

from collections.abc import Mapping
from dataclasses import dataclass

from podfacts.core.mountpath import mount_path_fault
from podfacts.core.pod import Tree, mapping, texts
from podfacts.core.profile import Profile
from podfacts.core.refusal import Refused

PREFIX = "podfacts.dev/"
INJECT = PREFIX + "inject"
CONTAINERS = PREFIX + "containers"
SKIP_CONTAINERS = PREFIX + "skip-containers"
MOUNT_PATH = PREFIX + "mount-path"
OVERWRITE = PREFIX + "overwrite"
INJECTED = PREFIX + "injected"
KNOWN = frozenset({CONTAINERS, SKIP_CONTAINERS, MOUNT_PATH, OVERWRITE, INJECTED})
# Set by the kubelet on the API's copy of a static pod: a change here never reaches the real one.
MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True, slots=True)
class Options:
    """What one pod asked for."""

    profile: Profile
    mount_path: str
    only: frozenset[str]
    skip: frozenset[str]
    overwrite: frozenset[str]
    warnings: tuple[str, ...]


def options(pod: Tree, profiles: Mapping[str, Profile]) -> Options | str:
    """What the pod asks for; a sentence instead when it did not ask.

    Raises ``Refused`` for a label or annotation of ours that says something impossible.
    """
    metadata = mapping(pod, "metadata")
    asked = texts(metadata, "labels", ("metadata",)).get(INJECT)
    if asked is None:
        return "not opted in"
    if asked == "false":
        return f"opted out by the label {INJECT}=false"
    annotations = texts(metadata, "annotations", ("metadata",))
    if MIRROR in annotations:
        return "a mirror pod: a change here would not reach the static pod"
    profile = profiles.get("default" if asked == "true" else asked)
    if profile is None:
        known = ", ".join(sorted(profiles))
        raise Refused(
            ("metadata", "labels", INJECT),
            f'there is no profile {asked!r}: write "true", "false" or one of {known}',
        )
    mount_path = annotations.get(MOUNT_PATH, profile.mount_path)
    # The profile's own was checked when it was read.
    if MOUNT_PATH in annotations and (fault := mount_path_fault(mount_path)):
        raise Refused(("metadata", "annotations", MOUNT_PATH), fault)
    overwrite = _list(annotations, OVERWRITE)
    return Options(
        profile=profile,
        mount_path=mount_path,
        only=_list(annotations, CONTAINERS),
        skip=_list(annotations, SKIP_CONTAINERS),
        overwrite=overwrite,
        warnings=(*_unknown(annotations), *_never_set(overwrite, profile)),
    )


def _list(annotations: Mapping[str, str], key: str) -> frozenset[str]:
    if key not in annotations:
        return frozenset()
    names = frozenset(each.strip() for each in annotations[key].split(",")) - {""}
    if not names:
        raise Refused(
            ("metadata", "annotations", key),
            "must be a comma list such as main,init; remove it for the default",
        )
    return names


def _unknown(annotations: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"annotation {key} does nothing here: known are {', '.join(sorted(KNOWN - {INJECTED}))}"
        for key in annotations
        if key.startswith(PREFIX) and key not in KNOWN
    )


def _never_set(overwrite: frozenset[str], profile: Profile) -> tuple[str, ...]:
    names = sorted(overwrite - {each["name"] for each in profile.env})
    return tuple(f"{OVERWRITE} names {name}, which profile {profile.name} does not set" for name in names)
