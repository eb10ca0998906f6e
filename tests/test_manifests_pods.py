"""The pods that are shipped: how they are fenced, spread, probed, and pointed at what they need."""

import itertools

import pytest

import podfacts
from tests.shipped import (
    CONFIGURATION,
    DEPLOYED,
    DEPLOYMENTS,
    INSTALLED,
    NAMESPACE,
    SPARE,
    by_kind,
    container,
    pod,
    selected,
    understood,
)


@pytest.mark.parametrize("name", [*DEPLOYMENTS, SPARE])
def test_pods_keep_the_restricted_standard_with_a_read_only_root(name: str) -> None:
    context = pod(name)["securityContext"]
    assert context["runAsNonRoot"] is True
    assert (context["runAsUser"], context["runAsGroup"]) == (65532, 65532)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod(name))
    kinds = set().union(*(set(volume) for volume in pod(name)["volumes"]))
    assert kinds <= {"name", "secret", "projected"}
    assert not any("hostPort" in port for port in container(name)["ports"])


def test_our_namespace_enforces_it() -> None:
    [namespace] = by_kind(INSTALLED, "Namespace").values()
    given = namespace["metadata"]["labels"]
    modes = ("enforce", "warn", "audit")
    assert [given[f"pod-security.kubernetes.io/{mode}"] for mode in modes] == ["restricted"] * 3


@pytest.mark.fault("T7")
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_two_replicas_are_spread_and_replaced_one_after_the_other(name: str) -> None:
    spec = DEPLOYED[name]["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    [spread] = pod(name)["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    assert selected(spread["labelSelector"]["matchLabels"]) == [name]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *itertools.product(DEPLOYMENTS, ("Deployment", "PodDisruptionBudget", "NetworkPolicy")),
        *itertools.product([SPARE], ("Deployment", "NetworkPolicy")),
    ],
)
def test_selectors_take_the_pods_they_mean(kind: str, name: str) -> None:
    spec = by_kind(INSTALLED, kind)[name]["spec"]
    selector = spec["podSelector"] if kind == "NetworkPolicy" else spec["selector"]
    assert set(selector) == {"matchLabels"}
    assert selected(selector["matchLabels"]) == [name]
    # A selector cannot be changed later: no version in it.
    assert not any("version" in key for key in selector["matchLabels"])


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_drain_is_never_blocked_by_a_budget(name: str) -> None:
    spec = by_kind(INSTALLED, "PodDisruptionBudget")[name]["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert "minAvailable" not in spec


@pytest.mark.parametrize("name", [*DEPLOYMENTS, SPARE])
def test_probes_ask_a_port_that_is_there(name: str) -> None:
    ports = {port["name"]: port["containerPort"] for port in container(name)["ports"]}
    assert ports["metrics"] == 8080
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        assert container(name)[probe]["httpGet"] == {"path": path, "port": "metrics"}
    assert f"--probe-port={ports['metrics']}" in container(name)["args"]


@pytest.mark.parametrize("name", [*DEPLOYMENTS, SPARE])
def test_the_command_line_takes_the_arguments(name: str) -> None:
    arguments = container(name)["args"]
    context = understood(arguments)
    assert context.args == []
    given = [argument.split("=")[0].removeprefix("--") for argument in arguments[1:]]
    assert len(given) - given.count("dns-name") == len({*given} - {"dns-name"})
    if "drain" in given:
        # The kubelet kills what still runs when the grace period ends.
        assert context.params["drain"].total_seconds() * 2 <= pod(name)["terminationGracePeriodSeconds"]


def test_the_controller_is_pointed_at_the_objects_it_may_write() -> None:
    params = understood(container("podfacts-controller")["args"]).params
    assert (params["namespace"], params["webhook_configuration"]) == (
        NAMESPACE,
        CONFIGURATION["metadata"]["name"],
    )
    assert [params["secret"]] == list(by_kind(INSTALLED, "Secret"))
    assert [params["lease"]] == list(by_kind(INSTALLED, "Lease"))


def test_the_webhook_waits_for_the_ca_and_may_read_it() -> None:
    [volume] = [each for each in pod("podfacts-webhook")["volumes"] if each["name"] == "certificates"]
    [mount] = [
        each for each in container("podfacts-webhook")["volumeMounts"] if each["name"] == volume["name"]
    ]
    assert [volume["secret"]["secretName"]] == list(by_kind(INSTALLED, "Secret"))
    assert [item["key"] for item in volume["secret"]["items"]] == ["ca.crt", "ca.key"]
    assert "optional" not in volume["secret"]
    assert volume["secret"]["defaultMode"] == 0o440
    assert pod("podfacts-webhook")["securityContext"]["fsGroup"] == 65532
    assert mount["name"] == volume["name"]
    assert f"--certificates={mount['mountPath']}" in container("podfacts-webhook")["args"]
    assert "subPath" not in mount  # it would never see a new CA


@pytest.mark.fault("T34")
@pytest.mark.parametrize("name", [*DEPLOYMENTS, SPARE])
def test_resources_are_asked_for_and_memory_is_capped(name: str) -> None:
    resources = container(name)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}


def test_the_quota_has_room_for_both_deployments_during_an_update() -> None:
    [quota] = by_kind(INSTALLED, "ResourceQuota").values()
    [scope] = quota["spec"]["scopeSelector"]["matchExpressions"]
    assert {pod(name)["priorityClassName"] for name in DEPLOYMENTS} == set(scope["values"])
    most = sum(each["spec"]["replicas"] + 1 for each in DEPLOYED.values())
    assert int(quota["spec"]["hard"]["pods"]) >= most


def test_the_network_policies_leave_what_is_needed() -> None:
    policies = by_kind(INSTALLED, "NetworkPolicy")
    webhook, controller = (policies[name]["spec"] for name in DEPLOYMENTS)
    assert set(webhook["policyTypes"]) == set(controller["policyTypes"]) == {"Ingress", "Egress"}
    assert [port["port"] for rule in webhook["ingress"] for port in rule["ports"]] == ["https", "metrics"]
    assert {port["port"] for rule in webhook["egress"] for port in rule["ports"]} >= {443, 6443}
    assert [port["port"] for rule in controller["ingress"] for port in rule["ports"]] == ["metrics"]
    assert {port["port"] for rule in controller["egress"] for port in rule["ports"]} >= {53, 443, 6443}


def test_the_version_is_one() -> None:
    assert {container(name)["image"] for name in DEPLOYED} == {
        f"ghcr.io/podfacts/podfacts:{podfacts.__version__}"
    }
    versions = {entry["metadata"]["labels"]["app.kubernetes.io/version"] for entry in INSTALLED}
    assert versions == {podfacts.__version__}
