"""A finding: what is wrong with one grant, as data. Only the reports talk."""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

from podfacts.audit.inventory import Address, Binding, Place, Pod, Rule, Subject
from podfacts.rights.request import Account


class Severity(IntEnum):
    """How bad it is; the words of the command line and of OpenReports."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """What rule ``rule`` (``RB16``) says of a subject's grant.

    ``rules`` are those that grant it, exactly; ``via`` are further bindings that it takes beside ``binding``. What is
    said of a role alone has no subject and no binding. ``message`` is what and why, ``remediation`` the smallest change
    that ends it, a sentence each. ``accounts`` and ``pods`` are who has it now, where that is more than the subject says.
    ``also`` are the rules that come with this one and are not reported beside it.
    """

    rule: str
    severity: Severity
    subject: Subject | None
    binding: Address | None
    role: Address | None
    message: str
    remediation: str
    place: Place
    rules: tuple[Rule, ...] = ()
    via: tuple[Address, ...] = ()
    accounts: tuple[Account, ...] = ()
    pods: tuple[Pod, ...] = ()
    also: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        binding: Binding,
        subject: Subject,
        rule: str,
        severity: Severity,
        message: str,
        remediation: str,
        **more: Any,
    ) -> Self:
        """What a rule says of what a binding gives to one of its subjects."""
        return cls(
            rule,
            severity,
            subject,
            binding.address,
            binding.role,
            message,
            remediation,
            binding.place,
            **more,
        )

    @property
    def fingerprint(self) -> str:
        """The same for the same grant, wherever it is written and however it is worded; another when it got worse."""
        who = self.subject.address if self.subject else ()
        parts = (self.rule, str(self.severity), *who, "", *(self.binding or ()), "", *(self.role or ()))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def worst_first(finding: Finding) -> tuple[object, ...]:
    """The order of reports."""
    return -finding.severity, finding.rule, str(finding.subject), finding.binding or (), finding.role or ()
