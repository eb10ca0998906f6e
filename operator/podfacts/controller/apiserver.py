"""Asks the API server: six calls by path, trees in and trees out, each with a deadline, each failure one exception.

The objects stay the JSON that was sent. The client's typed models would drop, in an update, every field that is
newer than they are. A call that fails is not tried again here: the loops that call have their own rhythm, and a
second try would come from them with what they know by then.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

import aiohttp

from podfacts import __version__

if TYPE_CHECKING:
    from kubernetes.aio.client.api_client import ApiClient

Tree = dict[str, Any]
Verb = Literal["get", "update", "patch"]

METHODS: Mapping[Verb, str] = {"get": "GET", "update": "PUT", "patch": "PATCH"}
CONTENT_TYPES: Mapping[Verb, str] = {
    "get": "application/json",
    "update": "application/json",
    "patch": "application/json-patch+json",
}


class NoCluster(Exception):  # noqa: N818 - the sentence is the name
    """There is neither a service account nor a usable kubeconfig; says so in one sentence."""


@dataclass(frozen=True)
class Resource:
    """One object by its address, in the words that RBAC uses."""

    group: str
    version: str
    plural: str
    name: str
    namespace: str = ""

    @property
    def path(self) -> str:
        """The URL's path."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{root}{scope}/{self.plural}/{self.name}"

    def __str__(self) -> str:
        kind = f"{self.plural}.{self.group}" if self.group else self.plural
        return f"{kind}/{self.name}" + (f" in namespace {self.namespace}" if self.namespace else "")


class Failed(Exception):  # noqa: N818 - it says what became of a call
    """A call that brought nothing. `status` 0: there was no answer."""

    def __init__(self, verb: Verb, resource: Resource, status: int, message: str) -> None:
        super().__init__(f"{verb} {resource}: {message}")
        self.verb = verb
        self.resource = resource
        self.status = status

    @property
    def reason(self) -> str:
        """The kind of failure: one of a few words, fit for a metric's label."""
        match self.status:
            case 0:
                return "unreachable"
            case HTTPStatus.FORBIDDEN | HTTPStatus.UNAUTHORIZED:
                return "forbidden"
            case HTTPStatus.NOT_FOUND:
                return "absent"
            case HTTPStatus.CONFLICT:
                return "conflict"
            case HTTPStatus.UNPROCESSABLE_ENTITY:
                return "refused"
            case _:
                return "error"


class ApiServer:
    """The calls. Made by `connect`."""

    def __init__(self, client: "ApiClient", patience: float) -> None:
        self._client = client
        self._patience = patience

    async def get(self, resource: Resource) -> Tree:
        """Return the object."""
        return await self._call("get", resource)

    async def update(self, resource: Resource, tree: Tree) -> Tree:
        """Replace the object; `metadata.resourceVersion` in the tree makes it a compare-and-swap."""
        return await self._call("update", resource, tree)

    async def patch(self, resource: Resource, operations: Sequence[Tree]) -> Tree:
        """Apply a JSON patch; a `test` operation that does not hold comes back as `refused`."""
        return await self._call("patch", resource, list(operations))

    async def _call(self, verb: Verb, resource: Resource, body: Tree | list[Tree] | None = None) -> Tree:
        from kubernetes.aio.config import ConfigException  # noqa: PLC0415  see connect

        try:
            async with asyncio.timeout(self._patience):
                request = await self._client.param_serialize(
                    METHODS[verb],
                    resource.path,
                    header_params={"Accept": "application/json", "Content-Type": CONTENT_TYPES[verb]},
                    body=body,
                    auth_settings=["BearerToken"],
                )
                response = await self._client.call_api(*request)
                content: bytes = await response.read()  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise Failed(verb, resource, 0, f"no answer in {self._patience:g} s") from None
        # The last is what a token file that is empty for a moment raises.
        except (aiohttp.ClientError, OSError, ConfigException) as error:
            raise Failed(verb, resource, 0, str(error) or type(error).__name__) from error
        answer = _tree(content)
        if response.status >= HTTPStatus.BAD_REQUEST or answer is None:
            message = answer.get("message") if answer else None
            raise Failed(verb, resource, response.status, str(message or response.reason or response.status))
        return answer


@asynccontextmanager
async def connect(patience: float) -> AsyncIterator[ApiServer]:
    """Give the calls, as the identity found in: $KUBECONFIG > the pod's service account > ~/.kube/config.

    Raises NoCluster.
    """
    # Loaded by the one command that needs it: 0.6 s and 55 MB.
    from kubernetes.aio.client.api_client import ApiClient  # noqa: PLC0415
    from kubernetes.aio.client.configuration import Configuration  # noqa: PLC0415
    from kubernetes.aio.config import (  # noqa: PLC0415
        ConfigException,
        load_incluster_config,
        load_kube_config,
    )

    kubeconfig = os.environ.get("KUBECONFIG")
    configuration = Configuration()
    try:
        if not kubeconfig and os.environ.get("KUBERNETES_SERVICE_HOST"):
            # Reads the token again every minute: the kubelet replaces it hourly.
            load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            await load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError, ValueError) as error:
        raise NoCluster(f"no cluster to talk to: {error}") from error
    async with ApiClient(configuration) as client:
        # Shown as the manager in managedFields, and in audit logs.
        client.user_agent = f"podfacts-controller/{__version__}"
        yield ApiServer(client, patience)


def _tree(content: bytes) -> Tree | None:
    """Return the JSON object, or None: a proxy in between may answer with anything."""
    try:
        answer = json.loads(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
