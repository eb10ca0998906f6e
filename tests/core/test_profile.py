"""A profile is refused whole, with a sentence that says what to write."""

import copy
from typing import Any

import pytest

from podfacts.core.profile import DEFAULT, parse_profile
from podfacts.core.refusal import Refused
from tests.case import PROFILES


def profile(*facts: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "podfacts.dev/v1alpha1",
        "kind": "Profile",
        "metadata": {"name": "p"},
        "spec": {"facts": list(facts), **spec},
    }


GOOD = {"name": "pod-name", "field": "metadata.name"}
FACTS: list[tuple[dict[str, Any], str]] = [
    ({"field": "metadata.name"}, "spec.facts[0]: needs the key name"),
    ({"name": "Pod_Name", "field": "metadata.name"}, "spec.facts[0].name: must be lower case words joined by '-', at most 63 characters: cpu-limit"),
    ({"name": "x" * 64, "field": "metadata.name"}, "spec.facts[0].name: must be lower case words joined by '-', at most 63 characters: cpu-limit"),
    ({"name": "x"}, "spec.facts[0]: needs exactly one source: one of field, resource, label, annotation"),
    ({"name": "x", "field": "metadata.name", "label": "a"}, "spec.facts[0]: needs exactly one source: one of field, resource, label, annotation"),
    ({"name": "x", "fieldd": "metadata.name"}, "spec.facts[0].fieldd: is not known here: write name, field, resource, label, annotation, nodeLabel,"),
    ({"name": "x", "field": "spec.hostname"}, "spec.facts[0].field: must be one of metadata.annotations, metadata.labels, metadata.name, metadata.namespace, metadata.uid, spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, status.podIPs, metadata.labels['KEY'] or metadata.annotations['KEY']"),
    ({"name": "x", "field": 'metadata.labels["a"]'}, "spec.facts[0].field: must be one of metadata.annotations"),
    ({"name": "x", "label": "-a"}, "spec.facts[0].label: '-a' is no label or annotation key: write it as example.com/team"),
    ({"name": "x", "label": "Example.com/a"}, "spec.facts[0].label: 'Example.com/a' is no label or annotation key: write it as example.com/team"),
    ({"name": "x", "label": "a..b/team"}, "spec.facts[0].label: 'a..b/team' is no label or annotation key: write it as example.com/team"),
    ({"name": "x", "label": "a.-b/team"}, "spec.facts[0].label: 'a.-b/team' is no label or annotation key: write it as example.com/team"),
    ({"name": "x", "label": "a" * 254 + "/team"}, f"spec.facts[0].label: '{'a' * 254}/team' is no label or annotation key: write it as example.com/team"),
    ({"name": "x", "field": "metadata.name", "file": "x" * 256}, "spec.facts[0].file: must be a relative path of letters, digits, '-', '_' and '.': zone"),
    ({"name": "x", "annotation": "facts.podfacts.dev/rack"}, "spec.facts[0].annotation: 'facts.podfacts.dev/rack' is written by Podfacts: write where its value comes from"),
    ({"name": "x", "field": "metadata.annotations['facts.podfacts.dev/rack']"}, "spec.facts[0].field: 'facts.podfacts.dev/rack' is written by Podfacts"),
    ({"name": "x", "label": ""}, "spec.facts[0].label: must be a string, not empty"),
    ({"name": "x", "field": "metadata.labels", "env": "LABELS"}, "spec.facts[0].env: the Downward API cannot carry this source as env: remove the key"),
    ({"name": "x", "field": "status.podIP", "file": "ip"}, "spec.facts[0].file: the Downward API cannot carry this source as file: remove the key"),
    ({"name": "x", "field": "metadata.name", "env": "1A"}, "spec.facts[0].env: must be letters, digits and '_', not starting with a digit: POD_NAME"),
    ({"name": "x", "field": "metadata.name", "env": "A-B"}, "spec.facts[0].env: must be letters, digits and '_', not starting with a digit: POD_NAME"),
    ({"name": "x", "field": "metadata.name", "env": None}, "spec.facts[0].env: must be a string"),
    ({"name": "x", "field": "metadata.name", "file": "../x"}, "spec.facts[0].file: must be a relative path of letters, digits, '-', '_' and '.': zone"),
    ({"name": "x", "field": "metadata.name", "file": "/x"}, "spec.facts[0].file: must be a relative path of letters, digits, '-', '_' and '.': zone"),
    ({"name": "x", "field": "metadata.name", "file": "containers/main/x"}, "spec.facts[0].file: containers/ is kept for per-container facts"),
    ({"name": "x", "resource": "limits.nvidia.com/gpu"}, "spec.facts[0].resource: must be limits. or requests. with cpu, memory, ephemeral-storage or hugepages-<size>: the Downward API carries no other resource"),
    ({"name": "x", "resource": "cpu"}, "spec.facts[0].resource: must be limits. or requests. with cpu"),
    ({"name": "x", "resource": "limits.cpu", "divisor": "1k"}, "spec.facts[0].divisor: must be one of 1, 1m for cpu"),
    ({"name": "x", "resource": "limits.memory", "divisor": "1m"}, "spec.facts[0].divisor: must be one of 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei for memory"),
    ({"name": "x", "resource": "limits.cpu", "divisor": True}, "spec.facts[0].divisor: must be one of 1, 1m for cpu"),
    ({"name": "x", "field": "metadata.name", "divisor": "1"}, "spec.facts[0].divisor: goes with resource, and with nodeField of status.capacity or status.allocatable"),
    ({"name": "x", "nodeLabel": "-a"}, "spec.facts[0].nodeLabel: '-a' is no label key: write it as topology.kubernetes.io/zone"),
    ({"name": "x", "nodeLabel": "Example.com/a"}, "spec.facts[0].nodeLabel: 'Example.com/a' is no label key: write it as topology.kubernetes.io/zone"),
    ({"name": "x", "namespaceLabel": "a/b/c"}, "spec.facts[0].namespaceLabel: 'a/b/c' is no label key: write it as topology.kubernetes.io/zone"),
    ({"name": "x", "nodeAnnotation": "a b"}, "spec.facts[0].nodeAnnotation: 'a b' is no annotation key: write it as example.com/rack"),
    ({"name": "x", "namespaceAnnotation": "a'b"}, "spec.facts[0].namespaceAnnotation: \"a'b\" is no annotation key: write it as example.com/rack"),
    ({"name": "x", "nodeField": "status.phase"}, "spec.facts[0].nodeField: must be status.capacity.RESOURCE, status.allocatable.RESOURCE or status.nodeInfo. with one of architecture, bootID"),
    ({"name": "x", "nodeField": "status.nodeInfo.swap"}, "spec.facts[0].nodeField: must be status.capacity.RESOURCE"),
    ({"name": "x", "nodeField": "status.allocatable."}, "spec.facts[0].nodeField: must be status.capacity.RESOURCE"),
    ({"name": "x", "nodeField": "status.allocatable.a b"}, "spec.facts[0].nodeField: must be status.capacity.RESOURCE"),
    ({"name": "x", "nodeField": "status.nodeInfo.osImage", "divisor": "1"}, "spec.facts[0].divisor: goes with resource, and with nodeField of status.capacity or status.allocatable"),
    ({"name": "x", "nodeField": "status.capacity.cpu", "divisor": "1Mi"}, "spec.facts[0].divisor: must be one of 1, 1m for cpu"),
    ({"name": "x", "nodeField": "status.capacity.memory", "divisor": "1m"}, "spec.facts[0].divisor: must be one of 1, 1k"),
    ({"name": "x", "nodeLabel": "a", "divisor": "1"}, "spec.facts[0].divisor: goes with resource"),
    ({"name": "x", "owner": "uid"}, "spec.facts[0].owner: must be kind or name"),
    ({"name": "x", "owner": "kind", "env": "X"}, "spec.facts[0].env: an owner is found after the pod was created: write required: true"),
    ({"name": "x", "owner": "kind", "required": True, "env": ""}, "spec.facts[0].required: needs an env name: a container waits for a variable, not for a file"),
    ({"name": "x", "owner": "kind", "default": "y"}, "spec.facts[0].default: goes with label, annotation, nodeLabel, nodeAnnotation, nodeField, namespaceLabel, namespaceAnnotation only"),
    ({"name": "x", "image": "tag"}, "spec.facts[0].image: must be digest"),
    ({"name": "x", "image": "digest", "env": "X"}, "spec.facts[0].env: a digest is known when the container runs already: remove the key, it goes as a file"),
    ({"name": "x", "image": "digest", "required": True}, "spec.facts[0].required: goes with label, annotation, nodeLabel, nodeAnnotation, nodeField, namespaceLabel, namespaceAnnotation or owner: image is never absent"),
    ({"name": "x", "value": "a" * 1025}, "spec.facts[0].value: must be at most 1024 bytes, without NUL"),
    ({"name": "x", "value": "a\0"}, "spec.facts[0].value: must be at most 1024 bytes, without NUL"),
    ({"name": "x", "value": 7}, "spec.facts[0].value: must be a string"),
    ({"name": "x", "value": "a", "default": "b"}, "spec.facts[0].default: goes with label,"),
    ({"name": "x", "field": "metadata.name", "required": True}, "spec.facts[0].required: goes with label,"),
    ({"name": "x", "label": "a", "required": "yes"}, "spec.facts[0].required: must be true or false"),
    ({"name": "x", "label": "a", "required": True, "default": "b"}, "spec.facts[0].default: and required exclude each other: keep one of them"),
    ({"name": "x", "label": "a", "default": "b" * 1025}, "spec.facts[0].default: must be at most 1024 bytes, without NUL"),
    ({"name": "x", "label": "a", "default": None}, "spec.facts[0].default: must be a string"),
    ({"name": "x", "label": "a", "required": True, "default": ""}, "spec.facts[0].default: and required exclude each other: keep one of them"),
    ({"name": "x", "label": "a", "default": "a\0"}, "spec.facts[0].default: must be at most 1024 bytes, without NUL"),
    ({"name": "x", "label": "a", "default": "é" * 513}, "spec.facts[0].default: must be at most 1024 bytes, without NUL"),
    ({"name": "x", "value": "a", "default": ""}, "spec.facts[0].default: goes with label,"),
    ({"name": "x", "resource": "limits.example.com/gpu", "divisor": "1"}, "spec.facts[0].resource: must be limits. or requests. with cpu"),
    ({"name": "x", "nodeLabel": "a", "required": True, "env": ""}, "spec.facts[0].required: needs an env name"),
    ({"name": "x", "nodeLabel": "a", "namespaceLabel": "b"}, "spec.facts[0]: needs exactly one source"),
]  # fmt: skip


@pytest.mark.parametrize(("fact", "sentence"), FACTS, ids=[str(each[0]) for each in FACTS])
def test_a_wrong_fact(fact: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_profile(profile(fact))
    assert str(refused.value).startswith(sentence)


CLASHES: list[tuple[list[dict[str, Any]], str]] = [
    ([GOOD, GOOD], "spec.facts[1]: name pod-name is taken by the fact pod-name"),
    ([GOOD, {"name": "x", "field": "metadata.uid", "env": "POD_NAME"}], "spec.facts[1]: env POD_NAME is taken by the fact pod-name"),
    ([GOOD, {"name": "x", "field": "metadata.uid", "file": "pod-name"}], "spec.facts[1]: file pod-name is taken by the fact pod-name"),
    ([GOOD, {"name": "x", "field": "metadata.uid", "file": "pod-name/x"}], "spec.facts: pod-name/x needs a folder where a file of that name stands"),
    ([{"name": "a", "resource": "limits.cpu"}, {"name": "b", "resource": "limits.cpu", "file": "a/b"}], "spec.facts: a/b needs a folder where a file of that name stands"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "sentence"), CLASHES, ids=[each[1] for each in CLASHES])
def test_facts_that_clash(facts: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_profile(profile(*facts))
    assert str(refused.value) == sentence


def test_a_file_of_the_pod_and_one_of_a_container_do_not_clash() -> None:
    both = profile(
        {"name": "a", "field": "metadata.uid"}, {"name": "b", "resource": "limits.cpu", "file": "a"}
    )
    assert [fact.file for fact in parse_profile(both).facts] == ["a", "a"]


SPECS: list[tuple[Any, str]] = [
    ([], "must be an object"),
    ({}, "needs the key apiVersion"),
    (profile() | {"kind": "Pod"}, "kind: must be kind Profile of apiVersion podfacts.dev/v1alpha1"),
    (profile() | {"extra": 1}, "extra: is not known here: write apiVersion, kind, metadata, spec, status"),
    (profile() | {"metadata": {"name": "true"}}, "metadata.name: must be usable as a label value"),
    (profile() | {"metadata": {"name": "x" * 64}}, "metadata.name: must be usable as a label value"),
    (profile() | {"metadata": {}}, "metadata: needs the key name"),
    (profile(), "spec.facts: must be a list of at least one fact"),
    (profile() | {"spec": {"facts": {}}}, "spec.facts: must be a list of at least one fact"),
    (profile("x"), "spec.facts[0]: must be an object"),  # type: ignore[arg-type]
    (profile(GOOD, volume={"mountPath": "etc"}), "spec.volume.mountPath: must be an absolute path such as /etc/downward, not 'etc'"),
    (profile(GOOD, volume={"path": "/etc"}), "spec.volume.path: is not known here: write mountPath"),
]  # fmt: skip


@pytest.mark.parametrize(("tree", "sentence"), SPECS, ids=[each[1] for each in SPECS])
def test_a_wrong_profile(tree: Any, sentence: str) -> None:
    before = copy.deepcopy(tree)
    with pytest.raises(Refused) as refused:
        parse_profile(tree)
    assert str(refused.value).startswith(sentence)
    assert tree == before


PATHS = "spec.ambassador.acceptPaths[0]: "
FOUR = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
ACCESS: list[tuple[dict[str, Any], str]] = [
    ({"apiAccess": []}, "spec.apiAccess: must be an object"),
    ({"apiAccess": {"expiry": 1}}, "spec.apiAccess.expiry: is not known here: write enabled, mountPath, expirationSeconds, audience, env, reads"),
    ({"apiAccess": {"enabled": "true"}}, "spec.apiAccess.enabled: must be true or false"),
    ({"apiAccess": {"mountPath": "var"}}, "spec.apiAccess.mountPath: must be an absolute path such as /etc/downward, not 'var'"),
    ({"apiAccess": {"expirationSeconds": 599}}, "spec.apiAccess.expirationSeconds: must be a whole number of seconds, at least 600: Kubernetes gives no shorter token"),
    ({"apiAccess": {"expirationSeconds": 2**32 + 1}}, "spec.apiAccess.expirationSeconds: must be a whole number of seconds, at least 600"),
    ({"apiAccess": {"expirationSeconds": "1h"}}, "spec.apiAccess.expirationSeconds: must be a whole number of seconds, at least 600"),
    ({"apiAccess": {"expirationSeconds": True}}, "spec.apiAccess.expirationSeconds: must be a whole number of seconds, at least 600"),
    ({"apiAccess": {"expirationSeconds": 3607}}, "spec.apiAccess.expirationSeconds: 3607 is stretched to a year by the API server: write 3600"),
    ({"volume": {"mountPath": "/var/run"}}, "spec.volume.mountPath: /var/run meets /var/run/secrets/kubernetes.io/serviceaccount, where API access may be: write another path, such as /etc/downward"),
    ({"volume": {"mountPath": "/etc/downward"}, "apiAccess": {"mountPath": "/etc/downward/api"}}, "spec.volume.mountPath: /etc/downward meets /etc/downward/api, where API access may be"),
    ({"volume": {"mountPath": "/var/run"}, "apiAccess": {"mountPath": "/run/api"}}, "spec.volume.mountPath: /var/run meets /var/run/secrets/kubernetes.io/serviceaccount, where API access may be"),
    ({"apiAccess": {"audience": ""}}, "spec.apiAccess.audience: must be a string, not empty"),
    ({"apiAccess": {"audience": "a b"}}, "spec.apiAccess.audience: must be printable ASCII without spaces, such as https://kubernetes.default.svc; remove it for the API server's own"),
    ({"apiAccess": {"env": {"1A": "ca"}}}, "spec.apiAccess.env.1A: must be letters, digits and '_', not starting with a digit: SSL_CERT_FILE"),
    ({"apiAccess": {"env": {"A": "key"}}}, "spec.apiAccess.env.A: must be one of api, ca, token, namespace"),
    ({"apiAccess": {"env": {"KUBERNETES_API": "api"}}}, "spec.apiAccess.env.KUBERNETES_API: is always set: remove this line"),
    ({"apiAccess": {"env": {"POD_NAME": "api"}}}, "spec.facts[0]: env POD_NAME is set by apiAccess: give this fact another name"),
    ({"apiAccess": {"reads": []}}, "spec.apiAccess.reads: must be a list of at least one string, such as [pods, services]"),
    ({"apiAccess": {"reads": ["pods", "Pods"]}}, "spec.apiAccess.reads[1]: 'Pods' is no resource: write RESOURCE[.GROUP][/SUB], such as pods or deployments.apps"),
    ({"apiAccess": {"reads": ["pod"]}}, "spec.apiAccess.reads[0]: pod: is no resource: write pods"),
    ({"apiAccess": {"reads": ["deployments"]}}, "spec.apiAccess.reads[0]: deployments: is in the group apps: write deployments.apps"),
    ({"apiAccess": {"reads": ["pods.v1"]}}, "spec.apiAccess.reads[0]: pods.v1: v1 is a version: write pods"),
    ({"apiAccess": {"reads": ["pods/exec"]}}, "spec.apiAccess.reads[0]: pods/exec: exec is more than reading: grant it by a Role of your own"),
    ({"apiAccess": {"reads": ["pods", "nodes"]}}, "spec.apiAccess.reads[1]: nodes: is not in a namespace: grant it by podfacts grant"),
    ({"apiAccess": {"reads": ["namespaces"]}}, "spec.apiAccess.reads[0]: namespaces: is not in a namespace: grant it by podfacts grant"),
    ({"apiAccess": {"reads": ["pods", "pods"]}}, "spec.apiAccess.reads[1]: pods stands there twice"),
    ({"apiAccess": {"reads": [1]}}, "spec.apiAccess.reads[0]: must be a string, not empty"),
    ({"apiAccess": {"enabled": True}, "ambassador": {"enabled": True}}, "spec.ambassador.enabled: and apiAccess.enabled cannot both be true: with the ambassador the containers hold no token. Keep one of them"),
    ({"ambassador": {"port": 80}}, "spec.ambassador.port: is not known here: write enabled, image, acceptPaths, methods, resources"),
    ({"ambassador": {"image": "a b"}}, "spec.ambassador.image: must be an image with kubectl in it, such as registry.k8s.io/kubectl:v1.36.3"),
    ({"ambassador": {"methods": ["GET", "CONNECT"]}}, "spec.ambassador.methods[1]: must be one of GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"),
    ({"ambassador": {"acceptPaths": "^/api"}}, "spec.ambassador.acceptPaths: must be a list of at least one string"),
    ({"ambassador": {"acceptPaths": ["^.*"]}}, PATHS + "must begin with ^/, and so each part between | signs, or it is looked for anywhere in a path: write one such as "),
    ({"ambassador": {"acceptPaths": ["^/foo|pods"]}}, PATHS + "must begin with ^/, and so each part between | signs"),
    ({"ambassador": {"acceptPaths": ["^/[a-z]"]}}, PATHS + "'^/[a-z]' lets /a through, and so nearly every path: write one such as "),
    ({"ambassador": {"acceptPaths": ["^/[^~]+/"]}}, PATHS + "'^/[^~]+/' lets /a/b through, and so nearly every path: write one such as "),
    ({"ambassador": {"acceptPaths": [r"^/[a\][:foo:]$"]}}, PATHS + r"'^/[a\\][:foo:]$' holds more than literals"),
    ({"ambassador": {"acceptPaths": ["^/"]}}, PATHS + "'^/' lets /~ through, and so nearly every path: write one such as "),
    ({"ambassador": {"acceptPaths": ["^/.*"]}}, PATHS + "'^/.*' lets /~ through, and so nearly every path: write one such as "),
    ({"ambassador": {"acceptPaths": ["^/api$|"]}}, PATHS + "must begin with ^/, and so each part between | signs"),
    ({"ambassador": {"acceptPaths": ["^/api/[^/]+("]}}, PATHS + "'^/api/[^/]+(' is no regular expression (missing ), unterminated subpattern at position 11): write one such as "),
    ({"ambassador": {"acceptPaths": ["^/(?!secrets)"]}}, PATHS + "'^/(?!secrets)' holds more than literals, . ^ $ ( ) | [ ] * + ? and escaped signs, which is all that is taken here: write one such as "),
    ({"ambassador": {"acceptPaths": ["^/a{1}"]}}, PATHS + "'^/a{1}' holds more than literals"),
    ({"ambassador": {"acceptPaths": ["^/[[:alpha:]]"]}}, PATHS + "'^/[[:alpha:]]' holds more than literals"),
    ({"ambassador": {"acceptPaths": ["^/a,^/b"]}}, PATHS + "must hold no comma, for kubectl splits there: write one such as "),
    ({"ambassador": {"acceptPaths": ["^/" + "a" * 255]}}, PATHS + "must be at most 256 characters"),
    ({"ambassador": {"resources": {"requests": {}}}}, "spec.ambassador.resources: needs the key limits"),
    ({"ambassador": {"resources": {**FOUR, "claims": []}}}, "spec.ambassador.resources.claims: is not known here: write requests, limits"),
    ({"ambassador": {"resources": {**FOUR, "limits": {"cpu": "100m"}}}}, "spec.ambassador.resources.limits: needs the key memory"),
    ({"ambassador": {"resources": {**FOUR, "limits": {"cpu": 1, "memory": "1Gi"}}}}, "spec.ambassador.resources.limits.cpu: must be a string, not empty"),
    ({"ambassador": {"resources": {**FOUR, "limits": {"cpu": "0", "memory": "1Gi"}}}}, "spec.ambassador.resources.limits.cpu: must be an amount such as 100m or 64Mi, in double quotes"),
    ({"ambassador": {"resources": {**FOUR, "limits": {"cpu": "9m", "memory": "1Gi"}}}}, "spec.ambassador.resources.requests.cpu: must not be above limits.cpu"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "sentence"), ACCESS, ids=[str(each[0]) for each in ACCESS])
def test_wrong_api_access(spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_profile(profile(GOOD, **spec))
    assert str(refused.value).startswith(sentence)


def test_no_expiry_is_stretched_for_another_audience() -> None:
    access = {"expirationSeconds": 3607, "audience": "vault"}
    assert parse_profile(profile(GOOD, apiAccess=access)).api_access.expiration_seconds == 3607


def test_what_pods_read_is_no_part_of_what_they_get() -> None:
    declared = parse_profile(profile(GOOD, apiAccess={"reads": ["services", "deployments.apps"]}))
    assert declared.api_access.reads == ("services", "deployments.apps")
    assert declared.hash == parse_profile(profile(GOOD)).hash
    shorter = parse_profile(profile(GOOD, apiAccess={"expirationSeconds": 600}))
    assert shorter.hash != declared.hash


def test_metadata_as_the_api_server_shows_it_is_fine() -> None:
    tree = profile(GOOD)
    tree["metadata"] |= {"uid": "u", "resourceVersion": "1", "managedFields": []}
    assert parse_profile(tree).name == "p"


def test_the_built_in_profile_is_the_contract() -> None:
    assert [each["name"] for each in DEFAULT.env] == [
        "POD_NAME",
        "POD_NAMESPACE",
        "POD_UID",
        "POD_IP",
        "NODE_NAME",
        "HOST_IP",
        "SERVICE_ACCOUNT",
        "CONTAINER_CPU_REQUEST_MILLICORES",
        "CONTAINER_CPU_LIMIT_MILLICORES",
        "CONTAINER_MEMORY_REQUEST_KIBIBYTES",
        "CONTAINER_MEMORY_LIMIT_KIBIBYTES",
    ]
    assert DEFAULT.mount_path == "/etc/downward"
    assert [fact.file for fact in DEFAULT.container_facts] == [
        "cpu-request",
        "cpu-limit",
        "memory-request",
        "memory-limit",
    ]


def test_the_hash_follows_what_the_profile_does() -> None:
    assert len({each.hash for each in PROFILES.values()}) == len(PROFILES)
    assert parse_profile(profile(GOOD)).hash == parse_profile(profile(dict(reversed(GOOD.items())))).hash
    moved = parse_profile(profile(GOOD, volume={"mountPath": "/x"}))
    assert moved.hash != parse_profile(profile(GOOD)).hash


VARIANTS: dict[str, list[dict[str, Any]]] = {
    "label": [{}, {"required": True}, {"default": ""}, {"default": "b"}],
    "nodeLabel": [{}, {"required": True}, {"default": ""}, {"default": "b"}],
    "nodeField": [{}, {"divisor": "1"}, {"divisor": "1Mi"}],
}


@pytest.mark.parametrize("kind", VARIANTS)
def test_the_hash_follows_what_becomes_of_an_absent_value_and_the_divisor(kind: str) -> None:
    key = "status.capacity.memory" if kind == "nodeField" else "a"
    found = [parse_profile(profile({"name": "x", kind: key, **each})).hash for each in VARIANTS[kind]]
    assert len(set(found)) == len(found)


def test_a_divisor_may_be_a_number() -> None:
    fact = parse_profile(profile({"name": "x", "resource": "limits.cpu", "divisor": 1})).facts[0]
    assert fact.source == {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}


def test_an_empty_name_keeps_a_fact_off_a_way() -> None:
    fact = parse_profile(profile(GOOD | {"env": ""})).facts[0]
    assert (fact.env, fact.file) == (None, "pod-name")


@pytest.mark.parametrize("key", ["team", "a.b-c.d/Team", "a" * 253 + "/t", "x" * 63, "1/2"])
def test_a_key_as_kubernetes_takes_it(key: str) -> None:
    assert parse_profile(profile({"name": "x", "label": key})).facts[0].env == "X"


@pytest.mark.parametrize("value", ["", "prod", "a" * 1024, "$(POD_NAME)"])
def test_a_literal_may_be_anything_short(value: str) -> None:
    [fact] = parse_profile(profile({"name": "x", "value": value})).facts
    assert (fact.key, fact.env, fact.file, fact.carried) == (value, "X", "x", True)


def test_facts_that_are_told_late_and_required_hold_the_containers() -> None:
    facts = (
        {"name": "a", "nodeLabel": "topology.kubernetes.io/zone", "required": True},
        {"name": "b", "owner": "kind", "required": True, "env": "OWNER_KIND"},
        {"name": "c", "namespaceLabel": "team", "required": True},
        {"name": "d", "label": "app", "required": True},
    )
    read = parse_profile(profile(*facts))
    assert read.gate == ("A", "OWNER_KIND")
    assert [each.name for each in read.carried] == ["a", "b", "c"]
    with pytest.raises(Refused, match="/run meets /run/podfacts/required, where required facts are held"):
        parse_profile(profile(*facts, volume={"mountPath": "/run"}))
    with pytest.raises(Refused) as refused:
        parse_profile(profile(*facts, apiAccess={"mountPath": "/run/podfacts"}))
    assert str(refused.value) == (
        "spec.apiAccess.mountPath: /run/podfacts meets /run/podfacts/required, where required facts are held: "
        "write another path, such as /var/run/secrets/kubernetes.io/serviceaccount"
    )
    for free in (GOOD, {"name": "a", "nodeLabel": "a"}, facts[2], facts[3]):
        assert parse_profile(profile(free, volume={"mountPath": "/run"})).mount_path == "/run"


def test_only_what_holds_a_container_back_needs_an_env_name() -> None:
    [fact] = parse_profile(profile({"name": "x", "label": "a", "required": True, "env": ""})).facts
    assert (fact.required, fact.env, fact.file) == (True, None, "x")


def test_a_containers_image_is_a_file_while_its_key_is_not_too_long() -> None:
    images = PROFILES["images"]
    files = [[each["path"] for each in images.container_files("a" * length)] for length in (57, 58)]
    assert files == [[f"containers/{'a' * 57}/image"], []]


def test_zone_and_region_come_from_the_labels_that_kubernetes_sets() -> None:
    zone = {"name": "zone", "nodeLabel": "topology.kubernetes.io/zone"}
    ways = {
        "label": parse_profile(profile(zone)),
        "older": parse_profile(profile(zone), topology_labels=False),
        "default": parse_profile(profile({**zone, "default": "none"})),
    }
    assert {key: bool(each.carried) for key, each in ways.items()} == {
        "label": False,
        "older": True,
        "default": True,
    }
    assert ways["label"].topology == PROFILES["node"].topology == ("topology.kubernetes.io/zone",)
    assert (ways["older"].topology, ways["default"].topology) == ((), ())
    assert ways["label"].hash == ways["older"].hash != ways["default"].hash


@pytest.mark.parametrize("kind", ["nodeAnnotation", "namespaceLabel", "namespaceAnnotation"])
def test_only_a_nodes_label_is_one_that_kubernetes_sets(kind: str) -> None:
    read = parse_profile(profile({"name": "zone", kind: "topology.kubernetes.io/zone"}))
    assert ([each.name for each in read.carried], read.topology) == (["zone"], ())


def test_the_remedy() -> None:
    assert parse_profile(profile(GOOD, remediate="evict")).remediate == "evict"
    assert parse_profile(profile(GOOD, remediate="none")).hash == parse_profile(profile(GOOD)).hash
    assert parse_profile(profile(GOOD, remediate="evict")).hash != parse_profile(profile(GOOD)).hash
    with pytest.raises(Refused, match="spec.remediate: must be none or evict"):
        parse_profile(profile(GOOD, remediate="delete"))
