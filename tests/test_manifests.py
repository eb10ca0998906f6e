"""What a cluster admin installs: parsed, not read, so that a slip in a selector fails here."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from demo.__main__ import EXAMPLES
from podfacts.core.injection import inject
from podfacts.core.options import INJECTED
from podfacts.core.patch import apply
from podfacts.offline.profile_files import read_profiles
from tests.cluster import build, folders
from tests.cluster.progress import quiet
from tests.shipped import (
    AGAIN,
    DEPLOY,
    INSTALL,
    INSTALLED,
    NAMESPACE,
    NODES,
    OPT_IN,
    SPARE,
    WEBHOOK,
    Object,
    by_kind,
    container,
    names,
    parsed,
    pod,
    selected,
    understood,
)


def rendered(folder: str) -> str:
    """Return what the test cluster's kubectl makes of a folder, or the machine's where that one is not built."""
    built = folders.binaries() / build.key() / "kubectl"
    own = str(built) if os.access(built, os.X_OK) else shutil.which("kubectl")
    kubectl = own or str(build.binaries(quiet) / "kubectl")
    command = [kubectl, "kustomize", str(DEPLOY / folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_install_is_what_kustomize_renders() -> None:
    assert INSTALL.read_text() == rendered("base"), "kubectl kustomize deploy/base > deploy/install.yaml"


def test_everything_namespaced_is_in_our_namespace_and_the_namespace_comes_first() -> None:
    cluster_wide = {
        "Namespace",
        "CustomResourceDefinition",
        "ClusterRole",
        "ClusterRoleBinding",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
    assert names(INSTALLED)[0] == ("Namespace", NAMESPACE)
    assert {e["metadata"].get("namespace") for e in INSTALLED if e["kind"] not in cluster_wide} == {NAMESPACE}
    assert names(INSTALLED)[-1] == ("MutatingWebhookConfiguration", "podfacts")


def test_no_object_is_there_twice() -> None:
    assert len(names(INSTALLED)) == len(set(names(INSTALLED)))


@pytest.mark.fault("T1")
def test_ignore_changes_the_failure_policy_and_nothing_else() -> None:
    objects = parsed(rendered("overlays/ignore"))
    [configuration] = by_kind(objects, "MutatingWebhookConfiguration").values()
    assert configuration["webhooks"][1].pop("failurePolicy") == "Ignore"
    configuration["webhooks"][1]["failurePolicy"] = "Fail"

    def key(entry: Object) -> tuple[str, str]:
        return entry["kind"], entry["metadata"]["name"]

    assert sorted(objects, key=key) == sorted(INSTALLED, key=key)


def test_evict_adds_one_right_and_nothing_else() -> None:
    more = {(kind, "podfacts-controller-evict") for kind in ("ClusterRole", "ClusterRoleBinding")}
    objects = parsed(rendered("overlays/evict"))
    assert set(names(objects)) == set(names(INSTALLED)) | more
    role = by_kind(objects, "ClusterRole")["podfacts-controller-evict"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]}]
    binding = by_kind(objects, "ClusterRoleBinding")["podfacts-controller-evict"]
    assert [each["name"] for each in binding["subjects"]] == ["podfacts-controller"]


def test_cert_manager_takes_the_ca_from_the_controller_and_the_rights_with_it() -> None:
    objects = parsed(rendered("overlays/cert-manager"))
    made = {("Issuer", "podfacts-self-signed"), ("Issuer", "podfacts-ca")}
    made |= {("Certificate", "podfacts-ca"), ("Certificate", "podfacts-webhook")}
    gone = {
        ("Secret", "podfacts-ca"),
        *(
            (kind, "podfacts-controller-ca")
            for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
        ),
    }
    assert set(names(objects)) == set(names(INSTALLED)) - gone | made
    [only] = by_kind(objects, "Deployment")["podfacts-controller"]["spec"]["template"]["spec"]["containers"]
    assert only["args"] == [*container("podfacts-controller")["args"], "--authority=external"]
    assert understood(only["args"]).params["authority"] == "external"


def test_cert_manager_makes_the_certificate_that_the_webhook_mounts_and_the_api_server_checks() -> None:
    objects = parsed(rendered("overlays/cert-manager"))
    certificate = by_kind(objects, "Certificate")["podfacts-webhook"]
    spec = by_kind(objects, "Deployment")["podfacts-webhook"]["spec"]["template"]["spec"]
    [volume] = [each for each in spec["volumes"] if each["name"] == "certificates"]
    assert volume["secret"]["secretName"] == certificate["spec"]["secretName"]
    assert [item["path"] for item in volume["secret"]["items"]] == ["tls.crt", "tls.key"]
    spare = by_kind(objects, "Deployment")[SPARE]["spec"]["template"]["spec"]
    assert spare["volumes"] == spec["volumes"]
    assert {f"{name}.{NAMESPACE}.svc" for name in ("podfacts-webhook", SPARE)} <= set(
        certificate["spec"]["dnsNames"]
    )
    [configuration] = by_kind(objects, "MutatingWebhookConfiguration").values()
    assert configuration["metadata"]["annotations"] == {
        "cert-manager.io/inject-ca-from": f"{NAMESPACE}/{certificate['metadata']['name']}"
    }
    issuer = by_kind(objects, "Issuer")[certificate["spec"]["issuerRef"]["name"]]
    authority = by_kind(objects, "Certificate")["podfacts-ca"]
    assert issuer["spec"]["ca"]["secretName"] == authority["spec"]["secretName"]
    assert authority["spec"]["isCA"] is True


def matches(expressions: list[Object], given: dict[str, str]) -> bool:
    """Return what a label selector says, for the operators that we use."""
    for each in expressions:
        key, values = each["key"], each.get("values")
        # An absent key matches NotIn.
        said = {
            "Exists": key in given,
            "In": given.get(key) in (values or []),
            "NotIn": given.get(key) not in (values or []),
        }
        if not said[each["operator"]]:
            return False
    return True


@pytest.mark.fault("T4")
@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, False),
        ({"app": "shop"}, False),
        ({OPT_IN: "false"}, False),
        ({OPT_IN: "true"}, True),
        ({OPT_IN: "web"}, True),
        ({OPT_IN: ""}, True),
    ],
)
def test_only_pods_that_opted_in_reach_us(given: dict[str, str], asked: bool) -> None:
    assert set(WEBHOOK["objectSelector"]) == {"matchExpressions"}
    assert matches(WEBHOOK["objectSelector"]["matchExpressions"], given) is asked


@pytest.mark.fault("T3", "T4")
@pytest.mark.parametrize(
    ("namespace", "asked"),
    [
        ("kube-system", False),
        ("kube-node-lease", False),
        (NAMESPACE, False),
        ("default", True),
        ("shop", True),
    ],
)
def test_the_cluster_and_our_own_pods_never_wait_for_us(namespace: str, asked: bool) -> None:
    assert set(WEBHOOK["namespaceSelector"]) == {"matchExpressions"}
    given = {"kubernetes.io/metadata.name": namespace}
    assert matches(WEBHOOK["namespaceSelector"]["matchExpressions"], given) is asked


def test_the_rest_of_the_webhook_is_as_designed() -> None:
    assert WEBHOOK["rules"] == [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods"],
            "scope": "Namespaced",
        }
    ]
    expected = {
        "matchPolicy": "Equivalent",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    assert {key: WEBHOOK[key] for key in expected} == expected


def test_bindings_are_asked_about_where_a_namespace_wants_it_and_never_waited_for() -> None:
    assert NODES["rules"] == [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods/binding", "bindings"],
            "scope": "Namespaced",
        }
    ]
    expected = {"failurePolicy": "Ignore", "timeoutSeconds": 2, "sideEffects": "None"}
    assert {key: NODES[key] for key in expected} == expected
    assert "objectSelector" not in NODES
    assert NODES["clientConfig"] == WEBHOOK["clientConfig"]
    wanted = NODES["namespaceSelector"]["matchExpressions"]
    for name, value, asked in (
        ("shop", "enabled", True),
        ("shop", "true", False),
        ("kube-system", "enabled", False),
    ):
        given = {"kubernetes.io/metadata.name": name, "podfacts.dev/node-facts": value}
        assert matches(wanted, given) is asked


def test_whoever_is_asked_again_is_another_replica_asked_the_same_when_nothing_was_done() -> None:
    alike = {*WEBHOOK} - {"name", "clientConfig", "failurePolicy", "timeoutSeconds"}
    assert {key: AGAIN[key] for key in alike} == {key: WEBHOOK[key] for key in alike}
    assert {*AGAIN} - {*WEBHOOK} == {"matchConditions"}
    [condition] = AGAIN["matchConditions"]
    assert INJECTED in condition["expression"]
    assert (WEBHOOK["failurePolicy"], AGAIN["failurePolicy"]) == ("Ignore", "Fail")
    # Both of them hang: still not the ten seconds that are the default.
    assert WEBHOOK["timeoutSeconds"] + AGAIN["timeoutSeconds"] <= 3
    [term] = pod(SPARE)["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    wanted = {
        each["key"]: each["values"][0]
        for each in term["podAffinityTerm"]["labelSelector"]["matchExpressions"]
    }
    assert selected(wanted) == ["podfacts-webhook"]
    assert container(SPARE) == container("podfacts-webhook")


@pytest.mark.parametrize(("entry", "deployment"), [(WEBHOOK, "podfacts-webhook"), (AGAIN, SPARE)])
def test_the_webhook_leads_to_a_port_of_its_pods(entry: Object, deployment: str) -> None:
    target = entry["clientConfig"]["service"]
    service = by_kind(INSTALLED, "Service")[target["name"]]
    assert (target["namespace"], target["path"]) == (NAMESPACE, "/mutate")
    [port] = [port for port in service["spec"]["ports"] if port["port"] == target["port"]]
    assert selected(service["spec"]["selector"]) == [deployment]
    ports = {each["name"]: each["containerPort"] for each in container(deployment)["ports"]}
    assert ports[port["targetPort"]] == 10250
    assert f"--dns-name={target['name']}.{target['namespace']}.svc" in container(deployment)["args"]


@pytest.mark.fault("T45")
def test_applying_again_leaves_what_the_controller_keeps() -> None:
    assert "caBundle" not in WEBHOOK["clientConfig"]
    [secret] = by_kind(INSTALLED, "Secret").values()
    [lease] = by_kind(INSTALLED, "Lease").values()
    assert set(secret) == {"apiVersion", "kind", "metadata", "type"}
    assert set(lease) == {"apiVersion", "kind", "metadata"}


@pytest.mark.parametrize("path", [Path(each) for each in EXAMPLES], ids=lambda path: path.name)
def test_an_example_of_the_demo_has_nothing_but_the_label(path: Path) -> None:
    [entry] = parsed(path.read_text())
    template = entry if entry["kind"] == "Pod" else entry["spec"]["template"]
    assert template["metadata"]["labels"][OPT_IN] == "true"
    assert not any("podfacts.dev" in key for key in template["metadata"].get("annotations", {}))
    assert "volumes" not in template["spec"]
    for each in template["spec"]["containers"]:
        assert not {"env", "envFrom", "volumeMounts"} & set(each)


def test_the_example_of_a_profile_is_one() -> None:
    profiles = read_profiles([str(DEPLOY / "examples" / "profile.yaml")])
    assert [fact.name for fact in profiles["web"].facts] == [
        "pod-name",
        "node-name",
        "app",
        "team",
        "memory-limit",
        "hugepages",
        "labels",
    ]

    access = profiles["web"].api_access, profiles["web"].ambassador
    assert [each.enabled for each in access] == [False, False]
    assert access[0].reads == ("pods", "services")


@pytest.mark.parametrize(("name", "wish"), [("curl", "api-access"), ("curl-with-proxy", "ambassador")])
def test_the_examples_of_api_access_ask_for_it_and_nothing_else(name: str, wish: str) -> None:
    account, pod = parsed((DEPLOY / "examples" / f"{name}.yaml").read_text())
    assert pod["metadata"]["annotations"] == {f"podfacts.dev/{wish}": "true"}
    assert pod["spec"]["serviceAccountName"] == account["metadata"]["name"] == name
    done = inject(pod, read_profiles([]))
    assert (done.kept, done.skipped) == ((), ())
    [main] = apply(pod, done.patch)["spec"]["containers"]
    address = {"api-access": "https://kubernetes.default.svc", "ambassador": "http://localhost:8001"}[wish]
    assert {"name": "KUBERNETES_API", "value": address} in main["env"]
    assert ("podfacts-api" in [each["name"] for each in main["volumeMounts"]]) == (wish == "api-access")


def test_the_example_of_options_does_what_it_says() -> None:
    [pod] = parsed((DEPLOY / "examples" / "options.yaml").read_text())
    done = inject(pod, read_profiles([]))
    assert done.skipped == ("proxy: not in podfacts.dev/containers",)
    assert done.kept == ()
    main, proxy = apply(pod, done.patch)["spec"]["containers"]
    assert main["volumeMounts"] == [{"name": "podfacts", "mountPath": "/run/facts", "readOnly": True}]
    assert [each for each in main["env"] if "value" in each] == []
    assert "env" not in proxy
