"""``podfacts grant``: the words of the command line and the logs become one YAML text, and warnings.

All or nothing: one bad word or one bad line of a log, and nothing is printed. A log is read once and not kept, from a pipe
as well.
"""

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from podfacts.core.refusal import BadInput, Refused
from podfacts.offline.manifests import STDIN, Problem
from podfacts.rights import ambassador_log, wanted
from podfacts.rights.ambassador_log import Answered, answered
from podfacts.rights.audit_log import Recorded, Unreadable, recorded
from podfacts.rights.everyone import everyone_may
from podfacts.rights.grant import grants, left_out, text
from podfacts.rights.manifest import listed, visible
from podfacts.rights.request import PREFIX, Account, Request

# An event with both bodies has a few MiB; a file without line ends must end.
LONGEST = 64 * 2**20
SHOWN = 5


@dataclass(frozen=True)
class Asked:
    """What was typed."""

    to: str
    namespace: str | None = None
    read: Sequence[str] = ()
    watch: Sequence[str] = ()
    names: Sequence[str] = ()
    urls: Sequence[str] = ()
    audit_logs: Sequence[str] = ()
    ambassador_logs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Printed:
    """What goes to stdout, and the lines that go to stderr."""

    text: str
    warnings: tuple[str, ...]


@dataclass
class Seen:
    """What the logs say of one account. Requests are few, however many calls there were."""

    allowed: set[Request] = field(default_factory=set)
    denied: set[Request] = field(default_factory=set)
    as_another: set[Request] = field(default_factory=set)
    lent: set[Request] = field(default_factory=set)
    borrowers: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)

    @property
    def anything(self) -> bool:
        """Whether the account itself was there at all."""
        return bool(self.allowed or self.denied or self.as_another)


def granted(asked: Asked, stdin: IO[bytes]) -> Printed:
    """The grant. Raises ``BadInput`` (``podfacts grant: reason``, or ``file:line: reason``)."""
    try:
        account = wanted.account(asked.to)
        declared = _declared(asked, account)
    except Refused as refused:
        raise BadInput(f"podfacts grant: {refused.reason}") from None
    seen = Seen()
    if asked.audit_logs:
        _audited(seen, account, read_audit_logs(asked.audit_logs, stdin, account.user))
        if not seen.anything:
            raise BadInput(f"{', '.join(map(_called, asked.audit_logs))}: {_absent(seen, account)}")
    for each in read_ambassador_logs(asked.ambassador_logs, stdin):
        (seen.allowed if each.allowed else seen.denied).add(each.request)
    wished = seen.allowed | declared
    objects = grants(account, wished, declared)
    heading = [f"The least rights for {account}, printed by: {_command(asked)}", *left_out(seen.allowed)]
    if not objects:
        heading.append(f"Nothing to grant: {_why_nothing(wished)}.")
    return Printed(text(objects, heading), tuple(map(visible, _warnings(seen, account))))


def _why_nothing(wished: Collection[Request]) -> str:
    if not wished:
        return "nothing that was asked for was allowed"
    if all(map(everyone_may, wished)):
        return "every service account may do this already"
    if any(map(everyone_may, wished)):
        return "every service account may do some of it already, and no rule can say the rest"
    return "no rule can say what was asked for"


def read_audit_logs(files: Sequence[str], stdin: IO[bytes], about: str = "") -> Iterator[Recorded]:
    """What audit logs say, or only what they say ``about`` one user and that there are others.

    Raises ``BadInput`` for a file or a line that is none, and for a log that says nothing.
    """
    for name, lines in _opened(files, stdin):
        empty = True
        for each in recorded(lines, about):
            if isinstance(each, Unreadable):
                raise BadInput(str(Problem(name, each.line, each.reason)))
            empty = False
            yield each
        if empty:
            raise BadInput(f"{name}: holds no audit event that tells an answer")


def read_ambassador_logs(files: Sequence[str], stdin: IO[bytes]) -> Iterator[Answered]:
    """What ambassadors' logs say. Raises ``BadInput`` for a file that cannot be read or is no such log."""
    for name, lines in _opened(files, stdin):
        empty = True
        for each in answered(lines):
            empty = False
            yield each
        if empty:
            raise BadInput(f"{name}: {ambassador_log.EXPECTED}")


def _opened(files: Sequence[str], stdin: IO[bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    if files.count("-") > 1:
        raise BadInput(f"{STDIN}: can be read only once: give - once")
    for file in files:
        yield _called(file), _lines(file, stdin)


def _lines(file: str, stdin: IO[bytes]) -> Iterator[bytes]:
    number = 0
    try:
        with nullcontext(stdin) if file == "-" else Path(file).open("rb") as source:
            while line := source.readline(LONGEST + 1):
                number += 1
                if len(line) > LONGEST:
                    break
                yield line
            else:
                return
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise BadInput(str(Problem(_called(file), 0, reason))) from None
    except ValueError as error:  # A NUL in the name itself.
        raise BadInput(str(Problem(_called(file), 0, str(error)))) from None
    reason = f"is longer than {LONGEST // 2**20} MiB: this is no log"
    raise BadInput(str(Problem(_called(file), number, reason)))


def _declared(asked: Asked, account: Account) -> set[Request]:
    """What is asked for by words, not by logs. Raises ``Refused``, for combinations without a meaning too."""
    logs = asked.audit_logs or asked.ambassador_logs
    words = asked.read or asked.watch
    if not (logs or words or asked.urls):
        reason = (
            "give --read, --watch, --url, --from-audit-log or --from-ambassador-log: what is to be granted?"
        )
        raise Refused((), reason)
    if "-" in asked.audit_logs and "-" in asked.ambassador_logs:
        raise Refused((), "stdin can be read only once: give - once")
    if logs and asked.names:
        raise Refused((), "--name goes with --read and --watch: a log says its names itself")
    if not words and (asked.names or asked.namespace):
        raise Refused((), f"{'--name' if asked.names else '--namespace'} goes with --read and --watch")
    namespace = account.namespace if asked.namespace is None else wanted.namespace_name(asked.namespace)
    found = {wanted.url(each) for each in asked.urls}
    for resources, watch in ((asked.read, False), (asked.watch, True)):
        for each in resources:
            found.update(wanted.reads(each, asked.names, namespace, watch=watch))
    return found


def _audited(seen: Seen, account: Account, log: Iterable[Recorded]) -> None:
    for each in log:
        if each.user == account.user and each.lent:
            seen.lent.add(each.request)
            seen.borrowers.add(each.impersonator)
        elif each.user == account.user:
            (seen.allowed if each.allowed else seen.denied).add(each.request)
        elif each.impersonator == account.user:
            seen.as_another.add(each.request)
        elif each.user.startswith(PREFIX):
            seen.others.add(each.user)


def _absent(seen: Seen, account: Account) -> str:
    others = [each.removeprefix(PREFIX).replace(":", "/") for each in sorted(seen.others)]
    there = f"calls of {listed(others, SHOWN)}" if others else "no call of any service account"
    if seen.lent:
        there = f"calls that {listed(sorted(seen.borrowers), SHOWN)} made as it"
    return f"holds no call of {account}, but {there}"


def _warnings(seen: Seen, account: Account) -> Iterator[str]:
    if denied := sorted(map(str, seen.denied - seen.allowed)):
        yield f"warning: {_requests(denied)} denied to {account}, and not granted: {listed(denied, SHOWN)}"
    if lent := sorted(map(str, seen.lent)):
        by = listed(sorted(seen.borrowers), SHOWN)
        yield f"warning: {_requests(lent)} made by others ({by}) as {account}, and not granted: {listed(lent, SHOWN)}"
    if others := sorted(map(str, seen.as_another)):
        yield f"warning: {_requests(others)} made by {account} as somebody else, and not granted: {listed(others, SHOWN)}"


def _requests(found: Sequence[str]) -> str:
    return f"{len(found)} requests were" if len(found) > 1 else "1 request was"


def _command(asked: Asked) -> str:
    """What was typed, to be typed again."""
    options = (
        ("--to", [asked.to]),
        ("--read", asked.read),
        ("--watch", asked.watch),
        ("--name", asked.names),
        ("--url", asked.urls),
        ("--namespace", [asked.namespace] if asked.namespace else []),
        ("--from-audit-log", asked.audit_logs),
        ("--from-ambassador-log", asked.ambassador_logs),
    )
    words = [word for option, values in options for value in values for word in (option, value)]
    return shlex.join(["podfacts", "grant", *words])


def _called(file: str) -> str:
    return STDIN if file == "-" else file
