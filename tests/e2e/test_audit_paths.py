"""The chains that the audit finds, walked on the real API server: each step with what the one before gave."""

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path as File
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podfacts.audit.escalation.paths import paths
from podfacts.audit.escalation.steps import Path
from podfacts.audit.gathered import Gathered
from podfacts.audit.intake import entry
from podfacts.audit.inventory import Inventory, live
from tests.cluster import Cluster
from tests.e2e.api import Api, Said
from tests.e2e.conftest import wait_for

pytestmark = pytest.mark.api

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"
CERTIFICATES = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
LISTS = (
    ("ClusterRole", f"{RBAC}/clusterroles"),
    ("Role", f"{RBAC}/roles"),
    ("ClusterRoleBinding", f"{RBAC}/clusterrolebindings"),
    ("RoleBinding", f"{RBAC}/rolebindings"),
    ("ServiceAccount", "/api/v1/serviceaccounts"),
    ("Namespace", "/api/v1/namespaces"),
    ("Pod", "/api/v1/pods"),
)
HAND = [
    {"verbs": ["bind"], "apiGroups": [GROUP], "resources": ["clusterroles"]},
    {"verbs": ["create"], "apiGroups": [GROUP], "resources": ["clusterrolebindings"]},
]


class Ground:
    """A namespace with accounts and grants of the test's own, and what the audit reads of the cluster."""

    def __init__(self, api: Api, cluster: Cluster, name: str) -> None:
        self.api, self.cluster, self.name = api, cluster, name
        api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        self.made: list[str] = []

    def account(self, name: str) -> str:
        self.api.create(f"/api/v1/namespaces/{self.name}/serviceaccounts", {"metadata": {"name": name}})
        return f"system:serviceaccount:{self.name}:{name}"

    def role(self, name: str, rules: list[Any], **more: Any) -> str:
        full = f"{self.name}-{name}"
        self.put(f"{RBAC}/clusterroles", {"metadata": {"name": full}, "rules": rules, **more})
        return full

    def grant(self, user: str, rules: list[Any] | str, *, inside: bool = False) -> None:
        """Bind a role, or one with these rules, to the user: in the namespace, or in the cluster."""
        role = rules if isinstance(rules, str) else self.role(f"r{len(self.made)}", rules)
        path = f"{RBAC}/namespaces/{self.name}/rolebindings" if inside else f"{RBAC}/clusterrolebindings"
        self.put(path, binding(f"{self.name}-b{len(self.made)}", role, user))

    def put(self, path: str, body: Any) -> None:
        self.api.create(path, body)
        self.made.append(f"{path}/{body['metadata']['name']}")

    def login(self, account: str) -> Api:
        """The API server as the account, with a token that its administrator made."""
        return Api(self.cluster.kubeconfig, token_of(self.api, account).body["status"]["token"])

    def inventory(self) -> Inventory:
        gathered = Gathered()
        for kind, path in LISTS:
            version = "v1" if path.startswith("/api/") else f"{GROUP}/v1"
            for item in self.api.call("GET", path).body["items"]:
                tree = {"kind": kind, "apiVersion": version, **item}
                place = live(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
                if found := entry(tree, lambda _, place=place: place, "default"):  # type: ignore[misc]
                    gathered.add(found)
        return gathered.live()

    def chain(self, source: str, goal: str = "cluster-admin") -> Path | None:
        found = paths(self.inventory(), source, goal)
        return found[0] if found else None


def binding(name: str, role: str, user: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "apiGroup": GROUP, "name": user}],
    }


def token_of(api: Api, account: str) -> Said:
    _, _, namespace, name = account.split(":")
    return api.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", {"spec": {}})


def everything(api: Api) -> bool:
    """Whether whoever this is may do everything now."""
    asked = {"spec": {"resourceAttributes": {"verb": "*", "group": "*", "resource": "*"}}}
    said = api.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", asked)
    return bool(said["status"]["allowed"])


def acting(api: Api, **headers: str) -> Api:
    """The same login, acting as somebody else."""
    api._headers.update({f"Impersonate-{key.capitalize()}": value for key, value in headers.items()})
    return api


def ends(chain: Path | None) -> list[str]:
    return [step.end for step in chain.steps] if chain else []


@pytest.fixture
def ground(api: Api, cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Ground]:
    number = request.session.items.index(request.node)
    found = Ground(api, cluster, f"chain-{os.getpid()}-{number}")
    yield found
    for path in found.made:
        api.call("DELETE", path)
    api.call("DELETE", f"/api/v1/namespaces/{found.name}")


def test_a_token_of_a_stronger_account_then_a_binding(ground: Ground) -> None:
    weak, strong = ground.account("weak"), ground.account("strong")
    mint = [
        {
            "verbs": ["create"],
            "apiGroups": [""],
            "resources": ["serviceaccounts/token"],
            "resourceNames": ["strong"],
        }
    ]
    ground.grant(weak, mint, inside=True)
    ground.grant(strong, HAND)
    assert ends(ground.chain(weak)) == [strong, "cluster-admin"]

    me = ground.login(weak)
    assert not everything(me)
    then = Api(ground.cluster.kubeconfig, token_of(me, strong).body["status"]["token"])
    assert not everything(then)
    then.create(f"{RBAC}/clusterrolebindings", binding(f"{ground.name}-mine", "cluster-admin", strong))
    ground.made.append(f"{RBAC}/clusterrolebindings/{ground.name}-mine")
    assert wait_for(lambda: everything(then))


def test_near_a_token_of_another_account_and_a_binding_in_a_namespace(ground: Ground) -> None:
    weak, strong = ground.account("weak"), ground.account("strong")
    mint = [
        {
            "verbs": ["create"],
            "apiGroups": [""],
            "resources": ["serviceaccounts/token"],
            "resourceNames": ["other"],
        }
    ]
    ground.grant(weak, mint, inside=True)
    ground.grant(weak, HAND, inside=True)  # Of no use: ClusterRoleBindings lie in no namespace.
    ground.grant(strong, HAND)
    assert ground.chain(weak) is None

    me = ground.login(weak)
    assert token_of(me, strong).status == 403
    mine = binding(f"{ground.name}-mine", "cluster-admin", weak)
    assert me.call("POST", f"{RBAC}/clusterrolebindings", mine).status == 403
    assert me.call("POST", f"{RBAC}/namespaces/{ground.name}/rolebindings", mine).status == 403
    assert not everything(me)


def test_impersonating_a_user_that_may_do_everything(ground: Ground) -> None:
    weak, root = ground.account("weak"), f"root-{ground.name}"
    ground.grant(
        weak,
        [{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"], "resourceNames": [root]}],
    )
    ground.grant(root, "cluster-admin")
    assert ends(ground.chain(weak)) == [f"user:{root}", "cluster-admin"]
    assert not everything(ground.login(weak))
    assert everything(acting(ground.login(weak), user=root))


def test_impersonating_a_group_takes_a_user_too(ground: Ground) -> None:
    weak = ground.account("weak")
    groups = [
        {
            "verbs": ["impersonate"],
            "apiGroups": [""],
            "resources": ["groups"],
            "resourceNames": ["system:masters"],
        }
    ]
    ground.grant(weak, groups)
    assert ground.chain(weak) is None
    alone = acting(ground.login(weak), group="system:masters")
    assert alone.call("GET", "/api/v1/secrets").status in (400, 403, 500)
    beside = acting(ground.login(weak), group="system:masters", user=weak)
    assert beside.call("GET", "/api/v1/secrets").status == 403

    own = [
        {
            "verbs": ["impersonate"],
            "apiGroups": [""],
            "resources": ["serviceaccounts"],
            "resourceNames": ["weak"],
        }
    ]
    ground.grant(weak, own)
    assert ends(ground.chain(weak)) == ["group:system:masters", "cluster-admin"]
    assert wait_for(lambda: beside.call("GET", "/api/v1/secrets").status == 200)
    assert everything(beside)


def test_a_secret_that_is_filled_with_a_token(ground: Ground) -> None:
    weak, strong = ground.account("weak"), ground.account("strong")
    ground.grant(
        weak, [{"verbs": ["create", "list"], "apiGroups": [""], "resources": ["secrets"]}], inside=True
    )
    ground.grant(strong, "cluster-admin")
    assert ends(ground.chain(weak)) == [strong, "cluster-admin"]

    me, path = ground.login(weak), f"/api/v1/namespaces/{ground.name}/secrets"
    wanted = {"name": "mine", "annotations": {"kubernetes.io/service-account.name": "strong"}}
    me.create(path, {"metadata": wanted, "type": "kubernetes.io/service-account-token"})

    def token() -> str:
        found = [each.get("data", {}).get("token", "") for each in me.call("GET", path).body["items"]]
        return next(filter(None, found), "")

    then = Api(ground.cluster.kubeconfig, base64.b64decode(wait_for(token)).decode())
    assert everything(then)


def test_a_role_that_a_role_takes_in(ground: Ground) -> None:
    weak = ground.account("weak")
    up = [{"verbs": ["escalate", "create"], "apiGroups": [GROUP], "resources": ["clusterroles"]}]
    ground.grant(weak, up)
    assert ground.chain(weak) is None
    selector = {"clusterRoleSelectors": [{"matchLabels": {f"{ground.name}/feeds": "yes"}}]}
    ground.grant(weak, ground.role("sum", [], aggregationRule=selector))
    assert ends(ground.chain(weak)) == ["cluster-admin"]

    me, mine = ground.login(weak), f"{ground.name}-mine"
    labels = {f"{ground.name}/feeds": "yes"}
    rules = [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ]
    me.create(f"{RBAC}/clusterroles", {"metadata": {"name": mine, "labels": labels}, "rules": rules})
    ground.made.append(f"{RBAC}/clusterroles/{mine}")
    assert wait_for(lambda: everything(me))


def test_joining_a_binding_that_is_there(ground: Ground) -> None:
    weak, root = ground.account("weak"), f"root-{ground.name}"
    ground.grant(root, "cluster-admin")
    name = ground.made[-1].rpartition("/")[2]
    join = [
        {
            "verbs": ["patch"],
            "apiGroups": [GROUP],
            "resources": ["clusterrolebindings"],
            "resourceNames": [name],
        }
    ]
    ground.grant(weak, join)
    me = ground.login(weak)
    change = {"subjects": binding("", "", weak)["subjects"]}
    assert ground.chain(weak) is None
    assert me.call("PATCH", f"{RBAC}/clusterrolebindings/{name}", change).status == 403
    bind = [
        {
            "verbs": ["bind"],
            "apiGroups": [GROUP],
            "resources": ["clusterroles"],
            "resourceNames": ["cluster-admin"],
        }
    ]
    ground.grant(weak, bind)
    assert ends(ground.chain(weak)) == ["the rights of ClusterRole cluster-admin", "cluster-admin"]
    wait_for(lambda: me.call("PATCH", f"{RBAC}/clusterrolebindings/{name}", change).status == 200)
    assert wait_for(lambda: everything(me))


def test_a_client_certificate_for_any_name(ground: Ground, tmp_path: File) -> None:
    weak, root = ground.account("weak"), f"root-{ground.name}"
    group, name = "certificates.k8s.io", f"{ground.name}-mine"
    signer = "kubernetes.io/kube-apiserver-client"
    rules = [
        {"verbs": ["create", "get"], "apiGroups": [group], "resources": ["certificatesigningrequests"]},
        {"verbs": ["update"], "apiGroups": [group], "resources": ["certificatesigningrequests/approval"]},
        {"verbs": ["approve"], "apiGroups": [group], "resources": ["signers"], "resourceNames": [signer]},
    ]
    ground.grant(weak, rules[:2])
    ground.grant(root, "cluster-admin")
    assert ground.chain(weak) is None
    me = ground.login(weak)
    key, request = _request(root)
    spec = {"request": request, "signerName": signer, "usages": ["client auth"]}
    made = me.create(CERTIFICATES, {"metadata": {"name": name}, "spec": spec})
    ground.made.append(f"{CERTIFICATES}/{name}")
    made["status"] = {"conditions": [{"type": "Approved", "status": "True", "reason": "me", "message": ""}]}
    assert me.call("PUT", f"{CERTIFICATES}/{name}/approval", made).status == 403

    ground.grant(weak, rules[2:])
    chain = ground.chain(weak)
    assert chain
    assert "certificate" in chain.steps[0].does
    assert ends(chain)[-1] == "cluster-admin"
    wait_for(lambda: me.call("PUT", f"{CERTIFICATES}/{name}/approval", made).status == 200)
    certificate = wait_for(lambda: me.call("GET", f"{CERTIFICATES}/{name}").body["status"].get("certificate"))
    assert everything(_with_certificate(ground.cluster, tmp_path, certificate, key))


def _request(name: str) -> tuple[bytes, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem, base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


def _with_certificate(cluster: Cluster, folder: File, certificate: str, key: bytes) -> Api:
    import yaml  # noqa: PLC0415

    config = yaml.safe_load(cluster.kubeconfig.read_text())
    of = config["clusters"][0]["cluster"]
    if path := of.pop("certificate-authority", ""):
        of["certificate-authority-data"] = base64.b64encode(
            (cluster.kubeconfig.parent / path).read_bytes()
        ).decode()
    config["users"][0]["user"] = {
        "client-certificate-data": certificate,
        "client-key-data": base64.b64encode(key).decode(),
    }
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    return Api(kubeconfig)


def test_without_grants_of_ours_nobody_but_kubernetes_reaches_anything(ground: Ground) -> None:
    """What a new cluster ships is no news; others' grants of this run are not looked at."""
    ours: Callable[[str], bool] = lambda source: ground.name in source  # noqa: E731
    ground.account("weak")
    assert [each.source for each in paths(ground.inventory()) if ours(each.source)] == []
    assert ground.chain(f"system:serviceaccount:{ground.name}:weak") is None
