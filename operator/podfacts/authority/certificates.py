"""Makes and reads the certificates: a CA of our own, and short-lived leaves signed with it in memory.

Nothing here reads a clock or a file, so that every expiry can be tested. Everything read from outside is doubted:
what is not exactly a CA that this module could have made raises ValueError with one sentence, because a torn or
foreign pair that gets as far as a TLS context breaks the server that loads it.

One kind of key only, ECDSA P-256 with SHA-256: every Kubernetes since 1.16 verifies it, and it signs in 0.05 ms.
"""

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Clocks of nodes differ, and a certificate that is not yet valid fails like an expired one (kubectl#1307).
BACKDATED = timedelta(hours=1)

ORGANIZATION = "podfacts"


@dataclass(frozen=True)
class Authority:
    """A CA that can sign: its certificate and its key, known to belong together."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM, byte for byte the same every time."""
        return certificate_pem(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """The key as PEM (PKCS #8), byte for byte the same every time."""
        return _key_pem(self.key)


@dataclass(frozen=True)
class Leaf:
    """What a TLS server loads: certificate and key as PEM, and when to sign the next one."""

    chain: bytes
    key: bytes
    not_before: datetime
    not_after: datetime
    renew_at: datetime  # Two thirds of the way from signing to not_after.


def new_authority(now: datetime, lifetime: timedelta) -> Authority:
    """Return a new CA. Its subject holds a part of its key's hash: no two generations share a name.

    Go's verifier (and OpenSSL's) looks for the issuer by name first: two CAs of one name in a bundle make it try the
    wrong key, and report that failure instead of the true one.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _name(f"podfacts CA {ski.digest.hex()[:12]}")
    certificate = (
        _builder(name, name, key.public_key(), _whole(now) - BACKDATED, _whole(now + lifetime))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(ski, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def sign_leaf(
    ca_certificate: bytes, ca_key: bytes, dns_names: Sequence[str], now: datetime, lifetime: timedelta
) -> Leaf:
    """Return a new key and a server certificate for the names, signed by the CA (both PEM).

    A name may also be an IP address. The leaf never outlives its CA. Raises ValueError with one sentence when
    the CA is torn, garbage, expired or not yet valid.
    """
    authority = parse_authority(ca_certificate, ca_key)
    if reason := unusable(authority.certificate, now):
        raise ValueError(reason)
    if not dns_names:
        raise ValueError("a server certificate needs at least one DNS name")
    ca = authority.certificate
    ski = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    key = ec.generate_private_key(ec.SECP256R1())
    not_before = max(_whole(now) - BACKDATED, ca.not_valid_before_utc)
    not_after = min(_whole(now + lifetime), ca.not_valid_after_utc)
    certificate = (
        _builder(_name("podfacts webhook"), ca.subject, key.public_key(), not_before, not_after)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in dns_names]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return Leaf(
        chain=certificate_pem(certificate),
        key=_key_pem(key),
        not_before=not_before,
        not_after=not_after,
        renew_at=now + (not_after - now) * 2 / 3,
    )


def parse_authority(certificate: bytes, key: bytes) -> Authority:
    """Return the CA that the two PEM texts hold. Its validity in time is not looked at.

    Raises ValueError with one sentence when they are not one certificate of a CA and the key that belongs to it.
    """
    certificates = parse_certificates(certificate)
    if len(certificates) != 1:
        raise ValueError(f"the CA file holds {len(certificates)} certificates instead of one")
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The cause is left out on purpose: nothing that was in a key file may reach a log.
        raise ValueError("the CA's key is not an unencrypted PEM private key") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError("the CA's key is not an ECDSA key")  # noqa: TRY004  a user's mistake, not a caller's
    if private.public_key() != certificates[0].public_key():
        raise ValueError("the CA's certificate and key do not belong together")
    return Authority(certificates[0], private)


def parse_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the CA certificates in a PEM text; raises ValueError unless each is a CA of the kind made here."""
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError("the CA's certificate is not PEM") from None
    for certificate in certificates:
        if reason := _foreign(certificate):
            raise ValueError(reason)
    return tuple(certificates)


def unusable(certificate: x509.Certificate, now: datetime) -> str | None:
    """Return why a certificate does not hold at this time, or None when it does."""
    if now >= certificate.not_valid_after_utc:
        return f"the CA expired at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    if now < certificate.not_valid_before_utc:
        return f"the CA is valid only from {certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"
    return None


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, to tell certificates apart in logs and in memory."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _foreign(certificate: x509.Certificate) -> str | None:
    """Return why a certificate is not a CA made here. A flipped bit shows in the signature."""
    try:
        public = certificate.public_key()
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return "the certificate is not a CA's: an extension or its key cannot be read"
    if not constraints.ca or not usage.key_cert_sign:
        return "the certificate is not a CA's"
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        return "the CA's key is not ECDSA P-256"
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return "the CA's certificate is not signed by itself"
    return None


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=not_before,
        not_valid_after=not_after,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _whole(moment: datetime) -> datetime:
    """Return the moment in UTC without a fraction: X.509 has whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0)
