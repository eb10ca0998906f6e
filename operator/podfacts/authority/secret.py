"""Reads and writes the form of the CA Secret and of the caBundle: bytes to what is sound in them, and back.

Everybody with rights on the Secret may have written to it, so nothing here raises on any content: what is not sound
is left out, and `faults` says why. What is written is one text for one content, so that equal bytes mean that there
is nothing to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from podfacts.authority.certificates import (
    Authority,
    certificate_pem,
    fingerprint,
    parse_authority,
    parse_certificates,
    unusable,
)

DATA_KEYS = ("ca.crt", "ca.key", "next.crt", "next.key", "previous.crt", "previous-until")


@dataclass(frozen=True)
class Held:
    """What the Secret holds, as far as it is sound. `faults` says what is not."""

    ca: Authority | None = None
    next: Authority | None = None
    previous: tuple[x509.Certificate, ...] = ()
    until: datetime | None = None
    faults: tuple[str, ...] = ()

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Every certificate that is to be trusted."""
        return (*(authority.certificate for authority in (self.ca, self.next) if authority), *self.previous)


def read(data: Mapping[str, bytes], now: datetime) -> Held:
    """Return what is sound in the Secret's data at this time."""
    ca, ca_fault = _read_authority(data, "ca", now)
    introduced, next_fault = _read_authority(data, "next", now)
    if ca and introduced and introduced.certificate == ca.certificate:
        introduced = None
    previous, previous_fault = _read_previous(data.get("previous.crt", b""), now)
    signing = [authority.certificate for authority in (ca, introduced) if authority]
    until, until_fault = _read_until(data.get("previous-until", b""))
    return Held(
        ca=ca,
        next=introduced,
        previous=tuple(certificate for certificate in previous if certificate not in signing),
        until=until,
        faults=tuple(fault for fault in (ca_fault, next_fault, previous_fault, until_fault) if fault),
    )


def render(held: Held) -> dict[str, bytes]:
    """Return the Secret's data, byte for byte the same for the same content."""
    data: dict[str, bytes] = {}
    for name, authority in (("ca", held.ca), ("next", held.next)):
        if authority:
            data |= {f"{name}.crt": authority.certificate_pem, f"{name}.key": authority.key_pem}
    if held.previous and held.until:
        data["previous.crt"] = b"".join(certificate_pem(certificate) for certificate in held.previous)
        data["previous-until"] = held.until.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    return data


def render_bundle(held: Held) -> bytes:
    """Return the caBundle. Ordered by age, so that a promotion alone does not change it."""
    ordered = sorted(held.certificates, key=lambda one: (one.not_valid_before_utc, fingerprint(one)))
    return b"".join(certificate_pem(certificate) for certificate in ordered)


def read_bundle(bundle: bytes) -> tuple[x509.Certificate, ...]:
    """Return the CAs in a caBundle that somebody else may have written; one that is garbage holds none."""
    try:
        return parse_certificates(bundle) if bundle.strip() else ()
    except ValueError:
        return ()


def foreign_keys(data: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what the Secret holds that is not ours, to leave it there."""
    return {key: value for key, value in data.items() if key not in DATA_KEYS}


def _read_authority(data: Mapping[str, bytes], name: str, now: datetime) -> tuple[Authority | None, str]:
    certificate, key = data.get(f"{name}.crt", b""), data.get(f"{name}.key", b"")
    if not certificate and not key:
        return None, ""
    try:
        authority = parse_authority(certificate, key)
    except ValueError as error:
        return None, f"{name}: {error}"
    reason = unusable(authority.certificate, now)
    return (None, f"{name}: {reason}") if reason else (authority, "")


def _read_previous(pem: bytes, now: datetime) -> tuple[tuple[x509.Certificate, ...], str]:
    if not pem:
        return (), ""
    try:
        certificates = parse_certificates(pem)
    except ValueError as error:
        return (), f"previous: {error}"
    return tuple(one for one in dict.fromkeys(certificates) if now < one.not_valid_after_utc), ""


def _read_until(text: bytes) -> tuple[datetime | None, str]:
    if not text:
        return None, ""
    try:
        until = datetime.fromisoformat(text.decode())
        # A time without a zone would mean another moment on each machine.
        return (until.astimezone(UTC), "") if until.tzinfo else (None, "previous-until: has no time zone")
    except (ValueError, OverflowError):
        return None, "previous-until: not an RFC 3339 time"
