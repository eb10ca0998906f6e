"""Namespaces whose opted-in pods the API server asks a webhook about, at an address of a test's own."""

import base64
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from tests.e2e.api import Api, Said
from tests.e2e.conftest import ADMISSION, wait_for
from tests.e2e.install_load import injected

Policy = Literal["Fail", "Ignore"]
SHIPPED = Path(__file__).parents[2] / "deploy/base/40-admission.yaml"


class Outcome(NamedTuple):
    """What became of one pod."""

    status: int
    injected: bool
    message: str
    seconds: float

    @property
    def refused_by_us(self) -> bool:
        """Whether the API server refused it because nobody of ours answered, and says who that is."""
        return self.status == HTTPStatus.INTERNAL_SERVER_ERROR and (
            'failed calling webhook "fail.pods' in self.message
        )

    @property
    def passed_without_us(self) -> bool:
        """Whether it was admitted as it was."""
        return self.status == HTTPStatus.CREATED and not self.injected


class Door:
    """A namespace for each failure policy; everything else of the configuration is as it is shipped."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self.name = name

    def namespace(self, policy: Policy) -> str:
        """The one that has this policy."""
        return f"{self.name}-{policy.lower()}"

    def create(self, pod: dict[str, Any], policy: Policy = "Fail", **query: str) -> Said:
        """What comes of a pod; by dry run unless told otherwise."""
        path = f"/api/v1/namespaces/{self.namespace(policy)}/pods"
        return self.api.call("POST", path, pod, **(query or {"dryRun": "All"}))

    def ask(self, policy: Policy = "Fail") -> Outcome:
        """What becomes of a plain opted-in pod."""
        began = time.monotonic()
        said = self.create(plain("asks"), policy)
        done = said.status == HTTPStatus.CREATED and injected(said.body)
        return Outcome(said.status, done, str(said.body.get("message", "")), time.monotonic() - began)


def plain(name: str, **metadata: Any) -> dict[str, Any]:
    """An opted-in pod that nobody would run."""
    given = {"name": name, "labels": {"podfacts.dev/inject": "true"}, **metadata}
    spec = {"containers": [{"name": "main", "image": "app"}], "schedulerName": "none"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": given, "spec": spec}


@contextmanager
def door(api: Api, name: str, url: str, ca: bytes) -> Iterator[Door]:
    """Give one once it is open, and remove it."""
    made = Door(api, f"{name}-{os.getpid()}")
    policies: tuple[Policy, ...] = ("Fail", "Ignore")
    for policy in policies:
        _namespace(api, made.namespace(policy))
    path = f"{ADMISSION}/podfacts-{made.name}"
    try:
        hooks = [hook for policy in policies for hook in _hooks(made, policy, url, ca)]
        api.create(ADMISSION, {"metadata": {"name": f"podfacts-{made.name}"}, "webhooks": hooks})
        for policy in policies:
            wait_for(lambda policy=policy: made.ask(policy).injected)
        yield made
    finally:
        api.call("DELETE", path)
        for policy in policies:
            api.call("DELETE", f"/api/v1/namespaces/{made.namespace(policy)}")


def _namespace(api: Api, name: str) -> None:
    labels = {"podfacts.test/door": name}
    api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    wait_for(lambda: api.call("GET", account).status == HTTPStatus.OK)


def _hooks(made: Door, policy: Policy, url: str, ca: bytes) -> list[dict[str, Any]]:
    """Both entries for pods; the policy is that of the last one."""
    shipped = yaml.safe_load(SHIPPED.read_text())["webhooks"]
    hooks: list[dict[str, Any]] = [each for each in shipped if each["name"].startswith("pods")]
    for hook in hooks:
        hook["name"] = f"{policy.lower()}.{hook['name']}"
        hook["clientConfig"] = {"url": url, "caBundle": base64.b64encode(ca).decode()}
        hook["namespaceSelector"]["matchLabels"] = {"podfacts.test/door": made.namespace(policy)}
    hooks[-1]["failurePolicy"] = policy
    return hooks
