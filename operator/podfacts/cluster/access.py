"""Asks the API server for the command line: by path, trees in and trees out, each failure one clear sentence.

As whoever types: their kubeconfig, their context, their rights. Nothing is tried twice but a list that grew too old
while it was read.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from podfacts import __version__
from podfacts.core.refusal import BadInput

if TYPE_CHECKING:
    from kubernetes.client.api_client import ApiClient
    from kubernetes.client.configuration import Configuration

Tree = dict[str, Any]
Made = TypeVar("Made")

PATIENCE = 60.0  # As long as the API server itself gives a request (--request-timeout).
PAGE = 500  # As kubectl lists.
# As apimachinery writes it (pkg/util/net/http.go, NewWarningHeader): a quote and a backslash in it have a backslash.
WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Said(NamedTuple):
    """An answer, and the warnings that came with it."""

    tree: Tree
    warnings: tuple[str, ...]


class NoAnswer(BadInput):
    """The cluster was not reached, or did not give what was asked for."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ApiServer:
    """The calls. Made by `connect`. Every one may raise ``NoAnswer``."""

    def __init__(self, client: "ApiClient", namespace: str = "default") -> None:
        self._client = client
        self.namespace = namespace  # Where whoever types is, if they name none.

    @property
    def server(self) -> str:
        """Its URL."""
        return str(self._client.configuration.host)

    def get(self, path: str) -> Tree | None:
        """The object, or ``None`` when there is none."""
        try:
            return self._call("GET", path).tree
        except NoAnswer as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def items(self, path: str) -> list[Tree]:
        """All objects of a list, read page by page."""
        return self.made_of(path, lambda tree: tree)

    def made_of(self, path: str, made: Callable[[Tree], Made]) -> list[Made]:
        """What is made of each object of a list. Never more of the list is held than a page."""
        try:
            return self._pages(path, made)
        except NoAnswer as error:
            # etcd forgot that state of the list before its last page was read (5 minutes): read it from the start.
            if error.status == HTTPStatus.GONE:
                return self._pages(path, made)
            raise

    def create(self, path: str, body: Mapping[str, Any]) -> Tree:
        """What the API server makes of the object: for a review, its answer."""
        return self._call("POST", path, body).tree

    def update(self, path: str, body: Mapping[str, Any]) -> Tree:
        """The object as it is now; ``metadata.resourceVersion`` in the body makes it a compare-and-swap."""
        return self._call("PUT", path, body).tree

    def delete(self, path: str, body: Mapping[str, Any]) -> None:
        """Delete the object; the body are ``DeleteOptions``, whose preconditions say which one it must be."""
        self._call("DELETE", path, body)

    def dry_run(self, path: str, body: Mapping[str, Any]) -> Said:
        """What the API server, its webhooks among it, would make of the object. Nothing is kept."""
        return self._call("POST", f"{path}?dryRun=All", body)

    def _pages(self, path: str, made: Callable[[Tree], Made]) -> list[Made]:
        found: list[Made] = []
        page = {"limit": str(PAGE)}
        while True:
            answer = self._call("GET", f"{path}{'&' if '?' in path else '?'}{urlencode(page)}").tree
            found += map(made, answer.get("items") or ())
            following = (answer.get("metadata") or {}).get("continue")
            if not following:
                return found
            page["continue"] = following

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Said:
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415  see connect
        from kubernetes.config import ConfigException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError, NewConnectionError, TimeoutError  # noqa: A004, PLC0415

        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        server = self.server
        try:
            request = self._client.param_serialize(
                method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            response = self._client.call_api(*request, _request_timeout=PATIENCE)
            content: bytes = response.read()  # type: ignore[no-untyped-call]
        except (HTTPError, ApiException, ConfigException, OSError, ValueError) as error:
            # A refused connection is a timeout to urllib3, by inheritance.
            if isinstance(error, TimeoutError) and not isinstance(error, NewConnectionError):
                raise NoAnswer(f"the cluster at {server} gave no answer in {PATIENCE:g} s") from None
            why = " ".join(str(getattr(error, "reason", None) or error).split())
            raise NoAnswer(f"the cluster at {server} cannot be reached: {why}") from error
        answer = _tree(content)
        status = response.status
        if status >= HTTPStatus.BAD_REQUEST or answer is None:
            # For a missing right this is the API server's own sentence, which names the user, the verb and the resource.
            message = " ".join(str((answer or {}).get("message") or f"HTTP status {status}").split())
            if status == HTTPStatus.UNAUTHORIZED:
                message = "it does not know who you are: the kubeconfig's credentials are missing or expired"
            raise NoAnswer(f"the cluster at {server} refuses: {message}", status)
        return Said(answer, _warnings(response.headers.getlist("Warning")))


def connect(kubeconfig: str | None = None, context: str | None = None) -> ApiServer:
    """The calls, by: the given kubeconfig > $KUBECONFIG > the pod's service account > ~/.kube/config.

    Raises ``NoAnswer`` when none of them says where a cluster is.
    """
    # Loaded by the commands that need it: 0.5 s.
    from kubernetes.client.api_client import ApiClient  # noqa: PLC0415
    from kubernetes.client.configuration import Configuration  # noqa: PLC0415

    configuration = Configuration()
    namespace = _load(configuration, kubeconfig, context)
    # The client's pool would try again, and log each time to stderr.
    configuration.retries = False
    client = ApiClient(configuration)
    client.user_agent = f"podfacts/{__version__}"  # Shown in audit logs.
    return ApiServer(client, namespace)


def _load(configuration: "Configuration", kubeconfig: str | None, context: str | None) -> str:
    """The namespace that is the default there."""
    from kubernetes.config import ConfigException, load_incluster_config, load_kube_config  # noqa: PLC0415
    from yaml import YAMLError  # noqa: PLC0415

    named = kubeconfig or os.environ.get("KUBECONFIG") or ""
    # Said here: the loader says that some file holds no configuration.
    files = [Path(each) for each in (named or "~/.kube/config").split(os.pathsep) if each]
    in_pod = not named and not context and os.environ.get("KUBERNETES_SERVICE_HOST")
    if not in_pod and not any(each.expanduser().is_file() for each in files):
        missing = (
            f"there is no file {named}"
            if named
            else "there is no kubeconfig: set KUBECONFIG, or give --kubeconfig"
        )
        raise NoAnswer(f"no cluster to talk to: {missing}")
    try:
        if in_pod:
            load_incluster_config(configuration)  # type: ignore[no-untyped-call]
            namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
        else:
            load_kube_config(named or None, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
            namespace = _namespace(named, context)
    except YAMLError:
        raise NoAnswer(f"no cluster to talk to: {named or '~/.kube/config'}: is no YAML") from None
    except (TypeError, AttributeError):
        raise NoAnswer(f"no cluster to talk to: {named or '~/.kube/config'}: is no kubeconfig") from None
    except (ConfigException, OSError, ValueError) as error:
        why = " ".join(str(error).split())
        if context and f"object with name {context} in" in why:
            why = f"there is no context {context}"
        raise NoAnswer(f"no cluster to talk to: {named or '~/.kube/config'}: {why}") from error
    if not configuration.host:
        raise NoAnswer(
            f"no cluster to talk to: {named or '~/.kube/config'}: the context's cluster has no server"
        )
    return namespace or "default"


def _namespace(named: str, context: str | None) -> str:
    from kubernetes.config import list_kube_config_contexts  # noqa: PLC0415

    contexts, active = list_kube_config_contexts(named or None)  # type: ignore[no-untyped-call]
    chosen = next((each for each in contexts if each["name"] == context), active) if context else active
    return str(chosen["context"].get("namespace") or "")


def _warnings(headers: list[str]) -> tuple[str, ...]:
    found = [each for header in headers for each in WARNING.findall(header)]
    return tuple(re.sub(r"\\(.)", r"\1", each) for each in found)


def _tree(content: bytes) -> Tree | None:
    """The JSON object, or None: a proxy in between may answer with anything."""
    try:
        answer = json.loads(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
