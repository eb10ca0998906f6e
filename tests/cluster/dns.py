"""The cluster's DNS: CoreDNS beside the kubelet, behind a Service as on any cluster, so that pods find `kubernetes`.

It is a process of the node, not a pod: it is ready before the first pod is, and costs no image.
"""

from pathlib import Path
from typing import Any

from tests.cluster import network

READY = f"http://{network.NODE}:8181/ready"

# Names outside the cluster do not exist: there is no resolver to ask, and no way to one. That is a server block of its
# own, because CoreDNS asks template before kubernetes.
COREFILE = """\
{domain}:53 in-addr.arpa:53 ip6.arpa:53 {{
    bind {node}
    errors
    ready {node}:8181
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 5
    }}
    cache 5
}}
.:53 {{
    bind {node}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def command(binary: Path, state: Path) -> list[str | Path]:
    """Return CoreDNS' command line, its configuration written."""
    corefile = state / "Corefile"
    corefile.write_text(
        COREFILE.format(node=network.NODE, domain=network.DOMAIN, kubeconfig=state / "coredns.kubeconfig")
    )
    return [binary, "-conf", corefile]


def manifests() -> list[dict[str, Any]]:
    """Return the Service by which pods reach it, where it leads, and CoreDNS' right to see what it answers for."""
    ports = [("dns", "UDP"), ("dns-tcp", "TCP")]
    system = {"namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    rbac = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", **system},
            "spec": {
                "clusterIP": network.DNS_SERVICE,
                "ports": [{"name": name, "protocol": protocol, "port": 53} for name, protocol in ports],
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns",
                "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [network.NODE], "conditions": {"ready": True}}],
            "ports": [{"name": name, "protocol": protocol, "port": 53} for name, protocol in ports],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["services", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
            ],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "system:coredns"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": "system:coredns"}],
        },
    ]
