"""Podfacts in company: other webhooks that change the pod after us, limits and quotas of the namespace, later updates."""

import base64
import copy
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from podfacts.authority.certificates import new_authority, sign_leaf
from podfacts.core.options import INJECTED
from tests.case import PROFILES
from tests.cluster import Cluster
from tests.e2e.api import Api, Said
from tests.e2e.conftest import ADMISSION, wait_for

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("webhook")]

Patch = list[dict[str, Any]]
NAMES = [each["name"] for each in PROFILES["default"].env]


def pod(**spec: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "app", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
    return {
        "metadata": {"name": "company", "labels": {"podfacts.dev/inject": "true"}},
        "spec": {"containers": [main], **spec},
    }


@pytest.fixture(params=["aaa-first", "zzz-last"])
def rival(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    api: Api,
    namespaces: dict[str, str],
    tmp_path: Path,
) -> Iterator[Callable[[Callable[[dict[str, Any]], Patch]], Said]]:
    """A second mutating webhook, before or after ours: called with what it does to a pod, gives what came of one."""
    authority = new_authority(datetime.now(UTC), timedelta(days=1))
    leaf = sign_leaf(
        authority.certificate_pem, authority.key_pem, [cluster.node_ip], datetime.now(UTC), timedelta(hours=1)
    )
    (tmp_path / "pem").write_bytes(leaf.chain + leaf.key)
    doing: list[Callable[[dict[str, Any]], Patch]] = []

    class Rival(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            response: dict[str, Any] = {"uid": review["request"]["uid"], "allowed": True}
            if doing and (patch := doing[0](review["request"]["object"])):
                response["patchType"] = "JSONPatch"
                response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
            body = json.dumps({**review, "response": response}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: Any) -> None:
            """Nothing: its access log is nobody's concern."""

    server = ThreadingHTTPServer((cluster.node_ip, 0), Rival)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hook = {
        "name": "rival.example.com",
        "clientConfig": {
            "url": f"https://{cluster.node_ip}:{server.server_address[1]}/",
            "caBundle": base64.b64encode(authority.certificate_pem).decode(),
        },
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ],
        "namespaceSelector": {"matchLabels": {"podfacts.test/door": "hooked"}},
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    configuration = {"metadata": {"name": request.param}, "webhooks": [hook]}
    path = f"/api/v1/namespaces/{namespaces['hooked']}/pods"
    try:
        api.create(ADMISSION, configuration)
        doing.append(lambda _pod: [{"op": "add", "path": "/metadata/labels/seen", "value": "yes"}])
        wait_for(lambda: "seen" in str(api.call("POST", path, pod(), dryRun="All").body))

        def act(does: Callable[[dict[str, Any]], Patch]) -> Said:
            doing[:] = [does]
            return api.call("POST", path, pod(), dryRun="All")

        yield act
    finally:
        api.call("DELETE", f"{ADMISSION}/{request.param}")
        server.shutdown()
        server.server_close()


def env(container: dict[str, Any]) -> list[str]:
    return [each["name"] for each in container.get("env", [])]


@pytest.mark.fault("T36")
def test_a_container_that_another_webhook_brings_gets_its_facts(rival: Any) -> None:
    def bring(tree: dict[str, Any]) -> Patch:
        if any(each["name"] == "late" for each in tree["spec"]["containers"]):
            return []
        late = {"name": "late", "image": "app", "env": [{"name": "POD_NAME", "value": "theirs"}]}
        return [{"op": "add", "path": "/spec/containers/0", "value": late}]

    said = rival(bring)
    assert said.status == 201, said.body
    late, main = said.body["spec"]["containers"]
    assert env(main) == NAMES
    assert env(late) == [*NAMES[1:], "POD_NAME"]
    assert [each["name"] for each in said.body["spec"]["volumes"]].count("podfacts") == 1
    (volume,) = (each for each in said.body["spec"]["volumes"] if each["name"] == "podfacts")
    paths = [item["path"] for item in volume["downwardAPI"]["items"]]
    assert len(paths) == len(set(paths))
    assert {"containers/late/cpu-limit", "containers/main/cpu-limit"} <= set(paths)
    record = json.loads(said.body["metadata"]["annotations"][INJECTED])
    assert record["kept"] == ["late: env POD_NAME is the author's"]


@pytest.mark.fault("T36")
def test_env_that_another_webhook_takes_away_comes_back_once(rival: Any) -> None:
    calls = []

    def strip(tree: dict[str, Any]) -> Patch:
        calls.append(1)
        if len(calls) > 1 or "env" not in tree["spec"]["containers"][0]:
            return []
        return [{"op": "remove", "path": "/spec/containers/0/env"}]

    said = rival(strip)
    assert said.status == 201, said.body
    assert env(said.body["spec"]["containers"][0]) == NAMES


@pytest.mark.fault("T36")
def test_a_name_that_another_webhook_sets_first_is_kept(rival: Any, request: pytest.FixtureRequest) -> None:
    def claim(tree: dict[str, Any]) -> Patch:
        theirs = {"name": "POD_NAME", "value": "theirs"}
        present = tree["spec"]["containers"][0].get("env")
        if present and theirs in present:
            return []
        path = "/spec/containers/0/env/-" if present else "/spec/containers/0/env"
        return [{"op": "add", "path": path, "value": theirs if present else [theirs]}]

    said = rival(claim)
    assert said.status == 201, said.body
    entries = said.body["spec"]["containers"][0]["env"]
    # Whoever stands last wins in the container: that is theirs, before us or after us.
    assert [each for each in entries if each["name"] == "POD_NAME"][-1] == {
        "name": "POD_NAME",
        "value": "theirs",
    }
    first = "aaa-first" in request.node.name
    assert env(said.body["spec"]["containers"][0]).count("POD_NAME") == (1 if first else 2)


def test_limits_of_the_namespace_are_the_containers_limits(api: Api, namespaces: dict[str, str]) -> None:
    """LimitRanger runs before webhooks: no warning of unset limits, and the pod stays Guaranteed within its quota."""
    path = f"/api/v1/namespaces/{namespaces['hooked']}"
    default = {"cpu": "100m", "memory": "64Mi"}
    limits = {"limits": [{"type": "Container", "default": default, "defaultRequest": default}]}
    quota = {"hard": {"limits.cpu": "1", "limits.memory": "1Gi", "pods": "5"}}
    api.create(f"{path}/limitranges", {"metadata": {"name": "defaults"}, "spec": limits})
    api.create(f"{path}/resourcequotas", {"metadata": {"name": "small"}, "spec": quota})
    try:
        bare = pod()
        del bare["spec"]["containers"][0]["resources"]
        said = wait_for(
            lambda: (found := api.call("POST", f"{path}/pods", bare, dryRun="All")).status == 201 and found
        )
        assert said.warnings == []
        assert said.body["spec"]["containers"][0]["resources"] == {"limits": default, "requests": default}
        assert said.body["status"]["qosClass"] == "Guaranteed"
        assert env(said.body["spec"]["containers"][0]) == NAMES
    finally:
        api.call("DELETE", f"{path}/limitranges/defaults")
        api.call("DELETE", f"{path}/resourcequotas/small")


def test_updates_of_an_injected_pod_are_nobodys_business(api: Api, namespaces: dict[str, str]) -> None:
    """Env and volumes never change later, so opting out later changes nothing, and is not refused either."""
    path = f"/api/v1/namespaces/{namespaces['hooked']}/pods"
    tree = copy.deepcopy(pod(nodeName="nowhere"))
    before = api.create(path, tree)
    try:
        for label in ("false", None, "no-such-profile"):
            patch = {"metadata": {"labels": {"podfacts.dev/inject": label}}}
            said = api.call("PATCH", f"{path}/company", patch)
            assert (said.status, said.warnings) == (200, [])
            assert said.body["spec"] == before["spec"]
    finally:
        api.call("DELETE", f"{path}/company", gracePeriodSeconds="0")
