"""Which profiles are in force: the built-in one, those from files, and the cluster's ``Profile`` objects.

The law: **an edit that cannot be used changes nothing.** The last good version of an object stays in force, and is kept in
the object's own ``status.inForce``, so that a replica that starts anew finds it there too. Every replica decides from the
same objects by the same rule, and so comes to the same end without asking another one.

A node's facts are stamped on a Binding, which does not say whose pod is bound. So the name of a node's fact has one
meaning in the whole cluster: a profile that gives it another one is not accepted while the first is in force.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from podfacts.core.facts import NODE_KINDS, Fact
from podfacts.core.profile import API_VERSION, Profile, parse_profile
from podfacts.core.refusal import Refused

Reason = Literal["Accepted", "Invalid", "Conflict"]
OBJECT = {"apiVersion": API_VERSION, "kind": "Profile"}


class Verdict(NamedTuple):
    """What became of one object, and the version of it that is in force, if there is any.

    ``generation`` is that of the object judged; ``in_force_spec`` is the spec that ``in_force`` was read from.
    """

    uid: str
    generation: int
    reason: Reason
    message: str
    in_force: Profile | None
    in_force_generation: int
    in_force_spec: Any

    @property
    def accepted(self) -> bool:
        """Whether it is the object's present version that is in force."""
        return self.reason == "Accepted"


@dataclass(frozen=True)
class Catalogue:
    """The profiles in force by name, what became of each object, and the node facts of all of them."""

    profiles: Mapping[str, Profile]
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    node_facts: tuple[Fact, ...] = ()

    @property
    def topology(self) -> tuple[str, ...]:
        """The labels that facts take from the pod, where Kubernetes sets them from the node."""
        return tuple(dict.fromkeys(key for each in self.profiles.values() for key in each.topology))


def catalogue(
    trees: Iterable[Any],
    built_in: Mapping[str, Profile],
    before: Catalogue | None = None,
    *,
    topology_labels: bool = True,
) -> Catalogue:
    """The catalogue of the objects ``trees``; they win over ``built_in``, which has those from files.

    ``before`` is the catalogue until now: its verdicts hold the last good versions.
    """
    ordered = sorted(trees, key=_age)
    # An object takes the place of a built-in profile even while none of its versions can be used: its admin wrote it.
    written = {tree["metadata"]["name"] for tree in ordered}
    kept = {name: profile for name, profile in built_in.items() if name not in written}
    claims = _Claims()
    for profile in kept.values():
        claims.put(profile)
    # What is in force keeps its meanings against every edit, its own pending one among them.
    standing: dict[str, _Version] = {}
    for tree in ordered:
        version = _standing(tree, before, topology_labels=topology_labels)
        if version and not claims.clash(version.profile):
            standing[version.profile.name] = version
            claims.put(version.profile)
    verdicts: dict[str, Verdict] = {}
    # Twice, for a name that a younger one gives up is free for an older one.
    for tree in (*ordered, *ordered):
        name = tree["metadata"]["name"]
        if name in verdicts and verdicts[name].reason != "Conflict":
            continue
        verdict = _judge(tree, claims, standing.get(name), before, topology_labels=topology_labels)
        verdicts[name] = verdict
        if verdict.in_force:
            claims.put(verdict.in_force)
    found = {name: verdict.in_force for name, verdict in verdicts.items() if verdict.in_force}
    return Catalogue({**kept, **found}, verdicts, claims.facts({*kept, *found}))


class _Version(NamedTuple):
    """A version of an object that can be used."""

    profile: Profile
    generation: int
    spec: Any


class _Claims:
    """What each node's fact means, by who says so: a profile that is in force, or is about to be."""

    def __init__(self) -> None:
        self._facts: dict[str, tuple[Fact, ...]] = {}

    def put(self, profile: Profile) -> None:
        """Take a profile's meanings, in the place of those that it had."""
        self._facts[profile.name] = tuple(each for each in profile.carried if each.kind in NODE_KINDS)

    def clash(self, profile: Profile) -> str:
        """A sentence about the first fact whose name means something else to another profile; "" if there is none."""
        for fact in profile.carried:
            if fact.kind not in NODE_KINDS:
                continue
            for owner, facts in self._facts.items():
                other = next((each for each in facts if each.name == fact.name), fact)
                if owner != profile.name and _meaning(other) != _meaning(fact):
                    return (
                        f"fact {fact.name} is {other.kind} {other.key} in profile {owner}, and a node's fact has "
                        "one meaning in the cluster: give this one another name"
                    )
        return ""

    def facts(self, names: Container[str]) -> tuple[Fact, ...]:
        """The facts of all these profiles, each name once."""
        found = {each.name: each for owner, facts in self._facts.items() if owner in names for each in facts}
        return tuple(found.values())


def _age(tree: Any) -> tuple[str, str]:
    """The older one goes first."""
    metadata = tree["metadata"]
    return str(metadata.get("creationTimestamp", "")), metadata["name"]


def _judge(
    tree: Any,
    claims: _Claims,
    standing: _Version | None,
    before: Catalogue | None,
    *,
    topology_labels: bool,
) -> Verdict:
    metadata = tree["metadata"]
    uid, generation = str(metadata.get("uid", "")), int(metadata.get("generation", 0))
    try:
        profile = _read(tree, before, topology_labels=topology_labels)
    except Refused as refused:
        reason: Reason = "Invalid"
        message = str(refused)
    else:
        clash = claims.clash(profile)
        if not clash:
            return Verdict(uid, generation, "Accepted", "in force", profile, generation, tree["spec"])
        reason, message = "Conflict", clash
    if standing:
        message = f"{message}; generation {standing.generation} stays in force"
        return Verdict(uid, generation, reason, message, *standing)
    return Verdict(uid, generation, reason, f"{message}; no version of it is in force", None, 0, None)


def _read(tree: Any, before: Catalogue | None, *, topology_labels: bool) -> Profile:
    """The object's present version; one that was in force already is not read again. Raises ``Refused``."""
    metadata = tree["metadata"]
    known = before.verdicts.get(metadata["name"]) if before else None
    seen = (metadata.get("uid", ""), metadata.get("generation", 0))
    if known and known.accepted and known.in_force and (known.uid, known.generation) == seen:
        return known.in_force
    bare = {key: tree[key] for key in tree if key != "status"}
    # The items of a list need not say what they are.
    return parse_profile({**OBJECT, **bare}, topology_labels=topology_labels)


def _standing(tree: Any, before: Catalogue | None, *, topology_labels: bool) -> _Version | None:
    """The version that is in force until now: as this replica knows it, else as the object's status says."""
    metadata = tree["metadata"]
    known = before.verdicts.get(metadata["name"]) if before else None
    if known and known.uid == str(metadata.get("uid", "")):
        version = (known.in_force_generation, known.in_force_spec)
        return _Version(known.in_force, *version) if known.in_force else None
    stored = _stored(tree)
    if "spec" not in stored:
        return None
    old = {**OBJECT, "metadata": metadata, "spec": stored["spec"]}
    try:
        profile = parse_profile(old, topology_labels=topology_labels)
    except Refused:  # Written by a version of Podfacts that could use it.
        return None
    return _Version(profile, int(stored.get("generation", 0)), stored["spec"])


def _stored(tree: Any) -> Mapping[str, Any]:
    status = tree.get("status")
    found = status.get("inForce") if isinstance(status, dict) else None
    return found if isinstance(found, dict) else {}


def _meaning(fact: Fact) -> tuple[str, str, str, str | None]:
    return fact.kind, fact.key, fact.divisor, fact.default
