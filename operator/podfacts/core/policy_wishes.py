"""What a pod asks for by its annotations, in CEL: ``options.py`` once more, and what is refused of it.

Each rule is a row of the refusing policy, in the order and with the sentence of the webhook. The mutating policy asks the
same questions and leaves the pod alone if one says no: Kubernetes validates a pod before it asks the refusing policy, and
would speak of a mount path that the author never wrote.

A policy works inside the API server, where an expression costs the square of its steps: 10,000 take a tenth of a second,
40,000 two to three seconds, and that is within Kubernetes' own budget. So what is read has a largest size, beyond which
the webhook is the way.
"""

from collections.abc import Iterator
from typing import NamedTuple

from podfacts.core.facts import FACTS, LONGEST_VALUE, NAMESPACE_KINDS, Fact
from podfacts.core.gate import PLACE, VOLUME, expression
from podfacts.core.mountpath import LENGTH, RESERVED
from podfacts.core.options import AMBASSADOR, API_ACCESS, CONTAINERS, MOUNT_PATH, OVERWRITE, SKIP_CONTAINERS
from podfacts.core.policy_cel import climbs, literal, normal, optional, overlap
from podfacts.core.profile import MOUNT_PATH as FOLDER
from podfacts.core.profile import Profile
from podfacts.core.refusal import Refused, Segment
from podfacts.core.volume import VOLUME as FILES

Variable = tuple[str, str]
LISTS = ((OVERWRITE, "overwrite"), (CONTAINERS, "only"), (SKIP_CONTAINERS, "skip"))
PATH = "variables.mount_path"
# What Python's isprintable refuses, but for the blank.
UNPRINTABLE = r"[\p{C}\p{Z}]"
MOUNT = ("metadata", "annotations", MOUNT_PATH)

# Of a list in an annotation. 250 names of containers, at their longest of 63, are under it.
LONGEST_LIST = 16_384
VOLUMES = [FILES, VOLUME]
WANTED = "!(it.name in variables.skip) && (variables.only.size() == 0 || it.name in variables.only)"
CONTAINER = """{{"path": dyn("/spec/{kind}/" + string(index)), "name": dyn(it.name),
   "env": dyn(has(it.env) ? it.env : []),
   "mounts": dyn(has(it.volumeMounts) ? it.volumeMounts : []),
   "devices": dyn(has(it.volumeDevices) ? it.volumeDevices.map(device, device.devicePath) : []),
   "message": dyn(has(it.terminationMessagePath) ? [it.terminationMessagePath] : [])}}"""


class Rule(NamedTuple):
    """What must be so, and the sentence when it is not: a text, or an expression where ``computed``.

    ``before`` says that it can be told before facts are injected; the other rules look at what became of it.
    """

    expression: str
    message: str
    computed: bool = False
    before: bool = True


def wish_variables(profile: Profile) -> Iterator[Variable]:
    """The pod's own words, and where they are silent the profile's."""
    for part in ("labels", "annotations"):
        yield part, optional("object.metadata", part, "{}")
        yield (
            f"namespace_{part}",
            f"namespaceObject != null && has(namespaceObject.metadata.{part}) ? namespaceObject.metadata.{part} : {{}}",
        )
    for key, name in LISTS:
        given = f'{_asks(key)} && size({_asked(key)}) <= {LONGEST_LIST} ? {_asked(key)}.split(",") : []'
        yield name, f'({given}).map(name, name.trim()).filter(name, name != "")'
    yield "mount_path", f"{_asks(MOUNT_PATH)} ? {_asked(MOUNT_PATH)} : {literal(profile.mount_path)}"
    yield "folder", f'size({PATH}) > {LENGTH} ? {PATH} + "/" : {normal(PATH)}'


class Size(NamedTuple):
    """How many of something a pod may have, ours not counted, so that a pod does not grow too large by our own hand.

    ``all`` may be at most ``looked``: more are not even counted one by one.
    """

    what: str
    most: int
    all: str
    looked: int
    own: str


def sizes(profile: Profile) -> tuple[Size, ...]:
    """The largest pod: with the built-in profile it takes about half a second."""
    names = literal([each["name"] for each in profile.env])
    return (
        _size("annotations", 1000, 2000, "variables.annotations", f"!each.startsWith({literal(FACTS)})"),
        Size("containers", 50, "variables.all.size()", 50, "variables.all.size()"),
        _sizes("env entries", 2000, 10_000, "env", f"!(each.name in {names})"),
        _sizes("mounts", 500, 2000, "volumeMounts", f"!(each.name in {literal(VOLUMES)})"),
        _size(
            "volumes",
            500,
            1000,
            f"({optional('object.spec', 'volumes', '[]')})",
            f"!(each.name in {literal(VOLUMES)})",
        ),
    )


def _size(what: str, most: int, looked: int, where: str, own: str) -> Size:
    return Size(what, most, f"{where}.size()", looked, f"{where}.filter(each, {own}).size()")


def _sizes(what: str, most: int, looked: int, key: str, own: str) -> Size:
    each = f"variables.all.map(it, has(it.{key}) ? it.{key}"
    return Size(
        what, most, f"{each}.size() : 0).sum()", looked, f"{each}.filter(each, {own}).size() : 0).sum()"
    )


def chosen_variables(profile: Profile) -> Iterator[Variable]:
    """The containers that get facts: where each stands, and what is in it already."""
    lists, everything = [], []
    for kind in ("containers", "initContainers"):
        there = optional("object.spec", kind, "[]")
        entry = CONTAINER.format(kind=kind)
        everything.append(f"({there})")
        lists.append(f"({there}).transformList(index, it,\n  {WANTED},\n  {entry})")
    yield "all", " + ".join(everything)
    found = sizes(profile)
    # In this order: what is too many is not looked into.
    bounds = [f"{each.all} <= {each.looked}" for each in found]
    yield "small", "\n&& ".join([*bounds, *(f"{each.own} <= {each.most}" for each in found)])
    yield "chosen", "!variables.small ? [] :\n" + "\n+ ".join(lists)


def rules(profile: Profile) -> list[Rule]:
    """What is refused, in the webhook's order."""
    most = ", ".join(f"{each.most} {each.what}" for each in sizes(profile))
    large = f"a policy injects pods of at most {most}: let the webhook inject this one"
    found = [_rule("variables.small", (), large), *_mount_path(), *_access()]
    for key, name in LISTS:
        found.append(
            _rule(
                f"!({_asks(key)}) || size({_asked(key)}) <= {LONGEST_LIST}",
                ("metadata", "annotations", key),
                f"a policy reads at most {LONGEST_LIST} characters of it: shorten it, or let the webhook inject this pod",
            )
        )
        found.append(
            _rule(
                f"!({_asks(key)}) || variables.{name}.size() > 0",
                ("metadata", "annotations", key),
                "must be a comma list such as main,init; remove it for the default",
            )
        )
    found += [_required(fact, profile) for fact in profile.facts if fact.required and not fact.late]
    for key in profile.topology:
        # A pod that names its node has the label from Kubernetes by now, or its own: nobody can tell here.
        free = f"has(object.spec.nodeName) || !({literal(key)} in variables.labels)"
        reason = "is set by Kubernetes from the pod's node: remove it from the pod"
        found.append(_rule(free, ("metadata", "labels", key), reason))
    return [*found, *(_gate(profile) if profile.gate else ())]


def _mount_path() -> Iterator[Rule]:
    example = f"such as {FOLDER}"
    absolute = f'{PATH}.startsWith("/")'
    refused = Refused(MOUNT, f"must be an absolute path {example}, not ")
    start = literal(f"podfacts: {refused}'")
    yield Rule(absolute, f'{start} + {PATH} + "\'"', computed=True)
    yield _rule(
        f'!{PATH}.contains(":") && !{PATH}.replace(" ", "").matches({literal(UNPRINTABLE)})',
        MOUNT,
        f"must not hold ':' or control characters: write a path {example}",
    )
    yield _rule(
        f'variables.folder != "/" && !{climbs(PATH)}',
        MOUNT,
        f"must be a folder of its own without '..': write a path {example}",
    )
    for place in RESERVED:
        yield _rule(
            f"!({overlap('variables.folder', literal(place + '/'))})",
            MOUNT,
            f"must not touch {place}, which every container needs: write a path {example}",
        )
    yield _rule(f"size(bytes({PATH})) <= {LENGTH}", MOUNT, f"must be at most {LENGTH} bytes")


def _access() -> Iterator[Rule]:
    for key in (API_ACCESS, AMBASSADOR):
        path = ("metadata", "annotations", key)
        word = f'!({_asks(key)}) || {_asked(key)} in ["true", "false"]'
        refused = Refused(path, 'must be "true" or "false", not ')
        start = literal(f"podfacts: {refused}'")
        yield Rule(word, f'{start} + {_asked(key)} + "\'"', computed=True)
    for key in (API_ACCESS, AMBASSADOR):
        yield _rule(
            f'!({_asks(key)}) || {_asked(key)} != "true"',
            ("metadata", "annotations", key),
            "a policy gives no API access: remove it, or let the webhook inject this pod",
        )


def _required(fact: Fact, profile: Profile) -> Rule:
    kind = fact.kind
    if kind in NAMESPACE_KINDS:
        kind = kind.removeprefix("namespace").lower()
        there = f'{_value(f"variables.namespace_{kind}s", fact.key)} != ""'
        return _rule(
            there, (), f"profile {profile.name} requires the {kind} {fact.key} of the namespace: ask for it"
        )
    there = f'{literal(fact.key)} in variables.{kind}s && variables.{kind}s[{literal(fact.key)}] != ""'
    return _rule(
        there, ("metadata", f"{kind}s", fact.key), f"is required by profile {profile.name}: write a value"
    )


def _value(where: str, key: str, default: str = "") -> str:
    return f"({value_of(where, key, default)})"


def value_of(where: str, key: str, default: str = "") -> str:
    """The expression of a carried value: what stands there if a pod can carry it, else the default (facts.py, ``fit``)."""
    its = f"{where}[{literal(key)}]"
    fits = f'size(bytes({its})) <= {LONGEST_VALUE} && !{its}.contains("\\u0000")'
    return f"{literal(key)} in {where} && {fits} ? {its} : {literal(default)}"


def _gate(profile: Profile) -> Iterator[Rule]:
    """A pod that might run without what it requires is not let through."""
    meets = f" meets {PLACE}, where required facts are held: write another path"
    apart = f"variables.chosen.size() == 0 || !({overlap('variables.folder', literal(PLACE + '/'))})"
    yield Rule(apart, f'"podfacts: " + {PATH} + {literal(meets)}', computed=True)
    yield _rule(
        f"variables.chosen.all(container, {gated('container.mounts', profile)})",
        (),
        f"a container mounts something at {PLACE}, where required facts are held: mount it elsewhere",
        before=False,
    )
    held = f"has(object.spec.volumes) && object.spec.volumes.exists(each, each.name == {literal(VOLUME)} && has(each.emptyDir))"
    yield _rule(
        f"variables.chosen.size() == 0 || ({held})",
        (),
        f"the name {VOLUME} is kept for required facts: rename the volume",
        before=False,
    )


def gated(mounts: str, profile: Profile) -> str:
    """Whether one of ``mounts`` lets the container wait for what the profile requires (gate.py)."""
    same = [f"mount.{key} == {literal(value)}" for key, value in gate_mount(profile).items()]
    there = "has(mount.readOnly) && mount.readOnly && has(mount.subPathExpr)"
    return f"{mounts}.exists(mount, {' && '.join([there, *same])})"


def gate_mount(profile: Profile) -> dict[str, str]:
    """The mount that keeps a container from starting."""
    return {"name": VOLUME, "mountPath": PLACE, "subPathExpr": expression(profile.gate)}


def _rule(expression: str, path: tuple[Segment, ...], reason: str, *, before: bool = True) -> Rule:
    return Rule(expression, f"podfacts: {Refused(path, reason)}", before=before)


def _asks(key: str) -> str:
    return f"{literal(key)} in variables.annotations"


def _asked(key: str) -> str:
    return f"variables.annotations[{literal(key)}]"
