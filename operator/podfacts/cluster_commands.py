"""The commands that talk to a cluster as whoever types: what was typed becomes one call, what comes back becomes output.

Each loads its client when it runs. What they print may hold words of the cluster, so no control character gets through.
"""

import sys
from typing import Any, Literal

import click

from podfacts.core.refusal import Refused
from podfacts.options import MANIFESTS, OUTPUT, of_a_cluster, refusals
from podfacts.terminal import refuse, write


@click.command()
@click.argument("pod")
@click.option("-n", "--namespace", help="Where the pod is; the context's namespace if not given.")
@OUTPUT
@of_a_cluster
def explain(pod: str, namespace: str | None, output: Literal["text", "json"], **where: str | None) -> None:
    """Say of a live pod what it asked for, what it got, and what it lacks and why.

    Ends with 0 when all is in place, and with 1 when a fact is missing or not true. The cluster is only read.
    """
    from podfacts.cluster.access import connect  # noqa: PLC0415
    from podfacts.cluster.explain import explained  # noqa: PLC0415

    with refusals():
        explanation = explained(connect(where["kubeconfig"], where["context"]), pod, namespace)
    write(explanation.json if output == "json" else explanation.text)
    sys.exit(0 if explanation.in_place else 1)


@click.command()
@MANIFESTS
@click.option("-n", "--namespace", help="Where the pods would be; else the manifest's, else the context's.")
@of_a_cluster
def diff(sources: tuple[str, ...], namespace: str | None, **where: str | None) -> None:
    """Show what the cluster's webhook would do to the pods of manifests, by server-side dry run.

    Each pod that opted in is compared with itself opted out. Ends with 1 when the cluster refuses one with its facts.
    """
    from podfacts.cluster.access import connect  # noqa: PLC0415
    from podfacts.cluster.diff import compared  # noqa: PLC0415
    from podfacts.rights.manifest import visible  # noqa: PLC0415

    with refusals(manifests=True):
        api = connect(where["kubeconfig"], where["context"])
        differences = compared(api, sources, namespace, sys.stdin.buffer)
    for line in differences.told:
        click.echo(visible(line), err=True)
    write(differences.text)
    sys.exit(1 if differences.refused else 0)


@click.command()
@click.option("--pre", is_flag=True, help="Before installing: is the cluster fit, and may you install here?")
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="Where a pod is tried, by dry run."
)
@OUTPUT
@of_a_cluster
def check(pre: bool, namespace: str, output: Literal["text", "json"], **where: str | None) -> None:
    """Say whether the installation is whole and safe, a line for each part, and what to do where it is not.

    Ends with 1 when a part fails. The cluster is only read, and a pod tried by dry run.
    """
    from podfacts.cluster.access import connect  # noqa: PLC0415
    from podfacts.cluster.check import checked  # noqa: PLC0415

    with refusals():
        report = checked(connect(where["kubeconfig"], where["context"]), namespace, pre=pre)
    write(report.json if output == "json" else report.text)
    sys.exit(0 if report.sound else 1)


@click.command("replace-binding")
@click.argument("name")
@click.option("-n", "--namespace", help="NAME is a RoleBinding of it; a ClusterRoleBinding if not given.")
@click.option(
    "--audit-log",
    "audit_logs",
    multiple=True,
    metavar="FILE|-",
    help="What the accounts were seen to do (JSON lines). Without one, what the opted-in pods declare.",
)
@click.option("--profile", "profile_files", multiple=True, metavar="FILE", help="A Profile object in YAML.")
@click.option(
    "--verify", is_flag=True, help="After it was applied: ask the authorizer whether all is as it was said."
)
@of_a_cluster
def replace_binding(
    name: str,
    namespace: str | None,
    audit_logs: tuple[str, ...],
    profile_files: tuple[str, ...],
    **options: Any,
) -> None:
    """Print what replaces a binding that gives too much to too many, as YAML to be reviewed and applied.

    The grants its holders need come first, and last the binding with nobody in it. The cluster is only read.
    """
    from podfacts.cluster.access import connect  # noqa: PLC0415
    from podfacts.cluster.replace_binding import replaced, verified  # noqa: PLC0415
    from podfacts.offline.grant import read_audit_logs  # noqa: PLC0415
    from podfacts.offline.profile_files import read_profiles  # noqa: PLC0415
    from podfacts.rights.rules import Ref  # noqa: PLC0415
    from podfacts.rights.wanted import namespace_name  # noqa: PLC0415

    with refusals(manifests=True):
        profiles = read_profiles(profile_files)
    try:
        ref = Ref("" if namespace is None else namespace_name(namespace), name)
    except Refused as refused:
        refuse(f"podfacts replace-binding: {refused.reason}")
    with refusals():
        recorded = read_audit_logs(audit_logs, sys.stdin.buffer) if audit_logs else None
        api = connect(options["kubeconfig"], options["context"])
        if options["verify"]:
            verdict = verified(api, ref, recorded, profiles)
            write("".join(f"{line}\n" for line in verdict.lines))
            sys.exit(0 if verdict.verified else 1)
        replacement = replaced(api, ref, recorded, profiles)
    for warning in replacement.warnings:
        click.echo(f"warning: {warning}", err=True)
    write(replacement.text)


COMMANDS = (explain, diff, check, replace_binding)
