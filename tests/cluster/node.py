"""A real node: Debian's containerd and runc under a kubelet and a kube-proxy of this cluster's version."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster import images, network

NAME = "node-a"
PATH = f"/api/v1/nodes/{NAME}"
LABELS = {
    "topology.kubernetes.io/region": "region-a",
    "topology.kubernetes.io/zone": "zone-a",
    "node.kubernetes.io/instance-type": "test.small",
}
SOCKET = "/run/containerd/containerd.sock"  # of the cluster's own /run

CONTAINERD = """\
version = 2
root = {root}
state = "/run/containerd"
oom_score = 0
# opt would make /opt/containerd on the host; the snapshotters would only complain.
disabled_plugins = [
    "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = {socket}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = {pause}
# Where oom_score_adj may not be lowered, runc dies with "can't get final child's PID from pipe: EOF".
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = {snapshotter}

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = {cni}
"""


def containerd(state: Path) -> list[str | Path]:
    """Return containerd's command line, its configuration and the pod network's written."""
    network.write_cni(state / "cni")
    values = {
        "root": state / "containerd",
        "socket": SOCKET,
        "pause": images.PAUSE_IMAGE,
        "snapshotter": snapshotter(state),
        "cni": state / "cni",
    }
    path = state / "containerd.toml"
    # A TOML basic string is written as JSON writes one.
    path.write_text(CONTAINERD.format(**{name: json.dumps(str(value)) for name, value in values.items()}))
    return ["containerd", "--config", path]


def snapshotter(state: Path) -> str:
    """Return overlayfs, unless the state itself lies on one (inside a container): it cannot be stacked there."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [fields for fields in mounts if state.is_relative_to(fields[1])]
    return "native" if max(holding, key=lambda fields: len(fields[1]))[2] == "overlay" else "overlayfs"


def kubelet(binary: Path, state: Path, group: str, labels: Mapping[str, str]) -> list[str | Path]:
    """Return the kubelet's command line, its configuration written."""
    certificates = state / "credentials"
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.NODE,
        "authentication": {"x509": {"clientCAFile": str(certificates / "ca.crt")}},
        "tlsCertFile": str(certificates / "kubelet-serving.crt"),
        "tlsPrivateKeyFile": str(certificates / "kubelet-serving.key"),
        "clusterDNS": [network.DNS_SERVICE],
        "clusterDomain": network.DOMAIN,
        "resolvConf": str(state / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": group,
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        "volumePluginDir": str(state / "volume-plugins"),
        # The host's disk is none of the tests' business: no eviction, no image collected.
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "shutdownGracePeriod": "0s",
    }
    path = _write(state / "kubelet.json", configuration)
    return [
        binary,
        f"--config={path}",
        f"--kubeconfig={state / 'kubelet.kubeconfig'}",
        f"--hostname-override={NAME}",
        f"--node-ip={network.NODE}",
        f"--node-labels={','.join(f'{key}={value}' for key, value in labels.items())}",
    ]


def kube_proxy(binary: Path, state: Path) -> list[str | Path]:
    """Return kube-proxy's command line, its configuration written."""
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": network.PODS,
        "hostnameOverride": NAME,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": str(state / "proxy.kubeconfig")},
        # Connection tracking's sizes belong to the machine, not to a namespace: 0 leaves them alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
        "oomScoreAdj": 0,
    }
    return [binary, f"--config={_write(state / 'kube-proxy.json', configuration)}"]


def ready(node: dict[str, Any] | None) -> bool:
    """Tell whether the node is Ready."""
    conditions = (node or {}).get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def takes_pods(node: dict[str, Any] | None) -> bool:
    """Tell whether the node is Ready and the controllers have taken the taints of its start away."""
    return ready(node) and not (node or {}).get("spec", {}).get("taints")


def _write(path: Path, configuration: dict[str, Any]) -> Path:
    path.write_text(json.dumps(configuration, indent=1))
    return path
