"""The overlay ``audit``: what it adds to an installation, with which rights, and that our own audit finds nothing in it."""

import json

import pytest
from click.testing import CliRunner

from podfacts.cli import main
from tests.rbac_table import Ruled, ruled
from tests.shipped import CHECKOUT, DEPLOY, INSTALLED, NAMESPACE, Object, by_kind, names, parsed, understood
from tests.test_manifests import rendered

METHODS = {"list": "GET", "create": "POST", "update": "PUT", "delete": "DELETE"}
RULES = list(ruled(CHECKOUT / "rbac/audit/audit.yaml"))


@pytest.fixture(scope="module")
def text() -> str:
    return rendered("overlays/audit")


@pytest.fixture(scope="module")
def objects(text: str) -> list[Object]:
    return parsed(text)


@pytest.fixture(scope="module")
def deployment(objects: list[Object]) -> Object:
    found: Object = by_kind(objects, "Deployment")["podfacts-audit"]
    return found


@pytest.fixture(scope="module")
def container(deployment: Object) -> Object:
    [only] = deployment["spec"]["template"]["spec"]["containers"]
    return dict(only)


def test_it_adds_its_own_objects_and_changes_none(objects: list[Object]) -> None:
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Deployment", "NetworkPolicy")
    more = {*((kind, "podfacts-audit") for kind in kinds), ("ConfigMap", "podfacts-audit-ignore")}
    assert set(names(objects)) == set(names(INSTALLED)) | more
    assert [each for each in objects if (each["kind"], each["metadata"]["name"]) not in more] == INSTALLED


def test_version_and_image_are_those_of_the_controller(objects: list[Object], deployment: Object) -> None:
    controller = by_kind(objects, "Deployment")["podfacts-controller"]
    for here, there in (
        (deployment, controller),
        (deployment["spec"]["template"], controller["spec"]["template"]),
    ):
        version = "app.kubernetes.io/version"
        assert here["metadata"]["labels"][version] == there["metadata"]["labels"][version]
    images = [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in (deployment, controller)]
    assert images[0] == images[1] != "ghcr.io/podfacts/podfacts"
    # A selector cannot be changed later: no version in it.
    assert deployment["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "podfacts",
        "app.kubernetes.io/component": "audit",
    }


def test_there_are_never_two_that_write(deployment: Object) -> None:
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_its_pod_keeps_the_restricted_standard_with_a_read_only_root(
    deployment: Object, container: Object
) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert set(container["resources"]) == {"requests", "limits"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "priorityClassName"} & set(pod)


def test_its_token_is_its_own_and_asked_for(
    objects: list[Object], deployment: Object, container: Object
) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "podfacts-audit"
    assert pod["automountServiceAccountToken"] is False
    assert by_kind(objects, "ServiceAccount")["podfacts-audit"]["automountServiceAccountToken"] is False
    [token] = [each["projected"] for each in pod["volumes"] if each["name"] == "token"]
    assert token["sources"][0] == {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert {"name": "token", "mountPath": place, "readOnly": True} in container["volumeMounts"]


def test_the_command_line_takes_its_arguments_and_reads_the_file_that_is_mounted(
    objects: list[Object], deployment: Object, container: Object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    parameters = understood(container["args"]).params
    [ports] = container["ports"]
    assert (ports["name"], ports["containerPort"]) == ("metrics", parameters["probe_port"])
    [file] = parameters["ignore_files"]
    [mount] = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == "ignore"]
    [volume] = [
        each["configMap"]
        for each in deployment["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "ignore"
    ]
    shipped = by_kind(objects, "ConfigMap")[volume["name"]]["data"]
    assert str(file.parent) == mount
    assert volume["optional"] is True
    from podfacts.offline.audit_settings import decisions  # noqa: PLC0415

    written = tmp_path_factory.mktemp("ignore") / file.name
    written.write_text(shipped[file.name])
    assert decisions([str(written)], []).ignores == ()


def test_the_comment_says_how_to_write_an_ignore(tmp_path_factory: pytest.TempPathFactory) -> None:
    from podfacts.offline.audit_settings import decisions  # noqa: PLC0415

    lines = (DEPLOY / "components/audit/audit.yaml").read_text().splitlines()
    example = [line.removeprefix("#   ") for line in lines if line.startswith("#   ")]
    written = tmp_path_factory.mktemp("example") / "ignore.yaml"
    written.write_text("\n".join(example))
    [ignore] = decisions([str(written)], []).ignores
    assert (ignore.rule, str(ignore.subject)) == ("RB16", "ServiceAccount backup/backup")


def test_its_network_is_as_narrow_as_the_controllers(objects: list[Object]) -> None:
    policies = by_kind(objects, "NetworkPolicy")
    here, there = (dict(policies[name]["spec"]) for name in ("podfacts-audit", "podfacts-controller"))
    component = here.pop("podSelector")["matchLabels"]["app.kubernetes.io/component"]
    there.pop("podSelector")
    assert component == "audit"
    assert here == there


def test_it_has_these_rights_and_no_other(objects: list[Object]) -> None:
    role = by_kind(objects, "ClusterRole")["podfacts-audit"]
    [binding] = [each for each in objects if each.get("roleRef", {}).get("name") == "podfacts-audit"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "podfacts-audit", "namespace": NAMESPACE}
    ]
    rights = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    read = {("", each, "list") for each in ("namespaces", "serviceaccounts", "pods")}
    kinds = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
    read |= {("rbac.authorization.k8s.io", each, "list") for each in kinds}
    reports = (
        ("openreports.io", "reports"),
        ("openreports.io", "clusterreports"),
        ("wgpolicyk8s.io", "policyreports"),
        ("wgpolicyk8s.io", "clusterpolicyreports"),
    )
    assert rights == read | {(*each, verb) for each in reports for verb in METHODS}


@pytest.mark.parametrize("rule", RULES, ids=lambda each: str(each.rule["resources"][0]))
def test_every_rule_says_which_call_needs_it(rule: Ruled) -> None:
    _, tree, call, reason = rule
    assert {METHODS[verb] for verb in tree["verbs"]} == set(METHODS.values()) & set(
        call.replace(",", "").split()
    )
    [group] = tree["apiGroups"]
    assert (f"/apis/{group}/v1" if group else "/api/v1/") in call
    last = call.rpartition("/")[2]
    assert last.strip("{}").split(",") == tree["resources"]
    assert len(reason.split()) > 2


def test_our_own_audit_finds_nothing_in_it(text: str) -> None:
    done = CliRunner().invoke(main, ["audit", "-f", "-", "-o", "json", "--fail-on", "medium"], input=text)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["summary"] | {"info": 0, "low": 0} == {
        "critical": 0,
        "high": 0,
        "medium": 0,
        "low": 0,
        "info": 0,
    }


def test_our_own_audit_would_find_it_if_there_was_something(text: str) -> None:
    worse = text.replace("  - clusterroles\n", "  - clusterroles\n  - secrets\n").replace(
        "- apiGroups:\n  - rbac.authorization.k8s.io\n  resources:\n  - clusterroles",
        '- apiGroups:\n  - ""\n  resources:\n  - clusterroles',
    )
    assert worse != text
    done = CliRunner().invoke(main, ["audit", "-f", "-", "-o", "json", "--fail-on", "medium"], input=worse)
    assert done.exit_code == 1, done.output
