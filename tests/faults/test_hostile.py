"""Pods that mean harm, or only look like it, through the real API server: what becomes of each.

A pod that Kubernetes itself takes is injected, or is refused in one sentence that says who refuses it and why; what its
author wrote is never changed.
"""

import copy
import json
import string
from collections.abc import Iterator
from typing import Any

import pytest

from podfacts.core.options import AMBASSADOR, API_ACCESS, CONTAINERS, INJECTED, MOUNT_PATH, OVERWRITE
from tests.cluster import Cluster
from tests.e2e.api import Api, Said
from tests.e2e.conftest import define_profiles
from tests.faults.door import Door, door, plain
from tests.faults.webhook import MIB, Webhook, running

pytestmark = pytest.mark.api

ANNOTATIONS = 256 * 1024  # All keys and values of an object together, by the API server.
LETTERS = string.ascii_lowercase + string.digits
Tree = dict[str, Any]


@pytest.fixture(scope="module")
def webhook(cluster: Cluster, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    define_profiles(api, cluster)
    with running(tmp_path_factory.mktemp("hostile") / "webhook", name=cluster.node_ip) as process:
        yield process
        assert process.is_well()


@pytest.fixture(scope="module")
def opened(cluster: Cluster, api: Api, webhook: Webhook) -> Iterator[Door]:
    url = f"https://{cluster.node_ip}:{webhook.port}/mutate"
    with door(api, "hostile", url, webhook.authority.certificate_pem) as made:
        yield made


def with_env(*env: Tree, name: str = "hostile", **metadata: Any) -> Tree:
    pod = plain(name, **metadata)
    pod["spec"]["containers"][0]["env"] = list(env)
    return pod


def theirs_is_untouched(pod: Tree, said: Said) -> list[Tree]:
    """The env that was added, all of it before what the author wrote, which is as it was."""
    assert said.status == 201, said.body.get("message")
    assert INJECTED in said.body["metadata"]["annotations"]
    (before, after) = (each["spec"]["containers"][0].get("env", []) for each in (pod, said.body))
    ours = after[: len(after) - len(before)]
    assert after[len(ours) :] == before
    names = {each["name"] for each in before}
    assert not names & {each["name"] for each in ours}
    for key in ("annotations", "labels"):
        assert pod["metadata"].get(key, {}).items() <= said.body["metadata"][key].items()
    return list(ours)


def refused(said: Said) -> str:
    """What we say of a pod that we refuse; an AssertionError unless it is we who do, in printable text."""
    assert said.status == 422, said.body
    who, _, why = str(said.body["message"]).partition(" denied the request: podfacts: ")
    assert who == 'admission webhook "fail.pods.podfacts.dev"'
    assert why.isprintable()
    return why


@pytest.mark.fault("T25")
def test_10_000_env_entries_are_kept_and_ours_come_before_them(opened: Door) -> None:
    pod = with_env(*({"name": f"V{each}", "value": f"$(POD_NAME)-{each}"} for each in range(10_000)))
    assert "POD_NAME" in [each["name"] for each in theirs_is_untouched(pod, opened.create(pod))]


@pytest.mark.fault("T25")
def test_10_000_names_like_ours_are_all_their_authors(opened: Door) -> None:
    pod = with_env(*({"name": "POD_NAME", "value": str(each)} for each in range(10_000)))
    ours = theirs_is_untouched(pod, opened.create(pod))
    assert "POD_NAME" not in [each["name"] for each in ours]
    assert "POD_IP" in [each["name"] for each in ours]


@pytest.mark.fault("T25")
def test_references_in_a_circle_stay_as_they_are(opened: Door) -> None:
    pod = with_env(
        {"name": "A", "value": "$(B)$(POD_NAME)"},
        {"name": "B", "value": "$(A)$(A)"},
        {"name": "POD_NAME", "value": "$(POD_NAME)$(POD_UID)"},
        {"name": "C", "value": "$$(C)$(C" + "$(" * 1000},
    )
    assert theirs_is_untouched(pod, opened.create(pod))


@pytest.mark.fault("T22")
def test_annotations_up_to_the_limit_are_taken_and_no_room_for_ours_is_refused_with_that_reason(
    opened: Door,
) -> None:
    def filled(size: int) -> Tree:
        return plain("hostile", annotations={"example.com/note": "x" * (size - len("example.com/note"))})

    assert theirs_is_untouched(filled(ANNOTATIONS - 2048), opened.create(filled(ANNOTATIONS - 2048)))
    assert "metadata.annotations: hold 256 KiB at most" in refused(opened.create(filled(ANNOTATIONS)))
    without = filled(ANNOTATIONS)
    without["metadata"]["labels"]["podfacts.dev/inject"] = "false"
    assert opened.create(without).status == 201


@pytest.mark.fault("T25")
def test_names_of_every_legal_character_are_carried_as_they_are(opened: Door) -> None:
    printable = "".join(map(chr, range(0x20, 0x7F))).replace("=", "")
    key = f"{'a-0.' * 61}example/{('aZ9_.-' * 11)[:62]}z"
    pod = with_env(
        {"name": printable, "value": "".join(map(chr, (*range(1, 0x300), 0x2028, 0xFFFD, 0x1F600)))},
        {"name": "~0~1/spec", "value": "~1"},
        name=".".join((LETTERS + "-" + LETTERS[:26], LETTERS, LETTERS)),
        annotations={key: '\x1b[2J\u202e"}],"x":[{"'},
    )
    pod["metadata"]["labels"][key] = ("aZ9_.-" * 11)[:62] + "z"
    pod["spec"]["containers"][0]["name"] = ("a-0" * 21)[:62] + "z"
    assert theirs_is_untouched(pod, opened.create(pod))


@pytest.mark.fault("T39")
def test_a_container_volume_and_env_named_like_ours_stay_their_authors(opened: Door) -> None:
    pod = with_env({"name": "POD_NAME", "value": "mine"}, {"name": "NODE_NAME", "value": "here"})
    mount = {"name": "podfacts", "mountPath": "/etc/downward"}
    pod["spec"]["containers"][0] |= {"name": "podfacts", "volumeMounts": [mount]}
    pod["spec"]["volumes"] = [{"name": "podfacts", "emptyDir": {}}]
    said = opened.create(pod)
    ours = theirs_is_untouched(pod, said)
    assert {"POD_NAME", "NODE_NAME"}.isdisjoint(each["name"] for each in ours)
    assert {"name": "podfacts", "emptyDir": {}} in said.body["spec"]["volumes"]
    mounts = said.body["spec"]["containers"][0]["volumeMounts"]
    assert [each["name"] for each in mounts if each["mountPath"] == "/etc/downward"] == ["podfacts"]
    assert any("volume podfacts is there and holds something else" in each for each in said.warnings)


@pytest.mark.fault("T39")
@pytest.mark.parametrize("what", ["container", "volume", "hostNetwork"])
def test_an_ambassador_is_refused_where_it_would_be_another_or_open_to_others(
    opened: Door, what: str
) -> None:
    pod = plain("hostile", annotations={AMBASSADOR: "true"})
    if what == "container":
        pod["spec"]["containers"].append({"name": "podfacts-ambassador", "image": "mine"})
    elif what == "volume":
        pod["spec"]["volumes"] = [{"name": "podfacts-ambassador", "emptyDir": {}}]
    else:
        pod["spec"]["hostNetwork"] = True
    assert refused(opened.create(pod))


@pytest.mark.fault("T39")
def test_a_token_that_the_author_switched_off_stays_off_unless_the_author_asks(opened: Door) -> None:
    pod = plain("hostile")
    pod["spec"]["automountServiceAccountToken"] = False
    for hosts in ({}, {"hostNetwork": True}):
        said = opened.create({**pod, "spec": {**pod["spec"], **hosts}})
        assert said.status == 201, said.body
        assert "serviceAccountToken" not in json.dumps(said.body["spec"])
        assert said.body["spec"]["automountServiceAccountToken"] is False


@pytest.mark.fault("T39")
def test_a_mount_of_the_author_where_the_token_would_go_is_kept_and_no_token_is_added(opened: Door) -> None:
    pod = plain("hostile", annotations={API_ACCESS: "true"})
    mount = {"name": "mine", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    pod["spec"]["containers"][0]["volumeMounts"] = [mount]
    pod["spec"]["volumes"] = [{"name": "mine", "emptyDir": {}}]
    pod["spec"]["automountServiceAccountToken"] = False
    said = opened.create(copy.deepcopy(pod))
    assert said.status == 201, said.body
    there = said.body["spec"]["containers"][0]["volumeMounts"]
    assert [each["name"] for each in there if each["mountPath"] == mount["mountPath"]] == ["mine"]
    assert "serviceAccountToken" not in json.dumps(said.body["spec"])
    assert said.warnings


@pytest.mark.fault("T39")
@pytest.mark.parametrize("wish", ["", API_ACCESS, AMBASSADOR])
def test_a_pod_of_the_restricted_standard_is_still_one_with_all_that_we_add(
    api: Api, opened: Door, wish: str
) -> None:
    enforce = "pod-security.kubernetes.io/enforce"
    path = f"/api/v1/namespaces/{opened.namespace('Fail')}"
    api.call("PATCH", path, {"metadata": {"labels": {enforce: "restricted"}}})
    try:
        assert opened.create(plain("hostile")).status == 403  # It is in force.
        pod = plain("hostile", annotations={wish: "true"} if wish else {})
        pod["spec"]["securityContext"] = {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        pod["spec"]["containers"][0]["securityContext"] = closed
        said = opened.create(pod)
        assert said.status == 201, said.body
        assert INJECTED in said.body["metadata"]["annotations"]
    finally:
        api.call("PATCH", path, {"metadata": {"labels": {enforce: None}}})


ESCAPES = (
    "../../kube-system",
    "%2e%2e/kube-system",
    "true\nfalse",
    "true\x00",
    "\u202etrue",
    "TRUE",
    " true",
)


@pytest.mark.fault("T38")
@pytest.mark.parametrize("key", [API_ACCESS, AMBASSADOR])
def test_no_escape_makes_a_wish_for_access(opened: Door, key: str) -> None:
    for value in ESCAPES:
        assert "must be" in refused(opened.create(plain("hostile", annotations={key: value})))


@pytest.mark.fault("T38")
def test_no_escape_leads_a_mount_out_of_its_place(opened: Door) -> None:
    for path in ("/etc/../proc", "/etc/downward/../../proc", "//proc/1", "/a\n/b", "/a\x00b", "a/b", "/."):
        assert "must" in refused(opened.create(plain("hostile", annotations={MOUNT_PATH: path})))
    said = opened.create(plain("hostile", annotations={MOUNT_PATH: "/etc/%2e%2e/proc"}))
    mounts = said.body["spec"]["containers"][0]["volumeMounts"]
    assert "/etc/%2e%2e/proc" in [
        each["mountPath"] for each in mounts
    ]  # A folder of that name, and no way up.


@pytest.mark.fault("T38")
def test_a_profile_is_a_name_and_nothing_else(opened: Door) -> None:
    for name in ("vault", "kube-system", "default.kube-system", "a" * 63):
        pod = plain("hostile")
        pod["metadata"]["labels"]["podfacts.dev/inject"] = name
        assert "there is no profile" in refused(opened.create(pod))


@pytest.mark.fault("T38")
def test_lists_of_ten_thousand_names_and_of_none_are_answered(opened: Door) -> None:
    many = ",".join(f"c{each}" for each in range(10_000))
    for key, value in ((CONTAINERS, many), (OVERWRITE, many), (CONTAINERS, ","), (OVERWRITE, "A=B,../C")):
        said = opened.create(plain("hostile", annotations={key: value}))
        assert said.status == 201 or refused(said)


@pytest.mark.fault("T21")
def test_a_pod_of_1_4_mib_is_injected_and_created_for_real(opened: Door, webhook: Webhook) -> None:
    pod = large("x", 14 * MIB // 10)
    said = opened.create(pod, fieldManager="test")
    assert theirs_is_untouched(pod, said)
    path = f"/api/v1/namespaces/{opened.namespace('Fail')}/pods/large"
    assert INJECTED in opened.api.call("GET", path).body["metadata"]["annotations"]
    opened.api.call("DELETE", path, gracePeriodSeconds="0")
    assert webhook.most_resident < 256 * MIB


@pytest.mark.fault("T21")
def test_a_pod_that_becomes_six_times_as_large_on_its_way_is_reviewed_up_to_our_limit(
    opened: Door, webhook: Webhook
) -> None:
    """Go's JSON writes each ``<`` as six bytes: a review of 8 MiB is a pod of 1.33 MiB, if it is nothing else."""
    pod = large("<", 13 * MIB // 10)
    assert theirs_is_untouched(pod, opened.create(pod))
    said = opened.create(large("<", 15 * MIB // 10))
    assert said.status == 500
    assert 'failed calling webhook "fail.pods' in said.body["message"]
    assert opened.create(large("<", 15 * MIB // 10), "Ignore").status == 201
    assert opened.ask().injected
    assert webhook.most_resident < 256 * MIB


def large(letter: str, size: int) -> Tree:
    return with_env(
        *({"name": f"V{each}", "value": letter * 10_000} for each in range(size // 10_000)), name="large"
    )


@pytest.mark.fault("T25")
def test_hostile_pods_can_be_created_for_real(opened: Door) -> None:
    for at, pod in enumerate(
        (
            with_env(*({"name": f"V{each}", "value": "$(V0)"} for each in range(10_000)), name="many"),
            with_env({"name": "A", "value": "$(B)"}, {"name": "B", "value": "$(A)"}, name="circle"),
            plain("full", annotations={"example.com/note": "\x1b" * (ANNOTATIONS - 4096)}),
        )
    ):
        said = opened.create(pod, fieldManager=f"test-{at}")
        assert theirs_is_untouched(pod, said)
        path = f"/api/v1/namespaces/{opened.namespace('Fail')}/pods/{pod['metadata']['name']}"
        opened.api.call("DELETE", path, gracePeriodSeconds="0")
