"""The command line: what was typed becomes arguments of one function, what comes back becomes output and an exit code.

Exit codes: 0 fine; 1 a negative answer; 2 bad usage, bad input or no cluster, with one clear line on stderr and never
a traceback. Each command imports what it needs when it runs: ``podfacts inject`` never loads a Kubernetes client.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click

from podfacts import __version__
from podfacts.core.refusal import BadInput
from podfacts.options import MANIFESTS
from podfacts.settings import Duration, Level, setting
from podfacts.terminal import BAD_INPUT, refuse, write

INTERRUPTED = 130


def elsewhere() -> dict[str, click.Command]:
    """The commands of other files, by name; ``podfacts inject`` waits for none of them."""
    from podfacts import (  # noqa: PLC0415
        audit_commands,
        auditor_commands,
        cluster_commands,
        question_commands,
    )

    files = (cluster_commands, audit_commands, question_commands, auditor_commands)
    return {str(command.name): command for file in files for command in file.COMMANDS}


class Commands(click.Group):
    """Click's own usage error takes three lines; ours is one, and says where help is."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find one in this file, or else in the others."""
        return super().get_command(ctx, cmd_name) or elsewhere().get(cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all of them."""
        return sorted([*super().list_commands(ctx), *elsewhere()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; the process ends here unless ``standalone_mode`` is off."""
        if prog_name is None and Path(sys.argv[0]).name == "kubectl-podfacts":
            prog_name = "kubectl podfacts"
        run = partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        try:
            sys.exit(run())
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(BAD_INPUT)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "podfacts"
            refuse(f"{command}: {error.format_message()} (see {command} --help)")
        except click.ClickException as error:
            refuse(f"podfacts: {error.format_message()}")
        except click.Abort:
            sys.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="podfacts", message="%(prog)s %(version)s")
def main() -> None:
    """Tell a pod what it needs to know, without handing it credentials."""


@main.command()
@MANIFESTS
@click.option(
    "--profile",
    "profile_files",
    multiple=True,
    metavar="FILE",
    help="A Profile object in YAML, known by its metadata.name; one named default replaces the built-in one.",
)
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json", "patch"]), default="yaml", show_default=True
)
def inject(
    sources: tuple[str, ...], profile_files: tuple[str, ...], output: Literal["yaml", "json", "patch"]
) -> None:
    """Inject facts into manifests, as the webhook would. The result goes to stdout, warnings to stderr."""
    from podfacts.offline.inject import inject_sources  # noqa: PLC0415 - loaded by the command that needs it
    from podfacts.offline.profile_files import read_profiles  # noqa: PLC0415

    try:
        rendered = inject_sources(sources, read_profiles(profile_files), output, sys.stdin.buffer)
    except BadInput as error:
        refuse(str(error))
    for warning in rendered.warnings:
        click.echo(warning, err=True)
    write(rendered.text)


@main.command()
@click.argument("name", required=False)
@click.option(
    "--profile",
    "profile_files",
    multiple=True,
    metavar="FILE",
    help="A Profile object in YAML, known by its metadata.name; one named default replaces the built-in one.",
)
def policy(name: str | None, profile_files: tuple[str, ...]) -> None:
    """Print the profile NAME as admission policies that do the webhook's work inside the API server.

    Without NAME the only one in the files, or the built-in one.
    """
    from podfacts.offline.policy import policy_text  # noqa: PLC0415

    try:
        text = policy_text(name, profile_files)
    except BadInput as error:
        refuse(str(error))
    write(text)


@main.command()
@click.option(
    "--to", required=True, metavar="NAMESPACE/NAME", help="The service account that gets the grant."
)
@click.option(
    "--read",
    multiple=True,
    metavar="RESOURCE[.GROUP][/SUB]",
    help="Get and list, such as pods, deployments.apps or pods/log. May be given many times, as all of these.",
)
@click.option("--watch", multiple=True, metavar="RESOURCE[.GROUP]", help="Get, list and watch.")
@click.option(
    "--name", "names", multiple=True, metavar="NAME", help="Only the object of that name; --read is get then."
)
@click.option(
    "--url", "urls", multiple=True, metavar="PATH", help="GET of a URL that is no resource, such as /metrics."
)
@click.option("-n", "--namespace", help="Where to read; the service account's own namespace if not given.")
@click.option(
    "--from-audit-log",
    "audit_logs",
    multiple=True,
    metavar="FILE|-",
    help="What the account was seen to do in an API server's audit log (JSON lines).",
)
@click.option(
    "--from-ambassador-log",
    "ambassador_logs",
    multiple=True,
    metavar="FILE|-",
    help="What was asked through a podfacts-ambassador: the container's log.",
)
def grant(**words: Any) -> None:
    """Print the least Role and RoleBinding for one service account, as YAML to be reviewed and applied."""
    from podfacts.offline.grant import Asked, granted  # noqa: PLC0415
    from podfacts.rights.manifest import visible  # noqa: PLC0415

    try:
        printed = granted(Asked(**words), sys.stdin.buffer)
    except BadInput as error:
        refuse(visible(str(error)))  # One line, of words that may come from a log.
    for warning in printed.warnings:
        click.echo(warning, err=True)
    write(printed.text)


@main.command()
@setting("--port", type=click.IntRange(0, 65535), default=10250, help="HTTPS port of the admission server.")
@setting(
    "--probe-port", type=click.IntRange(0, 65535), default=8080, help="Port of /healthz, /readyz, /metrics."
)
@setting(
    "--certificates",
    type=click.Path(path_type=Path),
    default=Path("/etc/podfacts/certificates"),
    help="Folder with ca.crt and ca.key (a leaf is signed in memory) or tls.crt and tls.key (served as they are).",
)
@setting(
    "--dns-name",
    "dns_names",
    multiple=True,
    default=("podfacts-webhook.podfacts-system.svc",),
    help="Name the leaf is valid for. May be given many times.",
)
@setting("--leaf-lifetime", type=Duration(), default="24h", help="How long a leaf lives; renewed at 2/3.")
@setting("--drain", type=Duration(), default="10s", help="How long to go on serving after SIGTERM.")
@setting("--workers", type=click.IntRange(1, 16), default=1, help="Processes that answer, one core each.")
@setting("--tls-min", type=click.Choice(["1.3", "1.2"]), default="1.3", help="Lowest TLS version.")
@setting(
    "--profile",
    "profile_files",
    multiple=True,
    metavar="FILE",
    help="A Profile object in YAML, beside those of the cluster, which win.",
)
@setting(
    "--missing-profile",
    type=click.Choice(["deny", "admit"]),
    default="deny",
    help="A pod that names a profile that is not in force: refuse it, or let it run without facts.",
)
@setting(
    "--service-account",
    type=click.Path(path_type=Path),
    default=Path("/var/run/secrets/kubernetes.io/serviceaccount"),
    help="Folder with token and ca.crt, to follow profiles, nodes and namespaces; without it only files are known.",
)
@setting("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def webhook(profile_files: tuple[str, ...], log_level: Level, **options: Any) -> None:
    """Serve the mutating admission webhook."""
    from podfacts.admission import webhook  # noqa: PLC0415
    from podfacts.offline.profile_files import read_profiles  # noqa: PLC0415
    from podfacts.serving import logs  # noqa: PLC0415

    logs.configure(level=log_level)
    try:
        profiles = read_profiles(profile_files)
    except BadInput as error:
        refuse(str(error))
    sys.exit(webhook.serve(webhook.Settings(profiles=profiles, **options)))


@main.command()
@setting("--namespace", default="podfacts-system", help="Namespace of the Secret and the Lease.")
@setting(
    "--probe-port", type=click.IntRange(0, 65535), default=8080, help="Port of /healthz, /readyz, /metrics."
)
@setting("--secret", default="podfacts-ca", help="Secret that holds the CA.")
@setting(
    "--webhook-configuration", default="podfacts", help="MutatingWebhookConfiguration to keep the CA of."
)
@setting("--lease", default="podfacts-controller", help="Lease by which one replica becomes the active one.")
@setting("--ca-lifetime", type=Duration(), default="365d", help="How long a CA lives; replaced at 2/3.")
@setting("--leaf-lifetime", type=Duration(), default="24h", help="As the webhook has it.")
@setting("--settle", type=Duration(), default="60s", help="How long a new CA is trusted before it signs.")
@setting(
    "--profile",
    "profile_files",
    multiple=True,
    metavar="FILE",
    help="A Profile object in YAML, as the webhook has it.",
)
@setting(
    "--authority",
    type=click.Choice(["own", "external"]),
    default="own",
    help="Keep a CA for the webhook, or leave certificates and caBundle to somebody else, such as cert-manager.",
)
@setting(
    "--writes-per-second",
    type=click.FloatRange(0.1, 1000),
    default=20,
    help="How many writes of facts and Events a second, and how many at once.",
)
@setting(
    "--evictions-per-minute",
    type=click.FloatRange(0.1, 600),
    default=6,
    help="How many pods that run without their facts are evicted, where a profile says so.",
)
@setting("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def controller(profile_files: tuple[str, ...], log_level: Level, **options: Any) -> None:
    """Keep the facts of running pods, the status of profiles, and the webhook's CA."""
    import asyncio  # noqa: PLC0415 - 40 ms that podfacts inject does not need

    from podfacts.controller import controller  # noqa: PLC0415
    from podfacts.offline.profile_files import read_profiles  # noqa: PLC0415
    from podfacts.serving import logs  # noqa: PLC0415

    logs.configure(level=log_level)
    try:
        settings = controller.Settings(profiles=read_profiles(profile_files), **options)
    except BadInput as error:
        refuse(str(error))
    except ValueError as error:
        refuse(f"podfacts controller: {error}")
    sys.exit(asyncio.run(controller.run(settings)))
