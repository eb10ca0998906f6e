"""``podfacts diff`` against a real API server and the webhook as a process: only what is ours is shown, and nothing is kept."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("webhook")]

Tree = dict[str, Any]
Done = subprocess.CompletedProcess[str]
Diff = Callable[..., Done]
POLICIES = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings"


@pytest.fixture
def diff(cluster: Cluster, namespaces: dict[str, str], tmp_path: Path) -> Diff:
    def run(*trees: Tree, words: tuple[str, ...] = ()) -> Done:
        file = tmp_path / "app.yaml"
        file.write_text(yaml.safe_dump_all(trees))
        command = [sys.executable, "-m", "podfacts", "diff", "-f", file.name]
        command += words or ("-n", namespaces["hooked"])
        environment = {"KUBECONFIG": str(cluster.kubeconfig)}
        done: Done = cluster.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def deployment(inject: str | None = "true", **annotations: str) -> Tree:
    labels = {"app": "web", **({} if inject is None else {"podfacts.dev/inject": inject})}
    template = {
        "metadata": {
            "labels": labels,
            "annotations": {f"podfacts.dev/{k}": v for k, v in annotations.items()},
        },
        "spec": {"containers": [{"name": "main", "image": "app"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }


def test_what_the_webhook_adds_and_nothing_else(diff: Diff, api: Api, namespaces: dict[str, str]) -> None:
    done = diff(deployment())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        "--- app.yaml:1 Deployment/web, opted out",
        "+++ app.yaml:1 Deployment/web, opted in",
    ]
    assert [line for line in lines[2:] if line.startswith("-")] == []
    added = [line[1:].strip() for line in lines[2:] if line.startswith("+")]
    assert {"- name: POD_NAME", "fieldPath: metadata.name", "mountPath: /etc/downward"} <= set(added)
    # The pod is asked for under another name; what is shown has the workload's.
    assert "podfacts-diff" not in done.stdout
    assert "kube-api-access" not in "".join(added)
    assert "podfacts.dev/inject:" not in done.stdout
    pods = api.call("GET", f"/api/v1/namespaces/{namespaces['hooked']}/pods").body["items"]
    assert [each for each in pods if each["metadata"]["name"].startswith("web")] == []


@pytest.mark.fault("T42")
def test_two_runs_show_the_same(diff: Diff) -> None:
    assert diff(deployment()).stdout == diff(deployment()).stdout


def test_warnings_say_where(diff: Diff) -> None:
    done = diff(deployment(None), deployment(**{"skip-containers": "sidecar"}))
    assert done.returncode == 0
    assert "app.yaml:19: warning: podfacts: skipped: sidecar: no container has that name" in done.stderr


def test_a_refusal_is_the_webhooks_sentence_and_the_others_are_shown(diff: Diff) -> None:
    done = diff(deployment(**{"mount-path": "etc"}), deployment())
    assert done.returncode == 1
    assert done.stderr.startswith("app.yaml:1: ")
    assert 'admission webhook "pods.podfacts.dev" denied the request' in done.stderr
    assert "Deployment/web, opted in" in done.stdout


def test_in_a_namespace_that_the_webhook_does_not_see_there_is_no_difference(
    diff: Diff, namespaces: dict[str, str]
) -> None:
    done = diff(deployment(), words=("-n", namespaces["plain"]))
    assert (done.returncode, done.stdout) == (0, "")


def test_nothing_opted_in(diff: Diff) -> None:
    done = diff(deployment(None))
    assert (done.returncode, done.stdout) == (0, "")
    assert (
        done.stderr
        == "no pod template in it has the label podfacts.dev/inject: there is nothing to compare\n"
    )


def test_bad_input_is_told_by_line(diff: Diff, namespaces: dict[str, str]) -> None:
    broken = deployment()
    broken["spec"]["template"]["spec"]["containers"] = []
    done = diff(deployment(None), broken)
    assert done.returncode == 2
    assert "app.yaml:19: " in done.stderr
    assert "spec.containers: Required value" in done.stderr
    done = diff(deployment(), words=("-n", "no-such"))
    assert done.returncode == 2
    assert 'namespaces "no-such" not found' in done.stderr
    elsewhere = deployment()
    elsewhere["metadata"]["namespace"] = namespaces["plain"]
    done = diff(elsewhere)
    assert done.returncode == 2
    assert "leave one of them out" in done.stderr
    done = diff(deployment(), words=("--context", "nobody"))
    assert done.returncode == 2
    assert "no cluster to talk to" in done.stderr


@pytest.fixture
def another(api: Api, namespaces: dict[str, str]) -> Iterator[None]:
    """Somebody else who changes every pod of the namespace."""
    mutation = 'Object{metadata: Object.metadata{labels: {"team": "shop"}}}'
    policy = {
        "metadata": {"name": "diff-another"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                    }
                ]
            },
            "reinvocationPolicy": "Never",
            "mutations": [
                {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": mutation}}
            ],
        },
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespaces["hooked"]}}
    binding = {
        "metadata": {"name": "diff-another"},
        "spec": {"policyName": "diff-another", "matchResources": {"namespaceSelector": selector}},
    }
    api.create(POLICIES, policy)
    api.create(BINDINGS, binding)
    pods = f"/api/v1/namespaces/{namespaces['hooked']}/pods"
    probe = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "main", "image": "app"}]}}
    wait_for(lambda: "team" in api.create(pods, probe, dryRun="All")["metadata"].get("labels", {}))
    yield
    api.call("DELETE", f"{BINDINGS}/diff-another")
    api.call("DELETE", f"{POLICIES}/diff-another")


@pytest.mark.usefixtures("another")
def test_what_others_do_to_every_pod_is_no_difference(diff: Diff) -> None:
    lines = diff(deployment()).stdout.splitlines()
    assert any(line.startswith("+") and "POD_NAME" in line for line in lines)
    assert [line for line in lines if line.startswith(("+", "-")) and "team: shop" in line] == []
