"""``podfacts auditor``: the audit as a server, which runs it again and again and writes down what it finds."""

import sys
from datetime import timedelta
from pathlib import Path

import click

from podfacts.settings import Duration, Level, setting


@click.command()
@setting("--every", type=Duration(), default="1h", help="From the end of an audit to the next one.")
@setting(
    "--ignore",
    "ignore_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="As podfacts audit has it. Read anew for each audit; a wrong one is said in the log, and ignores nothing.",
)
@setting(
    "--probe-port", type=click.IntRange(0, 65535), default=8080, help="Port of /healthz, /readyz, /metrics."
)
@setting("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def auditor(every: timedelta, ignore_files: tuple[Path, ...], probe_port: int, log_level: Level) -> None:
    """Audit the cluster's RBAC again and again: as reports in the cluster, and as metrics.

    Reports are those of openreports.io where the cluster has them, else PolicyReports of wgpolicyk8s.io; without
    either there are metrics only.
    """
    import asyncio  # noqa: PLC0415 - 40 ms that podfacts inject does not need

    from podfacts.cluster import auditor as server  # noqa: PLC0415 - loaded by the command that needs it
    from podfacts.serving import logs  # noqa: PLC0415

    logs.configure(level=log_level)
    sys.exit(asyncio.run(server.run(server.Settings(every, ignore_files, probe_port))))


COMMANDS = (auditor,)
