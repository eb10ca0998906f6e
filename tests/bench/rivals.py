"""The processes that ``webhook.py`` compares, and whether they say the same.

Each is started as it would be in a container: the real command, its own log, to /dev/null.
"""

import base64
import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jsonpatch
import processes

from podfacts.core.profile import DEFAULT

HERE = Path(__file__).parent
OPERATOR = HERE.parent.parent / "operator"

PODFACTS, KOPF, PLAIN, RUNTIME = "podfacts", "kopf", "Go, net/http", "Go, controller-runtime"
NAMES = (PODFACTS, PLAIN, RUNTIME, KOPF)
GO = {PLAIN: "plain", RUNTIME: "runtime"}

# As deploy/base has it, but for the drain.
SHIPPED = ("--workers", "2", "--drain", "1s")


class Different(Exception):  # noqa: N818 - it says what was found
    """A contender that answers something else: there is nothing to compare."""


class Answered(NamedTuple):
    """What counts of an answer: the pod that comes of it, and what is said with it."""

    patch: list[dict[str, Any]]
    pod: Any
    told: dict[str, Any]


def built(folder: Path) -> Path:
    """The binary of the two in Go."""
    binary = folder / "webhook-go"
    subprocess.run(["go", "build", "-trimpath", "-o", str(binary), "."], cwd=HERE / "go", check=True)
    return binary


def command(name: str, port: int, folder: Path, binary: Path) -> list[str]:
    """What starts one. A name that is none of ``NAMES`` is a copy of operator/."""
    if name in GO:
        return [
            *(str(binary), "-kind", GO[name], "-address", f"127.0.0.1:{port}"),
            *("-certificate", str(folder / "tls.crt"), "-key", str(folder / "tls.key")),
            *("-profile-hash", DEFAULT.hash),
        ]
    if name == KOPF:
        return [sys.executable, str(HERE / "kopf_server.py"), str(port), str(folder)]
    return [
        *(sys.executable, "-m", "podfacts", "webhook", "--certificates", str(folder)),
        *("--port", str(port), "--probe-port", "0", "--service-account", str(folder / "none")),
        *SHIPPED,
    ]


@contextmanager
def running(name: str, folder: Path, binary: Path, cores: str) -> Iterator[processes.Server]:
    """Start one on those cores and wait until it answers TLS."""
    port = processes.free_port()
    operator = OPERATOR if name in NAMES else Path(name)
    environment = {**os.environ, "PYTHONPATH": str(operator)}
    argv = ["taskset", "-c", cores, *command(name, port, folder, binary)]
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with processes.ended(process):
        processes.answers(port, process)
        yield processes.Server(name, process, port)


def compared(found: list[processes.Server], bodies: dict[int, bytes]) -> None:
    """Raise ``Different`` unless all answer every review as podfacts does, patch by patch."""
    for size, body in bodies.items():
        pod = json.loads(body)["request"]["object"]
        ours = _answered(found[0], body, pod)
        print(f"{size} KB: {len(body):,} bytes, a patch of {len(ours.patch)} operations", file=sys.stderr)
        for each in found[1:]:
            _same(each.name, size, ours, _answered(each, body, pod))


def _same(name: str, size: int, ours: Answered, theirs: Answered) -> None:
    told = dict(ours.told)
    if name == KOPF:
        told.pop("auditAnnotations")  # It has no way to give any.
    # These two find the difference between two pods, and so other operations for the same.
    if name not in (KOPF, RUNTIME) and theirs.patch != ours.patch:
        raise Different(f"{name}, {size} KB: other operations")
    if theirs.pod != ours.pod:
        difference = jsonpatch.make_patch(ours.pod, theirs.pod).patch[:3]
        raise Different(f"{name}, {size} KB: another pod comes of it: {difference}")
    if theirs.told != told:
        raise Different(f"{name}, {size} KB: it says {theirs.told} and not {told}")


def _answered(server: processes.Server, body: bytes, pod: Any) -> Answered:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=30)
    connection.request("POST", "/mutate", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise Different(f"{server.name}: {answer.status} {text[:200]!r}")
    response = json.loads(text)["response"]
    if "patch" not in response:
        raise Different(f"{server.name}: no patch, but {response}")
    patch = json.loads(base64.b64decode(response.pop("patch")))
    response.pop("status", None)  # A code of 200 that controller-runtime adds, and nobody reads.
    return Answered(patch, jsonpatch.apply_patch(pod, patch), response)
