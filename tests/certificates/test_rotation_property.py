"""Simulated weeks: crashes between any two writes, outside overwrites, late kubelets, slow API servers.

The promise: at every instant each leaf that a replica serves verifies against the caBundle that each API server
knows. What cannot be promised is said where the model forgives it, and nowhere else:

- From an outside overwrite until the next whole round (and until the API servers have seen that round's bundle).
- For as long as a kubelet may lag, when an overwrite hits a controller that cannot know what was there before: its
  leader died since, or the content came and went between two rounds and some replica has signed with it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from podfacts.authority.certificates import Leaf, new_authority, sign_leaf
from podfacts.authority.rotation import Memory, Observed, Policy, decide
from podfacts.authority.secret import read
from tests.certificates.verification import HOST, NOW, verifies

POLICY = Policy(
    ca_lifetime=timedelta(hours=3),
    leaf_lifetime=timedelta(minutes=10),
    settle=timedelta(seconds=60),
    slack=timedelta(minutes=5),
)
KUBELET = timedelta(seconds=90)  # The longest until a replica sees a changed Secret.
API_SERVER = timedelta(seconds=20)  # The longest until an API server sees a changed bundle.
POLL = timedelta(seconds=5)


@dataclass
class Written:
    """One version of the Secret, or of the bundle, and for how long it was the current one."""

    content: dict[str, bytes]
    bundle: bytes
    at: datetime
    ours: bool = True
    polled: bool = True


@dataclass
class Replica:
    """One admission server: what its kubelet shows it and what it serves."""

    lag: timedelta
    seen: int = 0
    leaf: Leaf | None = None
    ca: bytes = b""
    log: list[str] = field(default_factory=list)

    def look(self, content: dict[str, bytes], now: datetime) -> None:
        """Sign anew when the mounted CA changed or the leaf is due; keep the last good leaf on anything unsound."""
        ca = content.get("ca.crt", b"")
        if self.leaf and ca == self.ca and now < self.leaf.renew_at:
            return
        try:
            self.leaf = sign_leaf(ca, content.get("ca.key", b""), [HOST], now, POLICY.leaf_lifetime)
            self.ca = ca
        except ValueError as error:
            self.log.append(str(error))


class Rotation(RuleBasedStateMachine):
    """The Secret and the bundle, their writers, and everybody who reads them late."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.uptime = 0.0
        self.secrets = [Written({}, b"", NOW)]
        self.in_force = [Written({}, b"", NOW)]
        self.rotate = False
        self.memory = Memory()
        # One is shown everything at once, one as late as can be, and one by chance.
        self.replicas = [Replica(timedelta(0)), Replica(KUBELET), Replica(KUBELET)]
        self.forgiven_until = NOW
        self.disturbed = False
        self.verified: set[tuple[bytes, bytes]] = set()

    # -- what is there -------------------------------------------------------------------------------------------

    @property
    def data(self) -> dict[str, bytes]:
        """What the Secret holds now."""
        return self.secrets[-1].content

    @property
    def ca_bundle(self) -> bytes:
        """The caBundle now."""
        return self.in_force[-1].bundle

    def _write_secret(self, content: dict[str, bytes], *, ours: bool) -> None:
        self.secrets.append(Written(content, b"", self.now, ours=ours, polled=ours))

    def _write_bundle(self, bundle: bytes, *, ours: bool) -> None:
        self.in_force.append(Written({}, bundle, self.now, ours=ours))

    # -- the controller ------------------------------------------------------------------------------------------

    def _round(self, stop_after: str = "", overwritten: dict[str, bytes] | None = None) -> None:
        """One round as the controller makes it: read both, write the Secret, write the bundle."""
        before, version = self.data, len(self.secrets)
        if read(before, self.now).ca is None:
            # The rule of the first start: a new CA signs as soon as it is written, so until its bundle is known
            # there may be leaves of it that are not trusted.
            self.forgiven_until = max(self.forgiven_until, self.now + API_SERVER)
        self.secrets[-1].polled = True
        step = decide(
            Observed(before, self.rotate, self.ca_bundle, self.now, self.uptime), self.memory, POLICY
        )
        assert (step.data is None and step.bundle is None) == (not step.reasons)
        if overwritten is not None:
            self._overwrite_secret(overwritten)
        if stop_after == "read":
            return self._crash()
        if step.data is not None:
            if len(self.secrets) != version:  # Compare-and-swap fails: nothing more in this round.
                return None
            assert dict(step.data) != before or self.rotate
            self._check_written(before, dict(step.data))
            self._write_secret(dict(step.data), ours=True)
            self.rotate = False
        self.memory = step.memory
        if stop_after == "secret":
            return self._crash()
        if step.bundle is not None:
            assert step.bundle != self.ca_bundle
            self._write_bundle(step.bundle, ours=True)
        if self.disturbed and len(self.secrets) - version <= 1 and overwritten is None:
            self.disturbed = False
            self.forgiven_until = max(self.forgiven_until, self.now + API_SERVER)
        return None

    def _check_written(self, before: dict[str, bytes], after: dict[str, bytes]) -> None:
        """The key that signs is never lost by a write of ours, and what signs now was trusted before."""
        old, new = read(before, self.now), read(after, self.now)
        assert new.ca is not None
        assert new.faults == ()
        if old.ca and new.ca.certificate != old.ca.certificate:
            assert old.next is not None
            assert new.ca.certificate == old.next.certificate
            assert old.next.certificate_pem in self.ca_bundle
            assert old.ca.certificate in new.previous
        if old.ca and new.ca.certificate == old.ca.certificate and old.next:
            assert new.next is not None

    def _crash(self) -> None:
        self.memory = Memory()
        self.uptime = 0.0
        if self.disturbed:
            self._forgive_a_kubelet()

    def _forgive_a_kubelet(self) -> None:
        self.forgiven_until = max(self.forgiven_until, self.now + KUBELET + 2 * API_SERVER)

    # -- time ----------------------------------------------------------------------------------------------------

    def _pass(self, span: timedelta) -> None:
        self.now += span
        self.uptime += span.total_seconds()
        while len(self.secrets) > 1 and self.secrets[1].at <= self.now - KUBELET:
            del self.secrets[0]
            for replica in self.replicas:
                replica.seen = max(0, replica.seen - 1)
        while len(self.in_force) > 1 and self.in_force[1].at <= self.now - API_SERVER:
            del self.in_force[0]
        for replica in self.replicas:
            shown = [index for index, one in enumerate(self.secrets) if one.at <= self.now - replica.lag]
            replica.seen = max(replica.seen, *shown[-1:], 0)
            replica.look(self.secrets[replica.seen].content, self.now)

    @initialize(rounds=st.integers(1, 3))
    def first_start(self, rounds: int) -> None:
        """Start from what the manifests ship: nothing."""
        for _ in range(rounds):
            self._round()
            self._pass(POLL)
        for replica in self.replicas:  # A kubelet starts no container before the Secret is filled.
            replica.seen = len(self.secrets) - 1
            replica.look(self.data, self.now)

    @rule(polls=st.integers(1, 40))
    def time_passes(self, polls: int) -> None:
        """Let rounds follow one another as they should."""
        for _ in range(polls):
            self._pass(POLL)
            self._round()
            self._promise()

    @rule(minutes=st.integers(20, 70))
    def quiet_time_passes(self, minutes: int) -> None:
        """Longer steps, to reach the end of lives: as many rounds as a rotation needs, none in between."""
        for _ in range(minutes):
            for _ in range(4):
                self._pass(timedelta(seconds=15))
                self._round()
                self._promise()

    @rule(seconds=st.integers(1, 4))
    def a_moment_passes(self, seconds: int) -> None:
        """Let less time pass than there is between two rounds."""
        self._pass(timedelta(seconds=seconds))

    @rule(steps=st.integers(1, 5))
    def a_kubelet_shows_a_newer_secret(self, steps: int) -> None:
        """Show the third replica what it would see later."""
        replica = self.replicas[2]
        replica.seen = min(len(self.secrets) - 1, replica.seen + steps)
        replica.look(self.secrets[replica.seen].content, self.now)

    @rule(index=st.integers(0, 2))
    def a_replica_restarts(self, index: int) -> None:
        """It serves nothing (and is not ready) until it has signed with what its kubelet shows it."""
        replica = self.replicas[index]
        replica.leaf = None
        replica.look(self.secrets[replica.seen].content, self.now)

    @rule(where=st.sampled_from(["", "read", "secret"]))
    def a_round_is_cut_short(self, where: str) -> None:
        """Kill the leader after a write, or before any."""
        self._round(stop_after=where)

    @rule()
    def the_leader_changes(self) -> None:
        """Let somebody lead who has seen nothing yet."""
        self._crash()

    # -- everybody else ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.data)
    @rule()
    def somebody_asks_for_a_rotation(self) -> None:
        """Set the annotation."""
        self.rotate = True

    @rule(content=st.sampled_from(["empty", "garbage", "torn", "expired", "future", "another"]))
    def somebody_overwrites_the_secret(self, content: str) -> None:
        """Replace all that the Secret holds."""
        self._overwrite_secret(self._planted(content))

    @rule(content=st.sampled_from(["empty", "garbage", "another"]))
    def somebody_writes_between_our_read_and_our_write(self, content: str) -> None:
        """Make our compare-and-swap fail."""
        self._round(overwritten=self._planted(content))

    @rule(content=st.sampled_from(["empty", "garbage", "foreign", "more"]))
    def somebody_overwrites_the_bundle(self, content: str) -> None:
        """Do what a GitOps tool does, or worse."""
        foreign = new_authority(self.now, POLICY.ca_lifetime).certificate_pem
        texts = {"empty": b"", "garbage": b"garbage", "foreign": foreign, "more": self.ca_bundle + foreign}
        if content == "foreign" or read(self.data, self.now).ca is None:
            self._forgive_a_kubelet()
        self.disturbed = True
        self._write_bundle(texts[content], ours=False)

    def _overwrite_secret(self, content: dict[str, bytes]) -> None:
        if not self.secrets[-1].polled or not self.memory.held or self.disturbed:
            self._forgive_a_kubelet()
        self.disturbed = True
        self._write_secret(content, ours=False)

    def _planted(self, content: str) -> dict[str, bytes]:
        def pair(born: datetime) -> dict[str, bytes]:
            authority = new_authority(born, POLICY.ca_lifetime)
            return {"ca.crt": authority.certificate_pem, "ca.key": authority.key_pem}

        return {
            "empty": {},
            "garbage": {**self.data, "ca.key": b"garbage", "next.crt": b"\xff"},
            "torn": {**self.data, "ca.crt": pair(self.now)["ca.crt"]},
            "expired": pair(self.now - timedelta(hours=5)),
            "future": pair(self.now + timedelta(hours=5)),
            "another": pair(self.now),
        }[content]

    # -- the promise ---------------------------------------------------------------------------------------------

    @invariant()
    def _promise(self) -> None:
        if self.disturbed or self.now < self.forgiven_until:
            return
        for replica in self.replicas:
            if replica.leaf is None:
                continue
            for known in self.in_force:  # Every one that some API server may still go by.
                pair = (replica.leaf.chain, known.bundle)
                assert self.now < replica.leaf.not_after, replica.log
                if known.ours and pair not in self.verified:
                    assert verifies(*pair, self.now) == "", replica.log
                    self.verified.add(pair)  # It stays so: a leaf never outlives its CA.

    def teardown(self) -> None:
        """Left alone, everything old goes: one CA, one in the bundle, nothing written any more."""
        self.rotate = False
        quiet = POLICY.leaf_lifetime + POLICY.slack + POLICY.settle
        for _ in range(
            2
        ):  # A rotation may have become due on the way: then there is a second one, and no third.
            for _ in range(int(quiet / POLL) + 4):
                self._pass(POLL)
                self._round()
                self._promise()
            if set(self.data) == {"ca.crt", "ca.key"}:
                break
        assert set(self.data) == {"ca.crt", "ca.key"}
        assert self.ca_bundle == self.data["ca.crt"]


Rotation.TestCase.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRotation = Rotation.TestCase
