"""Decides what becomes of the CA: one pure step from what is there to what is written, and why.

The law: **a CA is trusted before anything is signed with it, and stays trusted until nothing signed with it can be
in use.** The step is safe to stop between any two writes, because each state on the way is itself a state it reads:

1. `next.*` is written to the Secret (trusted from now on, not signing), and the webhook's caBundle follows.
2. When every API server has had the time to see that bundle (`settle`), `next` becomes `ca`, and `ca` becomes
   `previous`. Replicas see it when their kubelet shows it to them and sign anew.
3. At `previous-until` no leaf of the old CA can be left: it goes, and the bundle shrinks.

The Secret is always written before the bundle: a bundle can be made again from the Secret, a lost key cannot.

Precedence of what to believe: the Secret > what this leader saw in it last > the caBundle in force. The last two
are asked only for certificates to keep trusting after somebody else has changed the Secret: replicas go on with the
leaf they have, and taking their CA away would fail admissions. No key is ever taken from anywhere but the Secret.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509

from podfacts.authority.certificates import BACKDATED, fingerprint, new_authority
from podfacts.authority.secret import DATA_KEYS, Held, foreign_keys, read, read_bundle, render, render_bundle

# Somebody who overwrites the Secret at every poll may not grow it without end. 32 polls are longer than the 90 s
# that a kubelet may take to show a Secret, so what falls out at the end is in nobody's hands any more.
MOST_PREVIOUS = 32

Action = Literal["created", "regenerated", "introduced", "promoted", "retired", "kept", "tidied", "trusted"]


@dataclass(frozen=True)
class Policy:
    """How long things live. `slack` is the longest that a kubelet takes to show a changed Secret, and some."""

    ca_lifetime: timedelta = timedelta(days=365)
    leaf_lifetime: timedelta = timedelta(hours=24)
    settle: timedelta = timedelta(seconds=60)
    slack: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        """Refuse lifetimes with which a rotation cannot end before the old CA does."""
        if min(self.ca_lifetime, self.leaf_lifetime) <= timedelta(0) or min(
            self.settle, self.slack
        ) < timedelta(0):
            raise ValueError("lifetimes must be positive")
        if self.ca_lifetime / 3 <= self.settle + self.slack:
            raise ValueError(
                f"a CA lifetime of {self.ca_lifetime} is too short: its last third, in which it is replaced,"
                f" must be longer than {self.settle + self.slack}"
            )


@dataclass(frozen=True)
class Memory:
    """What a leader knows from its rounds so far; a new leader starts with none, and is only slower for it."""

    held: Held | None = None
    introduced: str = ""  # Fingerprint of the `next` that the caBundle was seen to hold ...
    since: float = 0.0  # ... at every round since this time, by the clock that never jumps.


@dataclass(frozen=True)
class Observed:
    """What a round has read. `bundle` is None when there is no webhook to keep it for."""

    data: Mapping[str, bytes]
    rotate: bool
    bundle: bytes | None
    now: datetime
    uptime: float


@dataclass(frozen=True)
class Reason:
    """Why something is written: the action is a metric's label, the detail is for people."""

    action: Action
    detail: str


@dataclass(frozen=True)
class Step:
    """What to write, Secret first. None means: leave it. `memory` holds once the Secret is written."""

    data: Mapping[str, bytes] | None
    bundle: bytes | None
    reasons: tuple[Reason, ...]
    held: Held
    memory: Memory


def decide(observed: Observed, memory: Memory, policy: Policy) -> Step:
    """Return what this round writes, and why."""
    before = read(observed.data, observed.now)
    trusted = read_bundle(observed.bundle or b"")
    memory_now = _introduced(before, trusted, memory, observed.uptime)
    after, reasons = _keep_trusting(before, trusted, memory.held, observed.now, policy)
    after, signing = _signing(after, before, observed, memory_now, policy)
    after, dated = _dated(after, before, observed.now, policy)
    data = render(after)
    reasons = (*reasons, *signing, *dated)
    changed = observed.rotate or data != {
        key: observed.data[key] for key in DATA_KEYS if key in observed.data
    }
    if changed and not reasons:
        detail = (
            "; ".join(before.faults) or "the same content in our own form, or a rotation that is under way"
        )
        reasons = (Reason("tidied", detail),)
    bundle = render_bundle(after)
    if observed.bundle is None or observed.bundle == bundle:
        bundle_written = None
    else:
        bundle_written = bundle
        reasons = (*reasons, Reason("trusted", f"the caBundle is to hold {_names(after.certificates)}"))
    return Step(
        data={**foreign_keys(observed.data), **data} if changed else None,
        bundle=bundle_written,
        reasons=reasons,
        held=after,
        memory=replace(memory_now, held=after),
    )


def rotates_at(certificate: x509.Certificate) -> datetime:
    """Return when a CA has lived two thirds of its life (the backdating is no part of it)."""
    born = certificate.not_valid_before_utc + BACKDATED
    return born + (certificate.not_valid_after_utc - born) * 2 / 3


def _introduced(before: Held, trusted: Iterable[x509.Certificate], memory: Memory, uptime: float) -> Memory:
    """Return the memory with how long the caBundle has been seen to hold `next`, without a gap."""
    if not before.next or before.next.certificate not in trusted:
        return replace(memory, introduced="", since=0.0)
    mark = fingerprint(before.next.certificate)
    return memory if memory.introduced == mark else replace(memory, introduced=mark, since=uptime)


def _keep_trusting(
    before: Held, trusted: Iterable[x509.Certificate], seen: Held | None, now: datetime, policy: Policy
) -> tuple[Held, tuple[Reason, ...]]:
    """Return what is held with the CAs that somebody else took out of the Secret, whose leaves are still served."""
    ends = [until for until in (before.until, seen.until if seen else None) if until]
    until = max(ends) if before.previous and ends else None
    previous = before.previous if until is None or now < until else ()
    held = replace(before, previous=previous, until=until if previous else None)
    if seen:
        wanted = (
            seen.certificates if seen.until and now < seen.until else replace(seen, previous=()).certificates
        )
    else:
        wanted = () if before.ca else tuple(trusted)
    lost = tuple(one for one in wanted if one not in held.certificates and now < one.not_valid_after_utc)
    if not lost:
        return held, ()
    kept = replace(held, previous=(*lost, *previous)[:MOST_PREVIOUS], until=_last_leaf(now, policy))
    return kept, (
        Reason("kept", f"{_names(lost)} left the Secret from outside: trusted until its leaves are gone"),
    )


def _signing(
    held: Held, before: Held, observed: Observed, memory: Memory, policy: Policy
) -> tuple[Held, tuple[Reason, ...]]:
    """Return what is held with the CA that signs from now on, and the one that is introduced."""
    now = observed.now
    if not held.ca:
        why = "; ".join(before.faults) or "the Secret is empty"
        if held.next:
            detail = f"{_names([held.next.certificate])} signs at once: {why}"
            return replace(held, ca=held.next, next=None), (Reason("promoted", detail),)
        born = new_authority(now, policy.ca_lifetime)
        action: Action = "regenerated" if before.faults else "created"
        return replace(held, ca=born), (Reason(action, f"{_names([born.certificate])}: {why}"),)
    if not held.next:
        if not observed.rotate and now < rotates_at(held.ca.certificate):
            return held, ()
        born = new_authority(now, policy.ca_lifetime)
        why = "asked for by annotation" if observed.rotate else "two thirds of the CA's life are over"
        detail = f"{_names([born.certificate])} is trusted before it signs: {why}"
        return replace(held, next=born), (Reason("introduced", detail),)
    left = held.ca.certificate.not_valid_after_utc - now
    # A CA about to end cannot wait: leaves of one that a slow API server does not know yet beat expired ones.
    settle = policy.settle if left > policy.settle + policy.slack else timedelta(0)
    known = bool(memory.introduced) and observed.uptime - memory.since >= settle.total_seconds()
    if not known:
        return held, ()
    old = held.ca.certificate
    promoted = replace(
        held,
        ca=held.next,
        next=None,
        previous=(old, *held.previous)[:MOST_PREVIOUS],
        until=_last_leaf(now, policy),
    )
    return promoted, (Reason("promoted", f"{_names([held.next.certificate])} signs, after {_names([old])}"),)


def _dated(held: Held, before: Held, now: datetime, policy: Policy) -> tuple[Held, tuple[Reason, ...]]:
    """Return what is held with an end for what is still trusted, and the reason when something was retired."""
    gone = [one for one in before.previous if one not in held.certificates]
    reasons = (Reason("retired", f"{_names(gone)}: no leaf of it can be left"),) if gone else ()
    if not held.previous:
        return replace(held, until=None), reasons
    last = max(certificate.not_valid_after_utc for certificate in held.previous)
    return replace(held, until=min(held.until or _last_leaf(now, policy), last)), reasons


def _last_leaf(now: datetime, policy: Policy) -> datetime:
    """Return when the last leaf of a CA that stops signing now has ended, in whole seconds."""
    return (now + policy.leaf_lifetime + policy.slack + timedelta(seconds=1)).replace(microsecond=0)


def _names(certificates: Iterable[x509.Certificate]) -> str:
    return ", ".join(certificate.subject.rfc4514_string() for certificate in certificates)
