"""The cluster's network is a namespace with no way out: its bridge, rules, ports and addresses never meet the host's.

Every cluster has the same addresses, each in its own namespace.
"""

import ctypes
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.cluster.errors import ClusterError

NODE = "10.240.0.2"
SERVICES = "10.96.0.0/16"
KUBERNETES_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
PODS = "10.244.0.0/16"
DOMAIN = "cluster.local"

CLONE_NEWNET = 0x40000000  # linux/sched.h

Result = TypeVar("Result")


def namespace(name: str) -> str:
    """Return the name of the cluster's network namespace."""
    return f"podfacts-{name}"


def handle(name: str) -> Path:
    """Return the file that stands for the namespace."""
    return Path("/run/netns", namespace(name))


def create(name: str) -> None:
    """Make the namespace, with the node's address and a default route that leads nowhere."""
    _ip("netns", "add", namespace(name))
    # An empty bridge carries the node's address: not every kernel has dummy devices. Without a default route a
    # connection to a Service's address would fail before iptables could rewrite it.
    for command in (
        ("link", "set", "lo", "up"),
        ("link", "add", "node0", "type", "bridge"),
        ("address", "add", f"{NODE}/24", "dev", "node0"),
        ("link", "set", "node0", "up"),
        ("route", "add", "default", "dev", "node0"),
    ):
        _ip("-n", namespace(name), *command)


def delete(name: str) -> None:
    """Remove the namespace, and with it every device and rule in it."""
    if handle(name).exists():
        _ip("netns", "delete", namespace(name))


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def enter(name: str) -> None:
    """Move the calling thread into the namespace (the standard library has setns only since 3.12)."""
    libc = ctypes.CDLL(None, use_errno=True)
    with handle(name).open() as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise ClusterError(f"cannot enter {namespace(name)}: {os.strerror(ctypes.get_errno())}")


def inside(name: str | None, call: Callable[[], Result]) -> Result:
    """Call in a thread that has entered the namespace (None: this one) and ends with the call."""
    if name is None:
        return call()
    answers: list[Result] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            enter(name)
            answers.append(call())
        except Exception as error:  # noqa: BLE001 - raised again in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0]


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def write_cni(folder: Path) -> None:
    """Write the pod network: each pod a link to the node, which routes.

    The ptp plugin, not bridge: between two pods of one bridge the answer would skip the node, and with it the
    translation of a Service's address, unless the kernel has br_netfilter and it is on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": "10.244.0.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    conflist = {"cniVersion": "0.4.0", "name": "podfacts", "plugins": plugins}
    (folder / "10-podfacts.conflist").write_text(json.dumps(conflist, indent=1))


def available() -> bool:
    """Tell whether the tools to make namespaces are there."""
    return all(shutil.which(tool) for tool in ("ip", "nsenter", "unshare", "mount"))
