"""What is asked of an API server, in the words in which its authorizer decides.

The atoms of everything about rights: a grant covers requests, a rule allows requests, a log is a list of requests.
"""

from dataclasses import dataclass

from podfacts.core.resources import word

PREFIX = "system:serviceaccount:"  # Of the user that a service account is.
# The authorizer is asked about these without a name (apiserver/pkg/endpoints/request/requestinfo.go): who creates an object
# sends its name in the body. A subresource is always of something with a name.
NAMELESS = frozenset(("create", "deletecollection"))


@dataclass(frozen=True, order=True, slots=True)
class Request:
    """One request: for a resource, or for a URL that is none (then ``path`` is set and nothing else but ``verb``).

    ``namespace`` is "" for cluster-wide requests; ``name`` is "" where the authorizer knows none, as for a plain
    ``create``, a ``deletecollection`` and a ``list`` without ``fieldSelector=metadata.name=X``.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{self.verb} {self.path}"
        kind = word(self.group, self.resource, self.subresource)
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {kind}{named}" + (f" in {self.namespace}" if self.namespace else "")


@dataclass(frozen=True, order=True, slots=True)
class Account:
    """A service account: ``namespace/name`` as people write it."""

    namespace: str
    name: str

    @property
    def user(self) -> str:
        """The name by which the API server knows it."""
        return f"{PREFIX}{self.namespace}:{self.name}"

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that every service account is in (``k8s.io/apiserver/pkg/authentication/serviceaccount``)."""
        return ("system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated")

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
