"""Whatever happens in the certificate folder, the last good certificate is served, and a new one harms nobody."""

import asyncio
import itertools
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from podfacts.admission.tls import CertificateSource, Minimum, Served, read_pair
from podfacts.authority.certificates import Authority, Leaf, new_authority, sign_leaf
from podfacts.serving.listener import Limits, Listener, bind
from podfacts.serving.messages import Reply
from tests.server.folder import MountedSecret
from tests.server.wire import HOST, NAME, Client, post, trusting

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Watched:
    """A source, its folder, its clock and all it has told."""

    def __init__(self, path: Path, now: datetime = NOW, minimum: Minimum = "1.3") -> None:
        self.secret = MountedSecret(path / "certificates")
        self.now = now
        self.loaded: list[Served] = []
        self.failed: list[str] = []
        self.source = CertificateSource(
            self.secret.path,
            dns_names=(NAME,),
            lifetime=DAY,
            minimum=minimum,
            loaded=self.loaded.append,
            failed=self.failed.append,
            clock=lambda: self.now,
        )

    def look(self) -> Served | None:
        """Look, and return what is served then."""
        self.source.look()
        return self.source.served


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def authority(now: datetime = NOW, lifetime: timedelta = 365 * DAY) -> Authority:
    return new_authority(now, lifetime)


def served_pair(ca: Authority, now: datetime = NOW, lifetime: timedelta = DAY) -> Leaf:
    return sign_leaf(ca.certificate_pem, ca.key_pem, [NAME], now, lifetime)


def test_a_leaf_is_signed_with_the_ca(watched: Watched) -> None:
    watched.secret.write_authority(authority())
    served = watched.look()
    assert served is not None
    assert served.not_after == NOW + DAY
    assert served.renew_at == NOW + DAY * 2 / 3
    assert (len(watched.loaded), watched.failed, watched.source.unusable()) == (1, [], None)


def test_nothing_happens_while_nothing_changes(watched: Watched) -> None:
    ca = authority()
    watched.secret.write_authority(ca)
    first = watched.look()
    watched.now += DAY * 0.6
    assert watched.look() is first
    watched.secret.write_authority(ca)  # Other files, other times, the same content.
    assert watched.look() is first


@pytest.mark.fault("T14")
def test_a_leaf_is_renewed_at_two_thirds_of_its_life(watched: Watched) -> None:
    watched.secret.write_authority(authority())
    first = watched.look()
    watched.now += DAY * 0.67
    second = watched.look()
    assert first is not None
    assert second is not None
    assert second.context is not first.context
    assert second.not_after == watched.now.replace(microsecond=0) + DAY


@pytest.mark.fault("T15")
def test_a_new_ca_signs_at_once(watched: Watched) -> None:
    watched.secret.write_authority(authority())
    first = watched.look()
    watched.secret.write_authority(authority())
    assert watched.look() is not first
    assert len(watched.loaded) == 2


def test_a_served_pair_is_served_as_it_is_and_swapped_when_it_changes(watched: Watched) -> None:
    ca = authority()
    leaf = served_pair(ca)
    files = {"tls.crt": leaf.chain, "tls.key": leaf.key, "ca.crt": ca.certificate_pem}
    watched.secret.write(files)
    first = watched.look()
    assert first is not None
    assert (first.not_after, first.renew_at) == (leaf.not_after, None)
    watched.now += DAY * 0.9
    assert watched.look() is first  # Its renewal is the business of who wrote it.
    other = served_pair(ca, watched.now)
    watched.secret.write({"tls.crt": other.chain, "tls.key": other.key})
    second = watched.look()
    assert second is not None
    assert second.not_after == other.not_after


def bad_contents() -> dict[str, tuple[dict[str, bytes], str]]:
    one, other = authority(), authority()
    leaf, second = served_pair(one), served_pair(one)
    expired = authority(NOW - 30 * DAY, 10 * DAY)
    encrypted = one.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password")
    )
    return {
        "an empty folder": ({}, "holds neither"),
        "empty files": ({"ca.crt": b"", "ca.key": b"\n"}, "holds neither"),
        "a ca without key": ({"ca.crt": one.certificate_pem}, "holds only one of ca.crt and ca.key"),
        "a served one without key": ({"tls.crt": leaf.chain}, "holds only one of tls.crt and tls.key"),
        "a torn ca": ({"ca.crt": one.certificate_pem, "ca.key": other.key_pem}, "do not belong together"),
        "a torn pair": ({"tls.crt": leaf.chain, "tls.key": second.key}, "do not belong together"),
        "garbage as ca": ({"ca.crt": b"\xff\x00 garbage", "ca.key": b"garbage"}, "not PEM"),
        "garbage as pair": ({"tls.crt": b"\xff\x00 garbage", "tls.key": b"garbage"}, "not usable"),
        "garbage as key": ({"tls.crt": leaf.chain, "tls.key": b"garbage"}, "not usable"),
        "an encrypted key": ({"tls.crt": leaf.chain, "tls.key": encrypted}, "encrypted"),
        "a truncated certificate": ({"tls.crt": leaf.chain[:200], "tls.key": leaf.key}, "not usable"),
        "an expired ca": ({"ca.crt": expired.certificate_pem, "ca.key": expired.key_pem}, "expired at 2026-11-03"),
    }  # fmt: skip


BAD = bad_contents()


@pytest.mark.fault("T17")
@pytest.mark.parametrize(("files", "said"), BAD.values(), ids=BAD.keys())
def test_bad_content_leaves_the_last_good_one(watched: Watched, files: dict[str, bytes], said: str) -> None:
    watched.secret.write_authority(authority())
    good = watched.look()
    assert good is not None
    watched.secret.write(files)
    for _ in range(2):
        assert watched.look() is good
    assert len(watched.failed) == 2
    assert said in watched.failed[-1]
    assert "PRIVATE" not in watched.failed[-1]
    assert watched.source.unusable() is None
    watched.secret.write_authority(authority())
    assert watched.look() is not good


@pytest.mark.fault("T17")
@pytest.mark.parametrize(("files", "said"), BAD.values(), ids=BAD.keys())
def test_bad_content_at_the_start_waits_for_better(
    watched: Watched, files: dict[str, bytes], said: str
) -> None:
    watched.secret.write(files)
    assert watched.look() is None
    assert said in watched.failed[-1]
    assert watched.source.unusable() == f"no certificate yet in {watched.secret.path}"
    with pytest.raises(ssl.SSLError, match="no certificate yet"):
        watched.source.context()
    watched.secret.write_authority(authority())
    assert watched.look() is not None
    assert watched.source.unusable() is None


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    failed: list[str] = []
    source = CertificateSource(tmp_path / "later", dns_names=(NAME,), lifetime=DAY, failed=failed.append)
    source.look()
    assert (source.served, len(failed)) == (None, 1)


@pytest.mark.fault("T17")
def test_an_expired_pair_is_not_taken(watched: Watched) -> None:
    leaf = served_pair(authority(NOW - 10 * DAY), NOW - 5 * DAY)
    watched.secret.write({"tls.crt": leaf.chain, "tls.key": leaf.key})
    assert watched.look() is None
    assert watched.failed == ["the certificate expired at 2026-11-19T12:00:00Z"]


@pytest.mark.fault("T17")
def test_a_pair_of_the_future_replaces_none_that_is_valid(watched: Watched) -> None:
    watched.secret.write_authority(authority())
    good = watched.look()
    leaf = served_pair(authority(NOW, 365 * DAY), NOW + DAY)
    watched.secret.write({"tls.crt": leaf.chain, "tls.key": leaf.key})
    assert watched.look() is good
    assert watched.failed == ["the certificate is valid only from 2026-11-24T11:00:00Z"]
    watched.now = NOW + DAY
    assert watched.look() is not good


@pytest.mark.fault("T18")
def test_what_is_served_can_expire(watched: Watched) -> None:
    watched.secret.write_authority(authority(lifetime=timedelta(hours=2)))
    assert watched.look() is not None
    watched.now += timedelta(hours=3)
    assert watched.look() is not None  # Served all the same: who else would?
    assert watched.failed == ["the CA expired at 2026-11-23T14:00:00Z"]
    assert watched.source.unusable() == "the certificate expired at 2026-11-23T14:00:00Z"


@pytest.mark.fault("T17")
def test_one_generation_of_the_folder_is_read_at_a_time(tmp_path: Path) -> None:
    secret = MountedSecret(tmp_path / "certificates")
    pairs = {each.certificate_pem.strip(): each for each in (authority(), authority())}
    secret.write_authority(next(iter(pairs.values())))
    stop = threading.Event()

    def swap() -> None:
        for each in itertools.cycle(pairs.values()):
            if stop.is_set():
                return
            secret.write_authority(each)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        read = [read_pair(secret.path) for _ in range(2000)]
    finally:
        stop.set()
        swapping.join()
    assert len({pair.certificate for pair in read}) == 2
    for pair in read:
        assert pair.key == pairs[pair.certificate].key_pem.strip()


def test_no_key_is_written_to_a_disk(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.secret.write_authority(authority())
    paths: list[str] = []
    load = ssl.SSLContext.load_cert_chain

    def loading(context: ssl.SSLContext, certfile: str, password: Callable[[], str]) -> None:
        paths.append(str(Path(certfile).readlink()))
        load(context, certfile, password=password)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", loading)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert watched.look() is not None
    assert [path.partition(":")[0] for path in paths] == ["/memfd"]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(("minimum", "works"), [("1.2", True), ("1.3", False)])
async def test_tls_1_2_only_where_it_is_allowed(tmp_path: Path, minimum: Minimum, works: bool) -> None:
    watched = Watched(tmp_path, datetime.now(UTC), minimum)
    ca = authority(datetime.now(UTC))
    watched.secret.write_authority(ca)
    assert watched.look() is not None
    old = ssl.create_default_context(cadata=ca.certificate_pem.decode())
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    listener, port = _listen(watched.source)
    try:
        if works:
            client = await _connect(port, old)
            assert (await client.ask(b"x")).status == 200
            await client.close()
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await _connect(port, old)
    finally:
        await listener.stop(1.0)


@pytest.mark.fault("T14")
async def test_rotation_while_requests_flow(tmp_path: Path) -> None:
    """CAs change 12 times, with torn pairs and garbage between; nobody on either kind of connection notices."""
    watched = Watched(tmp_path, datetime.now(UTC))
    ca = authority(datetime.now(UTC))
    watched.secret.write_authority(ca)
    trusted = [ca.certificate_pem]
    assert watched.look() is not None
    listener, port = _listen(watched.source)
    watching = asyncio.create_task(watched.source.watch(0.01))
    stop = asyncio.Event()
    answered = {"kept": 0, "new": 0}
    issuers: set[str] = set()

    async def keep_asking() -> None:
        client = await _connect(port, trusting(*trusted))
        while not stop.is_set():
            assert (await client.ask(b"kept")).body == b"kept"
            answered["kept"] += 1
            await asyncio.sleep(0)
        await client.close()

    async def ask_anew() -> None:
        while not stop.is_set():
            client = await _connect(port, trusting(*trusted))
            peer = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            issuers.add(x509.load_der_x509_certificate(peer).issuer.rfc4514_string())
            assert (await client.ask(b"new")).body == b"new"
            answered["new"] += 1
            await client.close()

    async with asyncio.TaskGroup() as group:
        for each in (keep_asking, keep_asking, keep_asking, ask_anew, ask_anew):
            group.create_task(each())
        for _ in range(12):
            following = authority(datetime.now(UTC))
            trusted.append(following.certificate_pem)  # Trusted before anything is signed with it.
            watched.secret.write({"ca.crt": ca.certificate_pem, "ca.key": following.key_pem})
            await asyncio.sleep(0.05)
            watched.secret.write({"ca.crt": b"garbage", "ca.key": following.key_pem})
            await asyncio.sleep(0.05)
            watched.secret.write_authority(following)
            await asyncio.sleep(0.1)
            ca = following
        stop.set()
    watching.cancel()
    await listener.stop(1.0)
    assert len(watched.loaded) == 13
    assert len(issuers) >= 12
    assert min(answered.values()) > 20


def _listen(source: CertificateSource) -> tuple[Listener, int]:
    bound = bind(HOST, 0)
    listener = Listener(
        bound, lambda request: Reply(200, request.body), limits=Limits(), context=source.context
    )
    listener.start()
    return listener, bound.getsockname()[1]


async def _connect(port: int, context: ssl.SSLContext) -> Client:
    return Client(*await asyncio.open_connection(HOST, port, ssl=context, server_hostname=NAME))


@pytest.mark.fault("T18")
@pytest.mark.parametrize("signs", [True, False])
def test_a_certificate_near_its_end_is_told_of_before_it_ends(watched: Watched, *, signs: bool) -> None:
    """The CA that signs here, or the certificate that others write: whoever renews it has not."""
    made = authority(lifetime=60 * DAY)
    leaf = served_pair(made, lifetime=60 * DAY)
    if signs:
        watched.secret.write({"ca.crt": made.certificate_pem, "ca.key": made.key_pem})
    else:
        watched.secret.write({"tls.crt": leaf.chain, "tls.key": leaf.key})
    for day, told in ((0, False), (41, False), (49, False), (51, True), (59, True), (61, False)):
        watched.now = NOW + day * DAY
        watched.look()
        said = watched.source.overdue()
        assert bool(said) is told, day
        # Until the last moment it serves, and from then on it says that.
        assert bool(watched.source.unusable()) is (day > 60)
    watched.now = NOW + 51 * DAY
    assert watched.source.overdue() == (
        f"the {'CA' if signs else 'certificate'} ends at 2027-01-22T12:00:00Z and has not been renewed"
    )


@pytest.mark.fault("T11")
async def test_a_client_that_leaves_as_it_comes_is_nobody_elses_fault(watched: Watched) -> None:
    """OpenSSL keeps errors by thread: that of one connection is not to end the request of another."""
    watched.now = datetime.now(UTC)
    ca = authority(watched.now)
    watched.secret.write_authority(ca)
    watched.look()
    listener, port = _listen(watched.source)
    trusted = trusting(ca.certificate_pem)
    for _ in range(20):
        kept = await _connect(port, trusted)
        leaving, last = await asyncio.to_thread(_all_but_the_last_of_a_handshake, port, trusted)
        # All before the server has a turn: it hears the end of a handshake from somebody who is gone, and has to wait for the
        # rest of a request.
        leaving.sendall(last)
        leaving.close()
        kept.writer.write(post(b"kept")[:-2])
        await asyncio.sleep(0.002)
        await kept.send(b"pt")
        assert (await kept.reply()).body == b"kept"
        await kept.close()
    await listener.stop(0.0)


def _all_but_the_last_of_a_handshake(port: int, context: ssl.SSLContext) -> tuple[socket.socket, bytes]:
    raw = socket.create_connection((HOST, port))
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(come, go, server_hostname=NAME)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            raw.sendall(go.read())
            come.write(raw.recv(65536))
        else:
            return raw, go.read()


def test_no_session_tickets_are_written(watched: Watched) -> None:
    watched.secret.write_authority(authority())
    served = watched.look()
    assert served is not None
    assert served.context.num_tickets == 0
