"""Policies on a real API server, for namespaces of the tests' own, and what stands beside them to compare with."""

import copy
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import yaml

from podfacts.core.carried import Surroundings
from podfacts.core.options import API_ACCESS, INJECT, INJECTED
from podfacts.core.policy import policies
from podfacts.core.profile import Profile, parse_profile
from tests.case import CASES, PROFILES, Case
from tests.e2e.api import Api
from tests.e2e.conftest import REPOSITORY, wait_for
from tests.e2e.test_cases_on_the_api_server import dry, essence, in_any_order_of_token

GROUP = "/apis/admissionregistration.k8s.io/v1"
TOLD = yaml.safe_load((REPOSITORY / "tests/e2e/policy_twin.yaml").read_text().replace("LONG", "x" * 132_000))
ALL: dict[str, Profile] = {**PROFILES, "told": parse_profile(TOLD["profile"])}
PRINTED = {
    name: profile
    for name, profile in ALL.items()
    if not (profile.api_access.enabled or profile.ambassador.enabled)
}
MORE = [Case(f"twin: {told['case']}", told["pod"], told) for told in TOLD["cases"]]
TRIED = [case for case in [*CASES, *MORE] if case.told.get("api") != "refuses"]


def asked(case: Case) -> str:
    """The profile that the pod names; "" when it names none."""
    name = case.pod["metadata"].get("labels", {}).get(INJECT, "")
    return "default" if name == "true" else str(name)


class Twin(NamedTuple):
    """Namespaces where the policies are, by their metadata; the one where nothing is; and how they look."""

    namespaces: dict[str, str]
    plain: str
    api: Api

    def namespace(self, case: Case) -> str:
        """Where the case's pod is created."""
        return self.namespaces[_metadata(case)]

    def around(self, case: Case) -> Surroundings:
        """The cluster as the webhook would know it."""
        name = self.namespace(case)
        there = self.api.call("GET", f"/api/v1/namespaces/{name}").body
        return Surroundings(case.told.get("nodes", {}), {name: there})


def _metadata(case: Case) -> str:
    return json.dumps(case.told.get("namespace", {}), sort_keys=True)


@contextmanager
def twinned(api: Api, prefix: str, profiles: Iterable[Profile], cases: Iterable[Case]) -> Iterator[Twin]:
    """The policies of the profiles, for the namespaces that the cases need; they are seen to work.

    ``prefix`` begins the names of the namespaces.
    """
    wanted = ["bare", *sorted({"{}", *map(_metadata, cases)})]
    names = {told: f"{prefix}-{index}-{os.getpid()}" for index, told in enumerate(wanted)}
    paths: list[str] = []
    try:
        for told, name in names.items():
            metadata, door = ({}, "none") if told == "bare" else (json.loads(told), "twin")
            paths.append(namespace(api, name, metadata, door))
        for profile in profiles:
            paths += [created(api, tree) for tree in policies(profile)]
        for profile in profiles:
            wait_for(lambda profile=profile: in_force(api, names["{}"], profile))
        plain = names.pop("bare")
        yield Twin(names, plain, api)
    finally:
        for path in reversed(paths):
            api.call("DELETE", path)


def namespace(api: Api, name: str, metadata: dict[str, Any], door: str) -> str:
    """The path of a namespace where pods can be created."""
    labels = {**metadata.get("labels", {}), "podfacts.test/door": door}
    api.create("/api/v1/namespaces", {"metadata": {**metadata, "name": name, "labels": labels}})
    path = f"/api/v1/namespaces/{name}"
    wait_for(lambda: api.call("GET", f"{path}/serviceaccounts/default").status == 200)
    return path


def created(api: Api, tree: dict[str, Any]) -> str:
    """The path of the policy or binding, created under a name of the tests' own and for their namespace alone."""
    tree = copy.deepcopy(tree)
    tree["metadata"]["name"] += f"-{os.getpid()}"
    if "policyName" in tree["spec"]:
        tree["spec"]["policyName"] += f"-{os.getpid()}"
        tree["spec"]["matchResources"]["namespaceSelector"] = {"matchLabels": {"podfacts.test/door": "twin"}}
    api.create(collection(tree), tree)
    return f"{collection(tree)}/{tree['metadata']['name']}"


def collection(tree: dict[str, Any]) -> str:
    """The path of the policies or bindings."""
    kind = tree["kind"].lower()
    return f"{GROUP}/{kind.removesuffix('y')}ies" if kind.endswith("y") else f"{GROUP}/{kind}s"


def in_force(api: Api, where: str, profile: Profile) -> bool:
    """Whether the API server goes by both policies of a profile: it takes a moment."""
    labels = {fact.key: "x" for fact in profile.facts if fact.kind == "label" and fact.required}
    metadata = {"name": "probe", "labels": {**labels, INJECT: profile.name}}
    pod = {"metadata": metadata, "spec": {"containers": [{"name": "main", "image": "app"}]}}
    if not any(fact.required for fact in profile.facts if fact.kind.startswith("namespace")):
        said = dry(api, where, pod)
        # The refusing policy may be there before the other, and misses the record that that one writes.
        if said.status != 201 or INJECTED not in said.body["metadata"].get("annotations", {}):
            return False
    metadata["annotations"] = {API_ACCESS: "nonsense"}
    return dry(api, where, pod).status == 422


def plain(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod without the record, which says less from a policy."""
    found = in_any_order_of_token(essence(pod))
    annotations = found["metadata"].get("annotations", {})
    annotations.pop(INJECTED, None)
    if not annotations:
        found["metadata"].pop("annotations", None)
    return found
