"""The ambassador: ``kubectl proxy`` as a native sidecar on the pod's own 127.0.0.1, so that no container holds a token.

It is the only one with the token, reads it again when the kubelet renews it (in-cluster configuration, never
``--token``), and lets only GET and HEAD of the profile's paths through. Whoever runs in the pod has the service
account's rights within these bounds, as with a token, but nothing to carry away.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from podfacts.core.apiaccess import ADDRESS, AUTOMOUNTED, STANDARD, Access, ApiAccess, is_token, mounts_of
from podfacts.core.patch import Operation, pointer
from podfacts.core.pod import Container, EnvVar, Path, Tree, containers, holds, mapping, objects
from podfacts.core.proxyfilter import ACCEPTED, METHODS, NEVER, accepted, parse_accept_paths, rejected_methods
from podfacts.core.quantity import parse_resources
from podfacts.core.refusal import Refused
from podfacts.core.shape import Place, keyed, switch, text, texts

NAME = "podfacts-ambassador"  # Of the container, and of its volume.
PORT = 8001
URL = f"http://localhost:{PORT}"
IMAGE = "registry.k8s.io/kubectl:v1.36.3"
# One page of kubectl's own, which holds the namespace's name. A probe of a path of the API would end the sidecar of every
# pod whenever the API server is away, and one of the port from outside does not reach 127.0.0.1.
ALIVE = "alive"
PROBE = ("kubectl", "get", f"--raw=/{ALIVE}/", f"--server=http://127.0.0.1:{PORT}", "--request-timeout=4s")
# Equal, so that a Guaranteed pod stays so. Measured: 18 MB at rest and 31 MB at most, while a probe runs beside it; a probe
# takes 0.05 s of CPU.
RESOURCES = {
    "requests": {"cpu": "100m", "memory": "64Mi"},
    "limits": {"cpu": "100m", "memory": "64Mi"},
}
NOBODY = 65532


@dataclass(frozen=True, slots=True)
class Ambassador:
    """How a profile makes the sidecar. ``accept_paths`` are regular expressions as kubectl takes them (RE2)."""

    enabled: bool = False
    image: str = IMAGE
    accept_paths: tuple[str, ...] = ACCEPTED
    methods: tuple[str, ...] = ("GET", "HEAD")
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: RESOURCES)
    command: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Compile: what the sidecar runs.

        Its log has a line for each answer, with the URL in quotes. Not one for what it refuses: kubectl prints that path as it
        is, and a line break in it would be a line of anybody's making.
        """
        command = (
            "kubectl",
            "proxy",
            "--address=127.0.0.1",
            f"--port={PORT}",
            f"--accept-paths={','.join(accepted(self.accept_paths))}",
            f"--reject-paths={','.join(NEVER)}",
            f"--reject-methods={rejected_methods(self.methods)}",
            f"--www={STANDARD}/{ALIVE}",
            f"--www-prefix=/{ALIVE}/",
            "--vmodule=round_trippers=6",
        )
        object.__setattr__(self, "command", command)

    @property
    def told(self) -> list[Any]:
        """All that decides what a pod gets, for the profile's hash."""
        return [self.enabled, self.image, self.accept_paths, self.methods, self.resources]


class Sidecar(NamedTuple):
    """What to add, and what to do when all of that is added."""

    access: Access
    after: tuple[Operation, ...]


def parse_ambassador(tree: Any, path: Place) -> Ambassador:
    """What ``spec.ambassador`` of a profile says. Raises ``Refused``."""
    keyed(tree, path, allowed=("enabled", "image", "acceptPaths", "methods", "resources"))
    image = text({"image": IMAGE, **tree}, "image", path)
    if not image.isascii() or not image.isprintable() or " " in image:
        raise Refused((*path, "image"), f"must be an image with kubectl in it, such as {IMAGE}")
    paths: tuple[str, ...] = ACCEPTED
    if "acceptPaths" in tree:
        paths = parse_accept_paths(texts(tree, "acceptPaths", path, ACCEPTED[0]), (*path, "acceptPaths"))
    methods = texts(tree, "methods", path, "GET, HEAD") if "methods" in tree else ("GET", "HEAD")
    for index, each in enumerate(methods):
        if each not in METHODS:
            raise Refused((*path, "methods", index), f"must be one of {', '.join(METHODS)}")
    resources: Mapping[str, Mapping[str, str]] = RESOURCES
    if "resources" in tree:
        resources = parse_resources(tree["resources"], (*path, "resources"))
    return Ambassador(switch(tree, "enabled", path), image, paths, methods, resources)


def sidecar(pod: Tree, chosen: Sequence[Container], settings: Ambassador, token: ApiAccess) -> Sidecar:
    """What gives the ``chosen`` containers the proxy, and takes the tokens from them.

    Raises ``Refused`` where the sidecar could not work, or would weaken the pod.
    """
    spec = mapping(pod, "spec")
    _refuse_impossible(pod, spec)
    there = _there(pod, settings)
    after, gone, left = _tokens_taken(spec, chosen)
    volumes: tuple[Tree, ...] = ()
    if not there:
        container = _container(settings, _user(pod, spec, gone))
        path: Path = ("spec", "initContainers")
        first = bool(objects(spec, "initContainers", ("spec",)))
        # In front of the author's, so that they can use it; and so last of all operations, for it moves the others.
        value = container if first else [container]
        after.append(Operation(op="add", path=pointer(*path, *((0,) if first else ())), value=value))
        volumes = (_volume(token),)
    env: dict[str, list[EnvVar]] = {each.name: [EnvVar(name=ADDRESS, value=URL)] for each in chosen}
    shared = [each for each in ("shareProcessNamespace", "hostPID") if spec.get(each)]
    told = [f"{each} lets the other containers read the ambassador's token" for each in shared]
    return Sidecar(Access(env, (), volumes, (), (*left, *told)), tuple(after))


def _refuse_impossible(pod: Tree, spec: Tree) -> None:
    off = 'or set podfacts.dev/ambassador to "false"'
    if spec.get("hostNetwork"):
        raise Refused(
            ("spec", "hostNetwork"),
            f"the ambassador would listen on the node's own port {PORT}, for every pod there: remove hostNetwork, {off}",
        )
    if mapping(spec, "os", ("spec",)).get("name") == "windows":
        raise Refused(("spec", "os", "name"), f"the ambassador is a Linux container: remove it, {off}")
    for container in containers(pod):
        for index, port in enumerate(objects(container.spec, "ports", container.path)):
            if port.get("containerPort") == PORT and (port.get("protocol") or "TCP") == "TCP":
                raise Refused(
                    (*container.path, "ports", index, "containerPort"),
                    f"{PORT} is the ambassador's port: listen on another, {off}",
                )


def _there(pod: Tree, settings: Ambassador) -> bool:
    """Whether an earlier pass has put the sidecar there. Refuses what has its name and is something else."""
    for container in containers(pod):
        if container.name != NAME:
            continue
        # Not the image nor the resources: a registry's mirror or a limit range may have changed them since. Arguments would
        # come behind ours, and kubectl's last flag wins.
        ours = holds(container.spec, {"command": [*settings.command], "restartPolicy": "Always"})
        mounted = any(map(_is_ours, mounts_of(container)))
        if ours and mounted and not container.spec.get("args") and container.path[1] == "initContainers":
            return True
        raise Refused(
            (*container.path, "name"),
            f"{NAME} is the ambassador's name, and this is not what this profile makes: rename the container, "
            "or take it out so that podfacts writes it anew",
        )
    for index, volume in enumerate(objects(mapping(pod, "spec"), "volumes", ("spec",))):
        if volume.get("name") == NAME:
            raise Refused(
                ("spec", "volumes", index, "name"), f"{NAME} is the ambassador's name: rename the volume"
            )
    return False


def _tokens_taken(
    spec: Tree, chosen: Sequence[Container]
) -> tuple[list[Operation], frozenset[str], list[str]]:
    """The operations that take the automounted token from the chosen containers, when all else is added.

    With them: the volumes that go, and warnings about tokens that stay. Only what Kubernetes put there unasked is taken:
    where the author wrote ``automountServiceAccountToken: true``, it stays.
    """
    wanted = spec.get("automountServiceAccountToken")
    if wanted is not None:
        told = (
            "automountServiceAccountToken: true is kept, so the containers hold a token beside the ambassador"
        )
        return [], frozenset(), [told] if wanted else []
    # Else the plugin would mount it again, after us and in the sidecar too.
    patch = [Operation(op="add", path=pointer("spec", "automountServiceAccountToken"), value=False)]
    for each in chosen:
        at = [index for index, mount in enumerate(mounts_of(each)) if is_token(mount)]
        patch += _removed((*each.path, "volumeMounts"), at)
    names = {each.name for each in chosen}
    others = [each for each in containers({"spec": spec}) if each.name not in names]
    used = {str(mount.get("name")) for each in others for mount in mounts_of(each)}
    used |= {str(mount.get("name")) for each in chosen for mount in mounts_of(each) if not is_token(mount)}
    volumes = [str(each.get("name")) for each in objects(spec, "volumes", ("spec",))]
    gone = frozenset(each for each in volumes if each.startswith(AUTOMOUNTED) and each not in used)
    patch += _removed(("spec", "volumes"), [index for index, each in enumerate(volumes) if each in gone])
    left = [
        f"{each.name}: keeps its service account token: it is not among the chosen containers"
        for each in others
        if any(map(is_token, mounts_of(each)))
    ]
    return patch, gone, left


def _removed(path: Path, at: Sequence[int]) -> Iterator[Operation]:
    """From the end, so that those before it stay where they are."""
    for index in reversed(at):
        yield Operation(op="remove", path=pointer(*path, index))


def _is_ours(mount: Tree) -> bool:
    return mount.get("mountPath") == STANDARD and mount.get("name") == NAME


def _user(pod: Tree, spec: Tree, gone: frozenset[str]) -> int:
    """The user the sidecar runs as: that of all the others, where they share one.

    A token's file is 0600 for a user that all containers share, else 0644 (``pkg/volume/util/util.go``, ``FsUserFrom``):
    another user here would open the app's own token files to everybody in the pod.
    """
    of_pod = _run_as(spec, ("spec",), None)
    users = {_run_as(each.spec, each.path, of_pod) for each in containers(pod)}
    shared = users.pop() if len(users) == 1 else None
    if shared is None:
        return NOBODY
    if shared != 0:
        return shared
    for index, volume in enumerate(objects(spec, "volumes", ("spec",))):
        place: Path = ("spec", "volumes", index)
        sources = objects(mapping(volume, "projected", place), "sources", (*place, "projected"))
        if str(volume.get("name")) not in gone and any("serviceAccountToken" in each for each in sources):
            raise Refused(
                place,
                "all containers run as user 0, so this token's file is root's alone; the ambassador, which does not run "
                "as root, would open it to everybody in the pod: run them as another user",
            )
    return NOBODY


def _run_as(tree: Tree, path: Path, otherwise: int | None) -> int | None:
    """The user that a security context names, or else the other one."""
    user = mapping(tree, "securityContext", path).get("runAsUser")
    if user is None:
        return otherwise
    if not isinstance(user, int):
        raise Refused((*path, "securityContext", "runAsUser"), "must be a whole number")
    return user


def _volume(token: ApiAccess) -> Tree:
    namespace = {"path": f"{ALIVE}/namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    return {
        "name": NAME,
        "projected": {"sources": [*token.sources, {"downwardAPI": {"items": [namespace]}}]},
    }


def _container(settings: Ambassador, user: int) -> Tree:
    probe = {"exec": {"command": [*PROBE]}, "timeoutSeconds": 5}
    return {
        "name": NAME,
        "image": settings.image,
        "command": [*settings.command],
        "restartPolicy": "Always",
        "resources": {each: dict(amounts) for each, amounts in settings.resources.items()},
        "volumeMounts": [{"name": NAME, "mountPath": STANDARD, "readOnly": True}],
        # The author's init containers wait for it; it may take a minute on a busy node.
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 60},
        "livenessProbe": {**probe, "periodSeconds": 30, "failureThreshold": 3},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
