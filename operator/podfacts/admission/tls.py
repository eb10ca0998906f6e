"""The certificate that is served, kept current from a folder without a restart.

A new one is tried in a context of its own, and taken into service only when that worked: a torn pair loaded into a live
context breaks every later handshake. So the last good one stays, whatever appears in the folder. Contents are
compared, never times: Kubernetes swaps a symbolic link, and times say nothing about what was read.

The folder holds either ``tls.crt`` and ``tls.key``, which are served as they are (cert-manager writes them), or ``ca.crt`` and
``ca.key``, with which a short-lived certificate is signed in memory. No key is ever written to a disk.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509

from podfacts.authority.certificates import Leaf, sign_leaf

Minimum = Literal["1.2", "1.3"]

SERVED = ("tls.crt", "tls.key")
SIGNING = ("ca.crt", "ca.key")

LAST_PART = 6

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM, and whether they are served or sign what is served."""

    certificate: bytes
    key: bytes
    signs: bool


@dataclass(frozen=True)
class Served:
    """A certificate in service."""

    context: ssl.SSLContext
    pair: Pair  # What it came from.
    given: x509.Certificate  # The first of that: what somebody else has to renew.
    not_before: datetime
    not_after: datetime
    renew_at: datetime | None  # None: renewed by who wrote the folder.


class CertificateSource:
    """Looks into the folder, and holds the certificate in service.

    ``loaded`` hears of each certificate taken into service, ``failed`` of each look that found none, with one sentence.
    """

    def __init__(
        self,
        folder: Path,
        *,
        dns_names: tuple[str, ...],
        lifetime: timedelta,
        minimum: Minimum = "1.3",
        loaded: Callable[[Served], None] = lambda _served: None,
        failed: Callable[[str], None] = lambda _reason: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.served: Served | None = None
        self._folder = folder
        self._dns_names = dns_names
        self._lifetime = lifetime
        self._minimum: Minimum = minimum
        self._loaded = loaded
        self._failed = failed
        self._clock = clock

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake."""
        if self.served is None:
            raise ssl.SSLError("there is no certificate yet")
        return self.served.context

    def unusable(self) -> str | None:
        """Why nobody can be served, or None."""
        if self.served is None:
            return f"no certificate yet in {self._folder}"
        if self.served.not_after <= self._clock():
            return f"the certificate expired at {self.served.not_after:%Y-%m-%dT%H:%M:%SZ}"
        return None

    def overdue(self) -> str | None:
        """That somebody should have renewed by now what the folder holds, or None: its life is in its last sixth.

        The controller renews its CA at two thirds, as cert-manager by default does.
        """
        if self.served is None:
            return None
        given, now = self.served.given, self._clock()
        life = given.not_valid_after_utc - given.not_valid_before_utc
        if not given.not_valid_after_utc - life / LAST_PART <= now < given.not_valid_after_utc:
            return None
        what = "CA" if self.served.pair.signs else "certificate"
        return f"the {what} ends at {given.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ} and has not been renewed"

    def look(self) -> None:
        """Look once."""
        now = self._clock()
        try:
            pair = read_pair(self._folder)
            if self.served is not None and pair == self.served.pair and not _due(self.served, now):
                return
            served = serve(pair, self._dns_names, now, self._lifetime, self._minimum)
            if self.served is not None:
                _refuse_future(served, now)
        except Exception as error:  # noqa: BLE001 - whatever somebody put there, the last good one stays
            self._failed(str(error) or type(error).__name__)
            return
        self.served = served
        self._loaded(served)

    async def watch(self, pause: float = 1.0) -> None:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(pause)


def read_pair(folder: Path) -> Pair:
    """Read what the folder holds now, from one generation of it: Kubernetes swaps ``..data`` to the next."""
    generation = folder / "..data"
    root = generation.resolve() if generation.exists() else folder
    for names, signs in ((SERVED, False), (SIGNING, True)):
        certificate, key = (_content(root / name) for name in names)
        if certificate and key:
            return Pair(certificate, key, signs)
        if certificate or key:
            raise ValueError(f"{folder} holds only one of {names[0]} and {names[1]}")
    raise ValueError(f"{folder} holds neither {' and '.join(SERVED)} nor {' and '.join(SIGNING)}")


def serve(
    pair: Pair, dns_names: tuple[str, ...], now: datetime, lifetime: timedelta, minimum: Minimum
) -> Served:
    """Return a context that serves the pair, or a certificate signed with it. Raises ValueError with one sentence."""
    leaf: Leaf | None = (
        sign_leaf(pair.certificate, pair.key, dns_names, now, lifetime) if pair.signs else None
    )
    chain, key = (leaf.chain, leaf.key) if leaf else (pair.certificate, pair.key)
    context = tls_context(chain, key, minimum)
    first = x509.load_pem_x509_certificates(chain)[0]
    if first.not_valid_after_utc <= now:
        raise ValueError(f"the certificate expired at {first.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}")
    return Served(
        context=context,
        pair=pair,
        given=x509.load_pem_x509_certificates(pair.certificate)[0],
        not_before=first.not_valid_before_utc,
        not_after=first.not_valid_after_utc,
        renew_at=leaf.renew_at if leaf else None,
    )


def tls_context(chain: bytes, key: bytes, minimum: Minimum) -> ssl.SSLContext:
    """Return a server's context. Python loads a key from a path only: here one that leads into memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[minimum]
    context.set_alpn_protocols(["http/1.1"])
    context.num_tickets = 0  # An API server keeps none: two writes fewer a handshake.
    memory = os.memfd_create("podfacts-certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(memory, "wb", closefd=False) as file:
            file.write(chain.rstrip() + b"\n" + key.rstrip() + b"\n")
        context.load_cert_chain(f"/proc/self/fd/{memory}", password=_no_password)
    except ssl.SSLError as error:
        reason = {"KEY_VALUES_MISMATCH": "its certificate and key do not belong together"}.get(
            error.reason or "", f"it cannot be loaded: {error.reason}"
        )
        raise ValueError(f"the certificate is not usable: {reason}") from None
    finally:
        os.close(memory)
    return context


def _no_password() -> str:
    """Without it OpenSSL would ask on the terminal for the password of an encrypted key."""
    raise ValueError("the key is encrypted")


def _refuse_future(served: Served, now: datetime) -> None:
    """One that is not valid yet replaces none that is. As the first one it may: our own clock may be the wrong one."""
    if served.not_before > now:
        raise ValueError(f"the certificate is valid only from {served.not_before:%Y-%m-%dT%H:%M:%SZ}")


def _due(served: Served, now: datetime) -> bool:
    """Whether to sign anew: at its time, or because our clock was ahead when it was signed and has been put right."""
    return served.renew_at is not None and not served.not_before <= now < served.renew_at


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes().strip()
    except FileNotFoundError:
        return b""
