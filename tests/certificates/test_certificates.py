"""Certificates: what is made verifies with other people's verifiers, and what is not sound is refused in a sentence."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from podfacts.authority.certificates import (
    Authority,
    Leaf,
    new_authority,
    parse_authority,
    parse_certificates,
    sign_leaf,
)
from tests.certificates.verification import HOST, NOW, verifies

CA = new_authority(NOW, timedelta(days=365))
OTHER = new_authority(NOW, timedelta(days=365))


def leaf(
    ca: Authority = CA, now: datetime = NOW, hours: float = 24, names: tuple[str, ...] = (HOST,)
) -> Leaf:
    return sign_leaf(ca.certificate_pem, ca.key_pem, names, now, timedelta(hours=hours))


def test_a_leaf_verifies_against_its_ca_and_no_other() -> None:
    assert verifies(leaf().chain, CA.certificate_pem, NOW) == ""
    assert verifies(leaf().chain, OTHER.certificate_pem + CA.certificate_pem, NOW) == ""
    assert "candidates exhausted" in verifies(leaf().chain, OTHER.certificate_pem, NOW)


def test_a_leaf_holds_from_an_hour_ago_until_its_lifetime_ends() -> None:
    made = leaf(now=NOW + timedelta(days=1))
    assert made.not_before == NOW + timedelta(hours=23)
    assert made.not_after == NOW + timedelta(hours=48)
    assert made.renew_at == NOW + timedelta(hours=40)
    parsed = x509.load_pem_x509_certificate(made.chain)
    assert (parsed.not_valid_before_utc, parsed.not_valid_after_utc) == (made.not_before, made.not_after)


def test_a_short_leaf_is_renewed_in_the_future_although_it_is_backdated() -> None:
    assert leaf(hours=1 / 60).renew_at == NOW + timedelta(seconds=40)


def test_a_leaf_never_outlives_its_ca_and_is_not_older() -> None:
    ca = new_authority(NOW, timedelta(hours=2))
    made = leaf(ca, now=NOW)
    assert made.not_after == NOW + timedelta(hours=2)
    assert made.not_before == ca.certificate.not_valid_before_utc
    assert made.renew_at == NOW + timedelta(hours=2) * 2 / 3


def test_extensions_are_those_of_a_server_and_of_its_ca() -> None:
    certificate = x509.load_pem_x509_certificate(leaf(names=(HOST, "127.0.0.1")).chain)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [HOST]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    ca_id = CA.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    signer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert signer == ca_id
    constraints = CA.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)


def test_each_generation_has_its_own_name_and_each_certificate_its_own_serial() -> None:
    assert CA.certificate.subject != OTHER.certificate.subject
    serials = {x509.load_pem_x509_certificate(leaf().chain).serial_number for _ in range(20)}
    assert len(serials) == 20


def test_a_ca_reads_back_as_the_same_bytes() -> None:
    read = parse_authority(CA.certificate_pem, CA.key_pem)
    assert (read.certificate_pem, read.key_pem) == (CA.certificate_pem, CA.key_pem)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _self_signed(key: ec.EllipticCurvePrivateKey, *, ca: bool = True) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "foreign")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW, NOW + timedelta(days=1))
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    extensions = (
        x509.BasicConstraints(ca=ca, path_length=None),
        usage,
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _flipped() -> bytes:
    der = bytearray(CA.certificate.public_bytes(Encoding.DER))
    der[der.index(b"podfacts CA")] ^= 1
    return x509.load_der_x509_certificate(bytes(der)).public_bytes(Encoding.PEM)


P384, P256 = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())

UNSOUND: dict[str, tuple[bytes, bytes, str]] = {
    "nothing": (b"", b"", "not PEM"),
    "garbage": (b"\xff\x00garbage", b"garbage", "not PEM"),
    "torn certificate": (CA.certificate_pem[:200], CA.key_pem, "not PEM"),
    "torn key": (CA.certificate_pem, CA.key_pem[:60], "not an unencrypted PEM private key"),
    "no key": (CA.certificate_pem, b"", "not an unencrypted PEM private key"),
    "encrypted key": (CA.certificate_pem, _pem(P256, b"secret"), "not an unencrypted PEM private key"),
    "key and certificate the wrong way round": (CA.key_pem, CA.certificate_pem, "not PEM"),
    "another CA's key": (CA.certificate_pem, OTHER.key_pem, "do not belong together"),
    "an RSA key": (CA.certificate_pem, _pem(rsa.generate_private_key(65537, 2048)), "not an ECDSA key"),
    "two certificates": (
        CA.certificate_pem + OTHER.certificate_pem,
        CA.key_pem,
        "2 certificates instead of one",
    ),
    "a leaf": (leaf().chain, leaf().key, "not a CA's"),
    "not a CA": (_self_signed(P256, ca=False), _pem(P256), "not a CA's"),
    "a curve that we do not use": (_self_signed(P384), _pem(P384), "not ECDSA P-256"),
    "a flipped bit": (_flipped(), CA.key_pem, "not signed by itself"),
}


@pytest.mark.fault("T17")
@pytest.mark.parametrize(("certificate", "key", "reason"), UNSOUND.values(), ids=UNSOUND)
def test_an_unsound_ca_is_refused_in_one_sentence(certificate: bytes, key: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        sign_leaf(certificate, key, [HOST], NOW, timedelta(hours=1))
    assert "\n" not in str(caught.value)
    assert "PRIVATE KEY" not in str(caught.value)


@pytest.mark.fault("T18")
@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW + timedelta(days=365), "expired at 2027-"),
        (NOW + timedelta(days=900), "expired at 2027-"),
        (NOW - timedelta(hours=1, seconds=1), "valid only from 2026-"),
    ],
)
def test_a_ca_out_of_its_time_signs_nothing(now: datetime, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        leaf(now=now)


def test_a_ca_signs_at_the_edges_of_its_time() -> None:
    assert leaf(now=NOW - timedelta(hours=1)).not_before == CA.certificate.not_valid_before_utc
    assert leaf(now=NOW + timedelta(days=365, seconds=-1)).not_after == CA.certificate.not_valid_after_utc


@pytest.mark.parametrize("names", [(), ("näme.svc",)])
def test_names_that_no_certificate_can_hold_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="at least one DNS name|A-label"):
        leaf(names=names)


@pytest.mark.fault("T17")
@given(garbage=st.binary(max_size=300), cut=st.integers(0, 800))
def test_no_bytes_do_more_than_raise_value_error(garbage: bytes, cut: int) -> None:
    for certificate in (garbage, CA.certificate_pem[:cut] + garbage, CA.certificate_pem + garbage):
        for key in (garbage, CA.key_pem[:cut] + garbage):
            for read in (
                lambda c=certificate: parse_certificates(c),
                lambda c=certificate, k=key: parse_authority(c, k),
            ):
                _reads_or_refuses(read)


def _reads_or_refuses(read: Callable[[], object]) -> None:
    with contextlib.suppress(ValueError):
        read()


async def test_openssl_shakes_hands_with_the_leaf_under_strict_checks(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ca = new_authority(now, timedelta(days=1))
    made = leaf(ca, now=now)
    (tmp_path / "crt").write_bytes(made.chain)
    (tmp_path / "key").write_bytes(made.key)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=serving)
    port = server.sockets[0].getsockname()[1]

    async def handshake(bundle: Authority, host: str) -> None:
        trusting = ssl.create_default_context(cadata=bundle.certificate_pem.decode())
        trusting.verify_flags |= ssl.VERIFY_X509_STRICT
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=host)
        writer.close()
        await writer.wait_closed()

    async with server:
        await handshake(ca, HOST)
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            await handshake(ca, "other.svc")
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            await handshake(OTHER, HOST)
