"""Random pods that the API server accepts, with all the conflicts we can think of in them."""

from typing import Any

from hypothesis import strategies as st

from podfacts.core.carried import Surroundings

NAMES = st.sampled_from(["main", "side", "setup", "proxy", "a", "z9"])
ENV_NAMES = st.sampled_from(
    ["POD_NAME", "POD_IP", "NODE_NAME", "APP", "TEAM", "CPU_LIMIT", "HOME", "X.y-z", "KUBERNETES_API"]
)
FIELDS = st.sampled_from(
    [
        "metadata.name",
        "metadata.uid",
        "spec.nodeName",
        "status.podIP",
        "metadata.labels['app']",
        "status.hostIPs",
    ]
)
PATHS = st.sampled_from(
    [
        "/etc/downward",
        "/etc/downward/x",
        "/etc",
        "/etc//downward",
        "/data",
        "/etc/facts",
        "/",
        "/var/run/secrets/kubernetes.io/serviceaccount",
        "/run/api",
    ]
)
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
QUANTITIES = {
    "cpu": st.sampled_from(["1", "250m", "0", "1500m", "0.5"]),
    "memory": st.sampled_from(["64Mi", "1Gi", "0", "128974848", "129e6"]),
    "ephemeral-storage": st.sampled_from(["1Gi", "10M"]),
}

env_values: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from(["", "mine", "$(POD_NAME)", "$$(X)", "ünï"]).map(lambda value: {"value": value}),
    FIELDS.map(lambda field: {"valueFrom": {"fieldRef": {"fieldPath": field}}}),
    st.just({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}),
    st.just({"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k", "optional": True}}}),
)
env = st.lists(st.builds(lambda name, value: {"name": name, **value}, ENV_NAMES, env_values), max_size=4)

volume_sources: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"emptyDir": {}},
        {"configMap": {"name": "c", "optional": True}},
        {"downwardAPI": {}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {
            "downwardAPI": {
                "defaultMode": 256,
                "items": [{"path": "x", "fieldRef": {"fieldPath": "metadata.uid"}}],
            }
        },
    ]
)


@st.composite
def containers(draw: st.DrawFn, name: str, volumes: list[str], *, init: bool) -> dict[str, Any]:
    """One container that fits the pod's volumes."""
    container: dict[str, Any] = {"name": name, "image": "app"}
    if draw(st.booleans()):
        container["env"] = draw(env)
    if draw(st.booleans()) and volumes:
        paths = draw(st.lists(PATHS, unique=True, max_size=2))
        container["volumeMounts"] = [
            {"name": draw(st.sampled_from(volumes)), "mountPath": path} for path in paths
        ]
    if draw(st.booleans()):
        resources: list[str] = draw(st.lists(st.sampled_from(sorted(QUANTITIES)), unique=True))
        container["resources"] = {"limits": {each: draw(QUANTITIES[each]) for each in resources}}
    if draw(st.booleans()):
        container["envFrom"] = [{"prefix": draw(st.sampled_from(["", "POD_"])), "secretRef": {"name": "s"}}]
    if init and draw(st.booleans()):
        container["restartPolicy"] = "Always"
    return container


ANNOTATIONS = st.fixed_dictionaries(
    {},
    optional={
        "podfacts.dev/containers": st.sampled_from(["main", "main,side", "nobody", "setup , a"]),
        "podfacts.dev/skip-containers": st.sampled_from(["main", "side,z9", "nobody"]),
        "podfacts.dev/mount-path": st.sampled_from(["/etc/facts", "/run/x", "/data", "/etc/downward/"]),
        "podfacts.dev/overwrite": st.sampled_from(["POD_NAME", "POD_NAME,APP,CPU_LIMIT", "HOME"]),
        "podfacts.dev/injected": st.sampled_from(["", "forged", "{}"]),
        "podfacts.dev/unknown": st.just("x"),
        "podfacts.dev/api-access": st.sampled_from(["true", "false"]),
        "podfacts.dev/ambassador": st.sampled_from(["true", "false", "false"]),
        "example.com/team": st.text(max_size=20),
    },
)


@st.composite
def pods(draw: st.DrawFn, profiles: tuple[str, ...]) -> dict[str, Any]:
    """One opted-in pod; its name is left for the caller to set."""
    names: list[str] = draw(st.lists(NAMES, unique=True, min_size=1, max_size=5))
    regular = draw(st.integers(1, len(names)))
    volumes = draw(
        st.lists(st.sampled_from(["podfacts", "data", "more", "podfacts-api"]), unique=True, max_size=3)
    )
    spec: dict[str, Any] = {
        "containers": [draw(containers(name, volumes, init=False)) for name in names[:regular]]
    }
    if names[regular:]:
        spec["initContainers"] = [draw(containers(name, volumes, init=True)) for name in names[regular:]]
    automount = draw(st.sampled_from([None, None, False, True]))
    if automount is not None:
        spec["automountServiceAccountToken"] = automount
    user = draw(st.sampled_from([None, None, 0, 1000]))
    if user is not None:
        spec["securityContext"] = {"runAsUser": user}
    if draw(st.booleans()) or volumes:
        spec["volumes"] = [{"name": name, **draw(volume_sources)} for name in volumes]
    labels = {
        "podfacts.dev/inject": draw(st.sampled_from(profiles)),
        "app": draw(st.sampled_from(["web", ""])),
    }
    metadata: dict[str, Any] = {"name": "random", "labels": labels}
    if draw(st.booleans()):
        metadata["annotations"] = draw(ANNOTATIONS)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@st.composite
def automounted(draw: st.DrawFn, profiles: tuple[str, ...]) -> dict[str, Any]:
    """One opted-in pod as the API server's own plugin, or an export of another pod, has left it: with tokens in it."""
    pod: dict[str, Any] = draw(pods(profiles))
    spec = pod["spec"]
    token = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    volumes = spec.setdefault("volumes", [])
    for name in draw(
        st.sets(st.sampled_from(["kube-api-access-abcde", "kube-api-access-vwxyz"]), min_size=1)
    ):
        volumes.insert(draw(st.integers(0, len(volumes))), {"name": name, **token})
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            mounts = container.setdefault("volumeMounts", [])
            if draw(st.booleans()) and all(each["mountPath"] != TOKEN for each in mounts):
                mounts.insert(draw(st.integers(0, len(mounts))), {"name": name, "mountPath": TOKEN})
    return pod


ZONE = "topology.kubernetes.io/zone"
# What a fact may look for, on whatever may carry it, and values that a pod could not carry.
VALUES = st.sampled_from(["", "a", "$(POD_NAME)", "ünï", "x" * 1024, "x" * 1025, "a\0b"])
FORGED = st.sampled_from(["forged", "forged\0", "forged" * 300, ""])
KEYS = (
    "instance-type",
    "rack",
    "gpu",
    "owner-name",
    "image.main",
    "cluster",
    "team",
    "contact",
    "tier",
    "other",
    "zone",
)


def cluster_objects() -> st.SearchStrategy[dict[str, Any]]:
    """A node or a namespace, as little of it as facts can name."""
    labels = {
        ZONE: st.just("z1"),
        "node.kubernetes.io/instance-type": st.just("m5.large"),
        "example.com/gpu": st.sampled_from(["", "a100"]),
        "example.com/team": st.just("blue"),
        "podfacts.dev/node-facts": st.sampled_from(["enabled", "disabled"]),
    }
    annotations = {"Example.com/Rack": VALUES}
    parts = {
        "labels": st.fixed_dictionaries({}, optional=labels) | st.none(),
        "annotations": st.fixed_dictionaries(
            {"example.com/contact": st.just("me") | VALUES}, optional=annotations
        ),
    }
    status = {
        "allocatable": st.fixed_dictionaries(
            {}, optional={"memory": st.sampled_from(["16384256Ki", "1e3", "many"])}
        ),
        "nodeInfo": st.fixed_dictionaries({}, optional={"kernelVersion": VALUES}),
    }
    return st.fixed_dictionaries(
        {"metadata": st.fixed_dictionaries(parts)},
        optional={"status": st.fixed_dictionaries({}, optional=status)},
    )


SURROUNDINGS = st.builds(
    Surroundings,
    st.fixed_dictionaries({}, optional={"n1": cluster_objects()}),
    st.fixed_dictionaries({"other": cluster_objects()}, optional={"shop": cluster_objects()}),
)


@st.composite
def forging(draw: st.DrawFn, profiles: tuple[str, ...]) -> dict[str, Any]:
    """One opted-in pod whose author may have written facts too, and chosen the node."""
    pod: dict[str, Any] = draw(pods(profiles))
    metadata = pod["metadata"]
    keys = st.sampled_from(KEYS).map(lambda key: f"facts.podfacts.dev/{key}")
    forged: dict[str, str] = draw(st.dictionaries(keys, FORGED, max_size=4))
    if draw(st.booleans()) or forged:
        metadata["annotations"] = metadata.get("annotations", {}) | forged
    more = {"tier": st.sampled_from(["gold", ""]), "app": st.just("web"), ZONE: st.just("z1")}
    metadata["labels"] |= draw(st.fixed_dictionaries({}, optional=more))
    node = draw(st.sampled_from([None, "n1", "n1", "gone"]))
    if node:
        pod["spec"]["nodeName"] = node
    return pod
