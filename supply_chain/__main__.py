"""``python -m supply_chain bill ...`` writes the image's bill of materials, ``audit`` asks after known vulnerabilities."""

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Do the one or the other; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m supply_chain", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    bill = commands.add_parser("bill", help="CycloneDX 1.6 of the files under a root")
    bill.add_argument("--root", type=Path, required=True, help="the image's file system")
    bill.add_argument("--report", type=Path, required=True, help="pip's report of what it installed")
    bill.add_argument("--revision", default="", help="the commit of the sources")
    bill.add_argument("--epoch", default="", help="when the sources were committed, in seconds since 1970")
    bill.add_argument("--output", type=Path, required=True)
    audit = commands.add_parser("audit", help="exit code 1: something is known; 2: it could not be asked")
    audit.add_argument("locks", nargs="+", type=Path, metavar="LOCK")
    audit.add_argument("--service", default="pypi", help="pypi, osv or esms (default: %(default)s)")
    audit.add_argument("--osv-url", default="", help="where the service osv is")
    return _run(parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    # The build has only what the bill needs, and a developer's machine may ask without it.
    if options.command == "audit":
        from supply_chain import audit  # noqa: PLC0415

        return audit.report(options.locks, options.service, options.osv_url)
    from supply_chain import bill  # noqa: PLC0415

    text = bill.written(options.root, options.report, revision=options.revision, epoch=options.epoch)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
