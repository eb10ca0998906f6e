"""The demo's second chapter: a pod reaches the API server with what it was granted, and the permissive binding ends."""

import tempfile
from pathlib import Path

from demo.kubectl import DemoError, Kubectl, print_lines

PODS = ("curl", "curl-with-proxy")
BINDING = "permissive-binding"
OWN = 'curl -sS -H "Authorization: Bearer $(cat $KUBERNETES_TOKEN_FILE)" "$KUBERNETES_API%s"'
SELF = "/api/v1/namespaces/$POD_NAMESPACE/pods/$POD_NAME"
SHORT = ' | grep -E "^  .(kind|message|code).:"'


def chapter(kubectl: Kubectl) -> None:
    """Show it, on pods that are there; a DemoError when it is not so."""
    _bundle(kubectl)
    _ambassador(kubectl)
    _binding(kubectl)


def _bundle(kubectl: Kubectl) -> None:
    _title("A pod that may talk to the API server: known to it, and granted nothing yet")
    definition = OWN % SELF + SHORT
    said = kubectl.show("exec", "curl", "--", "sh", "-c", definition)
    _expect('"code": 403' in said, "the API server did not refuse an account without a grant")
    _title("The least grant that does the job")
    plan = kubectl.podfacts("grant", "--to", f"{kubectl.namespace}/curl", "--read", "pods")
    print_lines(plan)
    kubectl.run("apply", "-f", "-", stdin=plan)
    kubectl.until("exec", "curl", "--", "sh", "-c", OWN % SELF, holds='"kind": "Pod"')
    kubectl.show("exec", "curl", "--", "sh", "-c", definition)
    said = kubectl.show(
        "exec", "curl", "--", "sh", "-c", OWN % "/api/v1/namespaces/$POD_NAMESPACE/secrets" + SHORT
    )
    _expect('"code": 403' in said, "a grant of pods opened secrets")


def _ambassador(kubectl: Kubectl) -> None:
    _title("A pod with the ambassador: its container holds no token, and asks localhost")
    main = ("exec", "curl-with-proxy", "-c", "main", "--")
    said = kubectl.show(
        *main, "sh", "-c", "ls /var/run/secrets/kubernetes.io/serviceaccount 2>&1; env | grep KUBERNETES_API"
    )
    _expect(
        "No such file" in said and "KUBERNETES_API=http://localhost:8001" in said,
        "the container holds a token",
    )
    said = kubectl.show(*main, "curl", "-sS", "localhost:8001/version")
    _expect('"major": "1"' in said, "the ambassador does not answer")
    said = kubectl.show(*main, "curl", "-sS", "-X", "POST", "localhost:8001/api/v1/namespaces/default/pods")
    _expect(said == "Forbidden\n", "the ambassador let a POST through")


def _binding(kubectl: Kubectl) -> None:
    """On a cluster of somebody else's, a RoleBinding in the demo's own namespace has to do."""
    cluster = kubectl.cluster
    kind = "clusterrolebinding" if cluster else "rolebinding"
    group = "system:serviceaccounts" if cluster else f"system:serviceaccounts:{kubectl.namespace}"
    role = "cluster-admin" if cluster else "admin"
    _title(f"The tutorial's {BINDING}: {role} for every service account")
    kubectl.run("-n", kubectl.namespace, "delete", kind, BINDING, "--ignore-not-found")
    began = cluster.audit_log.stat().st_size if cluster else 0
    kubectl.show("create", kind, BINDING, f"--clusterrole={role}", f"--group={group}")
    try:
        _replaced(kubectl, kind, began)
    finally:
        # Nobody's cluster may keep it, however this ends.
        kubectl.run("-n", kubectl.namespace, "delete", kind, BINDING, "--ignore-not-found")


def _replaced(kubectl: Kubectl, kind: str, began: int) -> None:
    definition = (
        "exec",
        "curl-with-proxy",
        "-c",
        "main",
        "--",
        "sh",
        "-c",
        f'curl -sS "$KUBERNETES_API{SELF}"',
    )
    kubectl.until(*definition, holds='"kind": "Pod"')
    with tempfile.TemporaryDirectory() as folder:
        source: tuple[str, ...] = () if kubectl.cluster else ("-n", kubectl.namespace)
        if kubectl.cluster:
            # What was needed until now. What comes below is what nobody needs.
            path = Path(folder, "audit.log")
            with kubectl.cluster.audit_log.open("rb") as log:
                log.seek(began)
                path.write_bytes(log.read())
            source = ("--audit-log", str(path))
        secrets = "/api/v1/secrets" if kubectl.cluster else "/api/v1/namespaces/$POD_NAMESPACE/secrets"
        ask = ("exec", "curl", "--", "sh", "-c", OWN % f"{secrets}?limit=1" + SHORT)
        kubectl.until(*ask, holds='"SecretList"')
        kubectl.show(*ask)
        _title("Who holds it, what they used of it, and the plan to take it back")
        plan = kubectl.podfacts("replace-binding", BINDING, *source)
        print_lines(plan)
        kubectl.run("apply", "-f", "-", stdin=plan)
        _title("Applied, and verified: what was used still works, and the rest does not")
        print_lines(kubectl.podfacts("replace-binding", BINDING, *source, "--verify"))
        kubectl.show("delete", kind, BINDING)
        kubectl.until(*ask, holds='"code": 403')
        kubectl.show(*ask)
    said = kubectl.run("-n", kubectl.namespace, *definition).stdout
    _expect('"kind": "Pod"' in said, "the ambassador's pod lost what it needs")


def _expect(fact: bool, otherwise: str) -> None:
    if not fact:
        raise DemoError(otherwise)


def _title(text: str) -> None:
    print_lines("", f"== {text}", "")
