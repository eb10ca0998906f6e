"""python -m tests.authorizer: many questions to Kubernetes' own authorizer and to ours; 1 when an answer differs."""

import argparse
import secrets
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from tests.authorizer.comparison import compared
from tests.cluster import build
from tests.cluster.errors import ClusterError
from tests.cluster.progress import elapsed, timed

EVERY = 100_000


def main(argv: Sequence[str] | None = None) -> int:
    """Ask, say how it went every 100,000 questions, and what differed."""
    options = _parser().parse_args(argv)
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    try:
        path = build.authorizer(timed())
    except ClusterError as error:
        say(error, sys.stderr)
        return 2
    start, said = time.monotonic(), 0
    say(f"seed {seed}")
    for so_far in compared(path, seed, options.questions):
        if so_far.questions >= said + EVERY or so_far.questions == options.questions:
            said = so_far.questions
            say(f"[{elapsed(time.monotonic() - start).strip()}] {so_far}")
    for each in so_far.differences:
        say(each)
    return 1 if so_far.differences else 0


def say(what: object, where: TextIO = sys.stdout) -> None:
    """Print it at once."""
    print(what, file=where, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.authorizer", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--questions", type=int, default=1_000_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="the same clusters again; random if not given, and printed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
