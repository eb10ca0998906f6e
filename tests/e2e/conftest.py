"""The webhook as a process on the test cluster."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from podfacts.authority.certificates import new_authority
from tests.case import PROFILE_TREES
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.identity import identity

REPOSITORY = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes ten minutes by itself goes on while the other tests run: started before them, looked at after them."""
    early = [each for each in items if each.get_closest_marker("early")]
    late = [each for each in items if each.get_closest_marker("late")]
    rest = [each for each in items if each not in early and each not in late]
    here = Path(__file__).parent
    first = next((at for at, each in enumerate(rest) if each.path.is_relative_to(here)), len(rest))
    items[:] = [*rest[:first], *early, *rest[first:], *late]


@pytest.fixture(scope="session")
def namespaces(api: Api) -> Iterator[dict[str, str]]:
    """Two namespaces: ``hooked`` asks the webhook process, ``plain`` nobody."""
    suffix = f"{os.getpid()}"
    names = {door: f"{door}-{suffix}" for door in ("hooked", "plain")}
    for door, name in names.items():
        api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": {"podfacts.test/door": door}}})
    for name in names.values():
        wait_for(
            lambda name=name: (
                api.call("GET", f"/api/v1/namespaces/{name}/serviceaccounts/default").status == 200
            )
        )
    yield names
    for name in names.values():
        api.call("DELETE", f"/api/v1/namespaces/{name}")


PROFILES = "/apis/podfacts.dev/v1alpha1/profiles"


@pytest.fixture(scope="module")
def profiles(api: Api, cluster: Cluster) -> str:
    """The path of ``Profile`` objects; their definition is there, whatever an installation took along as it went."""
    define_profiles(api, cluster)
    return PROFILES


def define_profiles(api: Api, cluster: Cluster) -> None:
    """Apply the definition, and wait until the API server serves it."""
    cluster.kubectl("apply", "-f", str(REPOSITORY / "deploy/base/05-profiles.yaml"))
    wait_for(lambda: api.call("GET", PROFILES).status == 200)


@pytest.fixture(scope="session")
def webhook(
    cluster: Cluster,
    api: Api,
    namespaces: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[subprocess.Popen[bytes]]:
    """``podfacts webhook`` as a process of its own, and the API server told of it; it knows the cases' profiles.

    It follows the cluster with the rights that rbac/ gives it.
    """
    define_profiles(api, cluster)
    folder = tmp_path_factory.mktemp("webhook")
    authority = new_authority(datetime.now(UTC), timedelta(days=1))
    certificates = folder / "certificates"
    certificates.mkdir()
    (certificates / "ca.crt").write_bytes(authority.certificate_pem)
    (certificates / "ca.key").write_bytes(authority.key_pem)
    files = []
    for tree in PROFILE_TREES:
        files.append(folder / f"{tree['metadata']['name']}.yaml")
        files[-1].write_text(yaml.safe_dump(tree))
    command = [sys.executable, "-m", "podfacts", "webhook", "--port", "18443", "--probe-port", "18080"]
    command += ["--certificates", str(certificates), "--dns-name", cluster.node_ip, "--drain", "1s"]
    command += [word for path in files for word in ("--profile", str(path))]
    with (
        (folder / "log").open("wb") as log,
        identity(api, cluster, folder / "account", "webhook", namespaces["plain"], "process") as environment,
    ):
        process = subprocess.Popen(
            command, stderr=log, stdout=log, cwd=folder, env={**os.environ, **environment}
        )
        yield from _asked_of(process, folder, cluster, api, namespaces, authority.certificate_pem)


def _asked_of(
    process: "subprocess.Popen[bytes]",
    folder: Path,
    cluster: Cluster,
    api: Api,
    namespaces: dict[str, str],
    ca: bytes,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Give the process once the API server asks it; end both."""
    try:
        wait_for(lambda: _answers("127.0.0.1", 18080) or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        api.call("DELETE", f"{ADMISSION}/podfacts-process")
        api.create(ADMISSION, configuration(cluster, ca))
        wait_for(lambda: _asked(api, namespaces["hooked"]))
        yield process
    finally:
        api.call("DELETE", f"{ADMISSION}/podfacts-process")
        process.send_signal(signal.SIGTERM)
        process.wait(20)


ADMISSION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def configuration(cluster: Cluster, ca: bytes) -> dict[str, Any]:
    """The shipped configuration, for a process instead of a Service, and for the tests' namespace alone."""
    shipped = (REPOSITORY / "deploy/base/40-admission.yaml").read_text()
    tree: dict[str, Any] = yaml.safe_load(shipped)
    tree["metadata"] = {"name": "podfacts-process"}
    url = f"https://{cluster.node_ip}:18443/mutate"
    for hook in tree["webhooks"]:
        hook["clientConfig"] = {"url": url, "caBundle": base64.b64encode(ca).decode()}
        hook["namespaceSelector"].setdefault("matchLabels", {})["podfacts.test/door"] = "hooked"
    return tree


def wait_for(condition: Any, seconds: float = 60, every: float = 0.1) -> Any:
    """The first true value of ``condition``; an AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not so after {seconds} s: {condition}"
        time.sleep(every)
    return value


def _answers(host: str, port: int) -> bool:
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    try:
        with urllib.request.urlopen(f"http://{host}:{port}/readyz", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _asked(api: Api, namespace: str) -> bool:
    """Whether the API server has seen the configuration: it takes a moment."""
    pod = {
        "metadata": {"name": "probe", "labels": {"podfacts.dev/inject": "name-env"}},
        "spec": {"containers": [{"name": "main", "image": "app"}]},
    }
    said = api.call("POST", f"/api/v1/namespaces/{namespace}/pods", pod, dryRun="All")
    return "podfacts.dev/injected" in json.dumps(said.body)
