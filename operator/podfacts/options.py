"""Options that several commands have, and what goes wrong in all of them alike."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

import click

from podfacts.core.refusal import BadInput
from podfacts.terminal import refuse

# Given to a command that asks a cluster unless there are some.
SOURCES = click.option(
    "-f",
    "--filename",
    "sources",
    multiple=True,
    metavar="FILE|DIR|-",
    help="YAML or JSON file, folder (recursive), or - for stdin, instead of a cluster. May be given many times.",
)
MANIFESTS = click.option(
    "-f",
    "--filename",
    "sources",
    multiple=True,
    required=True,
    metavar="FILE|DIR|-",
    help="YAML or JSON file, folder (recursive), or - for stdin. May be given many times.",
)
OUTPUT = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
CLUSTER = (
    click.option("--context", help="Context of the kubeconfig."),
    click.option("--kubeconfig", metavar="FILE", help="Instead of $KUBECONFIG or ~/.kube/config."),
)


def given(command: Callable[..., Any], options: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """The command with these options, in their order."""
    return reduce(lambda made, option: option(made), reversed(options), command)


def of_a_cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which cluster."""
    return given(command, CLUSTER)


def cluster_or_files(sources: Sequence[str], context: str | None, kubeconfig: str | None) -> str:
    """What is wrong with saying both, "" when only one is meant."""
    if sources and (context or kubeconfig):
        return "--context and --kubeconfig are about a cluster: leave them or -f out"
    return ""


@contextmanager
def refusals(*, manifests: bool = False) -> Iterator[None]:
    """A mistake is one line, of words that may come from a log or the cluster; those in manifests are one line each."""
    from podfacts.rights.manifest import visible  # noqa: PLC0415 - loaded by the command that needs it

    try:
        yield
    except BadInput as error:
        lines = str(error).split("\n") if manifests else [str(error)]
        refuse("\n".join(map(visible, lines)))
