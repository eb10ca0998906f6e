"""Verifies a served leaf against a caBundle as a TLS client would, at a moment that the test chooses."""

from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

HOST = "podfacts-webhook.podfacts-system.svc"
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@lru_cache(4096)
def verifies(leaf: bytes, bundle: bytes, now: datetime) -> str:
    """Return "" when the leaf is good for HOST, else what the verifier says."""
    try:
        store = Store(x509.load_pem_x509_certificates(bundle))
        verifier = PolicyBuilder().store(store).time(now).build_server_verifier(x509.DNSName(HOST))
        verifier.verify(x509.load_pem_x509_certificate(leaf), [])
    except (VerificationError, ValueError) as error:
        return str(error)
    return ""
