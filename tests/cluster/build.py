"""The binaries come from Go modules that this repository pins: the versions are in go.mod, their hashes in go.sum.

A build lands in the cache under a name made of the version and of a hash of those files, and only when it is complete
(one rename), so a warm start asks for no Go at all. Binaries that are already on the machine are taken instead of built
when their own word for their version is the same minor. kwok is a build of its own: no cluster needs it to come up, and
another version of it is no reason to build Kubernetes. So is the authorizer, one Go file (tests/authorizer) over the same
modules as Kubernetes' own binaries.
"""

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import folders, locks
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Say, elapsed, ticking

HERE = Path(__file__).parent
KUBERNETES = HERE / "kubernetes"
COREDNS = HERE / "coredns"
KWOK = HERE / "kwok"
AUTHORIZER = HERE.parent / "authorizer" / "authorizer.go"

# name: (Go package, arguments that print its version)
KUBERNETES_TOOLS = {
    "etcd": ("go.etcd.io/etcd/server/v3", ("--version",)),
    "kube-apiserver": ("k8s.io/kubernetes/cmd/kube-apiserver", ("--version",)),
    "kube-controller-manager": ("k8s.io/kubernetes/cmd/kube-controller-manager", ("--version",)),
    "kube-scheduler": ("k8s.io/kubernetes/cmd/kube-scheduler", ("--version",)),
    "kubelet": ("k8s.io/kubernetes/cmd/kubelet", ("--version",)),
    "kube-proxy": ("k8s.io/kubernetes/cmd/kube-proxy", ("--version",)),
    "kubectl": ("k8s.io/kubernetes/cmd/kubectl", ("version", "--client")),
}
NAMES = (*KUBERNETES_TOOLS, "coredns")
KWOK_COMMAND = "sigs.k8s.io/kwok/cmd/kwok"


def pinned(module: str, folder: Path = KUBERNETES) -> str:
    """Return the version that go.mod requires, such as v1.36.3."""
    found = re.search(rf"^\s*{re.escape(module)} (v\S+)", (folder / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise ClusterError(f"{folder / 'go.mod'} does not require {module}")
    return found[1]


def key() -> str:
    """Return the name of this build: Kubernetes' version and a hash of everything that decides the binaries."""
    inputs = [folder / name for folder in (KUBERNETES, COREDNS) for name in ("go.mod", "go.sum")]
    return f"{pinned('k8s.io/kubernetes')}-{_digest((*inputs, COREDNS / 'main.go'))}"


def kwok_key() -> str:
    """Return the name of kwok's build."""
    return f"kwok-{pinned('sigs.k8s.io/kwok', KWOK)}-{_digest((KWOK / 'go.mod', KWOK / 'go.sum'))}"


def authorizer_key() -> str:
    """Return the name of the authorizer's build."""
    inputs = (KUBERNETES / "go.mod", KUBERNETES / "go.sum", AUTHORIZER)
    return f"authorizer-{pinned('k8s.io/kubernetes')}-{_digest(inputs)}"


def _digest(inputs: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()[:12]


def binaries(say: Say) -> Path:
    """Return the folder that holds every binary of a cluster, building what is missing."""
    return _made(folders.binaries() / key(), NAMES, _make, say)


def kwok(say: Say) -> Path:
    """Return the path of kwok, building it when it is missing."""
    return _made(folders.binaries() / kwok_key(), ("kwok",), _make_kwok, say) / "kwok"


def authorizer(say: Say) -> Path:
    """Return the path of the command that answers with Kubernetes' own authorizer, building it when it is missing."""
    return _made(folders.binaries() / authorizer_key(), ("authorizer",), _make_authorizer, say) / "authorizer"


def complete(folder: Path, names: Iterable[str] = NAMES) -> bool:
    """Tell whether every binary is there (one that was only linked may have gone since)."""
    return all(os.access(folder / name, os.X_OK) for name in names)


def prune(say: Say) -> None:
    """Remove the binaries of every other version, and a build that was cut short."""
    folder = folders.binaries()
    with _lock(folder, say):
        for old in sorted(folder.iterdir()):
            if old.is_dir() and old.name not in (key(), kwok_key(), authorizer_key()):
                shutil.rmtree(old)
                say(f"removed {old}")


def _made(folder: Path, names: Iterable[str], make: Callable[[Path, Say], None], say: Say) -> Path:
    if complete(folder, names):
        return folder
    with _lock(folders.binaries(), say):
        if not complete(folder, names):  # another run may have built it while this one waited
            check_go()
            partial = folder.with_name(f"{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            start = time.monotonic()
            make(partial, say)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
            say(f"built into {folder} in {elapsed(time.monotonic() - start).strip()}")
    return folder


@contextmanager
def _lock(folder: Path, say: Say) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / "lock").open("w")
    except OSError as error:
        raise ClusterError(
            f"cannot write to {folder}: {error.strerror}; set PODFACTS_CACHE to a folder of yours"
        ) from error
    with handle:
        locks.take(handle, say, "waiting for another run that is building the binaries")
        yield


def _make(folder: Path, say: Say) -> None:
    for name in KUBERNETES_TOOLS:
        if found := installed(name):
            (folder / name).symlink_to(found)
            say(f"using {found}")
    missing = [name for name in KUBERNETES_TOOLS if not (folder / name).is_symlink()]
    version = pinned("k8s.io/kubernetes")
    say(f"building Kubernetes {version}, etcd and CoreDNS: usually 5 to 10 minutes on 2 cores, once")
    if missing:
        _install(KUBERNETES, [KUBERNETES_TOOLS[name][0] for name in missing], folder, _stamp(version), say)
    if "etcd" in missing:
        (folder / "server").rename(folder / "etcd")
    _install(COREDNS, ["."], folder, "", say)


def _make_kwok(folder: Path, say: Say) -> None:
    say(f"building kwok {pinned('sigs.k8s.io/kwok', KWOK)}: usually 1 minute on 2 cores, once")
    _install(KWOK, [KWOK_COMMAND], folder, "", say)


def _make_authorizer(folder: Path, say: Say) -> None:
    say(
        f"building the authorizer of Kubernetes {pinned('k8s.io/kubernetes')}: a minute or two on 2 cores, once"
    )
    # A file by its name is built over the modules of the folder that the build runs in, wherever the file lies.
    _install(KUBERNETES, [str(AUTHORIZER)], folder, "", say)


def _stamp(version: str) -> str:
    # Without it the server calls itself v0.0.0, and clients that read the version are lost.
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())


def _install(module: Path, packages: list[str], target: Path, stamp: str, say: Say) -> None:
    log = folders.binaries() / f"build-{module.name}.log"
    environment = {**os.environ, "GOBIN": str(target), "CGO_ENABLED": "0", "GOWORK": "off"}
    argv = ["go", "install", "-v", "-trimpath", "-ldflags", f"-s -w {stamp}".strip(), *packages]

    def status() -> str:
        lines = log.read_text(errors="replace").splitlines()
        return f"building {module.name}: {sum(not line.startswith('go: ') for line in lines)} packages so far"

    with log.open("w") as output, ticking(say, status):
        done = subprocess.run(argv, cwd=module, env=environment, stdout=output, stderr=output, check=False)
    if done.returncode:
        raise ClusterError(
            f"the build failed: {(log.read_text().splitlines() or ['no output'])[-1]} (all of it: {log})"
        )


def check_go() -> None:
    """Raise when there is no Go that can build Kubernetes."""
    needed = re.search(r"^go (\d+)\.(\d+)", (KUBERNETES / "go.mod").read_text(), re.MULTILINE)
    assert needed
    advice = f"building Kubernetes needs Go {needed[1]}.{needed[2]} or newer (a distribution's own is often too old)"
    if not shutil.which("go"):
        raise ClusterError(f"{advice}: no go in PATH")
    # In the module's folder, so that a Go that fetches the toolchain it needs by itself (GOTOOLCHAIN=auto) may do so.
    said = subprocess.run(["go", "version"], cwd=KUBERNETES, capture_output=True, text=True, check=False)
    have = re.search(r"go(\d+)\.(\d+)", said.stdout)
    if said.returncode or not have or (int(have[1]), int(have[2])) < (int(needed[1]), int(needed[2])):
        raise ClusterError(f"{advice}: {(said.stderr or said.stdout).strip().splitlines()[0]}")


def installed(name: str) -> Path | None:
    """Return a binary that is already on the machine and says it is the same minor version."""
    module = "go.etcd.io/etcd/server/v3" if name == "etcd" else "k8s.io/kubernetes"
    minor = pinned(module).rpartition(".")[0].removeprefix("v")
    for folder in (os.environ.get("KUBEBUILDER_ASSETS", ""), *os.environ.get("PATH", "").split(os.pathsep)):
        path = Path(folder, name)
        if not folder or not path.is_file() or not os.access(path, os.X_OK):
            continue
        try:
            said = subprocess.run(
                [path, *KUBERNETES_TOOLS[name][1]], capture_output=True, text=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        first = said.stdout.splitlines()[0] if said.stdout else ""
        if not said.returncode and re.search(rf"\bv?{re.escape(minor)}\.\d", first):
            return path.resolve()
    return None
