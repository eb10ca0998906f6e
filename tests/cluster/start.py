"""The order of a start: namespaces, control plane, node, DNS. Each step waits for what it shows, not for a time."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster import cgroups, control_plane, credentials, dns, images, network, node, processes, sandbox
from tests.cluster.control_plane import Addresses
from tests.cluster.errors import ClusterError
from tests.cluster.processes import Process
from tests.cluster.progress import Say

# A start needs seconds; the limit is for a machine that is busy with something else.
PATIENCE = 120


class Wanted(NamedTuple):
    """What was asked for; a running cluster that was asked for the same is used again."""

    binaries: Path
    api_server_flags: tuple[str, ...]
    node_labels: dict[str, str]


class Site(NamedTuple):
    """Where a cluster runs: its folder, its addresses and, with a node, its name and the first of its processes."""

    state: Path
    at: Addresses
    name: str | None = None
    first: Process | None = None


def control_plane_on_loopback(state: Path, wanted: Wanted, say: Say) -> str:
    """Start the control plane without namespaces, and return the API server's URL."""
    site = Site(state, control_plane.on_loopback())
    credentials.issue(state / "credentials", node.NAME, site.at.host)
    _control_plane(site, wanted, say)
    _controllers_work(site, say)
    return site.at.server


def whole(name: str, state: Path, wanted: Wanted, say: Say) -> str:
    """Start the control plane, a node and DNS in namespaces of their own, and return the API server's URL."""
    network.create(name)
    cgroups.create(name)
    site = Site(state, control_plane.INSIDE, name, sandbox.create(name, state))
    credentials.issue(state / "credentials", node.NAME, site.at.host)
    runtime = _spawn(site, "containerd", node.containerd(state))
    _control_plane(site, wanted, say)
    _node(site, wanted, runtime, say)
    _controllers_work(site, say)
    return site.at.server


def _control_plane(site: Site, wanted: Wanted, say: Say) -> None:
    state, binaries = site.state, wanted.binaries
    _kubeconfigs(site, "controller-manager", "scheduler")
    credentials.write_kubeconfig(
        state / "credentials", "admin", site.at.server, state / credentials.KUBECONFIG
    )
    server = control_plane.api_server(binaries / "kube-apiserver", state, site.at, wanted.api_server_flags)
    needed = [
        _spawn(site, "etcd", control_plane.etcd(binaries / "etcd", state, site.at)),
        _spawn(site, "kube-apiserver", server),
    ]
    get = _reader(site)
    wait("the API server", lambda: get("/readyz") == "ok", state, needed)
    say("API server ready")
    # Not before: they give up when there is no API server.
    manager = control_plane.controller_manager(binaries / "kube-controller-manager", state)
    _spawn(site, "kube-controller-manager", manager)
    _spawn(site, "kube-scheduler", control_plane.scheduler(binaries / "kube-scheduler", state))


def _node(site: Site, wanted: Wanted, runtime: Process, say: Say) -> None:
    state, binaries = site.state, wanted.binaries
    _kubeconfigs(site, "kubelet", "proxy", "coredns")
    group = cgroups.group(site.name or "")
    needed = [
        runtime,
        _spawn(site, "kubelet", node.kubelet(binaries / "kubelet", state, group, wanted.node_labels)),
        _spawn(site, "kube-proxy", node.kube_proxy(binaries / "kube-proxy", state)),
        _spawn(site, "coredns", dns.command(binaries / "coredns", state)),
    ]
    _apply(site, binaries, dns.manifests())
    images.write_basics(state / "basics.tar")
    load(state, state / "basics.tar")
    get = _reader(site)
    wait("the node to be Ready", lambda: node.takes_pods(get(node.PATH)), state, needed)
    say("node ready")
    wait(
        "DNS", lambda: bool(network.inside(site.name, lambda: control_plane.fetch(dns.READY))), state, needed
    )
    say("DNS ready")


def _controllers_work(site: Site, say: Say) -> None:
    # They do when what every pod of the namespace default needs is there.
    paths = [
        f"/api/v1/namespaces/default/{path}"
        for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt")
    ]
    get = _reader(site)
    needed = processes.recorded(site.state)
    wait("the controllers", lambda: all(get(path) for path in paths), site.state, needed)
    say("controllers ready")


def _reader(site: Site) -> control_plane.Get:
    return control_plane.reader(site.state / "credentials", site.at.server, site.name)


def _kubeconfigs(site: Site, *identities: str) -> None:
    for identity in identities:
        path = site.state / f"{identity}.kubeconfig"
        credentials.write_kubeconfig(site.state / "credentials", identity, site.at.server, path)


def _spawn(site: Site, name: str, argv: Sequence[str | Path]) -> Process:
    words = sandbox.command(site.first, argv) if site.first else argv
    return processes.spawn(name, words, site.state, environment())


def environment() -> dict[str, str]:
    """Return the environment without the host's proxies: none of them can be reached, or may be."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def wait(what: str, done: Callable[[], bool], state: Path, needed: Iterable[Process] = ()) -> None:
    """Return when it is done; raise as soon as a process that it needs has died."""
    needed = tuple(needed)
    deadline = time.monotonic() + PATIENCE
    while not done():
        for process in needed:
            if not processes.alive(process):
                words = processes.last_words(state, process.name)
                raise ClusterError(
                    f"{process.name} ended: {words} (its log: {state / 'logs'}/{process.name}.log)"
                )
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {PATIENCE} s for {what}; the logs are in {state / 'logs'}")
        time.sleep(0.1)


def _apply(site: Site, binaries: Path, manifests: list[dict[str, Any]]) -> None:
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    kubeconfig = f"--kubeconfig={site.state / credentials.KUBECONFIG}"
    _run_inside(site.first, [str(binaries / "kubectl"), kubeconfig, "apply", "-f", "-"], objects.encode())


def load(state: Path, archive: Path) -> None:
    """Import a docker-archive into containerd, where the kubelet finds it."""
    words = ["ctr", "--address", node.SOCKET, "--namespace", "k8s.io", "images", "import"]
    words += ["--snapshotter", node.snapshotter(state), "-"]
    _run_inside(sandbox.init(state), words, archive.read_bytes())


def _run_inside(first: Process | None, words: list[str], given: bytes) -> None:
    if not first:
        raise ClusterError(f"{words[0]} needs a node, and this cluster has none")
    done = subprocess.run(sandbox.command(first, words), input=given, capture_output=True, check=False)
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"])[-1]
        raise ClusterError(f"{Path(words[0]).name} failed: {last}")
