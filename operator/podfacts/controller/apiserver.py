"""Asks the API server: eight calls by path, trees in and trees out, each with a deadline, each failure one exception.

The objects stay the JSON that was sent. The client's typed models would drop, in an update, every field that is
newer than they are. A call that fails is not tried again here: the loops that call have their own rhythm, and a
second try would come from them with what they know by then. Watches are kopf's (watches.py), by the same identity.
"""

import asyncio
import dataclasses
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
    from kubernetes.aio.client.configuration import Configuration

Tree = dict[str, Any]
Verb = Literal["get", "list", "create", "update", "patch"]

METHODS: Mapping[Verb, str] = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
}
JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
# Shown as the manager in managedFields, and in audit logs.
USER_AGENT = f"podfacts-controller/{__version__}"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class NoCluster(Exception):  # noqa: N818 - the sentence is the name
    """There is neither a service account nor a usable kubeconfig; says so in one sentence."""


@dataclass(frozen=True)
class Resource:
    """One object by its address, in the words that RBAC uses; all of them with ``name`` ""."""

    group: str
    version: str
    plural: str
    name: str
    namespace: str = ""
    subresource: str = ""

    @property
    def path(self) -> str:
        """The URL's path. Raises ValueError for names that would make another one of it."""
        for each in (self.namespace, self.name):
            if each in (".", "..") or not {"/", "?", "#", "%"}.isdisjoint(each):
                raise ValueError(f"{each!r} is the name of no object")
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{self.namespace}" if self.namespace else ""
        return "/".join(each for each in (f"{root}{scope}", self.plural, self.name, self.subresource) if each)

    def __str__(self) -> str:
        plural = f"{self.plural}/{self.subresource}" if self.subresource else self.plural
        kind = f"{plural}.{self.group}" if self.group else plural
        one = f"{kind}/{self.name}" if self.name else kind
        return one + (f" in namespace {self.namespace}" if self.namespace else "")


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
            # Of a missing right it says: User "..." cannot patch resource ... All else is about this one object: an admission
            # policy, somebody's webhook, a namespace that ends.
            case HTTPStatus.FORBIDDEN if 'User "' not in str(self):
                return "refused"
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

    async def metadata(self, resource: Resource) -> Tree:
        """Return the object's metadata: the rest stays where it is."""
        return await self._call("get", resource, accept=METADATA)

    async def can_list(self, resource: Resource) -> None:
        """Raise Failed when the resource cannot be listed: it is not served, or there is no right."""
        # Of one name: it is the right that is asked for, and not an object.
        await self._call("list", resource, fieldSelector="metadata.name=podfacts")

    async def listed(self, resource: Resource) -> Tree | None:
        """Return the object of that name, or None, by the right to list: for whoever may list all and has no need of `get`."""
        collection = dataclasses.replace(resource, name="")
        found = await self._call("list", collection, fieldSelector=f"metadata.name={resource.name}")
        items: list[Tree] = found.get("items") or []
        return items[0] if items else None

    async def create(self, resource: Resource, tree: Tree) -> Tree:
        """Create an object, in the collection or as the subresource that ``resource`` is."""
        return await self._call("create", resource, tree)

    async def update(self, resource: Resource, tree: Tree) -> Tree:
        """Replace the object; `metadata.resourceVersion` in the tree makes it a compare-and-swap."""
        return await self._call("update", resource, tree)

    async def patch(self, resource: Resource, operations: Sequence[Tree]) -> Tree:
        """Apply a JSON patch; a `test` operation that does not hold comes back as `refused`."""
        return await self._call("patch", resource, list(operations), content=JSON_PATCH)

    async def merge(self, resource: Resource, tree: Tree) -> Tree:
        """Apply a merge patch; `metadata.uid` in it makes it one for that very object."""
        return await self._call("patch", resource, tree, content=MERGE_PATCH)

    async def version(self) -> tuple[int, int]:
        """Return the API server's version: (1, 36)."""
        told = await self._call("get", Resource("", "", "version", ""), path="/version")
        return int(told["major"]), int(str(told["minor"]).rstrip("+"))

    async def _call(
        self,
        verb: Verb,
        resource: Resource,
        body: Tree | list[Tree] | None = None,
        *,
        path: str = "",
        content: str = JSON,
        accept: str = JSON,
        **query: str,
    ) -> Tree:
        from kubernetes.aio.config import ConfigException  # noqa: PLC0415  see connect

        try:
            async with asyncio.timeout(self._patience):
                request = await self._client.param_serialize(
                    METHODS[verb],
                    path or resource.path,
                    query_params=list(query.items()),
                    header_params={"Accept": accept, "Content-Type": content},
                    body=body,
                    auth_settings=["BearerToken"],
                )
                response = await self._client.call_api(*request)
                answered: bytes = await response.read()  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise Failed(verb, resource, 0, f"no answer in {self._patience:g} s") from None
        # The last is what a token file that is empty for a moment raises.
        except (aiohttp.ClientError, OSError, ConfigException) as error:
            raise Failed(verb, resource, 0, str(error) or type(error).__name__) from error
        answer = _tree(answered)
        if response.status >= HTTPStatus.BAD_REQUEST or answer is None:
            message = answer.get("message") if answer else None
            raise Failed(verb, resource, response.status, str(message or response.reason or response.status))
        return answer


@asynccontextmanager
async def connect(patience: float) -> AsyncIterator[ApiServer]:
    """Give the calls, as the identity of `configured`. Raises NoCluster."""
    from kubernetes.aio.client.api_client import ApiClient  # noqa: PLC0415  see configured

    async with ApiClient(await configured()) as client:
        client.user_agent = USER_AGENT
        yield ApiServer(client, patience)


async def configured() -> "Configuration":
    """Return address and identity, as found in: $KUBECONFIG > the pod's service account > ~/.kube/config.

    Raises NoCluster.
    """
    # Loaded by the one command that needs it: 0.6 s and 55 MB.
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
    return configuration


def _tree(content: bytes) -> Tree | None:
    """Return the JSON object, or None: a proxy in between may answer with anything."""
    try:
        answer = json.loads(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
