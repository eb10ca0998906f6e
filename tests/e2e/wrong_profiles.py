"""Profiles that are refused: each is a good one but for one change, beside the sentence that says what to write."""

from typing import Any

Tree = dict[str, Any]
Row = tuple[Tree, str]

GOOD = {"name": "pod-name", "field": "metadata.name"}


def profile(*facts: Tree, **spec: Any) -> Tree:
    """A profile of these facts, or of one good fact, and these further keys of its spec."""
    return {
        "apiVersion": "podfacts.dev/v1alpha1",
        "kind": "Profile",
        "metadata": {"name": "p"},
        "spec": {"facts": list(facts) or [GOOD], **spec},
    }


def fact(says: str, **keys: Any) -> Row:
    """A good fact, and one called x with these keys; ``says`` begins with the key that the sentence is about."""
    return profile(GOOD, {"name": "x", **keys}), f"spec.facts[1]{says}"


def spec(says: str, **keys: Any) -> Row:
    """A good fact and these keys."""
    return profile(**keys), f"spec.{says}"


SOURCE = ": Invalid value: needs exactly one source: one of field, resource, label, annotation, nodeLabel, nodeAnnotation, nodeField, namespaceLabel, namespaceAnnotation, owner, image, value"
FIELD = ": must be one of metadata.annotations, metadata.labels, metadata.name, metadata.namespace, metadata.uid, spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, status.podIPs, metadata.labels['KEY'] or metadata.annotations['KEY']"
NODE_FIELD = ": must be status.capacity.RESOURCE, status.allocatable.RESOURCE or status.nodeInfo. with one of architecture, bootID, containerRuntimeVersion, kernelVersion, kubeletVersion, machineID, operatingSystem, osImage, systemUUID"
RESOURCE = ": must be limits. or requests. with cpu, memory, ephemeral-storage or hugepages-<size>: the Downward API carries no other resource"
DIVIDED = (
    ".divisor: Forbidden: goes with resource, and with nodeField of status.capacity or status.allocatable"
)
SIZES = ".divisor: Invalid value: must be one of 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei for anything but cpu"
REQUIRED = ".required: Forbidden: goes with label, annotation, nodeLabel, nodeAnnotation, nodeField, namespaceLabel, namespaceAnnotation or owner: any other is never absent, so remove the key"
DEFAULT = ".default: Forbidden: goes with label, annotation, nodeLabel, nodeAnnotation, nodeField, namespaceLabel, namespaceAnnotation only: remove the key"
ENV = ": must be letters, digits and '_', not starting with a digit: POD_NAME"
FILE = ": must be a relative path of letters, digits, '-', '_' and '.': zone"
WAITING = ".required: Invalid value: needs an env name: a container waits for a variable, not for a file"
KEY, LABEL, ANNOTATION = ": is no label or annotation key: write it as example.com/team", ": is no label key: write it as topology.kubernetes.io/zone", ": is no annotation key: write it as example.com/rack"  # fmt: skip
TWICE = 'give one of them another, or "" for none'

FACTS: list[Row] = [
    (profile({"field": "metadata.name"}), "spec.facts[0].name: Required value"),
    (profile({"name": "Pod_Name", "label": "a"}), "spec.facts[0].name: Invalid value: \"Pod_Name\": must be lower case words joined by '-', at most 63 characters: cpu-limit"),
    (profile({"name": "x" * 64, "label": "a"}), "spec.facts[0].name: Too long: may not be more than 63 bytes"),
    fact(SOURCE),
    fact(SOURCE, field="metadata.uid", label="a"),
    fact(SOURCE, nodeLabel="a", namespaceLabel="b"),
    fact(SOURCE, value="", image="digest", file="y"),
    fact('.field: Invalid value: "spec.hostname"' + FIELD, field="spec.hostname"),
    fact('.field: Invalid value: "metadata.labels[\\"a\\"]"' + FIELD, field='metadata.labels["a"]'),
    fact(".field: Invalid value: \"metadata.labels['-a']\": holds no label or annotation key: write it as metadata.labels['example.com/team']", field="metadata.labels['-a']"),
    fact('.resource: Invalid value: "limits.nvidia.com/gpu"' + RESOURCE, resource="limits.nvidia.com/gpu"),
    fact('.resource: Invalid value: "cpu"' + RESOURCE, resource="cpu"),
    fact('.label: Invalid value: "Example.com/a"' + KEY, label="Example.com/a"),
    fact('.label: Invalid value: ""' + KEY, label=""),
    fact(f'.label: Invalid value: "{"a" * 254}/t"' + KEY, label="a" * 254 + "/t"),
    fact('.annotation: Invalid value: "a..b/c"' + KEY, annotation="a..b/c"),
    fact('.nodeLabel: Invalid value: "-a"' + LABEL, nodeLabel="-a"),
    fact('.nodeAnnotation: Invalid value: "a b"' + ANNOTATION, nodeAnnotation="a b"),
    fact('.namespaceLabel: Invalid value: "a/b/c"' + LABEL, namespaceLabel="a/b/c"),
    fact(".namespaceAnnotation: Invalid value: \"a'b\"" + ANNOTATION, namespaceAnnotation="a'b"),
    fact('.nodeField: Invalid value: "status.phase"' + NODE_FIELD, nodeField="status.phase"),
    fact('.nodeField: Invalid value: "status.nodeInfo.swap"' + NODE_FIELD, nodeField="status.nodeInfo.swap"),
    fact('.nodeField: Invalid value: "status.allocatable."' + NODE_FIELD, nodeField="status.allocatable."),
    fact('.owner: Unsupported value: "uid": supported values: "kind", "name"', owner="uid"),
    fact('.image: Unsupported value: "tag": supported values: "digest"', image="tag"),
    fact('.value: Invalid value: "integer": spec.facts[1].value in body must be of type string: "integer"', value=7),
    fact(".value: Too long: may not be more than 1024 bytes", value="a" * 1025),
    fact(f'.value: Invalid value: "{"é" * 513}": must be at most 1024 bytes, without NUL', value="é" * 513),
    fact('.value: Invalid value: "a\\x00": must be at most 1024 bytes, without NUL', value="a\0"),
    fact(DIVIDED, field="metadata.uid", divisor="1"),
    fact(DIVIDED, nodeLabel="a", divisor=1),
    fact(DIVIDED, nodeField="status.nodeInfo.osImage", divisor="1"),
    fact(".divisor: Invalid value: must be one of 1, 1m for cpu", resource="limits.cpu", divisor="1k"),
    fact(".divisor: Invalid value: must be one of 1, 1m for cpu", nodeField="status.capacity.cpu", divisor=2),
    fact(SIZES, resource="requests.memory", divisor="1m"),
    fact(SIZES, nodeField="status.allocatable.memory", divisor="1m"),
    fact('.divisor: Invalid value: "boolean": spec.facts[1].divisor in body must be of type integer,string: "boolean"', resource="limits.cpu", divisor=True),
    fact('.env: Invalid value: "1A"' + ENV, field="metadata.uid", env="1A"),
    fact('.env: Invalid value: "A-B"' + ENV, field="metadata.uid", env="A-B"),
    fact(".env: Forbidden: the Downward API cannot carry this source as env: remove the key", field="metadata.labels", env="LABELS"),
    fact(".env: Forbidden: an owner is found after the pod was created: write required: true, and the containers wait for it, or remove the key", owner="kind", env="KIND"),
    fact(".env: Forbidden: a digest is known when the container runs already: remove the key, it goes as a file", image="digest", env="DIGEST"),
    fact('.file: Invalid value: "../x"' + FILE, field="metadata.uid", file="../x"),
    fact('.file: Invalid value: "/x"' + FILE, field="metadata.uid", file="/x"),
    fact('.file: Invalid value: "x/"' + FILE, field="metadata.uid", file="x/"),
    fact(".file: Forbidden: the Downward API cannot carry this source as file: remove the key", field="status.podIP", file="ip"),
    fact(".file: Invalid value: containers/ is kept for per-container facts: write another file", field="metadata.uid", file="containers/x"),
    (profile({"name": "containers", "label": "a"}), "spec.facts[0].file: Invalid value: containers/ is kept for per-container facts: write another file"),
    fact(REQUIRED, field="metadata.uid", required=True),
    fact(REQUIRED, image="digest", required=True),
    fact(WAITING, nodeLabel="a", required=True, env=""),
    fact(WAITING, owner="kind", required=True, env=""),
    fact('.required: Invalid value: "string": spec.facts[1].required in body must be of type boolean: "string"', label="a", required="yes"),
    fact(DEFAULT, value="a", default="b"),
    fact(DEFAULT, owner="kind", default="b"),
    fact(".default: Forbidden: and required exclude each other: keep one of them", label="a", required=True, default="b"),
    fact(".default: Too long: may not be more than 1024 bytes", label="a", default="b" * 1025),
    fact(f'.default: Invalid value: "{"é" * 513}": must be at most 1024 bytes, without NUL', nodeLabel="a", default="é" * 513),
    (profile(GOOD, GOOD | {"env": "", "file": ""}), 'spec.facts[1]: Duplicate value: {"name":"pod-name"}'),
    (profile(GOOD, {"name": "x", "label": "a", "env": "POD_NAME"}), "spec.facts: Invalid value: POD_NAME is the env of two facts: " + TWICE),
    (profile(GOOD, {"name": "x", "label": "a", "file": "pod-name"}), "spec.facts: Invalid value: pod-name is the file of two facts: " + TWICE),
    (profile({"name": "x", "image": "digest"}, {"name": "y", "resource": "limits.cpu", "file": "x"}), "spec.facts: Invalid value: containers/CONTAINER/x is the file of two facts: " + TWICE),
    (profile(GOOD, {"name": "x", "label": "a", "file": "pod-name/x"}), "spec.facts: Invalid value: pod-name is the file of a fact and a folder for another one: give one of them another file"),
]  # fmt: skip

FEW_ITEMS = " in body should have at least 1 items"
AMOUNTS = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
AMOUNT = ": must be an amount such as 100m or 64Mi, in double quotes"
OTHER_PATH = "where API access may be: write another path, such as /etc/downward"
EXAMPLE = ": write one such as ^/api/v1/namespaces/[^/]+/pods(/[^/]+)?$"
PATHS = "ambassador.acceptPaths[0]: Invalid value: "
PARTS = (
    ": holds more than literals, . ^ $ ( ) | [ ] * + ? and escaped signs, which is all that is taken here"
    + EXAMPLE
)
TAKEN = "must not touch /proc, /sys, /dev, /etc/hosts, /etc/hostname or /etc/resolv.conf, which every container needs: write a path such as /etc/downward"
FOLDER = "must be a folder of its own without '..': write a path such as /etc/downward"
NAME = "metadata.name: Invalid value: must be usable as a label value (lower case, digits, '-' and '.', at most 63), and not true or false"

SPECS: list[Row] = [
    (profile() | {"metadata": {"name": "true"}}, NAME),
    (profile() | {"metadata": {"name": "x" * 64}}, "metadata.name: Too long: may not be more than 63 bytes"),
    spec("facts: Invalid value: 0: spec.facts" + FEW_ITEMS, facts=[]),
    (profile() | {"spec": {}}, "spec.facts: Required value"),
    spec('volume.mountPath: Invalid value: "etc": must be an absolute path such as /etc/downward', volume={"mountPath": "etc"}),
    spec("volume.mountPath: Invalid value: \"/a:b\": must not hold ':' or control characters: write a path such as /etc/downward", volume={"mountPath": "/a:b"}),
    spec('volume.mountPath: Invalid value: "/a/../b": ' + FOLDER, volume={"mountPath": "/a/../b"}),
    spec('volume.mountPath: Invalid value: "/./": ' + FOLDER, volume={"mountPath": "/./"}),
    spec('volume.mountPath: Invalid value: "/etc": ' + TAKEN, volume={"mountPath": "/etc"}),
    spec('volume.mountPath: Invalid value: "//proc/x": ' + TAKEN, volume={"mountPath": "//proc/x"}),
    spec("volume.mountPath: Invalid value: meets /var/run/secrets/kubernetes.io/serviceaccount, " + OTHER_PATH, volume={"mountPath": "/var/run"}),
    spec("volume.mountPath: Invalid value: meets apiAccess.mountPath, " + OTHER_PATH, apiAccess={"mountPath": "/etc/downward/api"}),
    fact('.annotation: Invalid value: "facts.podfacts.dev/rack": is written by Podfacts: write where its value comes from', annotation="facts.podfacts.dev/rack"),
    fact(".field: Invalid value: \"metadata.annotations['facts.podfacts.dev/rack']\": is written by Podfacts: write where its value comes from", field="metadata.annotations['facts.podfacts.dev/rack']"),
    (profile({"name": "x", "nodeLabel": "a", "required": True}, apiAccess={"mountPath": "/run"}), "spec.apiAccess.mountPath: Invalid value: meets /run/podfacts/required, where required facts are held: write another path, such as /var/run/secrets/kubernetes.io/serviceaccount"),
    (profile({"name": "x", "nodeLabel": "a", "required": True}, volume={"mountPath": "/run"}), "spec.volume.mountPath: Invalid value: meets /run/podfacts/required, where required facts are held: write another path, such as /etc/downward"),
    spec('apiAccess.enabled: Invalid value: "string": spec.apiAccess.enabled in body must be of type boolean: "string"', apiAccess={"enabled": "true"}),
    spec('apiAccess.mountPath: Invalid value: "/dev/api": ' + TAKEN, apiAccess={"mountPath": "/dev/api"}),
    spec('apiAccess.mountPath: Invalid value: "api": must be an absolute path such as /etc/downward', apiAccess={"mountPath": "api"}),
    spec("apiAccess.mountPath: Invalid value: \"/a\\tb\": must not hold ':' or control characters: write a path such as /etc/downward", apiAccess={"mountPath": "/a\tb"}),
    spec('apiAccess.mountPath: Invalid value: "/a/..": ' + FOLDER, apiAccess={"mountPath": "/a/.."}),
    spec("apiAccess.expirationSeconds: Invalid value: 599: spec.apiAccess.expirationSeconds in body should be greater than or equal to 600", apiAccess={"expirationSeconds": 599}),
    spec("apiAccess.expirationSeconds: Invalid value: 3607 is stretched to a year by the API server: write 3600", apiAccess={"expirationSeconds": 3607}),
    spec('apiAccess.audience: Invalid value: "a b": must be printable ASCII without spaces, such as https://kubernetes.default.svc; remove it for the API server\'s own', apiAccess={"audience": "a b"}),
    spec("apiAccess.env: Invalid value: each name must be letters, digits and '_', not starting with a digit: SSL_CERT_FILE", apiAccess={"env": {"1A": "ca"}}),
    spec('apiAccess.env.A: Unsupported value: "key": supported values: "api", "ca", "token", "namespace"', apiAccess={"env": {"A": "key"}}),
    spec("apiAccess.env: Invalid value: CURL_CA_BUNDLE, KUBERNETES_API, KUBERNETES_TOKEN_FILE and KUBERNETES_NAMESPACE_FILE are always set: remove the line", apiAccess={"env": {"KUBERNETES_API": "api"}}),
    spec("facts: Invalid value: a fact's env is one that apiAccess sets (CURL_CA_BUNDLE, KUBERNETES_API, KUBERNETES_TOKEN_FILE, KUBERNETES_NAMESPACE_FILE and the names in apiAccess.env): write another", apiAccess={"env": {"POD_NAME": "api"}}),
    spec("apiAccess.reads: Invalid value: 0: spec.apiAccess.reads" + FEW_ITEMS, apiAccess={"reads": []}),
    spec('apiAccess.reads[1]: Invalid value: "Pods": is no resource: write RESOURCE[.GROUP][/SUB], such as pods or deployments.apps', apiAccess={"reads": ["pods", "Pods"]}),
    spec('apiAccess.reads[0]: Invalid value: "pods/exec": is more than reading: grant it by a Role of your own', apiAccess={"reads": ["pods/exec"]}),
    spec('apiAccess.reads[1]: Duplicate value: "pods"', apiAccess={"reads": ["pods", "pods"]}),
    spec("ambassador.enabled: Forbidden: and apiAccess.enabled cannot both be true: with the ambassador the containers hold no token. Keep one of them", apiAccess={"enabled": True}, ambassador={"enabled": True}),
    spec('ambassador.image: Invalid value: "a b": must be an image with kubectl in it, such as registry.k8s.io/kubectl:v1.36.3', ambassador={"image": "a b"}),
    spec('ambassador.methods[1]: Unsupported value: "CONNECT": supported values: "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"', ambassador={"methods": ["GET", "CONNECT"]}),
    spec(PATHS + '"^/a,^/b": must hold no comma, for kubectl splits there' + EXAMPLE, ambassador={"acceptPaths": ["^/a,^/b"]}),
    spec(PATHS + '"^/(?!secrets)"' + PARTS, ambassador={"acceptPaths": ["^/(?!secrets)"]}),
    spec(PATHS + '"api": must begin with ^/, or it is looked for anywhere in a path' + EXAMPLE, ambassador={"acceptPaths": ["api"]}),
    spec(PATHS + '"^/.*": lets nearly every path through' + EXAMPLE, ambassador={"acceptPaths": ["^/.*"]}),
    spec(PATHS + '"string": error parsing regexp: missing closing ): `^/api(` evaluating rule: lets nearly every path through' + EXAMPLE, ambassador={"acceptPaths": ["^/api("]}),
    spec("ambassador.acceptPaths[0]: Too long: may not be more than 256 bytes", ambassador={"acceptPaths": ["^/" + "a" * 255]}),
    spec("ambassador.resources.limits.memory: Required value", ambassador={"resources": AMOUNTS | {"limits": {"cpu": "1"}}}),
    spec('ambassador.resources.limits.memory: Invalid value: "1gb"' + AMOUNT, ambassador={"resources": AMOUNTS | {"limits": {"cpu": "1", "memory": "1gb"}}}),
    spec('ambassador.resources.requests.memory: Invalid value: "0"' + AMOUNT, ambassador={"resources": AMOUNTS | {"requests": {"cpu": "1m", "memory": "0"}}}),
    spec('ambassador.resources.requests.cpu: Invalid value: "1 m"' + AMOUNT, ambassador={"resources": AMOUNTS | {"requests": {"cpu": "1 m", "memory": "1Mi"}}}),
    spec('ambassador.resources.limits.cpu: Invalid value: "1e3"' + AMOUNT, ambassador={"resources": AMOUNTS | {"limits": {"cpu": "1e3", "memory": "1Gi"}}}),
    spec("ambassador.resources.requests.memory: Invalid value: must not be above limits.memory", ambassador={"resources": AMOUNTS | {"limits": {"cpu": "1", "memory": "0.03Gi"}}}),
    spec("ambassador.resources.requests.cpu: Invalid value: must not be above limits.cpu", ambassador={"resources": AMOUNTS | {"limits": {"cpu": "9m", "memory": "1Gi"}}}),
    spec('remediate: Unsupported value: "delete": supported values: "none", "evict"', remediate="delete"),
]  # fmt: skip

# The API server takes these; the profile's status says what is wrong. docs/profiles.md has the list.
LEFT_TO_CODE: list[Row] = [
    spec("apiAccess.reads[0]: pod: is no resource: write pods", apiAccess={"reads": ["pod"]}),
    spec("apiAccess.reads[0]: deployments: is in the group apps: write deployments.apps", apiAccess={"reads": ["deployments"]}),
    spec("apiAccess.reads[0]: nodes: is not in a namespace: grant it by podfacts grant", apiAccess={"reads": ["nodes"]}),
    spec("ambassador.acceptPaths[0]: must begin with ^/, and so each part between | signs", ambassador={"acceptPaths": ["^/foo|pods"]}),
    spec("volume.mountPath: /etc/./a meets /etc/a/api, where API access may be", volume={"mountPath": "/etc/./a"}, apiAccess={"mountPath": "/etc/a/api"}),
]  # fmt: skip

# Bounds that the API server needs for knowing what a rule may cost; a file for the command line has none.
MANY: list[Row] = [
    (profile(*({"name": f"x{at}", "label": "a"} for at in range(101))), "spec.facts: Too many: 101: must have at most 100 items"),
    spec("apiAccess.env: Too many: 17: must have at most 16 items", apiAccess={"env": {f"A{at}": "ca" for at in range(17)}}),
    (profile(GOOD | {"env": "A" * 254}), "spec.facts[0].env: Too long: may not be more than 253 bytes"),
    (profile(GOOD | {"file": "a/" * 127 + "ab"}), "spec.facts[0].file: Too long: may not be more than 255 bytes"),
    spec("volume.mountPath: Too long: may not be more than 1024 bytes", volume={"mountPath": "/" + "a" * 1024}),
]  # fmt: skip

# The largest that there can be.
LARGEST: list[Tree] = [
    profile(*({"name": "x" * 60 + f"{at:03}", "nodeLabel": "a" * 253 + "/" + "b" * 63, "default": "v" * 1024} for at in range(100))),
    profile(*({"name": f"x{at}", "value": "v" * 1024, "env": "A" * 250 + f"{at:03}", "file": "a" * 250 + f"/{at:03}"} for at in range(100))),
]  # fmt: skip
