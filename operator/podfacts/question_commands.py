"""``podfacts can`` and ``podfacts who-can``: one question, answered as the authorizer would.

With ``-f`` no Kubernetes client is loaded. What is printed may hold words of a cluster: no control character gets through.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from podfacts.core.refusal import Refused
from podfacts.options import CLUSTER, OUTPUT, SOURCES, cluster_or_files, given, refusals
from podfacts.terminal import refuse, write

if TYPE_CHECKING:
    from podfacts.audit.asked import Asked, Who
    from podfacts.audit.inventory import Inventory
    from podfacts.audit.questions import Questions
    from podfacts.rights.request import Request

WHERE = (
    click.argument("verb"),
    click.argument("resource", metavar="RESOURCE[.GROUP][/SUB]|URL"),
    click.argument("name", default=""),
    click.option(
        "-n", "--namespace", help="Where; the context's namespace if not given, with -f it is default."
    ),
    click.option("-A", "--all-namespaces", is_flag=True, help="In all namespaces at once, or in none."),
    SOURCES,
    OUTPUT,
    *CLUSTER,
)


def question(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the words that every question has."""
    return given(command, WHERE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What was typed, less who is asked about."""

    verb: str
    resource: str
    name: str
    namespace: str | None
    all_namespaces: bool
    sources: tuple[str, ...]
    output: Literal["text", "json"]
    context: str | None
    kubeconfig: str | None


@click.command()
@click.option(
    "--as",
    "subject",
    required=True,
    metavar="SUBJECT",
    help="system:serviceaccount:NAMESPACE:NAME, user:NAME, or group:NAME for just anybody who is in it.",
)
@click.option(
    "--as-group",
    "groups",
    multiple=True,
    metavar="GROUP",
    help="A group that SUBJECT is in. May be given many times. Those that Kubernetes adds by itself are known.",
)
@question
def can(subject: str, groups: tuple[str, ...], **words: Any) -> None:
    """Say whether SUBJECT may do it, by which rule of which role, or what is missing.

    Such as: podfacts can get pods/log web-0 --as system:serviceaccount:shop:web -n shop, or: podfacts can get /metrics
    --as group:monitoring. Ends with 0 for yes, with 1 for no, with 2 when there is no answer.

    Only RBAC is asked, and what is above it: the group system:masters. The authorizer of nodes and webhooks, which may
    allow more, are not known.
    """
    from podfacts.audit.asked import who  # noqa: PLC0415 - loaded by the command that needs it
    from podfacts.reports.answers import can_json, can_text  # noqa: PLC0415

    typed = Words(**words)
    with _refusals("can"):
        somebody = who(subject, groups)
        questions, asked = _put(typed, somebody)
    answer = questions.answer(somebody, asked.request)
    write(can_json(answer, somebody, asked.request) if typed.output == "json" else can_text(answer))
    sys.exit(0 if answer.allowed else 1)


@click.command("who-can")
@question
def who_can(**words: Any) -> None:
    """List the subjects that may do it, each with the rule that allows it.

    Such as: podfacts who-can create pods/exec -n shop, or: podfacts who-can get secrets -A, for all namespaces at once.
    Groups are listed as groups, with the service accounts that are in them. Ends with 0 when there is somebody, with 1
    when there is nobody but the group system:masters, with 2 when there is no answer.

    Only RBAC is asked: the authorizer of nodes and webhooks, which may allow more, are not known.
    """
    from podfacts.reports.answers import who_can_json, who_can_text  # noqa: PLC0415

    typed = Words(**words)
    with _refusals("who-can"):
        questions, asked = _put(typed)
    holders, by_default = questions.holders(asked.request), questions.by_default(asked.request)
    rendered = who_can_json if typed.output == "json" else who_can_text
    write(rendered(holders, asked.request, by_default=by_default))
    sys.exit(0 if holders or by_default else 1)


@contextmanager
def _refusals(command: str) -> Iterator[None]:
    """A mistake in the words is one line; those in manifests are one line each."""
    from podfacts.rights.manifest import visible  # noqa: PLC0415

    try:
        with refusals(manifests=True):
            yield
    except Refused as refused:
        refuse(visible(f"podfacts {command}: {refused.reason}"))


def _put(words: Words, somebody: "Who | None" = None) -> "tuple[Questions, Asked]":
    """All that can be asked, and the question. Raises ``Refused`` and ``BadInput``; warnings are told here."""
    from podfacts.audit.asked import asked  # noqa: PLC0415
    from podfacts.audit.questions import Questions  # noqa: PLC0415
    from podfacts.rights.manifest import visible  # noqa: PLC0415
    from podfacts.rights.wanted import namespace_name  # noqa: PLC0415

    if words.namespace is not None and words.all_namespaces:
        raise Refused((), "-n and -A contradict each other: leave one out")
    if words.namespace is not None:
        namespace_name(words.namespace)
    if reason := cluster_or_files(words.sources, words.context, words.kubeconfig):
        raise Refused((), reason)
    # Once before anything is read, for what is wrong with the words.
    asked(words.verb, words.resource, words.name)
    inventory, here, unread = _inventory(words)
    place = "" if words.all_namespaces else here
    meant = asked(words.verb, words.resource, words.name, namespace=place, given=words.namespace is not None)
    questions = Questions(inventory)
    # That a "no" is one of somebody who is not there, the answer says.
    user = somebody.user if somebody and questions.answer(somebody, meant.request).allowed else ""
    for each in (*meant.warnings, *_absent(inventory, meant.request, user), *unread):
        click.echo(f"warning: {visible(each)}", err=True)
    return questions, meant


def _absent(inventory: "Inventory", request: "Request", user: str) -> Iterator[str]:
    """Who and what is not there, where that is known: RBAC answers all the same, but a name may be mistyped."""
    from podfacts.rights.holders import account_named  # noqa: PLC0415

    if request.namespace and request.namespace not in (inventory.namespaces or (request.namespace,)):
        yield f"there is no namespace {request.namespace}: asked as if there were"
    account = account_named(user)
    if account and account not in (inventory.accounts or (account,)):
        yield f"there is no service account {account.name} in {account.namespace}: asked as if there were"


def _inventory(words: Words) -> Any:
    """The inventory, the namespace that is meant where none is named, and what could not be read."""
    if words.sources:
        from podfacts.offline.question import asked_of as asked_of_files  # noqa: PLC0415

        return (*asked_of_files(words.sources, words.namespace, sys.stdin.buffer), ())
    from podfacts.cluster.access import connect  # noqa: PLC0415
    from podfacts.cluster.question import asked_of as asked_of_cluster  # noqa: PLC0415

    return asked_of_cluster(connect(words.kubeconfig, words.context), words.namespace, lambda _count: None)


COMMANDS = (can, who_can)
