"""A service account with nothing to its name: its calls, what the authorizer says of it, and the log of both."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from podfacts.rights.request import Account, Request
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.rights.reductions import smaller

RBAC = "/apis/rbac.authorization.k8s.io/v1"
APPLY = {"Content-Type": "application/apply-patch+yaml"}


@dataclass(frozen=True)
class Call:
    """A call, the status it must have, and what the authorizer must be asked for it, in the test's own words."""

    method: str
    url: str
    status: int
    asks: tuple[Request, ...]
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Grantee:
    """The account, with doors to the API server as itself (``api``) and as the administrator."""

    account: Account
    other: str
    token: str
    api: Api
    admin: Api
    cluster: Cluster

    def sends(self, call: Call, through: str = "") -> int:
        """The status of the answer; ``through`` is the URL of a proxy that has the token, so that none is sent."""
        bearer = {} if through else {"Authorization": f"Bearer {self.token}"}
        body = None if call.body is None else json.dumps(call.body)
        url = f"{through or self.api.server}{call.url}"
        return self.api._pool.request(call.method, url, body=body, headers={**call.headers, **bearer}).status

    def may(self, request: Request) -> bool:
        """What a SubjectAccessReview says."""
        spec: dict[str, Any] = {"user": self.account.user, "groups": list(self.account.groups)}
        if request.path:
            spec["nonResourceAttributes"] = {"verb": request.verb, "path": request.path}
        else:
            keys = ("verb", "group", "resource", "subresource", "namespace", "name")
            spec["resourceAttributes"] = {key: getattr(request, key) for key in keys}
        said = self.admin.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
        return bool(said["status"]["allowed"])

    def denied(self, requests: Iterable[Request]) -> list[str]:
        """Those of the requests that it may not make."""
        return [str(each) for each in requests if not self.may(each)]

    @contextmanager
    def widely_allowed(self, rules: list[Any]) -> Iterator[None]:
        """The rules cluster-wide, for as long as it takes."""
        name = f"wide-{self.account.namespace}"
        subject = {"kind": "ServiceAccount", "namespace": self.account.namespace, "name": self.account.name}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
        probe = Request("list", resource="configmaps")
        self.admin.create(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
        try:
            binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
            self.admin.create(f"{RBAC}/clusterrolebindings", binding)
            wait_for(lambda: self.may(probe), 10)
            yield
        finally:
            for kind in ("clusterrolebindings", "clusterroles"):
                self.admin.call("DELETE", f"{RBAC}/{kind}/{name}")
        wait_for(lambda: not self.may(probe), 10)

    @contextmanager
    def applied(self, text: str) -> Iterator[list[Any]]:
        """The printed objects, applied by kubectl as they are."""
        objects = [each for each in yaml.safe_load_all(text) if each]
        try:
            self.cluster.kubectl("apply", "-f", "-", stdin=text)
            yield objects
        finally:
            for each in objects:
                self.admin.call("DELETE", path(each))

    def needs_every_word(self, objects: list[Any], requests: list[Request]) -> int:
        """How many words there are in the rules; an AssertionError with one that could be taken away."""
        assert not self.denied(requests)
        count = 0
        for less in smaller(objects):
            ((before, after),) = [pair for pair in zip(objects, less, strict=True) if pair[0] != pair[1]]
            self._put(after)
            try:
                wait_for(lambda: self.denied(requests), 5, 0.02)
            except AssertionError:
                raise AssertionError(f"not needed: {before['rules']} without {after['rules']}") from None
            self._put(before)
            wait_for(lambda: not self.denied(requests), 5, 0.02)
            count += 1
        return count

    def _put(self, tree: Any) -> None:
        said = self.admin.call("PUT", path(tree), tree)
        assert said.status == 200, said.body


def path(tree: Any) -> str:
    """Where the object is."""
    metadata = tree["metadata"]
    place = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{RBAC}{place}/{tree['kind'].lower()}s/{metadata['name']}"


@contextmanager
def grantee(cluster: Cluster, admin: Api, namespace: str, name: str) -> Iterator[Grantee]:
    """The account in a namespace of its own, and another namespace beside it; both go in the end."""
    other = f"{namespace}-other"
    try:
        for each in (namespace, other):
            admin.create("/api/v1/namespaces", {"metadata": {"name": each}})
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        admin.create(accounts, {"metadata": {"name": name}})
        asked = admin.create(f"{accounts}/{name}/token", {"spec": {"expirationSeconds": 3600}})
        token = asked["status"]["token"]
        api = Api(cluster.kubeconfig, token)
        yield Grantee(Account(namespace, name), other, token, api, admin, cluster)
    finally:
        for each in (namespace, other):
            admin.call("DELETE", f"/api/v1/namespaces/{each}")


def audited(cluster: Cluster, start: int, user: str, count: int, into: Path) -> Path:
    """The audit log from the offset on, when so many answers of the user are in it."""

    def written() -> bytes:
        with cluster.audit_log.open("rb") as log:
            log.seek(start)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        answers = [each for each in map(json.loads, whole.splitlines()) if each["user"]["username"] == user]
        done = [each for each in answers if each["stage"] == "ResponseComplete"]
        return whole if len(done) >= count else b""

    into.write_bytes(wait_for(written, 20))
    return into
