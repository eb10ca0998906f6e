"""``podfacts check`` on a real installation: sound as it is, and each line seen to fail by breaking that one thing."""

import json
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
from tests.e2e.install import CONFIGURATION, SYSTEM, Installed, namespaced

pytestmark = pytest.mark.node

Tree = dict[str, Any]
Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def namespace(api: Api) -> Iterator[str]:
    with namespaced(api, "-check") as name:
        yield name


@pytest.fixture
def check(cluster: Cluster, tmp_path: Path) -> Run:
    def run(*words: str, kubeconfig: Path | None = None) -> Done:
        command = [sys.executable, "-m", "podfacts", "check", *words]
        environment = {"KUBECONFIG": str(kubeconfig or cluster.kubeconfig)}
        done: Done = cluster.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def failures(done: Done) -> list[str]:
    """The failing lines; with one of them the exit code is 1."""
    found = [line.removeprefix("FAIL  ") for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert done.returncode == (1 if found else 0), (done.stdout, done.stderr)
    return found


def until_sound(check: Run) -> None:
    """Wait until the installation has recovered; an AssertionError with what it lacks."""
    last: list[str] = []

    def sound() -> bool:
        last[:] = failures(check())
        return not last

    try:
        wait_for(sound, 90, 1)
    except AssertionError:
        raise AssertionError(last) from None


@pytest.fixture
def sound(here: Installed, check: Run) -> Iterator[Installed]:
    """The installation, sound before and put right afterwards, whatever a test broke."""
    until_sound(check)
    yield here
    here.apply()
    here.wait_available()


def test_a_sound_installation(here: Installed, check: Run) -> None:
    assert here
    until_sound(check)
    done = check()
    assert done.stdout.splitlines()[-1].endswith(" 0 failed")
    names = {line.split()[1] for line in done.stdout.splitlines()[:-1]}
    checks = (
        "version",
        "crd",
        "deployments",
        "webhooks",
        "ca",
        "rights",
        "fence",
        "profiles",
        "lease",
        "missed",
    )
    assert names == {f"{each}:" for each in (*checks, "injection")}
    told = json.loads(check("-o", "json").stdout)
    assert told["sound"] is True
    assert {each["state"] for each in told["checks"]} <= {"ok", "warn"}


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (
            f"{RBAC}/clusterrolebindings/podfacts-webhook",
            "rights: there is no ClusterRoleBinding podfacts-webhook, so podfacts-webhook cannot do its work: ",
        ),
        (
            f"{RBAC}/namespaces/{SYSTEM}/rolebindings/podfacts-controller",
            f"rights: there is no RoleBinding podfacts-controller in {SYSTEM}, so podfacts-controller cannot do ",
        ),
        (
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/podfacts-room",
            "fence: there is no ValidatingAdmissionPolicy podfacts-room: ",
        ),
        (
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/podfacts-controller-fence",
            "fence: no binding makes the policy podfacts-controller-fence deny anything: ",
        ),
        (CONFIGURATION, "webhooks: no MutatingWebhookConfiguration podfacts with pods.podfacts.dev: "),
    ],
)
def test_what_is_deleted_is_missed(sound: Installed, api: Api, check: Run, path: str, sentence: str) -> None:
    assert sound
    assert api.call("DELETE", path).status == 200
    assert any(each.startswith(sentence) for each in failures(check()))


def test_a_right_too_many(sound: Installed, api: Api, check: Run) -> None:
    assert sound
    path = f"{RBAC}/clusterroles/podfacts-webhook"
    rules = api.call("GET", path).body["rules"]
    more = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}
    api.call("PATCH", path, {"rules": [*rules, more]})
    assert failures(check()) == [
        "rights: the ClusterRole podfacts-webhook allows too much: list secrets: apply again what you installed with"
    ]


def test_another_binding_of_our_account(sound: Installed, check: Run) -> None:
    name = "check-more"
    account = f"--serviceaccount={SYSTEM}:podfacts-webhook"
    sound.kubectl("create", "clusterrolebinding", name, "--clusterrole=view", account)
    try:
        (line,) = failures(check())
        assert line.startswith(f"rights: the ClusterRoleBinding {name} gives {SYSTEM}/podfacts-webhook view")
    finally:
        sound.kubectl("delete", "clusterrolebinding", name)


@pytest.mark.fault("T2")
def test_no_webhook_replica(sound: Installed, check: Run) -> None:
    """Without the replicas the spare answers; without the spare as well nobody does."""

    def away(component: str) -> list[str]:
        sound.kubectl("scale", "-n", SYSTEM, f"deployment/podfacts-{component}", "--replicas=0")
        wait_for(lambda: not sound.pods(component), 60)
        return failures(check())

    scaled = "deployments: podfacts-{} is scaled to 0: kubectl scale"
    (alone,) = away("webhook")
    assert alone.startswith(scaled.format("webhook"))
    replicas, spare, injection = away("webhook-spare")
    assert replicas == alone
    assert spare.startswith(scaled.format("webhook-spare"))
    assert injection.startswith("injection: the webhook cannot be asked: ")


def test_no_controller_and_no_ca(sound: Installed, api: Api, check: Run) -> None:
    sound.kubectl("scale", "-n", SYSTEM, "deployment/podfacts-controller", "--replicas=0")
    wait_for(lambda: not sound.pods("controller"), 60)
    hooks = api.call("GET", CONFIGURATION).body["webhooks"]
    for each in hooks:
        each["clientConfig"].pop("caBundle", None)
    api.call("PATCH", CONFIGURATION, {"webhooks": hooks})
    wait_for(lambda: any(each.startswith("lease: no controller leads") for each in failures(check())), 60, 1)
    found = failures(check())
    assert any(each.startswith("deployments: podfacts-controller is scaled to 0") for each in found)
    assert any(
        each.startswith("ca: pods.podfacts.dev has no caBundle, so every call to it fails") for each in found
    )
    assert any("x509" in each for each in found if each.startswith("injection: the webhook cannot be asked"))


def test_a_webhook_that_is_asked_too_much(sound: Installed, api: Api, check: Run) -> None:
    assert sound
    hooks = api.call("GET", CONFIGURATION).body["webhooks"]
    hooks[0]["namespaceSelector"] = {}
    api.call("PATCH", CONFIGURATION, {"webhooks": hooks})
    found = failures(check())
    assert f"webhooks: pods.podfacts.dev is asked in {SYSTEM}, which must start without it" in found[-1]


def test_a_profile_that_is_not_in_force(sound: Installed, api: Api, profiles: str, check: Run) -> None:
    assert sound
    for name, key in (("check-one", "example.com/rack"), ("check-two", "example.com/row")):
        fact = {"name": "check-place", "nodeLabel": key}
        tree = {"apiVersion": "podfacts.dev/v1alpha1", "kind": "Profile", "metadata": {"name": name}}
        api.create(profiles, {**tree, "spec": {"facts": [fact]}})
    try:
        sentence = "profiles: the profile check-two is not in force: fact check-place"
        wait_for(lambda: any(each.startswith(sentence) for each in failures(check())), 30, 1)
    finally:
        for name in ("check-one", "check-two"):
            api.call("DELETE", f"{profiles}/{name}")


@pytest.mark.fault("T1")
def test_missed_pods_are_listed(sound: Installed, api: Api, namespace: str, check: Run) -> None:
    assert sound
    pods = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [{"name": "main", "image": "app"}]}
    api.create(pods, {"metadata": {"name": "late"}, "spec": spec})
    api.call("PATCH", f"{pods}/late", {"metadata": {"labels": {"podfacts.dev/inject": "true"}}})
    done = check()
    assert done.returncode == 0
    assert f"warn  missed: {namespace}/late runs without its facts: " in done.stdout
    api.call("DELETE", f"{pods}/late", gracePeriodSeconds="0")


def test_before_the_installation(here: Installed, check: Run, reader: Path) -> None:
    assert here
    done = check("--pre")
    assert failures(done) == []
    assert "ok    rights: you may get, create and patch all 17 kinds" in done.stdout
    found = failures(check("--pre", kubeconfig=reader))
    assert "rights: you may not get, create, patch secrets: install as a cluster administrator" in found


def test_who_may_not_look_is_told(here: Installed, check: Run, reader: Path) -> None:
    assert here
    done = check(kubeconfig=reader)
    assert "warn  rights: not checked: " in done.stdout
    assert "cannot list resource" in done.stdout


@pytest.fixture
def reader(api: Api, cluster: Cluster, namespace: str, tmp_path: Path) -> Path:
    """A kubeconfig of an account without rights."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    token = api.create(path, {"spec": {"expirationSeconds": 600}})["status"]["token"]
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--context", "nobody"), "no cluster to talk to"),
        (("-n", "Shop"), "podfacts check: 'Shop' cannot be the name of a namespace"),
    ],
)
def test_bad_usage_is_one_line(check: Run, words: tuple[str, ...], sentence: str) -> None:
    done = check(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
