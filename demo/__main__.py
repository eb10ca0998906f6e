"""``make demo``: from nothing to pods that know their facts, on a real cluster.

``--mine`` takes the cluster of the current kubeconfig; ``--image`` says which image that cluster can pull.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from demo import access, node
from demo.kubectl import DemoError, Kubectl, print_lines
from tests.cluster import Cluster, ClusterError
from tests.cluster.progress import Say, ticking, timed
from tests.image.errors import ImageError

REPOSITORY = Path(__file__).parents[1]
DEPLOY = REPOSITORY / "deploy"
PUBLISHED = "ghcr.io/podfacts/podfacts:0.1.0"
SYSTEM = "podfacts-system"
ANSWERS = 60  # Seconds from ready pods to a Service that leads to them.
PODS = ("downward-api-env", "downward-api-volume")
EXAMPLES = tuple(str(DEPLOY / "examples" / f"{name}.yaml") for name in (*PODS, "deployment"))
SEEN = "a label, and the pod knows its facts, and its node's; a grant, and it reads what it needs"
REACHING = tuple(str(DEPLOY / "examples" / f"{name}.yaml") for name in access.PODS)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 when all was seen, 2 with one clear line when it cannot go on."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--mine", action="store_true", help="use the cluster of the current kubeconfig")
    parser.add_argument(
        "--image", default=PUBLISHED, help="with --mine: the image to run (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    say = timed()
    try:
        kubectl = _theirs(say, options.image) if options.mine else _ours(say)
        _pods(kubectl, say)
        _tour(kubectl)
        access.chapter(kubectl)
        node.chapter(kubectl)
    except (DemoError, ClusterError, ImageError) as error:
        print_lines(f"demo: {error}")
        return 2
    _goodbye(kubectl)
    return 0


def _ours(say: Say) -> Kubectl:
    """A cluster of our own, with the image built from this checkout."""
    from tests.image import tools  # noqa: PLC0415 - not with --mine
    from tests.image.product import build  # noqa: PLC0415

    cluster = Cluster.up(os.environ.get("PODFACTS_CLUSTER", "podfacts"), progress=say)
    if not cluster.has_node:
        raise DemoError(" ".join(cluster.left_out))
    built = build(say)
    say("loading the image into the node")
    cluster.load_image(built.path)
    cluster.load_image(tools.images(cluster.binaries, say))
    kubectl = Kubectl(cluster, "default")
    _install(kubectl, (DEPLOY / "install.yaml").read_text(), say)
    return kubectl


def _theirs(say: Say, image: str) -> Kubectl:
    """The cluster of the current kubeconfig."""
    kubectl = Kubectl(None, "podfacts-demo")
    context = kubectl.run("config", "current-context").stdout.strip()
    say(f"using the cluster of the context {context}")
    _install(kubectl, (DEPLOY / "install.yaml").read_text().replace(PUBLISHED, image), say)
    namespace = '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "podfacts-demo"}}'
    kubectl.run("apply", "-f", "-", stdin=namespace)
    return kubectl


def _install(kubectl: Kubectl, manifests: str, say: Say) -> None:
    say("kubectl apply -f deploy/install.yaml")
    kubectl.run("apply", "-f", "-", stdin=manifests)
    for deployment in ("podfacts-controller", "podfacts-webhook", "podfacts-webhook-spare"):
        _wait(kubectl, say, SYSTEM, f"deployment/{deployment}", "condition=Available")
    # Ready pods are not yet a Service that answers: the nodes learn of its endpoints a moment later.
    started = time.monotonic()
    ask = ("-n", "default", "create", "-f", EXAMPLES[0], "--dry-run=server", "-o", "name")
    while (asked := kubectl.run(*ask, check=False)).returncode and "AlreadyExists" not in asked.stderr:
        _expect(
            time.monotonic() - started < ANSWERS, f"the API server cannot reach the webhook: {asked.stderr}"
        )
        time.sleep(0.2)
    say(f"the API server reaches the webhook ({time.monotonic() - started:.1f} s)")


def _pods(kubectl: Kubectl, say: Say) -> None:
    """The tutorial's two pods and a Deployment, each with nothing but the label."""
    files = [word for path in (*EXAMPLES, *REACHING) for word in ("-f", path)]
    # Made anew on a second run: env and volumes of a pod never change.
    kubectl.run("-n", kubectl.namespace, "delete", *files, "--ignore-not-found", "--wait")
    say(
        "kubectl apply -f deploy/examples/{downward-api-env,downward-api-volume,deployment,curl,curl-with-proxy}.yaml"
    )
    kubectl.run("-n", kubectl.namespace, "apply", *files)
    for pod in (*PODS, *access.PODS):
        _wait(kubectl, say, kubectl.namespace, f"pod/{pod}", "condition=Ready")
    _wait(kubectl, say, kubectl.namespace, "deployment/shop", "condition=Available")


def _tour(kubectl: Kubectl) -> None:
    _title("A pod with nothing but the label")
    print_lines((DEPLOY / "examples" / "downward-api-env.yaml").read_text())
    _title("Its facts as env")
    env = kubectl.show("exec", "downward-api-env", "--", "env")
    _expect("POD_NAME=downward-api-env" in env, "POD_NAME is missing")
    _title("Its facts as files")
    kubectl.show("exec", "downward-api-volume", "--", "ls", "-lL", "/etc/downward")
    kubectl.show("exec", "downward-api-volume", "--", "cat", "/etc/downward/labels")
    kubectl.show("exec", "downward-api-volume", "--", "cat", "/etc/downward/annotations")
    _title("Two containers: each has its own requests and limits, and both see both in files")
    kubectl.show("exec", "deploy/shop", "-c", "web", "--", "sh", "-c", "env | grep CONTAINER_")
    kubectl.show("exec", "deploy/shop", "-c", "cache", "--", "sh", "-c", "env | grep CONTAINER_")
    kubectl.show(
        "exec", "deploy/shop", "-c", "web", "--", "sh", "-c", "cd /etc/downward/containers && grep . */*"
    )
    kubectl.show("logs", "deploy/shop", "-c", "web")
    _title("What was done is written on the pod")
    kubectl.show(
        "get", "pod", "downward-api-env", "-o", r"jsonpath={.metadata.annotations.podfacts\.dev/injected}"
    )
    _title("A changed label reaches the file of the running container")
    kubectl.show("label", "pod", "downward-api-volume", "--overwrite", "foo=changed")
    start = time.monotonic()
    _until(lambda: 'foo="changed"' in _labels(kubectl), "the file did not follow the label", 120)
    print_lines(f"# {time.monotonic() - start:.1f} s later")
    kubectl.show("exec", "downward-api-volume", "--", "cat", "/etc/downward/labels")


def _labels(kubectl: Kubectl) -> str:
    words = ("exec", "downward-api-volume", "--", "cat", "/etc/downward/labels")
    return kubectl.run("-n", kubectl.namespace, *words).stdout


def _goodbye(kubectl: Kubectl) -> None:
    if kubectl.cluster:
        print_lines(
            f"Seen: {SEEN}. The cluster is still up:",
            "  python3 -m tests.cluster kubectl get pods -A",
            "  make cluster-down      # ends it and leaves nothing of it",
        )
    else:
        print_lines(
            f"Seen: {SEEN}. To remove what was made here, in this order:",
            "  kubectl delete mutatingwebhookconfiguration podfacts",
            "  kubectl delete -f deploy/install.yaml --ignore-not-found",
            "  kubectl delete namespace podfacts-demo",
        )


def _wait(kubectl: Kubectl, say: Say, namespace: str, what: str, condition: str) -> None:
    started = time.monotonic()
    with ticking(say, lambda: f"still waiting for {what}"):
        words = ("wait", what, "--for", condition, "--timeout", "180s")
        done = kubectl.run("-n", namespace, *words, check=False)
    if done.returncode:
        events = kubectl.run("-n", namespace, "get", "events", "--sort-by=.lastTimestamp", check=False).stdout
        raise DemoError(f"{what} in {namespace} is not ready after 3 minutes; its events:\n{events}")
    say(f"{what} is ready ({time.monotonic() - started:.1f} s)")


def _until(condition: Callable[[], bool], otherwise: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        _expect(time.monotonic() < deadline, otherwise)
        time.sleep(0.2)


def _expect(fact: bool, otherwise: str) -> None:
    if not fact:
        raise DemoError(otherwise)


def _title(text: str) -> None:
    print_lines("", f"== {text}", "")


if __name__ == "__main__":
    sys.exit(main())
