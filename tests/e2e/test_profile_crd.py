"""The API server judges a Profile as the code does: by the schema and the rules of deploy/base/05-profiles.yaml.

All is asked by dry run, so nothing is left behind. What only code can see is listed here too, and in docs/profiles.md.
"""

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from podfacts.core.catalogue import catalogue
from podfacts.core.facts import KINDS, NODE_INFO, SIZE_DIVISORS
from podfacts.core.profile import parse_profile
from podfacts.core.profile_status import status_patch
from podfacts.core.refusal import Refused
from tests.case import PROFILE_TREES
from tests.cluster import Cluster
from tests.e2e.api import Api, Said
from tests.e2e.conftest import REPOSITORY
from tests.e2e.wrong_profiles import FACTS, LARGEST, LEFT_TO_CODE, MANY, SPECS, profile

pytestmark = pytest.mark.api

Tree = dict[str, Any]

EXAMPLES = [
    yaml.safe_load(path.read_text())
    for path in sorted((REPOSITORY / "deploy/examples").glob("profile*.yaml"))
]
UNCHECKED = (
    ", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation]"
)
SEED = int(os.environ.get("S", "20261"))
QUESTIONS = 600


def named(name: str) -> Tree:
    return profile() | {"metadata": {"name": name}}


EVERY: list[Tree] = [
    profile(*({"name": each.lower(), "nodeField": f"status.nodeInfo.{each}"} for each in NODE_INFO)),
    profile(
        *(
            {"name": f"x{at}", "nodeField": "status.capacity.example.com/gpu", "divisor": each}
            for at, each in enumerate(SIZE_DIVISORS)
        )
    ),
    profile(
        {"name": "whole", "resource": "limits.cpu", "divisor": 1},
        {"name": "literal", "value": ""},
        {"name": "key", "label": "a" * 253 + "/t"},
        {"name": "owner", "owner": "name", "required": True},
        {"name": "owner-kind", "owner": "kind", "env": ""},
        {"name": "same", "image": "digest"},
        {"name": "other", "nodeAnnotation": "Example.com/Rack", "file": "same"},
    ),
    profile(volume={"mountPath": "/run"}, remediate="evict"),
    profile(volume={"mountPath": "/etc//facts/"}, apiAccess={"expirationSeconds": 3607, "audience": "vault"}),
    named("a.b-c"),
    named("x" * 63),
]


@pytest.fixture
def ask(api: Api, profiles: str) -> Any:
    def asked(tree: Tree, **query: str) -> Said:
        return api.call("POST", profiles, tree, **{"dryRun": "All", "fieldValidation": "Strict", **query})

    return asked


@pytest.mark.parametrize(
    "tree", [*EXAMPLES, *PROFILE_TREES, *EVERY], ids=lambda tree: str(tree["metadata"]["name"])[:20]
)
def test_a_good_profile_is_taken_and_means_the_same_afterwards(tree: Tree, ask: Any) -> None:
    said = ask(tree)
    assert said.status == 201, said.body
    assert said.body["spec"] == tree["spec"], "nothing is added, and nothing is dropped"
    assert parse_profile(said.body) == parse_profile(tree)


@pytest.mark.parametrize(("tree", "sentence"), [*FACTS, *SPECS], ids=lambda each: str(each)[-80:])
def test_a_wrong_profile_is_refused_with_what_to_write(tree: Tree, sentence: str, ask: Any) -> None:
    said = ask(tree)
    assert said.status == 422, said.body
    told = said.body["message"].partition(" is invalid: ")[2]
    assert told in (sentence, f"[{sentence}{UNCHECKED}")
    with pytest.raises(Refused):
        parse_profile(tree)


@pytest.mark.parametrize(("tree", "sentence"), LEFT_TO_CODE, ids=lambda each: str(each)[-80:])
def test_what_only_code_sees(tree: Tree, sentence: str, ask: Any) -> None:
    assert ask(tree).status == 201
    with pytest.raises(Refused) as refused:
        parse_profile(tree)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(("tree", "sentence"), MANY, ids=lambda each: str(each)[-80:])
def test_the_api_server_wants_a_bound(tree: Tree, sentence: str, ask: Any) -> None:
    said = ask(tree)
    assert (said.status, sentence in said.body["message"]) == (422, True), said.body
    assert parse_profile(tree)


@pytest.mark.parametrize("tree", LARGEST, ids=["long-keys", "long-files"])
def test_the_largest_profile_is_within_the_budget(tree: Tree, ask: Any) -> None:
    """The rules of one object may cost the API server so much; above that it would refuse a good one."""
    assert len(tree["spec"]["facts"]) == 100
    said = ask(tree)
    assert said.status == 201, said.body["message"][-500:]
    assert len(parse_profile(said.body).facts) == 100


def test_random_profiles_are_judged_alike(ask: Any) -> None:
    chance = random.Random(SEED)  # noqa: S311 - the same questions every time
    print(f"seed {SEED}")  # noqa: T201 - shown when the test fails
    taken, differences = 0, []
    for _ in range(QUESTIONS):
        tree = some_profile(chance)
        said = ask(tree)
        assert said.status in (201, 422), said.body
        taken += said.status == 201
        try:
            parse_profile(tree)
            refused = ""
        except Refused as error:
            refused = str(error)
        if (said.status == 201) == bool(refused):
            differences.append((tree["spec"], said.body.get("message", ""), refused))
    assert differences[:3] == []
    assert QUESTIONS / 10 < taken < QUESTIONS * 9 / 10, "or the questions would say nothing"


WORDS = ["a", "x", "example.com/a", "Example.com/A", "-a", "a/b/c", "", "kind", "digest", "topology.kubernetes.io/zone"]  # fmt: skip
SOURCES = {
    "field": ["metadata.name", "metadata.labels", "spec.nodeName", "status.podIPs", "metadata.labels['a']", "metadata.annotations['Example.com/A']", "metadata.labels['Example.com/A']", "metadata.labels['']", "spec.x"],
    "resource": ["limits.cpu", "requests.memory", "limits.hugepages-2Mi", "limits.pods", "cpu"],
    "nodeField": ["status.capacity.cpu", "status.allocatable.memory", "status.capacity.example.com/gpu", "status.nodeInfo.osImage", "status.capacity.", "status.nodeInfo.x", "status.capacity.a/b/c", "metadata.name"],
    "owner": ["kind", "name", "uid"],
    "image": ["digest", "tag"],
    "value": ["", "v", "é" * 512, "é" * 513, "a\0b"],
}  # fmt: skip
OPTIONS: dict[str, list[Any]] = {
    "env": ["", "A", "B_C", "1A", "a-b", "KUBERNETES_API", "CA"],
    "file": ["", "a", "a/b", "x/y", "../x", "/x", "containers", "containers/x", "x/"],
    "divisor": ["1", 1, "1m", "1Mi", "1Ei", 2, "1x"],
    "required": [True, False],
    "default": ["", "d", "é" * 513],
}
PATHS = ["/etc/facts", "/etc/facts/", "/opt//facts", "/opt/./facts/.", "/etc", "/etc/", "//etc/.", "/", "/.", "//", "/..x", "/...", "/a/../b", "/a/..", "/proc/x", "//proc", "/processes", "/dev", "/etc/hosts/x", "/etc/hostsx", "/etc/hostname", "/var", "/var/", "/var/./run", "/var/run/secrets", "/var/run/secrets/kubernetes.io/serviceaccount", "/var/run/secrets/kubernetes.io//serviceaccount/x", "/var/run/secrets/kubernetes.io/serviceaccounts", "/variable", "/run", "/run/podfacts/required/", "/run/podfacts/requiredx", "/run/podfacts/required/x", "/run/api/x", "/run/api", "/a:b", "/a\tb", "/a b", "/é", "/a\u00a0b", "etc", ""]  # fmt: skip
ACCESS = ["/run/api", "/run/api/", "/etc/facts/api", "/etc/downward/api", "/proc", "api"]


def some_profile(chance: random.Random) -> Tree:
    spec: Tree = {"facts": [some_fact(chance) for _ in range(chance.choice([1, 1, 2, 3]))]}
    if chance.random() < 0.4:
        spec["volume"] = {"mountPath": chance.choice(PATHS)}
    if chance.random() < 0.3:
        spec["apiAccess"] = some(
            chance,
            enabled=[True, False],
            mountPath=ACCESS,
            expirationSeconds=[599, 600, 3607],
            audience=["vault", "a b"],
            env=[{"CA": "ca"}, {"A": "api", "1": "ca"}, {"KUBERNETES_API": "api"}],
        )
    if chance.random() < 0.2:
        spec["ambassador"] = some(chance, enabled=[True, False], methods=[["GET"], ["GET", "GET"], []])
    return profile() | {"spec": spec}


def some_fact(chance: random.Random) -> Tree:
    fact = {"name": chance.choice(["a", "b-c", "d", "ca", "containers", "curl-ca-bundle"])}
    for kind in chance.sample(KINDS, chance.choice([1] * 18 + [0, 2])):
        words = SOURCES.get(kind, WORDS)
        fact[kind] = chance.choice(words if chance.random() < 0.3 else words[:2])
    return fact | some(chance, **OPTIONS)


def some(chance: random.Random, **pools: list[Any]) -> Tree:
    return {key: chance.choice(pool) for key, pool in pools.items() if chance.random() < 0.15}


def test_a_word_that_nobody_knows(ask: Any, cluster: Cluster) -> None:
    """The API server drops it without a word, unless it is asked to be strict, as kubectl asks."""
    tree = profile({"name": "x", "label": "a", "defualt": "b"})
    said = ask(tree, fieldValidation="Ignore")
    assert (said.status, said.body["spec"]["facts"]) == (201, [{"name": "x", "label": "a"}])
    done = cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(tree), check=False)
    assert 'unknown field "spec.facts[0].defualt"' in done.stderr


@pytest.fixture
def stored(api: Api, profiles: str) -> Iterator[str]:
    name = f"crd-{os.getpid()}"
    tree = profile({"name": f"crd-{os.getpid()}", "nodeLabel": "rack"}) | {"metadata": {"name": name}}
    api.create(profiles, tree)
    yield name
    api.call("DELETE", f"{profiles}/{name}")


def test_status_and_columns(stored: str, api: Api, profiles: str, cluster: Cluster) -> None:
    tree = api.call("GET", f"{profiles}/{stored}").body
    verdict = catalogue([tree], {}).verdicts[stored]
    patch = status_patch(tree, verdict, "2026-01-01T00:00:00Z")
    patch = {**(patch or {}), "spec": {"facts": []}}
    said = api.call("PATCH", f"{profiles}/{stored}/status", patch, fieldValidation="Strict")
    assert said.status == 200, said.body
    assert said.body["spec"] == tree["spec"], "a status says nothing about the spec"
    assert said.body["status"]["inForce"]["spec"] == tree["spec"]
    head, line = cluster.kubectl("get", "pfp", stored).stdout.splitlines()
    assert head.split() == ["NAME", "ACCEPTED", "REASON", "HASH", "IN-FORCE", "AGE"]
    assert line.split()[:5] == [stored, "True", "Accepted", parse_profile(tree).hash, "1"]


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("spec.facts.required", "no container starts without a value"),
        ("spec.facts.divisor", "rounded up"),
        ("spec.remediate", "evict"),
        ("status.conditions.message", "stays in force"),
    ],
)
def test_explain(path: str, says: str, cluster: Cluster) -> None:
    text = cluster.kubectl("explain", f"profile.{path}").stdout
    assert says in " ".join(text.split())


def test_every_key_is_described_and_every_source_is_there() -> None:
    tree = yaml.safe_load((REPOSITORY / "deploy/base/05-profiles.yaml").read_text())
    schema = tree["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    silent = {path for path, each in keys(schema, "") if "description" not in each}
    assert silent == {".apiVersion", ".kind", ".metadata", ".metadata.name"}
    facts = schema["properties"]["spec"]["properties"]["facts"]["items"]["properties"]
    assert set(facts) == {"name", *KINDS, "divisor", "required", "default", "env", "file"}


def keys(schema: Tree, path: str) -> Iterator[tuple[str, Tree]]:
    for key, each in schema.get("properties", {}).items():
        yield f"{path}.{key}", each
        yield from keys(each.get("items", each), f"{path}.{key}")
