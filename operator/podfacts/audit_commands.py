"""``podfacts audit``: what was typed becomes one call, what comes back becomes output and an exit code.

Each door is loaded when it is used: with ``-f`` no Kubernetes client is.
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, cast

import click

from podfacts.core.refusal import BadInput, Refused
from podfacts.options import SOURCES, cluster_or_files, of_a_cluster, refusals
from podfacts.terminal import write

if TYPE_CHECKING:
    from podfacts.audit.finding import Finding
    from podfacts.audit.inventory import Inventory
    from podfacts.audit.report import Report

GOALS = ("cluster-admin", "node", "secrets")
SEVERITIES = ("low", "medium", "high", "critical")
WIDTH = 100  # Where nobody says how wide it is: in a file.
EVERY = 250  # Objects, for the line that says how many were read.
Output = Literal["table", "json", "sarif", "html", "openreports"]
WITH_PATHS = ("json", "html")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was typed."""

    sources: tuple[str, ...]
    namespace: str | None
    output: Output
    fail_on: str
    baselines: tuple[str, ...]
    ignores: tuple[str, ...]
    audit_logs: tuple[str, ...]
    source: str
    goal: str | None
    context: str | None
    kubeconfig: str | None


@click.command()
@SOURCES
@click.option("-n", "--namespace", help="Of objects in files that name none.  [default: default]")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "sarif", "html", "openreports"]),
    default="table",
    show_default=True,
)
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="high",
    show_default=True,
    help="End with 1 when there is a finding as bad as this, or worse.",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="FILE",
    help="An earlier output of -o json: only findings that are not in it count.",
)
@click.option(
    "--ignore",
    "ignores",
    multiple=True,
    metavar="FILE",
    help="Findings to live with, in YAML: below ignores: a list of rule, subject or binding, reason and expires.",
)
@click.option(
    "--audit-log",
    "audit_logs",
    multiple=True,
    metavar="FILE|-",
    help="An API server's audit log (JSON lines): what was granted and not used in it is found too.",
)
@click.option(
    "--from",
    "source",
    metavar="SUBJECT",
    default="",
    help="Ways up from system:serviceaccount:NAMESPACE:NAME, user:NAME or group:NAME only.",
)
@click.option("--to", "goal", type=click.Choice(GOALS), help="Ways up to this only.")
@of_a_cluster
def audit(**words: object) -> None:
    """Say what the roles and bindings of a cluster, or of files, give away, and how to end that.

    Ends with 1 when there is a finding at or above --fail-on. With --from or --to it ends with 1 when there is such a
    way up, and with 0 when there is none, whatever the findings are. Ends with 2 when there was nothing to audit, or
    what is to be audited is not right. A cluster is only read: roles, bindings, service accounts, namespaces and pods,
    never a Secret. Only RBAC is known: the group system:masters passes it by, and so may a webhook or the authorizer of
    nodes.
    """
    from podfacts.rights.manifest import visible  # noqa: PLC0415 - loaded by the command that needs it

    asked = Asked(**words)  # type: ignore[arg-type]
    with refusals(manifests=True):
        _check(asked)
        report = _report(asked)
    for each in (*report.unread, *report.warnings):
        click.echo(f"warning: {visible(each)}", err=True)
    write(_rendered(report, asked.output))
    sys.exit(1 if _is_bad(report, asked) else 0)


def _check(asked: Asked) -> None:
    """Refuse what contradicts itself, before anything is read."""
    from podfacts.audit.asked import meant  # noqa: PLC0415

    if asked.source:
        try:
            meant(asked.source)
        except Refused as refused:
            raise BadInput(f"podfacts audit: --from {refused.reason}") from None
    if reason := cluster_or_files(asked.sources, asked.context, asked.kubeconfig):
        raise BadInput(f"podfacts audit: {reason}")
    if asked.namespace is not None and not asked.sources:
        raise BadInput("podfacts audit: --namespace goes with -f: a cluster is audited as a whole")
    if "-" in asked.sources and "-" in asked.audit_logs:
        raise BadInput("podfacts audit: stdin can be read only once: give - once")


def _report(asked: Asked) -> "Report":
    """All that was found. Raises ``BadInput``."""
    from podfacts.audit.decisions import reported  # noqa: PLC0415
    from podfacts.audit.escalation.paths import paths  # noqa: PLC0415
    from podfacts.audit.finding import worst_first  # noqa: PLC0415
    from podfacts.audit.judgement.findings import findings  # noqa: PLC0415
    from podfacts.offline.audit_settings import decisions  # noqa: PLC0415

    settings = decisions(asked.ignores, asked.baselines)
    inventory, unread, scope = _files(asked) if asked.sources else _cluster(asked)
    both = sorted((*findings(inventory), *_unused(inventory, asked)), key=worst_first)
    today = datetime.now(tz=UTC).date()
    report = reported(inventory, both, settings, today, unread=unread, scope=scope)
    wanted = asked.source or asked.goal or asked.output in WITH_PATHS
    return replace(
        report,
        paths=paths(inventory, asked.source, asked.goal or "") if wanted else (),
        ways=_ways(asked),
        has_baseline=bool(asked.baselines),
    )


def _ways(asked: Asked) -> str:
    source = f"from {asked.source}" if asked.source else ""
    goal = f"to {asked.goal}" if asked.goal else ""
    return f"{source} {goal}".strip()


def _files(asked: Asked) -> "tuple[Inventory, tuple[str, ...], str]":
    from podfacts.offline.audit import inventory_of, scope_of  # noqa: PLC0415

    inventory = inventory_of(asked.sources, asked.namespace, sys.stdin.buffer)
    return inventory, (), scope_of(asked.sources)


def _cluster(asked: Asked) -> "tuple[Inventory, tuple[str, ...], str]":
    from podfacts.cluster.access import connect  # noqa: PLC0415
    from podfacts.cluster.inventory import inventory_of  # noqa: PLC0415

    api = connect(asked.kubeconfig, asked.context)
    try:
        inventory, unread = inventory_of(api, _progress())
    finally:
        if sys.stderr.isatty():
            click.echo("\r\x1b[K", err=True, nl=False)
    return inventory, unread, f"the cluster at {api.server}"


def _progress() -> Callable[[int], None]:
    """Tells somebody who watches; a log has no use for it."""
    if not sys.stderr.isatty():
        return lambda _count: None

    def told(count: int) -> None:
        if count % EVERY == 0:
            click.echo(f"\rread {count:,} objects", err=True, nl=False)

    return told


def _unused(inventory: "Inventory", asked: Asked) -> "tuple[Finding, ...]":
    if not asked.audit_logs:
        return ()
    from podfacts.audit.judgement.unused import unused  # noqa: PLC0415
    from podfacts.offline.grant import read_audit_logs  # noqa: PLC0415

    found: tuple[Finding, ...] = unused(inventory, read_audit_logs(asked.audit_logs, sys.stdin.buffer))
    return found


def _rendered(report: "Report", output: Output) -> str:
    from importlib import import_module  # noqa: PLC0415

    module = import_module(f"podfacts.reports.as_{output}")
    if output == "table":
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        width = shutil.get_terminal_size((WIDTH, 0)).columns
        return cast("str", module.rendered(report, width=width, colour=colour))
    return cast("str", module.rendered(report))


def _is_bad(report: "Report", asked: Asked) -> bool:
    from podfacts.audit.finding import Severity  # noqa: PLC0415

    if asked.source or asked.goal:
        return bool(report.paths)
    least = Severity[asked.fail_on.upper()]
    return any(each.severity >= least for each in report.findings)


COMMANDS = (audit,)
