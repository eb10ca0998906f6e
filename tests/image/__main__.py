"""``python -m tests.image build [--tag NAME:TAG] [--output FILE.tar] [--bill FILE]``."""

import argparse
import shutil
import sys
from pathlib import Path

from tests.cluster.progress import timed
from tests.image.errors import ImageError
from tests.image.product import TAG, build


def main(arguments: list[str] | None = None) -> int:
    """Build the image; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.image", description="Builds the product's image.")
    command = parser.add_subparsers(required=True).add_parser("build", help="build it, or find it built")
    command.add_argument("--tag", default=TAG, help="the name inside the archive (default: %(default)s)")
    command.add_argument(
        "--output", type=Path, metavar="FILE.tar", help="where to write it besides the cache"
    )
    command.add_argument("--bill", type=Path, metavar="FILE", help="where to write the bill of materials")
    options = parser.parse_args(arguments)
    try:
        built = build(timed(), options.tag, options.output)
    except ImageError as error:
        sys.stderr.write(f"tests.image: {error}\n")
        return 2
    if options.bill:
        shutil.copyfile(built.bill, options.bill)
    sys.stdout.write(f"{built.path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
