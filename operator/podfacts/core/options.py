"""What a pod asks for, read once from its labels and annotations.

Precedence, here and nowhere else: **the pod's annotation, over the profile, over the built-in value.**

| asked by | of the pod | else of the profile | else |
|---|---|---|---|
| label ``podfacts.dev/inject`` | ``"true"``, ``"false"`` or a profile's name | | off |
| annotation ``podfacts.dev/mount-path`` | absolute path | ``spec.volume.mountPath`` | ``/etc/downward`` |
| annotation ``podfacts.dev/containers`` | comma list: only these | | all |
| annotation ``podfacts.dev/skip-containers`` | comma list: not these | | none |
| annotation ``podfacts.dev/overwrite`` | comma list of env names that may be replaced | | none |
| annotation ``podfacts.dev/api-access`` | ``"true"``, ``"false"`` | ``spec.apiAccess.enabled`` | off |
| annotation ``podfacts.dev/ambassador`` | ``"true"``, ``"false"`` | ``spec.ambassador.enabled`` | off |

Bundle and ambassador exclude each other. The pod's choice of one wins over a profile that has the other.
"""

from collections.abc import Mapping
from typing import NamedTuple

from podfacts.core.apiaccess import ADDRESS, STANDARD
from podfacts.core.mountpath import mount_path_fault, overlap
from podfacts.core.pod import Tree, mapping, texts
from podfacts.core.profile import Access, Profile
from podfacts.core.refusal import Refused

PREFIX = "podfacts.dev/"
INJECT = PREFIX + "inject"
CONTAINERS = PREFIX + "containers"
SKIP_CONTAINERS = PREFIX + "skip-containers"
MOUNT_PATH = PREFIX + "mount-path"
OVERWRITE = PREFIX + "overwrite"
API_ACCESS = PREFIX + "api-access"
AMBASSADOR = PREFIX + "ambassador"
INJECTED = PREFIX + "injected"
KNOWN = frozenset({CONTAINERS, SKIP_CONTAINERS, MOUNT_PATH, OVERWRITE, API_ACCESS, AMBASSADOR, INJECTED})
# Set by the kubelet on the API's copy of a static pod: a change here never reaches the real one.
MIRROR = "kubernetes.io/config.mirror"


class NoProfile(Refused):
    """The pod names a profile that is not in force."""


NOBODY: frozenset[str] = frozenset()


class Options(NamedTuple):
    """What one pod asked for."""

    profile: Profile
    mount_path: str
    only: frozenset[str]
    skip: frozenset[str]
    overwrite: frozenset[str]
    access: Access
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
        raise NoProfile(
            ("metadata", "labels", INJECT),
            f'there is no profile {asked!r} in force: write "true", "false" or one of {known}',
        )
    if not any([key.startswith(PREFIX) for key in annotations]):  # noqa: C419 - a list is faster than a generator
        return Options(profile, profile.mount_path, NOBODY, NOBODY, NOBODY, profile.access, ())
    mount_path = annotations.get(MOUNT_PATH, profile.mount_path)
    # The profile's own was checked when it was read.
    if MOUNT_PATH in annotations and (fault := mount_path_fault(mount_path)):
        raise Refused(("metadata", "annotations", MOUNT_PATH), fault)
    access = _access(annotations, profile)
    place = {"bundle": profile.api_access.mount_path, "ambassador": STANDARD, "": None}[access]
    if place and overlap(
        mount_path, place
    ):  # Never the profile's own place: that was checked when it was read.
        raise Refused(
            ("metadata", "annotations", MOUNT_PATH),
            f"{mount_path} meets {place}, where the API access is: write another path, such as /etc/downward",
        )
    overwrite = _list(annotations, OVERWRITE)
    return Options(
        profile=profile,
        mount_path=mount_path,
        only=_list(annotations, CONTAINERS),
        skip=_list(annotations, SKIP_CONTAINERS),
        overwrite=overwrite,
        access=access,
        warnings=(*_unknown(annotations), *_never_set(overwrite, profile, access)),
    )


def _access(annotations: Mapping[str, str], profile: Profile) -> Access:
    bundle, ambassador = _switch(annotations, API_ACCESS), _switch(annotations, AMBASSADOR)
    if bundle and ambassador:
        raise Refused(
            ("metadata", "annotations", AMBASSADOR),
            f'and {API_ACCESS} cannot both be "true": with the ambassador the containers hold no token. Keep one of them',
        )
    if ambassador or (ambassador is None and not bundle and profile.access == "ambassador"):
        return "ambassador"
    return "bundle" if bundle or (bundle is None and profile.access == "bundle") else ""


def _switch(annotations: Mapping[str, str], key: str) -> bool | None:
    """``None`` when the pod does not say."""
    value = annotations.get(key)
    if value not in (None, "true", "false"):
        raise Refused(("metadata", "annotations", key), f'must be "true" or "false", not {value!r}')
    return None if value is None else value == "true"


def _list(annotations: Mapping[str, str], key: str) -> frozenset[str]:
    if key not in annotations:
        return NOBODY
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


def _never_set(overwrite: frozenset[str], profile: Profile, access: Access) -> tuple[str, ...]:
    if not overwrite:
        return ()
    ours = {each["name"] for each in profile.env}
    ours |= {"bundle": profile.api_access.names, "ambassador": {ADDRESS}, "": set()}[access]
    names = sorted(overwrite - ours)
    return tuple(f"{OVERWRITE} names {name}, which profile {profile.name} does not set" for name in names)
