"""The same questions to Kubernetes' code (``authorizer.go``, another process) and to ours; whatever differs, in words."""

import json
import random
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from podfacts.audit.asked import Who
from podfacts.audit.gathered import Gathered
from podfacts.audit.intake import VERSION, entry
from podfacts.audit.inventory import Inventory, Place, Subject
from podfacts.audit.questions import Grant, Questions
from podfacts.audit.subjects import MASTERS
from podfacts.rights.request import Request
from podfacts.rights.rules import Rights
from tests.authorizer.clusters import Cluster, cluster, question

Tree = Mapping[str, Any]

A_CLUSTER = 100  # Questions to each random cluster.
SHOWN = 10


@dataclass
class Compared:
    """How many answers were compared, and what differed."""

    questions: int = 0
    allowed: int = 0
    who_can: int = 0
    subjects: int = 0
    grants: int = 0
    differences: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.questions} questions: {self.allowed} yes, {self.questions - self.allowed} no, by {self.grants} rules; "
            f"{self.who_can} times who can: {self.subjects} subjects; {len(self.differences)} differences"
        )


def compared(authorizer: Path, seed: int, questions: int) -> Iterator[Compared]:
    """The same object after each cluster: it grows until so many questions were asked, or until ten answers differ."""
    chance = random.Random(seed)  # noqa: S311 - the same clusters for the same seed
    so_far = Compared()
    with subprocess.Popen([authorizer], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        while so_far.questions < questions and len(so_far.differences) < SHOWN:
            has = cluster(chance)
            asked = [question(chance, has) for _ in range(min(A_CLUSTER, questions - so_far.questions))]
            _send(process.stdin, has, asked)
            # Ours are worked out while the other process works on its own.
            ours = list(_ours(has, asked))
            theirs = json.loads(process.stdout.readline())
            for each, one, other in zip(asked, ours, theirs, strict=True):
                _compare(so_far, each, one, other)
            yield so_far


@dataclass(frozen=True, slots=True)
class Ours:
    """Our answer; what is ``None`` cannot be asked, of objects that no API server would have taken."""

    allowed: bool
    by: Counter[str] | None = None
    subjects: frozenset[tuple[str, str, str]] | None = None


def _ours(has: Cluster, asked: Sequence[tuple[Who, Request]]) -> Iterator[Ours]:
    rights = Rights(
        roles=has.roles,
        cluster_roles=has.cluster_roles,
        role_bindings=has.role_bindings,
        cluster_role_bindings=has.cluster_role_bindings,
    )
    questions = Questions(inventory(has)) if has.valid else None
    for who, request in asked:
        allowed = bool(rights.granting(who.user, who.groups, request))
        if not questions:
            yield Ours(allowed)
            continue
        by = Counter(map(_described, questions.grants(who, request)))
        if not allowed:
            assert questions.answer(who, request).reasons, "a no without a reason"
        holders = frozenset(_triple(each.subject) for each in questions.holders(request))
        yield Ours(allowed, by, holders)


def inventory(has: Cluster) -> Inventory:
    """The cluster as the audit's own door would read it, live."""
    gathered = Gathered()
    lists = {
        "Role": has.roles,
        "ClusterRole": has.cluster_roles,
        "RoleBinding": has.role_bindings,
        "ClusterRoleBinding": has.cluster_role_bindings,
    }
    for kind, trees in lists.items():
        for tree in trees:
            each = entry({**tree, "kind": kind, "apiVersion": VERSION}, _nowhere, "")
            assert each
            gathered.add(each)
    return gathered.live()


def _nowhere(_path: object) -> Place:
    return Place("nowhere")


def _described(grant: Grant) -> str:
    """As Kubernetes names where a rule is from, with the first subject that it applies by (``rule.go``)."""
    binding, subject = grant.binding, grant.subjects[0]
    name = binding.name + (f"/{binding.namespace}" if binding.namespace else "")
    whom = subject.name + (f"/{subject.namespace}" if subject.namespace else "")
    return f'{binding.kind} "{name}" of {grant.role.kind} "{grant.role.name}" to {subject.kind} "{whom}"'


def _triple(subject: Subject) -> tuple[str, str, str]:
    return subject.kind, subject.namespace, subject.name


def _compare(so_far: Compared, asked: tuple[Who, Request], ours: Ours, theirs: Tree) -> None:
    who, request = asked
    so_far.questions += 1
    so_far.allowed += theirs["allowed"]
    said = {"allowed": theirs["allowed"]}
    mine: dict[str, Any] = {"allowed": ours.allowed}
    if ours.by is not None:
        mine |= {"by": ours.by, "subjects": ours.subjects}
        said |= {"by": Counter(theirs["by"]), "subjects": _named(theirs["subjects"], request.namespace)}
        so_far.grants += len(theirs["by"])
        so_far.who_can += 1
        so_far.subjects += len(said["subjects"])
    if mine != said:
        so_far.differences.append(f"{who} {who.groups} {request!r}: {mine}, but Kubernetes {said}")


def _named(subjects: Sequence[Tree], namespace: str) -> frozenset[tuple[str, str, str]]:
    """Those that RBAC names; an account of a RoleBinding that says no namespace is of the binding's."""
    assert subjects[0]["name"] == MASTERS, "which Kubernetes puts first, for RBAC is not asked about it"
    return frozenset(
        (
            each["kind"],
            each["namespace"] or (namespace if each["kind"] == "ServiceAccount" else ""),
            each["name"],
        )
        for each in subjects[1:]
    )


def _send(pipe: IO[bytes], has: Cluster, asked: Sequence[tuple[Who, Request]]) -> None:
    keys = ("verb", "group", "resource", "subresource", "namespace", "name", "path")
    line = {
        "roles": has.roles,
        "clusterRoles": has.cluster_roles,
        "roleBindings": has.role_bindings,
        "clusterRoleBindings": has.cluster_role_bindings,
        "questions": [
            {"user": who.user, "groups": who.groups, **{key: getattr(request, key) for key in keys}}
            for who, request in asked
        ],
    }
    pipe.write(json.dumps(line).encode() + b"\n")
    pipe.flush()
