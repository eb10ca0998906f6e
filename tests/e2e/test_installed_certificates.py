"""The certificates of the installed product: new ones are served without a restart, and what somebody breaks is repaired.

They reach the replicas as in any cluster: the kubelet shows a changed Secret to a pod when it looks at that pod again, which
is 60 to 90 s later at most.
"""

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
import yaml
from cryptography import x509

from podfacts.authority.certificates import new_authority, sign_leaf
from tests.e2e.conftest import REPOSITORY, wait_for
from tests.e2e.install import (
    COMPONENTS,
    DEPLOYED,
    SECRET,
    SYSTEM,
    Installed,
    Tree,
    leaf,
    namespaced,
    seconds,
)
from tests.e2e.install_load import Admissions, not_injected
from tests.e2e.install_replicas import spare
from tests.e2e.install_rights import asked, odd, rules

pytestmark = [
    pytest.mark.node,
    pytest.mark.timeout(1800),
]  # Some wait for kubelets and restarts, one after another.


@pytest.fixture(scope="module")
def namespace(here: Installed) -> Iterator[str]:
    with namespaced(here.api, "-certificates") as name:
        yield name


# -- new ones --------------------------------------------------------------------------------------------------------


class CertManager:
    """The overlay for cert-manager beside the installation, and what cert-manager would do for it, done by hand.

    cert-manager itself is not here. So its kinds are left out of the overlay; the Secret that it makes from them and the
    caBundle that it injects are written as it writes them. The namespace and the configuration have other names, to be
    there beside the installation's own, and the configuration is for `namespaces` alone.
    """

    NAMESPACE = "podfacts-by-cert-manager"
    NAME = "podfacts-by-cert-manager"

    def __init__(self, here: Installed, namespaces: list[str]) -> None:
        self.here = here
        self.ca = new_authority(datetime.now(UTC), timedelta(days=3650))
        text = here.kubectl("kustomize", str(REPOSITORY / "deploy/overlays/cert-manager"))
        trees = list(yaml.safe_load_all(text.replace(SYSTEM, self.NAMESPACE)))
        self.asked_of_cert_manager = [
            tree for tree in trees if tree["apiVersion"].startswith("cert-manager.io/")
        ]
        ours = [tree for tree in trees if tree not in self.asked_of_cert_manager]
        # No right on a Secret or on the configuration: that work is cert-manager's.
        assert not [tree for tree in ours if tree["metadata"]["name"] == "podfacts-controller-ca"]
        ours = [tree for tree in (self._beside(tree) for tree in ours) if tree]
        (configuration,) = (tree for tree in ours if tree["kind"] == "MutatingWebhookConfiguration")
        configuration["metadata"]["name"] = self.NAME
        only = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}
        for webhook in configuration["webhooks"]:
            webhook["clientConfig"]["caBundle"] = base64.b64encode(self.ca.certificate_pem).decode()
            webhook["namespaceSelector"] = {"matchExpressions": [only]}
        here.cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([ours[0], self.issue(), *ours[1:]]))

    def _beside(self, tree: Tree) -> Tree | None:
        """The same, for a second installation in the cluster; nothing of what the first one has for both."""
        if tree["kind"] == "ClusterRoleBinding":
            tree["metadata"]["name"] += "-by-cert-manager"
            return tree
        shared = tree["kind"].startswith(("ValidatingAdmissionPolicy", "CustomResource", "ClusterRole"))
        return None if shared else tree

    def issue(self) -> Tree:
        """Return the Secret with a certificate for what the overlay asks for."""
        (wanted,) = (
            tree for tree in self.asked_of_cert_manager if tree["metadata"]["name"] == "podfacts-webhook"
        )
        spec = wanted["spec"]
        now = datetime.now(UTC)
        made = sign_leaf(self.ca.certificate_pem, self.ca.key_pem, spec["dnsNames"], now, timedelta(days=90))
        self.serial = x509.load_pem_x509_certificates(made.chain)[0].serial_number
        data = {"tls.crt": made.chain, "tls.key": made.key, "ca.crt": self.ca.certificate_pem}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": spec["secretName"], "namespace": self.NAMESPACE},
            "type": "kubernetes.io/tls",
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }

    def renew(self) -> None:
        """Replace the certificate and its key by others of the same CA."""
        self.here.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(self.issue()))

    def pods(self) -> list[Tree]:
        path = f"/api/v1/namespaces/{self.NAMESPACE}/pods"
        query = {"labelSelector": "app.kubernetes.io/component in (webhook, webhook-spare)"}
        found: list[Tree] = self.here.api.call("GET", path, **query).body["items"]
        return found

    def served(self) -> set[int]:
        """The serial numbers that the replicas serve, each verified."""
        host = f"podfacts-webhook.{self.NAMESPACE}.svc"
        return {leaf(pod, self.ca.certificate_pem, host).serial_number for pod in self.pods()}

    def remove(self) -> None:
        self.here.kubectl("delete", "mutatingwebhookconfiguration", self.NAME)
        self.here.kubectl("delete", "namespace", self.NAMESPACE, "--wait=false")
        for component in COMPONENTS:
            self.here.kubectl("delete", "clusterrolebinding", f"podfacts-{component}-by-cert-manager")


@pytest.fixture(scope="module")
def cert_manager(here: Installed, namespace: str) -> Iterator[CertManager]:
    # The installation's own configuration leaves kube-node-lease out: a pod there has its facts from this one.
    made = CertManager(here, [namespace, "kube-node-lease"])
    try:
        for component in DEPLOYED:
            words = ("rollout", "status", f"deployment/podfacts-{component}", "-n", made.NAMESPACE)
            here.kubectl(*words, "--timeout=120s")
        yield made
    finally:
        made.remove()


def test_the_overlay_for_cert_manager_admits(here: Installed, cert_manager: CertManager) -> None:
    wait_for(lambda: not not_injected(here.api, "/api/v1/namespaces/kube-node-lease/pods"), 10)
    assert cert_manager.served() == {cert_manager.serial}
    kinds = [tree["kind"] for tree in cert_manager.asked_of_cert_manager]
    assert kinds == ["Issuer", "Certificate", "Issuer", "Certificate"]


END = b"-----END CERTIFICATE-----\n"


def issuers(here: Installed) -> set[str]:
    """Who has signed what the replicas and the spare serve, each verified against the caBundle in force."""
    bundle = here.bundle()
    return {leaf(pod, bundle).issuer.rfc4514_string() for pod in servers(here)}


def servers(here: Installed) -> list[Tree]:
    """The replicas and the spare."""
    return [*here.pods("webhook"), spare(here)]


def subject(ca: bytes) -> str:
    return x509.load_pem_x509_certificate(ca).subject.rfc4514_string()


@pytest.mark.fault("T14", "T15")
def test_new_certificates_arrive_and_nobody_notices(
    here: Installed, namespace: str, cert_manager: CertManager
) -> None:
    """The installation gets a new CA, the overlay for cert-manager a new certificate: one wait for the kubelet.

    A call that is lost would be repeated at the spare: none is, for every certificate is good.
    """
    # An API server sees a new caBundle within a second; the shipped minute of waiting for it would only be waited for.
    here.kubectl("set", "env", "deployment/podfacts-controller", "-n", SYSTEM, "PODFACTS_SETTLE=5s")
    here.wait_available()
    before = {pod["metadata"]["uid"] for pod in (*servers(here), *cert_manager.pods())}
    old = here.secret()["ca.crt"]
    assert issuers(here) == {subject(old)}

    with Admissions(here.cluster, namespace) as load:
        time.sleep(1)
        cert_manager.renew()
        here.kubectl("annotate", "secret", "podfacts-ca", "-n", SYSTEM, "podfacts.dev/rotate-ca=now")
        introduced = wait_for(lambda: here.secret().get("next.crt"), 20)
        wait_for(lambda: introduced in here.bundle(), 20)
        assert issuers(here) == {subject(old)}  # Trusted before anything is signed with it.
        wait_for(lambda: here.secret()["ca.crt"] == introduced, 30)
        wait_for(lambda: issuers(here) == {subject(introduced)}, 120)
        wait_for(lambda: cert_manager.served() == {cert_manager.serial}, 120)
        time.sleep(1)
    assert load.failed == []
    assert load.admitted > 300
    assert here.secret()["previous.crt"] == old  # Until no leaf of it can be left.
    assert sorted(here.bundle().split(END)) == sorted((introduced + old).split(END))
    assert "podfacts.dev/rotate-ca" not in here.api.call("GET", SECRET).body["metadata"].get(
        "annotations", {}
    )
    assert here.restarts() == 0
    after = [*servers(here), *cert_manager.pods()]
    assert {pod["metadata"]["uid"] for pod in after} == before
    assert {status["restartCount"] for pod in after for status in pod["status"]["containerStatuses"]} == {0}


# -- broken ones -----------------------------------------------------------------------------------------------------


@pytest.mark.fault("T19")
def test_a_blanked_bundle_is_healed(here: Installed, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    before = here.bundle()
    places = [
        f"/webhooks/{index}/clientConfig/caBundle" for index in range(2)
    ]  # The spare's too: nobody is left.
    foreign = base64.b64encode(new_authority(datetime.now(UTC), timedelta(days=1)).certificate_pem).decode()
    for operation in ({"op": "remove"}, {"op": "add", "value": foreign}):
        operations = json.dumps([{**operation, "path": place} for place in places])
        here.kubectl("patch", "mutatingwebhookconfiguration", "podfacts", "--type=json", "-p", operations)
        assert seconds(lambda: here.bundle() == before) < 10
        assert seconds(lambda: not not_injected(here.api, path)) < 5


@pytest.mark.fault("T17")
def test_an_emptied_secret_is_filled_and_nobody_notices(here: Installed, namespace: str) -> None:
    """A new CA, then; but the replicas serve leaves of the old one, so that one stays trusted."""
    old = here.secret()["ca.crt"]
    with Admissions(here.cluster, namespace) as load:
        time.sleep(1)
        here.kubectl("patch", "secret", "podfacts-ca", "-n", SYSTEM, "--type=json", "-p", EMPTY)
        assert seconds(lambda: here.trusts() and here.secret()["ca.crt"] != old) < 10
        time.sleep(2)
        assert old in here.bundle()
    assert load.failed == []
    assert load.admitted > 40


EMPTY = json.dumps([{"op": "remove", "path": "/data"}])


def said(here: Installed, event: str) -> list[str]:
    """Return what the controllers have said of an event, in detail."""
    lines = [line for name, told in here.lines.read().items() if "controller" in name for line in told]
    return [str(each.get("detail")) for each in map(json.loads, lines) if each["event"] == event]


@pytest.mark.fault("T17")
def test_what_was_deleted_is_missed_and_comes_back_with_the_manifest(here: Installed, namespace: str) -> None:
    """Alive meanwhile, and unready with the reason; it may create nothing itself."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    here.kubectl("delete", "mutatingwebhookconfiguration", "podfacts")
    (away,) = wait_for(lambda: said(here, "webhook configuration not there"), 10)
    assert away.startswith("mutatingwebhookconfigurations.admissionregistration.k8s.io/podfacts is away")
    here.kubectl("delete", "secret", "podfacts-ca", "-n", SYSTEM)

    def hindered() -> list[str]:
        answers = (here.probe(pod, "/readyz") for pod in here.pods("controller"))
        return [text for status, text in answers if status == HTTPStatus.SERVICE_UNAVAILABLE]

    (reason,) = wait_for(hindered, 10)  # The leader's; the other one has nothing to do yet.
    assert 'secrets "podfacts-ca" not found' in reason
    assert [here.probe(pod, "/healthz")[0] for pod in here.pods("controller")] == [HTTPStatus.OK] * 2
    wait_for(lambda: len(said(here, "the round did not end")) == 2, 20)
    here.apply()
    # It looks more and more rarely while it fails, at least every 36 s.
    assert seconds(lambda: here.trusts() and not not_injected(here.api, path)) < 15
    here.wait_available()
    assert here.restarts() == 0


# -- the end ---------------------------------------------------------------------------------------------------------


def test_the_logs_are_json_and_hold_no_key_and_no_error(here: Installed) -> None:
    assert len(here.lines.keys()) >= 9  # Of several CAs, then.
    assert here.lines.unfit() == []


def test_the_api_server_was_asked_for_nothing_that_rbac_does_not_say(here: Installed) -> None:
    for component in COMPONENTS:
        assert asked(here, component) <= rules(component)
        assert odd(here, component) == []
