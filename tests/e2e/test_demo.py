"""The demo runs, on the cluster it makes and on one that is there, and shows what the README shows."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from demo.__main__ import EXAMPLES, REACHING
from demo.node import POD
from tests.cluster import Cluster
from tests.e2e.conftest import REPOSITORY, wait_for

pytestmark = pytest.mark.node

SEEN = (
    "\nPOD_NAME=downward-api-env\n",
    "\nCONTAINER_MEMORY_LIMIT_KIBIBYTES=24576\n",
    " containers\n",
    'foo="bar"\n',
    "web/cpu-limit:100\n",
    "cache/cpu-limit:50\n",
    "starts on node-a\n",
    '{"profile":"default","hash":"',
    'foo="changed"\n',
    # The second chapter: refused, granted, the ambassador, and the permissive binding found, replaced and verified.
    '  "code": 403\n',
    '  "kind": "Pod",\n',
    "\nKUBERNETES_API=http://localhost:8001\n",
    "\nForbidden\n",
    '  "kind": "SecretList",\n',
    "  name: permissive-binding\n",
    "\nsubjects: []\n",
    "\nverified: ",
    '"permissive-binding" deleted',
    # The third: a profile accepted, the node's facts in the first line, and what explain says of them.
    "profile.podfacts.dev/node-facts condition met\n",
    "\nzone=",
)
# Where the node is ours to change.
SEEN_OF_OURS = (
    "type=m5.large rack=r7 memory=",
    "\n$ kubectl exec node-facts -- cat /etc/downward/rack\nr8\n",
)


@pytest.fixture
def uninstalled(node: Cluster) -> Iterator[Cluster]:
    """The cluster; afterwards without podfacts, removed in the README's order."""
    yield node
    install = str(REPOSITORY / "deploy/install.yaml")
    node.kubectl("delete", "mutatingwebhookconfiguration", "podfacts", "--ignore-not-found")
    # All at once: each of the demo's pods takes the 30 s of grace that a shell's sleep does not use.
    node.kubectl("delete", "--ignore-not-found", "profile", "node-facts")
    node.kubectl("label", "namespace", "default", "podfacts.dev/node-facts-")
    demo = [word for path in (*EXAMPLES, *REACHING, str(POD)) for word in ("-f", path)]
    for words in ((*demo,), ("-n", "podfacts-demo", *demo)):
        node.kubectl("delete", "--ignore-not-found", "--wait=false", "--grace-period=1", *words)
    node.kubectl("delete", "--ignore-not-found", "--wait=false", "namespace", "podfacts-demo")
    node.kubectl(
        "delete", "roles,rolebindings", "-n", "default", "-l", "app.kubernetes.io/managed-by=podfacts"
    )
    node.kubectl("delete", "--ignore-not-found", "-f", install)
    gone = ("namespace/podfacts-system", "clusterrole.rbac.authorization.k8s.io/podfacts-controller")
    wait_for(
        lambda: (
            not set(gone) & set(node.kubectl("get", "namespaces,clusterroles", "-o", "name").stdout.split())
        )
    )


def test_the_demo(uninstalled: Cluster) -> None:
    # As a user runs it: it finds the tests' cluster up, builds and loads the image, and installs.
    environment = {**os.environ, "PODFACTS_CLUSTER": uninstalled.name}
    ours = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ours.returncode == 0, ours.stdout + ours.stderr
    assert [text for text in (*SEEN, *SEEN_OF_OURS) if text not in ours.stdout] == []
    # CLUSTER=mine: nothing but kubectl and a kubeconfig.
    theirs = uninstalled.run(
        [sys.executable, "-m", "demo", "--mine"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert theirs.returncode == 0, theirs.stdout + theirs.stderr
    assert [text for text in SEEN if text not in theirs.stdout] == []
    # On a cluster of somebody's, cluster-admin is given to nobody: a RoleBinding in the demo's own namespace has to do.
    assert "clusterrolebinding" not in theirs.stdout.lower()
    assert "--group=system:serviceaccounts:podfacts-demo" in theirs.stdout
    assert "\n$ kubectl -n podfacts-demo exec downward-api-env -- env\n" in theirs.stdout
    again = uninstalled.run(
        [sys.executable, "-m", "demo", "--mine", "--image", "no.such/image:1"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        env={"KUBECONFIG": "/nowhere"},
    )
    assert (again.returncode, again.stderr) == (2, "")
    assert again.stdout.splitlines()[-1].startswith("demo: kubectl config current-context: error: ")
