"""The bundle: what a container needs to talk to the API server, and no more, in the containers that asked for it.

A projected volume with a token that is bound to the pod and short-lived, the CA, the namespace; env that says where they
are. The kubelet renews the token in the file at 80 % of its life: programs read it again, and no env holds a token.
Whose token it is, the pod's ``serviceAccountName`` alone says, and what it may do, RBAC: nothing here enlarges a right.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from podfacts.core.env import ENV_NAME
from podfacts.core.mountpath import mount_path_fault
from podfacts.core.mounts import Mount, taken
from podfacts.core.pod import Container, EnvVar, Tree, holds, mapping, objects
from podfacts.core.refusal import Refused
from podfacts.core.resources import cluster_scoped, kind
from podfacts.core.shape import Place, keyed, switch, text, texts

# Where client libraries look (k8s.io/client-go/rest, InClusterConfig), and where the ServiceAccount admission plugin
# mounts: it leaves a container alone that has a mount at exactly this path.
STANDARD = "/var/run/secrets/kubernetes.io/serviceaccount"
# The plugin takes every volume whose name begins so for its own (plugin/pkg/admission/serviceaccount): ours must not.
AUTOMOUNTED = "kube-api-access-"
VOLUME = "podfacts-api"

SERVER = "https://kubernetes.default.svc"
ADDRESS = "KUBERNETES_API"
# ValidateProjectedVolumeSource: at least ten minutes, at most 2^32 seconds; the server may shorten it.
SHORTEST, LONGEST = 600, 2**32
HOUR = 3600
# What the plugin asks for; the API server stretches exactly that to a year (--service-account-extend-token-expiration).
STRETCHED = 3607

FILES = {"ca": "ca.crt", "token": "token", "namespace": "namespace"}
BUILT_IN = (
    ("CURL_CA_BUNDLE", "ca"),
    (ADDRESS, "api"),
    ("KUBERNETES_TOKEN_FILE", "token"),
    ("KUBERNETES_NAMESPACE_FILE", "namespace"),
)
AUDIENCE = re.compile(r"[\x21-\x7e]{1,1024}")


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """How a profile gives API access. ``more`` are further env names, each with what it says: api, ca, token, namespace.

    ``reads`` is what pods of the profile read in their own namespace, in the words of the command line: a declaration
    for those who grant rights, never a grant.
    """

    enabled: bool = False
    mount_path: str = STANDARD
    expiration_seconds: int = HOUR
    audience: str | None = None
    more: tuple[tuple[str, str], ...] = ()
    reads: tuple[str, ...] = ("pods",)
    names: frozenset[str] = field(init=False)
    sources: tuple[Tree, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Compile: the same objects go into every pod."""
        object.__setattr__(self, "names", frozenset(name for name, _ in (*BUILT_IN, *self.more)))
        token: dict[str, Any] = {"expirationSeconds": self.expiration_seconds, "path": FILES["token"]}
        if self.audience is not None:
            token["audience"] = self.audience
        ca = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": FILES["ca"]}]}
        namespace = {"path": FILES["namespace"], "fieldRef": {"fieldPath": "metadata.namespace"}}
        sources = (
            {"serviceAccountToken": token},
            {"configMap": ca},
            {"downwardAPI": {"items": [namespace]}},
        )
        object.__setattr__(self, "sources", sources)

    @property
    def told(self) -> list[Any]:
        """All that decides what a pod gets, for the profile's hash."""
        return [self.enabled, self.mount_path, self.expiration_seconds, self.audience, self.more]

    def env(self, folder: str) -> list[EnvVar]:
        """The variables of a container that has the files in the folder."""
        values = {"api": SERVER, **{what: f"{folder}/{file}" for what, file in FILES.items()}}
        return [EnvVar(name=name, value=values[what]) for name, what in (*BUILT_IN, *self.more)]


class Access(NamedTuple):
    """What to add to a pod so that it reaches the API server; ``env`` is by container name."""

    env: Mapping[str, list[EnvVar]]
    mounts: tuple[Mount, ...] = ()
    volumes: tuple[Tree, ...] = ()
    kept: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


NONE = Access({})


def parse_api_access(tree: Any, path: Place) -> ApiAccess:
    """What ``spec.apiAccess`` of a profile says. Raises ``Refused``."""
    keyed(
        tree,
        path,
        allowed=("enabled", "mountPath", "expirationSeconds", "audience", "env", "reads"),
    )
    mount_path = text({"mountPath": STANDARD, **tree}, "mountPath", path)
    if fault := mount_path_fault(mount_path):
        raise Refused((*path, "mountPath"), fault)
    seconds = tree.get("expirationSeconds", HOUR)
    if not isinstance(seconds, int) or not SHORTEST <= seconds <= LONGEST:
        raise Refused(
            (*path, "expirationSeconds"),
            f"must be a whole number of seconds, at least {SHORTEST}: Kubernetes gives no shorter token",
        )
    if seconds == STRETCHED and "audience" not in tree:
        raise Refused(
            (*path, "expirationSeconds"),
            f"{STRETCHED} is stretched to a year by the API server: write {HOUR}",
        )
    audience = text(tree, "audience", path) if "audience" in tree else None
    if audience is not None and not AUDIENCE.fullmatch(audience):
        raise Refused(
            (*path, "audience"),
            "must be printable ASCII without spaces, such as https://kubernetes.default.svc; "
            "remove it for the API server's own",
        )
    return ApiAccess(
        switch(tree, "enabled", path),
        mount_path,
        seconds,
        audience,
        tuple(_more(tree, path)),
        _reads(tree, path),
    )


def _more(tree: Tree, path: Place) -> list[tuple[str, str]]:
    given = keyed(tree.get("env", {}), (*path, "env"), open_=True)
    known = ("api", *FILES)
    for name, what in given.items():
        if not ENV_NAME.fullmatch(name):
            raise Refused(
                (*path, "env", name),
                "must be letters, digits and '_', not starting with a digit: SSL_CERT_FILE",
            )
        if what not in known:
            raise Refused((*path, "env", name), f"must be one of {', '.join(known)}")
        if name in dict(BUILT_IN):
            raise Refused((*path, "env", name), "is always set: remove this line")
    # An object's keys have no order, and the API server sorts them: neither may a pod's env depend on it.
    return sorted(given.items())


def _reads(tree: Tree, path: Place) -> tuple[str, ...]:
    if "reads" not in tree:
        return ("pods",)
    reads = texts(tree, "reads", path, "pods, services")
    for index, each in enumerate(reads):
        try:
            named = kind(each)
        except Refused as refused:
            raise Refused((*path, "reads", index), refused.reason) from None
        if cluster_scoped(named.group, named.resource):
            reason = f"{each}: is not in a namespace: grant it by podfacts grant"
            raise Refused((*path, "reads", index), reason)
    return reads


def bundle(pod: Tree, chosen: Sequence[Container], settings: ApiAccess) -> Access:
    """What gives the ``chosen`` containers API access of their own."""
    volumes = objects(mapping(pod, "spec"), "volumes", ("spec",))
    there = next((each for each in volumes if each.get("name") == VOLUME), None)
    volume = {"name": VOLUME, "projected": {"sources": [*settings.sources]}}
    foreign = there is not None and not holds(there, volume)
    env: dict[str, list[EnvVar]] = {}
    mounts, kept, shown = [], [], False
    for container in chosen:
        other = taken(container, settings.mount_path, VOLUME)
        if other == "" and not foreign:
            shown = True
        elif settings.audience is None and any(map(is_token, mounts_of(container))):
            # No second token for the same API server. The profile's expiry is not this one's, so that is said.
            kept.append(
                f"{container.name}: the service account's token is mounted at {STANDARD} already, and is used"
            )
            env[container.name] = settings.env(STANDARD)
            continue
        elif other:
            kept.append(f"{container.name}: {other}, so there is no API access at {settings.mount_path}")
            continue
        elif foreign:
            continue
        else:
            shown = True
            mounts.append(Mount(container, VOLUME, settings.mount_path))
        env[container.name] = settings.env(settings.mount_path)
    if foreign:
        kept.append(
            f"volume {VOLUME} is there and holds something else: it is left so, and no mount is added"
        )
    missing = (volume,) if shown and there is None else ()
    return Access(env, tuple(mounts), missing, tuple(kept))


def mounts_of(container: Container) -> Sequence[Tree]:
    """The mounts that are written in the container."""
    return objects(container.spec, "volumeMounts", container.path)


def is_token(mount: Tree) -> bool:
    """Whether it is the token that the ServiceAccount admission plugin mounts unasked."""
    return mount.get("mountPath") == STANDARD and str(mount.get("name")).startswith(AUTOMOUNTED)
