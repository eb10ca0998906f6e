"""The installed webhook's replicas as the machine sees them: which are asked, the spare, and the process behind each."""

import time
from http import HTTPStatus
from pathlib import Path

import urllib3

from tests.e2e.conftest import wait_for
from tests.e2e.install import SYSTEM, Installed, Tree

SPARE = "webhook-spare"


def ready(here: Installed, component: str = "webhook") -> list[Tree]:
    """The webhook's pods that are asked and stay; with ``SPARE`` the one that is asked when one of them has not answered."""
    return [
        pod
        for pod in here.pods(component)
        if "deletionTimestamp" not in pod["metadata"]
        and ("Ready", "True")
        in [(each["type"], each["status"]) for each in pod["status"].get("conditions", [])]
    ]


def settled(here: Installed) -> bool:
    """Whether both replicas and the spare are asked, and none that was before them is left."""
    found = {component: ready(here, component) for component in ("webhook", SPARE)}
    whole = [len(here.pods(component)) == len(pods) for component, pods in found.items()]
    return (
        all(whole)
        and [len(each) for each in found.values()] == [2, 1]
        # A kubelet that was held has still to tell of those that have ended.
        and all(_answers(here, pod) for pods in found.values() for pod in pods)
    )


def _answers(here: Installed, pod: Tree) -> bool:
    try:
        return here.probe(pod, "/readyz")[0] == HTTPStatus.OK
    except urllib3.exceptions.HTTPError:
        return False


def spare(here: Installed) -> Tree:
    """The pod that is asked when a replica has not answered."""
    (found,) = ready(here, SPARE)
    return found


def renewed(here: Installed) -> None:
    """Have other pods for both replicas and the spare: a container that was killed twice is let wait before it is started again."""
    which = f"app.kubernetes.io/component in (webhook, {SPARE})"
    here.kubectl("delete", "pods", "-n", SYSTEM, "-l", which, "--force", "--grace-period=0")
    wait_for(lambda: settled(here), every=0.2)


def busiest(here: Installed) -> Tree:
    """Return the replica that is asked most: the API server keeps its connections, so it may well be the only one."""
    before = {pod["metadata"]["name"]: (pod, here.answered(pod)) for pod in ready(here)}
    time.sleep(1)
    return max(before.values(), key=lambda each: here.answered(each[0]) - each[1])[0]


def processes(pod: Tree) -> list[int]:
    """Return the processes of a pod, as this machine numbers them, the first one first: the others are its children."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            ours = pod["metadata"]["uid"] in (folder / "cgroup").read_text()
            if ours and b"podfacts" in (folder / "cmdline").read_bytes().split(b"\0"):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                found[int(folder.name)] = parent
        except OSError:  # No process, or one that has just ended.
            continue
    assert found, "no process"
    return sorted(found, key=lambda pid: (found[pid] in found, pid))


def process(pod: Tree) -> int:
    """Return the first of them, with which all end."""
    return processes(pod)[0]
