"""The bundle and the ambassador, from inside real containers: the tutorial's own commands, and what they must not do."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import REPOSITORY, wait_for
from tests.e2e.running import Pod, made
from tests.image import tools

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("webhook")]

STANDARD = "/var/run/secrets/kubernetes.io/serviceaccount"
Make = Callable[[dict[str, Any]], Pod]


def container(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "image": tools.CURL,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "9999999"],
        **more,
    }


def pod(name: str, access: str = "", profile: str = "true", **spec: Any) -> dict[str, Any]:
    annotations = {f"podfacts.dev/{access}": "true"} if access else {}
    return {
        "metadata": {"name": name, "labels": {"podfacts.dev/inject": profile}, "annotations": annotations},
        "spec": {"containers": [container("main")], **spec},
    }


@pytest.fixture(scope="module")
def default(node: Cluster, api: Api) -> Iterator[str]:
    """The namespace default, hooked: only there does https://kubernetes resolve. With the shipped roles for apps."""
    node.load_image(tools.images(node.binaries))
    node.kubectl("apply", "-f", str(REPOSITORY / "rbac/apps.yaml"))
    path = "/api/v1/namespaces/default"
    api.call("PATCH", path, {"metadata": {"labels": {"podfacts.test/door": "hooked"}}})
    for name in ("curl", "proxied"):
        api.create(f"{path}/serviceaccounts", {"metadata": {"name": name}})
    yield "default"
    for name in ("curl", "proxied"):
        api.call("DELETE", f"{path}/serviceaccounts/{name}")
    api.call("PATCH", path, {"metadata": {"labels": {"podfacts.test/door": None}}})
    node.kubectl("delete", "-f", str(REPOSITORY / "rbac/apps.yaml"))


@pytest.fixture
def make(node: Cluster, api: Api, default: str) -> Iterator[Make]:
    yield from made(node, api, default)


@pytest.fixture
def granted(api: Api, default: str) -> Iterator[Callable[[str, str], None]]:
    """Bind a shipped role to a service account of the namespace."""
    bound: list[str] = []
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{default}/rolebindings"

    def bind(account: str, role: str) -> None:
        subject = {"kind": "ServiceAccount", "name": account, "namespace": default}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        api.create(
            path, {"metadata": {"name": f"{account}-{role}"}, "roleRef": reference, "subjects": [subject]}
        )
        bound.append(f"{account}-{role}")

    yield bind
    for name in bound:
        api.call("DELETE", f"{path}/{name}")


@pytest.fixture
def printed(node: Cluster) -> Iterator[Callable[..., None]]:
    """Apply what ``podfacts grant`` prints for the words."""
    texts: list[str] = []

    def apply(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "podfacts", "grant", *words], capture_output=True, text=True, check=True
        )
        node.kubectl("apply", "-f", "-", stdin=done.stdout)
        texts.append(done.stdout)

    yield apply
    for text in texts:
        node.kubectl("delete", "-f", "-", stdin=text)


def shell(seen: Pod, script: str, name: str = "main") -> str:
    """What a script says in the container, its errors too, and its exit code on the last line."""
    return seen.exec(name, "sh", "-c", f"({script}) 2>&1; echo exit $?")


def message(said: str) -> dict[str, Any]:
    """The API server's Status in what curl printed."""
    status: dict[str, Any] = json.loads(said.rpartition("exit ")[0])
    return status


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return told


def test_the_tutorials_commands_in_a_curl_pod(
    make: Make, granted: Callable[[str, str], None], printed: Callable[..., None], api: Api
) -> None:
    seen = make(pod("curl", "api-access", serviceAccountName="curl", automountServiceAccountToken=False))
    said = shell(seen, "env | grep KUBERNETES_SERVICE")
    assert "KUBERNETES_SERVICE_HOST=10.96.0.1\n" in said
    assert "KUBERNETES_SERVICE_PORT=443\n" in said

    # The name resolves by cluster DNS; what answers is not trusted without the CA, and is with it.
    without = shell(seen, "env -u CURL_CA_BUNDLE curl -sS https://kubernetes")
    assert "certificate" in without
    assert without.endswith("exit 60\n")
    anonymous = message(shell(seen, "curl -sS https://kubernetes"))
    assert anonymous["message"].startswith('forbidden: User "system:anonymous" cannot get path "/"')
    assert message(shell(seen, 'curl -sS "$KUBERNETES_API"'))["code"] == 403

    read = 'TOKEN=$(cat "$KUBERNETES_TOKEN_FILE"); NS=$(cat "$KUBERNETES_NAMESPACE_FILE");'
    own = f'{read} curl -sS -H "Authorization: Bearer $TOKEN"'
    forbidden = message(shell(seen, f"{own} https://kubernetes"))
    user = "system:serviceaccount:default:curl"
    assert forbidden["message"].startswith(f'forbidden: User "{user}" cannot get path "/"')
    definition = f"{own} https://kubernetes/api/v1/namespaces/$NS/pods/$POD_NAME"
    assert message(shell(seen, definition))["reason"] == "Forbidden"

    granted("curl", "podfacts-app-read-pods")
    wait_for(lambda: message(shell(seen, definition)).get("kind") == "Pod", 10)
    found = message(shell(seen, definition))
    assert found["metadata"]["uid"] == api.call("GET", seen.path).body["metadata"]["uid"]
    # And nothing but what was granted.
    for path in ("namespaces/$NS/secrets", "namespaces/kube-system/pods", "pods", "namespaces/$NS/services"):
        denied = message(shell(seen, f"{own} https://kubernetes/api/v1/{path}"))
        assert denied["code"] == 403, path
        assert user in denied["message"]
    # The root too, when it is granted by itself: the paths of the API, as the tutorial shows them.
    printed("--to", "default/curl", "--url", "/")
    wait_for(lambda: "/api/v1" in message(shell(seen, f"{own} https://kubernetes")).get("paths", []), 10)
    assert message(shell(seen, f"{own} https://kubernetes/metrics"))["code"] == 403
    posted = message(shell(seen, f"{own} -X DELETE https://kubernetes/api/v1/namespaces/$NS/pods/$POD_NAME"))
    assert posted["code"] == 403


def test_the_standard_mount_is_used_where_it_is(make: Make) -> None:
    seen = make(pod("standard", "api-access", serviceAccountName="curl"))
    (main,) = seen.tree()["spec"]["containers"]
    paths = [each["mountPath"] for each in main["volumeMounts"]]
    assert paths.count(STANDARD) == 1
    assert not any(each["name"] == "podfacts-api" for each in seen.tree()["spec"]["volumes"])
    said = shell(
        seen, 'curl -sS -H "Authorization: Bearer $(cat "$KUBERNETES_TOKEN_FILE")" "$KUBERNETES_API"'
    )
    assert '"system:serviceaccount:default:curl\\"' in said


def test_only_the_chosen_container_has_it(make: Make) -> None:
    tree = pod("chosen-access", "api-access", automountServiceAccountToken=False)
    tree["metadata"]["annotations"]["podfacts.dev/containers"] = "main"
    tree["spec"]["containers"].append(container("side"))
    seen = make(tree)
    assert shell(seen, f"ls {STANDARD}") == "ca.crt\nnamespace\ntoken\nexit 0\n"
    assert "No such file" in shell(seen, f"ls {STANDARD}", "side")
    assert "KUBERNETES_API=" not in shell(seen, "env", "side")


def test_the_profile_decides_place_expiry_and_audience(make: Make, api: Api) -> None:
    seen = make(pod("vault", profile="vault", serviceAccountName="curl", automountServiceAccountToken=False))
    env = seen.env("main")
    assert (env["API"], env["SSL_CERT_FILE"]) == ("https://kubernetes.default.svc", "/run/api/ca.crt")
    told = claims(seen.exec("main", "cat", env["TOKEN"]))
    assert told["aud"] == ["https://vault.example.com"]
    assert told["exp"] - told["iat"] == 600
    assert told["sub"] == "system:serviceaccount:default:curl"
    bound = told["kubernetes.io"]["pod"]
    assert (bound["name"], bound["uid"]) == ("vault", api.call("GET", seen.path).body["metadata"]["uid"])
    assert seen.exec("main", "cat", env["NS"]) == "default"
    # For another audience, so the API server itself does not take it.
    said = message(shell(seen, 'curl -sS -H "Authorization: Bearer $(cat "$TOKEN")" "$API/api/v1/pods"'))
    assert said["code"] == 401


def test_a_forged_or_foreign_wish_is_refused(api: Api, default: str) -> None:
    tree = pod("forged")
    tree["metadata"]["annotations"]["podfacts.dev/api-access"] = "kube-system/admin"
    said = api.call("POST", f"/api/v1/namespaces/{default}/pods", tree)
    assert said.status == 422
    assert 'must be "true" or "false", not \'kube-system/admin\'' in said.body["message"]


def test_the_ambassador(make: Make, printed: Callable[..., None], node: Cluster, api: Api) -> None:
    setup = container("setup", command=["sh", "-c", 'curl -sS "$KUBERNETES_API/version"'])
    seen = make(pod("curl-with-proxy", "ambassador", serviceAccountName="proxied", initContainers=[setup]))
    tree = seen.tree()
    assert [each["name"] for each in tree["spec"]["initContainers"]] == ["podfacts-ambassador", "setup"]
    # It served the author's init container already.
    assert json.loads(seen.log("setup"))["major"] == "1"

    # The app holds no credential at all.
    assert seen.env("main")["KUBERNETES_API"] == "http://localhost:8001"
    assert "No such file" in shell(seen, f"ls {STANDARD}")
    assert seen.exec("main", "sh", "-c", "find / -name '*token*' -not -path '/sys/*' 2>/dev/null; true") == ""
    assert tree["spec"]["automountServiceAccountToken"] is False

    user = "system:serviceaccount:default:proxied"
    root = message(shell(seen, "curl -sS localhost:8001"))
    assert root["message"].startswith(f'forbidden: User "{user}" cannot get path "/"')
    assert json.loads(seen.exec("main", "curl", "-sS", "localhost:8001/version"))["major"] == "1"
    definition = 'curl -sS "$KUBERNETES_API/api/v1/namespaces/$POD_NAMESPACE/pods/$POD_NAME"'
    assert message(shell(seen, definition))["code"] == 403
    printed("--to", "default/proxied", "--read", "pods", "--url", "/")
    wait_for(lambda: message(shell(seen, definition)).get("kind") == "Pod", 10)
    assert message(shell(seen, definition))["metadata"]["uid"] == tree["metadata"]["uid"]
    wait_for(lambda: "/api/v1" in message(shell(seen, "curl -sS localhost:8001")).get("paths", []), 10)

    # A namespace without a grant: the API server's own 403. What the proxy refuses is one plain word, and asks nobody.
    other = message(shell(seen, "curl -sS localhost:8001/api/v1/namespaces/kube-system/pods"))
    assert user in other["message"]
    pods = "localhost:8001/api/v1/namespaces/default/pods"
    for refused in (
        f"-X POST {pods} -d {{}}",
        f"-X DELETE {pods}/curl-with-proxy",
        f"-X PATCH {pods}/curl-with-proxy -d {{}}",
        f"-X GETS {pods}",
        "localhost:8001/api/v1/namespaces/default/secrets",
        "localhost:8001/api/v1/pods",
        "localhost:8001/metrics",
        f"'{pods}/curl-with-proxy/exec?command=id&stdout=1'",
        f"'{pods}/curl-with-proxy/%65xec?command=id&stdout=1'",
        f"{pods}/curl-with-proxy/attach",
        f"{pods}/curl-with-proxy/portforward",
        f"{pods}/curl-with-proxy%2Fexec",
        f"-H 'Host: rebound.example.com' {pods}",
    ):
        said = shell(seen, f"curl -sS -o - -w ' %{{http_code}}' {refused}")
        assert said == "Forbidden\n 403exit 0\n", refused
    # The page that the probes read, and no way from it to the token beside it.
    for path in ("alive/../token", "alive/..%2ftoken", "alive/%2e%2e/token", "alive/..data/token"):
        said = shell(seen, f"curl -sS --path-as-is -L localhost:8001/{path}")
        assert "eyJ" not in said, path
    assert seen.exec("main", "curl", "-sS", "localhost:8001/alive/namespace") == "default"

    # On the pod's own loopback only: nobody else gets there.
    status = tree["status"]
    url = f"http://{status['podIP']}:8001/version"
    from_outside = node.run(["curl", "-sS", "-m", "3", url], capture_output=True, text=True)
    assert from_outside.returncode == 7, from_outside
    (sidecar,) = [
        each
        for each in api.call("GET", seen.path).body["status"]["initContainerStatuses"]
        if each["name"] == "podfacts-ambassador"
    ]
    assert (sidecar["restartCount"], sidecar["ready"], sidecar["started"]) == (0, True, True)
    log = seen.log("podfacts-ambassador")
    assert (
        'verb="GET" url="https://10.96.0.1:443/api/v1/namespaces/default/pods/curl-with-proxy" status="200 OK"'
        in log
    )
    assert (
        "secrets" not in log
    )  # What it refuses is not printed: kubectl would print it as it is, line breaks and all.
    assert "eyJ" not in log
    # And it is all that the smallest grant needs: what it read of the API, and not what was refused.
    words = ("grant", "--to", "default/proxied", "--from-ambassador-log", "-")
    grant = subprocess.run(
        [sys.executable, "-m", "podfacts", *words], input=log, capture_output=True, text=True, check=False
    )
    assert grant.returncode == 0, grant.stderr
    (role, binding, everywhere, _) = yaml.safe_load_all(grant.stdout)
    rule = {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["curl-with-proxy"], "verbs": ["get"]}
    assert role["rules"] == [rule]
    assert everywhere["rules"] == [{"nonResourceURLs": ["/"], "verbs": ["get"]}]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "proxied", "namespace": "default"}]
    assert "kube-system" in grant.stderr


def test_the_sidecar_leaves_the_apps_own_token_as_tight_as_it_was(make: Make) -> None:
    token = {"serviceAccountToken": {"path": "token", "audience": "vault"}}
    tree = pod(
        "tight",
        "ambassador",
        securityContext={"runAsUser": 1000},
        volumes=[{"name": "vault", "projected": {"sources": [token]}}],
    )
    tree["spec"]["containers"] = [container("main", volumeMounts=[{"name": "vault", "mountPath": "/vault"}])]
    seen = make(tree)
    assert seen.exec("main", "stat", "-L", "-c", "%a %u", "/vault/token") == "600 1000\n"
    assert "No such file" in shell(seen, f"ls {STANDARD}")


def test_a_job_with_the_ambassador_completes(api: Api, default: str, node: Cluster) -> None:
    script = 'curl -sS --fail "$KUBERNETES_API/version"'
    tree = pod("job", "ambassador")
    tree["spec"] |= {
        "containers": [container("main", command=["sh", "-c", script])],
        "restartPolicy": "Never",
    }
    job = {"metadata": {"name": "proxied"}, "spec": {"template": tree, "backoffLimit": 0}}
    del tree["metadata"]["name"]
    path = f"/apis/batch/v1/namespaces/{default}/jobs"
    api.create(path, job)
    try:

        def ends() -> set[str]:
            """Which it has; "SuccessCriteriaMet" stands there alone before "Complete" does."""
            conditions = api.call("GET", f"{path}/proxied").body["status"].get("conditions", [])
            return {each["type"] for each in conditions} & {"Complete", "Failed"}

        assert wait_for(ends, 90) == {"Complete"}
        assert '"major": "1"' in node.kubectl("logs", "job/proxied", "-c", "main").stdout
    finally:
        api.call("DELETE", f"{path}/proxied", propagationPolicy="Background")


def test_a_guaranteed_pod_in_a_restricted_namespace_stays_so(make: Make, api: Api, default: str) -> None:
    path = f"/api/v1/namespaces/{default}"
    enforce = "pod-security.kubernetes.io/enforce"
    api.call("PATCH", path, {"metadata": {"labels": {enforce: "restricted"}}})
    strict = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    amounts = {"cpu": "50m", "memory": "32Mi"}
    main = container("main", securityContext=strict, resources={"limits": amounts, "requests": amounts})
    whole = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    try:
        seen = make(pod("strict", "ambassador", securityContext=whole, containers=[main]))
        assert seen.tree()["status"]["qosClass"] == "Guaranteed"
        assert '"major": "1"' in seen.exec("main", "curl", "-sS", "localhost:8001/version")
    finally:
        api.call("PATCH", path, {"metadata": {"labels": {enforce: None}}})
