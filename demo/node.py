"""The demo's third chapter: what a pod learns of its node, in its first line, and of a change while it runs."""

import time
from pathlib import Path

from demo.kubectl import DemoError, Kubectl, print_lines

EXAMPLES = Path(__file__).parents[1] / "deploy" / "examples"
PROFILE = EXAMPLES / "profile-node-facts.yaml"
POD = EXAMPLES / "node-facts.yaml"
NAME = "node-facts"
PATIENCE = 60  # Seconds.


def chapter(kubectl: Kubectl) -> None:
    """Show it; a DemoError when it is not so. On a cluster of somebody else's, its nodes stay as they are."""
    _title("A profile: the facts that an admin offers, accepted by the controller")
    kubectl.show("apply", "-f", str(PROFILE))
    kubectl.show("wait", "--for=condition=Accepted", f"profile/{NAME}", "--timeout=30s")
    kubectl.show("get", "profiles")
    kubectl.show("label", "namespace", kubectl.namespace, "--overwrite", "podfacts.dev/node-facts=enabled")
    if kubectl.cluster:
        node = kubectl.read("get", "nodes")["items"][0]["metadata"]["name"]
        kubectl.show("label", "node", node, "--overwrite", "node.kubernetes.io/instance-type=m5.large")
        kubectl.show("annotate", "node", node, "--overwrite", "example.com/rack=r7")
    _title("The facts of its node, in the very first line of a pod's output")
    _started(kubectl)
    said = kubectl.show("logs", NAME)
    memory = said.splitlines()[0].rpartition("memory=")[2]
    _expect(memory.isdecimal(), f"the first line does not say how much memory the node has: {said}")
    if kubectl.cluster:
        _expect("type=m5.large rack=r7" in said.splitlines()[0], f"the first line is not the node's: {said}")
        _title("A change of the node reaches the file of the running container")
        kubectl.show("annotate", "node", node, "--overwrite", "example.com/rack=r8")
        start = time.monotonic()
        kubectl.until("exec", NAME, "--", "cat", "/etc/downward/rack", holds="r8")
        print_lines(f"# {time.monotonic() - start:.1f} s later")
        kubectl.show("exec", NAME, "--", "cat", "/etc/downward/rack")
    _title("What the pod has, and whether it is true")
    print_lines(kubectl.podfacts("explain", NAME, "-n", kubectl.namespace))


def _started(kubectl: Kubectl) -> None:
    """Apply the pod, again while the webhook has not heard of the profile or the namespace's label, and wait for it."""
    kubectl.run("-n", kubectl.namespace, "delete", "pod", NAME, "--ignore-not-found", "--grace-period=1")
    deadline = time.monotonic() + PATIENCE
    while True:
        done = kubectl.run("-n", kubectl.namespace, "apply", "-f", str(POD), "--dry-run=server", check=False)
        if done.returncode == 0 and "Warning" not in done.stderr:
            break
        _expect(time.monotonic() < deadline, f"the pod is not admitted: {done.stderr}")
        time.sleep(0.2)
    kubectl.show("apply", "-f", str(POD))
    kubectl.run("-n", kubectl.namespace, "wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=90s")


def _expect(fact: bool, otherwise: str) -> None:
    if not fact:
        raise DemoError(otherwise)


def _title(text: str) -> None:
    print_lines("", f"== {text}", "")
