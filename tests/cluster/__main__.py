"""python -m tests.cluster: the cluster from the command line."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import build, cluster, folders, removal
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.progress import timed


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command says; 0 fine, 1 a negative answer, 2 not possible."""
    options = parse(sys.argv[1:] if argv is None else argv)
    try:
        return COMMANDS[options.command](options)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def up(options: argparse.Namespace) -> int:
    """Bring the cluster up."""
    found = Cluster.up(options.name, node=not options.control_plane_only, progress=timed())
    for line in found.left_out:
        print(line)
    print(f"kubeconfig: {found.kubeconfig}")
    if found.namespace:
        print(f"network namespace: {found.namespace} (use: python -m tests.cluster run -- COMMAND)")
    return 0


def down(options: argparse.Namespace) -> int:
    """Take the cluster down."""
    cluster.take_down(options.name)
    if left := removal.leftovers(options.name):
        raise ClusterError(f"left behind: {', '.join(left)}")
    return 0


def status(options: argparse.Namespace) -> int:
    """Say whether the cluster works, and what of it is on this machine."""
    found = Cluster.find(options.name)
    if found and found.healthy():
        print(f"{options.name}: up, {found.server}, kubeconfig {found.kubeconfig}")
        for line in found.left_out:
            print(line)
        return 0
    left = removal.leftovers(options.name)
    print(f"{options.name}: {'broken; `down` removes what is left of it:' if left else 'not up'}")
    for line in left:
        print(f"  {line}")
    return 1


def build_binaries(_options: argparse.Namespace) -> int:
    """Build the binaries."""
    say = timed()
    build.kwok(say)
    build.authorizer(say)
    print(build.binaries(say))
    return 0


def run(options: argparse.Namespace) -> int:
    """Become the command, in the cluster's network."""
    return _become(options.name, options.words)


def kubectl(options: argparse.Namespace) -> int:
    """Become kubectl."""
    return _become(options.name, ["kubectl", *options.words])


def load(options: argparse.Namespace) -> int:
    """Import an image."""
    if not options.file.is_file():
        raise ClusterError(f"{options.file}: no such file")
    _existing(options.name).load_image(options.file)
    return 0


def prune(_options: argparse.Namespace) -> int:
    """Remove binaries of other versions, and the clusters that no longer work."""
    say = timed()
    for name in cluster.known():
        found = Cluster.find(name)
        if not (found and found.healthy()):
            cluster.take_down(name)
            say(f"removed {folders.state(name)}")
    build.prune(say)
    return 0


def _existing(name: str) -> Cluster:
    found = Cluster.find(name)
    if not found or not found.running():
        raise ClusterError(f"the cluster {name} is not up: python -m tests.cluster up --name {name}")
    return found


def _become(name: str, words: list[str]) -> int:
    if not words:
        raise ClusterError("run what? python -m tests.cluster run -- COMMAND")
    found = _existing(name)
    found.enter()
    environment = found.environment
    os.environ["PATH"] = environment["PATH"]  # where execvpe looks
    try:
        os.execvpe(words[0], words, environment)  # noqa: S606 - no shell is meant
    except OSError as error:
        raise ClusterError(f"{words[0]}: {error.strerror}") from error


COMMANDS = {
    "up": up,
    "down": down,
    "status": status,
    "build": build_binaries,
    "run": run,
    "kubectl": kubectl,
    "load": load,
    "prune": prune,
}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return what the words ask for."""
    return _parser().parse_args(_verbatim(argv))


def _verbatim(argv: Sequence[str]) -> list[str]:
    """Return the words so that argparse leaves those of another command alone: `kubectl -n NAMESPACE get pods`."""
    command, *rest = argv or [""]
    if command not in ("run", "kubectl") or rest[:1] in (["-h"], ["--help"]):
        return list(argv)
    own = 2 if rest[:1] == ["--name"] else int(bool(rest) and rest[0].startswith("--name="))
    theirs = rest[own:]
    return [command, *rest[:own], "--", *(theirs[1:] if theirs[:1] == ["--"] else theirs)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.__doc__, description=command.__doc__, allow_abbrev=False)
        sub.add_argument("--name", default=cluster.DEFAULT, help="the cluster's name (default: %(default)s)")
        if name == "up":
            sub.add_argument("--control-plane-only", action="store_true", help="no node: needs no root")
        if name in ("run", "kubectl"):
            sub.add_argument("words", nargs="*", metavar="ARGUMENTS")
        if name == "load":
            sub.add_argument("file", type=Path, metavar="FILE.tar", help="a docker-archive")
    return parser


if __name__ == "__main__":
    sys.exit(main())
