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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jsonpatch
import ours
import processes

from podfacts.core.profile import DEFAULT

HERE = Path(__file__).parent

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


class Made(NamedTuple):
    """What the contenders are started from: a Python with Podfacts, a certificate, and the binary of the two in Go."""

    runtime: ours.Runtime
    folder: Path
    binary: Path = Path()


def command(name: str, port: int, made: Made) -> list[str]:
    """What starts one. A name that is none of ``NAMES`` is a copy of operator/."""
    folder = made.folder
    if name in GO:
        return [
            *(str(made.binary), "-kind", GO[name], "-address", f"127.0.0.1:{port}"),
            *("-certificate", str(folder / "tls.crt"), "-key", str(folder / "tls.key")),
            *("-profile-hash", DEFAULT.hash),
        ]
    if name == KOPF:
        return made.runtime.command(str(HERE / "kopf_server.py"), str(port), str(folder))
    return made.runtime.command(
        *webhook(port, folder), "--service-account", str(folder / "none"), source=copy(name)
    )


def webhook(port: int, folder: Path) -> list[str]:
    """The words after ``python`` of the webhook as it is shipped, on loopback."""
    words = ["-m", "podfacts", "webhook", "--certificates", str(folder), "--port", str(port)]
    return [*words, "--probe-port", "0", *SHIPPED]


def copy(name: str) -> Path | None:
    """The copy of operator/ that a name stands for."""
    return None if name in NAMES else Path(name).resolve()


@contextmanager
def running(name: str, made: Made, cores: str) -> Iterator[processes.Server]:
    """Start one on those cores and wait until it answers TLS."""
    port = processes.free_port()
    environment = os.environ if name in GO else made.runtime.environment(copy(name))
    argv = ["taskset", "-c", cores, *command(name, port, made)]
    with started(argv, environment, port) as process:
        yield processes.Server(name, process, port)


@contextmanager
def started(argv: list[str], environment: Mapping[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process, from when it answers TLS until it is left."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(argv, env=dict(environment), stdout=quiet, stderr=quiet)
    with processes.ended(process):
        processes.answers(port, process)
        yield process


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
