"""Every check on the objects that are shipped: sound as they are, and each line seen to fail by breaking one thing."""

import base64
from collections.abc import Callable, Iterable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from podfacts.authority.certificates import new_authority
from podfacts.cluster import before_install, exact_rights, installed_parts
from podfacts.cluster.check import BEFORE, CHECKS, Report
from podfacts.cluster.expected_rights import EXPECTED, SYSTEM
from podfacts.cluster.outcome import Outcome, fail, ok, warn

Tree = dict[str, Any]
Change = Callable[[Any], object]

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LISTS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")


@cache
def _shipped() -> tuple[Tree, ...]:
    """The whole, and the rights that only components give."""
    files = [ROOT / "deploy/install.yaml", *(ROOT / "rbac").rglob("*.yaml")]
    trees = [tree for file in files for tree in yaml.safe_load_all(file.read_text()) if tree]
    found = {
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]): each
        for each in trees
        if "metadata" in each
    }
    return tuple(found.values())


def of_kind(kind: str) -> list[Tree]:
    return deepcopy([each for each in _shipped() if each["kind"] == kind])


def named(trees: Iterable[Tree], name: str) -> Tree:
    return next(each for each in trees if each["metadata"]["name"] == name)


def said(outcomes: Iterable[Outcome]) -> list[str]:
    """What is not as it should be."""
    return [f"{each.state} {each.text}" for each in outcomes if each.state != "ok"]


# -- rights ------------------------------------------------------------------------------------------------------


def rbac() -> dict[str, list[Tree]]:
    return {kind: of_kind(kind) for kind in LISTS}


def rights(lists: dict[str, list[Tree]]) -> list[str]:
    return said(exact_rights.exact_rights(*(lists[kind] for kind in LISTS)))


def test_the_table_is_what_rbac_says() -> None:
    assert rights(rbac()) == []
    roles = {
        (each["metadata"].get("namespace", ""), each["metadata"]["name"])
        for kind in LISTS[:2]
        for each in of_kind(kind)
    }
    assert roles - {(each.namespace, each.name) for each in EXPECTED} == {
        ("", name)
        for name in ("podfacts-app-read-pods", "podfacts-app-read-services", "podfacts-app-watch-pods")
    }


def test_what_is_optional_may_be_left_out() -> None:
    lists = rbac()
    for each in EXPECTED:
        if each.optional:
            for kind in LISTS:
                lists[kind] = [tree for tree in lists[kind] if tree["metadata"]["name"] != each.name]
    assert rights(lists) == []


def _binding(name: str, *subjects: Tree, labels: Tree | None = None) -> Tree:
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": list(subjects),
    }


US = {"kind": "ServiceAccount", "namespace": SYSTEM, "name": "podfacts-webhook"}
ALL = {"kind": "Group", "name": "system:serviceaccounts"}
BROKEN_RIGHTS: list[tuple[Change, str]] = [
    (
        lambda lists: named(lists["ClusterRole"], "podfacts-webhook")["rules"].append(
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
        ),
        "FAIL the ClusterRole podfacts-webhook allows too much: get secrets",
    ),
    (
        lambda lists: named(lists["ClusterRole"], "podfacts-controller")["rules"].append(
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
        ),
        "FAIL the ClusterRole podfacts-controller allows too much: * *.*",
    ),
    (
        lambda lists: named(lists["ClusterRole"], "podfacts-webhook")["rules"].pop(0),
        "FAIL the ClusterRole podfacts-webhook lacks: list nodes, watch nodes",
    ),
    (
        lambda lists: lists["ClusterRole"].remove(named(lists["ClusterRole"], "podfacts-controller-evict")),
        "FAIL the ClusterRole podfacts-controller-evict lacks: create pods/eviction",
    ),
    (
        lambda lists: lists["RoleBinding"].remove(named(lists["RoleBinding"], "podfacts-controller")),
        "FAIL there is no RoleBinding podfacts-controller in podfacts-system, so podfacts-controller cannot do its work",
    ),
    (
        lambda lists: named(lists["ClusterRoleBinding"], "podfacts-webhook")["roleRef"].update(name="view"),
        "FAIL the ClusterRoleBinding podfacts-webhook gives another role: view",
    ),
    (
        lambda lists: named(lists["ClusterRoleBinding"], "podfacts-webhook")["subjects"].append(ALL),
        "FAIL the ClusterRoleBinding podfacts-webhook does not hold podfacts-system/podfacts-webhook alone",
    ),
    (
        lambda lists: lists["ClusterRoleBinding"].append(_binding("more", US)),
        "FAIL the ClusterRoleBinding more gives podfacts-system/podfacts-webhook cluster-admin, which rbac/ does not",
    ),
    (
        lambda lists: lists["ClusterRoleBinding"].append(
            _binding("user", {"kind": "User", "name": f"system:serviceaccount:{SYSTEM}:podfacts-webhook"})
        ),
        "FAIL the ClusterRoleBinding user gives podfacts-system/podfacts-webhook cluster-admin, which rbac/ does not",
    ),
    (
        lambda lists: lists["ClusterRoleBinding"].append(_binding("permissive-binding", ALL)),
        "warn the ClusterRoleBinding permissive-binding gives cluster-admin to service accounts by group, ours among them",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), BROKEN_RIGHTS, ids=[each[1][5:60] for each in BROKEN_RIGHTS])
def test_rights_that_differ(change: Change, sentence: str) -> None:
    lists = rbac()
    change(lists)
    assert sentence in rights(lists)


def test_what_kubernetes_binds_to_everybody_is_no_news() -> None:
    lists = rbac()
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    lists["ClusterRoleBinding"].append(
        _binding("system:service-account-issuer-discovery", ALL, labels=labels)
    )
    assert rights(lists) == []


# -- the webhook configuration -----------------------------------------------------------------------------------


def configuration(lifetime: int = 365, age: int = 0) -> Tree:
    """The shipped one, with the CA that the controller writes; days."""
    (tree,) = of_kind("MutatingWebhookConfiguration")
    authority = new_authority(NOW - timedelta(days=age), timedelta(days=lifetime))
    for each in tree["webhooks"]:
        each["clientConfig"]["caBundle"] = base64.b64encode(authority.certificate_pem).decode()
    return tree


def hook(tree: Tree, name: str) -> Tree:
    found: Tree = next(each for each in tree["webhooks"] if each["name"] == f"{name}.podfacts.dev")
    return found


BROKEN_WEBHOOKS: list[tuple[Change, str]] = [
    (lambda tree: tree["webhooks"].pop(), "FAIL no MutatingWebhookConfiguration podfacts with nodes.podfacts.dev"),
    (lambda tree: hook(tree, "pods").pop("namespaceSelector"), "FAIL pods.podfacts.dev is asked in kube-system, which must start without it"),
    (lambda tree: hook(tree, "nodes").pop("namespaceSelector"), "FAIL nodes.podfacts.dev is asked in namespaces without podfacts.dev/node-facts=enabled"),
    (lambda tree: hook(tree, "pods")["namespaceSelector"].update(matchLabels={"a": "b"}), "warn the namespaceSelector of pods.podfacts.dev leaves out namespaces by their labels: "),
    (lambda tree: hook(tree, "pods").pop("objectSelector"), "FAIL the objectSelector of pods.podfacts.dev is not by the label podfacts.dev/inject"),
    (lambda tree: hook(tree, "pods")["rules"][0]["operations"].append("UPDATE"), "FAIL the rules of pods.podfacts.dev are others: ['CREATE  pods', 'UPDATE  pods']"),
    (lambda tree: hook(tree, "nodes").update(failurePolicy="Fail"), "FAIL nodes.podfacts.dev has failurePolicy Fail: without us no pod could be bound"),
    (lambda tree: tree["webhooks"].insert(0, tree["webhooks"].pop(1)), "FAIL pods-again.podfacts.dev is asked before pods.podfacts.dev: the spare does all the work"),
    (lambda tree: hook(tree, "pods-again").pop("objectSelector"), "FAIL the objectSelector of pods-again.podfacts.dev is not by the label podfacts.dev/inject"),
    (lambda tree: hook(tree, "pods-again").update(failurePolicy="Ignore"), "warn pods-again.podfacts.dev has failurePolicy Ignore: while it is away, pods start without their facts"),
    (lambda tree: hook(tree, "pods").pop("reinvocationPolicy"), "FAIL pods.podfacts.dev is not asked again: a container that another webhook adds gets no facts"),
    (lambda tree: hook(tree, "nodes").update(timeoutSeconds=10), "warn nodes.podfacts.dev may take 10 s: a replica that hangs holds up pods for that long"),
]  # fmt: skip


def test_the_shipped_configuration_is_sound() -> None:
    assert said(installed_parts.webhooks([configuration()])) == []


@pytest.mark.parametrize(
    ("change", "sentence"), BROKEN_WEBHOOKS, ids=[each[1][5:60] for each in BROKEN_WEBHOOKS]
)
def test_webhooks_that_differ(change: Change, sentence: str) -> None:
    tree = configuration()
    change(tree)
    assert any(each.startswith(sentence) for each in said(installed_parts.webhooks([tree])))


def test_a_second_configuration_is_told() -> None:
    other = {**configuration(), "metadata": {"name": "old"}}
    told = said(installed_parts.webhooks([configuration(), other]))
    assert told == ["warn MutatingWebhookConfiguration old asks a podfacts webhook too"]


def test_the_ca() -> None:
    def judged(tree: Tree) -> list[str]:
        return said(installed_parts.ca([tree], NOW))

    assert judged(configuration()) == []
    late = judged(configuration(365, 300))
    assert (
        late[0]
        == "warn the CA of pods.podfacts.dev is valid for 65 days and should have been replaced by now"
    )
    assert judged(configuration(10, 11))[0].startswith(
        "FAIL pods.podfacts.dev has an expired caBundle, so every call"
    )
    blank, torn = configuration(), configuration()
    hook(blank, "pods")["clientConfig"]["caBundle"] = ""
    assert judged(blank) == [
        "FAIL pods.podfacts.dev has no caBundle, so every call to it fails: the controller writes it"
    ]
    hook(torn, "nodes")["clientConfig"]["caBundle"] = base64.b64encode(
        b"-----BEGIN CERTIFICATE-----"
    ).decode()
    assert judged(torn) == ["FAIL the caBundle of nodes.podfacts.dev holds something that is no certificate"]


# -- the other parts ---------------------------------------------------------------------------------------------


def deployment(component: str, ready: int = 2, **more: Any) -> Tree:
    tree = named(of_kind("Deployment"), f"podfacts-{component}")
    tree["metadata"]["generation"] = 3
    tree["status"] = {"observedGeneration": 3, "updatedReplicas": 2, "readyReplicas": ready, **more}
    return tree


def test_deployments() -> None:
    def judged(tree: Tree | None) -> list[str]:
        return said(installed_parts.deployments(deployment("webhook"), spare, tree))

    spare = deployment("webhook-spare", 1)

    assert judged(deployment("controller")) == []
    assert judged(None) == ["FAIL there is no Deployment podfacts-controller in podfacts-system"]
    assert judged(deployment("controller", 1)) == ["FAIL podfacts-controller has 1 of 2 replicas ready"]
    rolling = deployment("controller", updatedReplicas=1)
    assert judged(rolling) == [
        "FAIL podfacts-controller is being rolled out: 1 of 2 are of the newest revision"
    ]
    none, single = deployment("controller", 0), deployment("controller")
    none["spec"]["replicas"] = 0
    assert judged(none) == ["FAIL podfacts-controller is scaled to 0"]
    single["spec"]["replicas"] = 1
    assert judged(single) == ["warn podfacts-controller has one replica: nobody takes over when it goes"]
    spare["spec"]["replicas"] = 0
    [outcome] = [
        each
        for each in installed_parts.deployments(deployment("webhook"), spare, deployment("controller"))
        if each.state != "ok"
    ]
    assert outcome.text == "podfacts-webhook-spare is scaled to 0"
    assert "--replicas=1" in outcome.cure


def test_the_definition() -> None:
    def established(**more: Any) -> Tree:
        (tree,) = of_kind("CustomResourceDefinition")
        return {**tree, "status": {"conditions": [{"type": "Established", "status": "True"}], **more}}

    pending = established(conditions=[{"type": "NamesAccepted", "message": "taken by another"}])
    assert said(installed_parts.crd(established())) == []
    assert said(installed_parts.crd(None)) == [
        "FAIL there is no CustomResourceDefinition profiles.podfacts.dev"
    ]
    assert said(installed_parts.crd(pending)) == [
        "FAIL profiles.podfacts.dev is not usable: taken by another"
    ]
    older = established(storedVersions=["v1alpha1", "v1"])
    assert said(before_install.definition(established(storedVersions=["v1alpha1"]))) == []
    assert said(before_install.definition(None)) == []
    assert said(before_install.definition(older)) == [
        "FAIL Profiles are stored as v1, which this version of Podfacts does not know"
    ]
    older["spec"]["scope"] = "Namespaced"
    assert "with scope Namespaced, and cannot be changed" in said(before_install.definition(older))[0]


def test_the_fence_is_all_policies_of_rbac() -> None:
    policies, bindings = of_kind("ValidatingAdmissionPolicy"), of_kind("ValidatingAdmissionPolicyBinding")
    assert said(installed_parts.fence(policies, bindings)) == []
    assert {each["metadata"]["name"] for each in policies} == {*installed_parts.POLICIES}
    assert said(installed_parts.fence(policies[1:], bindings)) == [
        f"FAIL there is no ValidatingAdmissionPolicy {policies[0]['metadata']['name']}"
    ]
    name = bindings[0]["spec"]["policyName"]
    unbound = [f"FAIL no binding makes the policy {name} deny anything"]
    assert said(installed_parts.fence(policies, bindings[1:])) == unbound
    bindings[0]["spec"]["validationActions"] = ["Audit"]
    assert said(installed_parts.fence(policies, bindings)) == unbound
    bindings[0]["spec"]["validationActions"] = ["Deny"]
    bindings[0]["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {"a": "b"}}}
    assert said(installed_parts.fence(policies, bindings)) == unbound
    policies[0]["spec"]["failurePolicy"] = "Ignore"
    assert said(installed_parts.fence(policies, bindings)) == [
        f"FAIL the policy {name} lets through what it cannot judge"
    ]


def test_profiles() -> None:
    def profile(status: str, generation: int = 1) -> Tree:
        condition = {"type": "Accepted", "status": status, "observedGeneration": 1, "message": "bad"}
        metadata = {"name": "shop", "generation": generation}
        return {"metadata": metadata, "status": {"conditions": [condition]}}

    assert said(installed_parts.profiles([])) == []
    assert said(installed_parts.profiles([profile("True")])) == []
    assert said(installed_parts.profiles([profile("False")])) == [
        "FAIL the profile shop is not in force: bad"
    ]
    edited = profile("False")
    edited["status"]["inForce"] = {"generation": 1}
    assert said(installed_parts.profiles([edited])) == ["FAIL the last edit of shop is not in force: bad"]
    unjudged = ["FAIL the profile shop has not been judged: no controller leads"]
    assert said(installed_parts.profiles([profile("True", 2)])) == unjudged


def test_the_lease() -> None:
    def lease(age: int, holder: str = "podfacts-controller-1") -> Tree:
        renewed = (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
        return {"spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}}

    def judged(tree: Tree | None) -> list[str]:
        return said(installed_parts.lease(tree, NOW))

    assert judged(lease(5)) == []
    assert judged(lease(60)) == ["FAIL no controller leads: podfacts-controller-1 renewed its Lease 60 s ago"]
    nobody = "FAIL no controller leads: the Lease podfacts-controller is held by nobody"
    assert judged(named(of_kind("Lease"), "podfacts-controller")) == [nobody]
    assert judged(lease(5, "")) == [nobody]
    assert judged(None)[0].startswith("FAIL there is no Lease podfacts-controller")


# -- before the installation -------------------------------------------------------------------------------------


def test_versions() -> None:
    def judged(minor: str) -> list[str]:
        return [each.split(":")[0] for each in said(before_install.version({"major": "1", "minor": minor}))]

    assert judged("36") == judged("35+") == []
    assert judged("34") == ["warn Kubernetes 1.34 does not label pods with their zone and region"]
    assert judged("32")[1] == "warn in Kubernetes 1.32 native sidecars are beta"
    assert judged("29") == ["FAIL Kubernetes 1.29 has no ValidatingAdmissionPolicy to fence the controller"]


def test_the_kinds_are_those_of_the_manifests() -> None:
    assert {each.kind for each in before_install.KINDS} == {each["kind"] for each in _shipped()}


def test_the_rights_of_whoever_installs() -> None:
    yes = [True] * len(before_install.asked())
    assert said(before_install.installer(yes)) == []
    no = [each["resource"] != "secrets" for each in before_install.asked()]
    assert said(before_install.installer(no)) == ["FAIL you may not get, create, patch secrets"]
    assert said(before_install.installer([*yes[:-1], False])) == [
        "warn you may not escalate: you can make only roles whose rights you hold yourself"
    ]


def test_the_namespace_and_what_is_served() -> None:
    assert said(before_install.namespace(None)) == []
    assert said(before_install.namespace({"metadata": {"deletionTimestamp": "now"}})) == [
        "FAIL the namespace podfacts-system is being deleted"
    ]
    names = [{"name": each.resource} for each in before_install.KINDS]
    assert said(before_install.served({"resources": names})) == []
    assert said(before_install.served({"resources": []}))[0].startswith("FAIL the API server does not serve ")


def test_a_report_fails_by_one_line_and_counts() -> None:
    found = (("a", ok("fine")), ("b", warn("look\x1b")), ("c", fail("broken", "mend it")))
    report = Report(found)
    assert not report.sound
    assert Report(found[:2]).sound
    assert report.text == (
        "ok    a: fine\nwarn  b: look\\U0000001B\nFAIL  c: broken: mend it\n1 ok, 1 to look at, 1 failed\n"
    )


def test_names_of_checks_are_told_apart() -> None:
    for rows in (CHECKS, BEFORE):
        assert len({each.name for each in rows}) == len(rows)
