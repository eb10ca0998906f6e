"""Who may do what: the rights that are shipped, to the last verb, and the reason beside each."""

from collections.abc import Iterator

import pytest

from tests.rbac_table import README, Ruled, ruled, written
from tests.shipped import (
    CHECKOUT,
    DEPLOYMENTS,
    INSTALLED,
    NAMESPACE,
    by_kind,
    container,
    pod,
)

# How the verbs of RBAC are said in HTTP.
METHODS = {"get": "GET", "list": "GET", "watch": "GET", "create": "POST", "update": "PUT", "patch": "PATCH"}
SHIPPED = [*by_kind(INSTALLED, "Role").values(), *by_kind(INSTALLED, "ClusterRole").values()]
APPS = [role for role in SHIPPED if role["metadata"]["labels"]["app.kubernetes.io/component"] == "apps"]
ROLES = [role for role in SHIPPED if role not in APPS]
BINDINGS = [entry for entry in INSTALLED if entry["kind"] in ("RoleBinding", "ClusterRoleBinding")]


def test_a_role_is_bound_to_the_account_it_is_named_after_and_tokens_are_asked_for_by_the_pods() -> None:
    for binding in BINDINGS:
        [subject] = binding["subjects"]
        assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", NAMESPACE)
        assert binding["roleRef"]["name"].removesuffix("-ca") == subject["name"]
    for name in DEPLOYMENTS:
        assert by_kind(INSTALLED, "ServiceAccount")[name]["automountServiceAccountToken"] is False
        assert pod(name)["automountServiceAccountToken"] is False
        [token] = [each["projected"] for each in pod(name)["volumes"] if each["name"] == "token"]
        # The API server makes a year of 3607, and of nothing else.
        assert token["sources"][0] == {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}
        place = "/var/run/secrets/kubernetes.io/serviceaccount"
        assert {"name": "token", "mountPath": place, "readOnly": True} in container(name)["volumeMounts"]
        assert pod(name)["serviceAccountName"] == name


def test_every_binding_binds_a_role_that_is_there() -> None:
    roles = {(role["kind"], role["metadata"]["name"]) for role in ROLES}
    assert {(binding["roleRef"]["kind"], binding["roleRef"]["name"]) for binding in BINDINGS} == roles


def rights(name: str) -> set[tuple[str, ...]]:
    return {
        (role["kind"], group, resource, of, verb)
        for role in ROLES
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for of in rule.get("resourceNames", ["*"])
        for verb in rule["verbs"]
        if role["metadata"]["name"] == name
    }


FOLLOWED = {("", "nodes"), ("", "namespaces"), ("podfacts.dev", "profiles")}


@pytest.mark.fault("T40")
def test_the_webhook_follows_three_resources_and_has_no_other_right() -> None:
    assert rights("podfacts-webhook") == {
        ("ClusterRole", *each, "*", verb) for each in FOLLOWED for verb in ("list", "watch")
    }


@pytest.mark.fault("T40")
def test_the_controller_has_these_rights_and_no_other() -> None:
    followed = {
        ("ClusterRole", *each, "*", verb) for each in {*FOLLOWED, ("", "pods")} for verb in ("list", "watch")
    }
    assert rights("podfacts-controller") == followed | {
        ("ClusterRole", "", "pods/status", "*", "patch"),
        ("ClusterRole", "podfacts.dev", "profiles/status", "*", "patch"),
        ("ClusterRole", "", "events", "*", "create"),
        ("ClusterRole", "apps", "replicasets", "*", "get"),
        ("ClusterRole", "batch", "jobs", "*", "get"),
        ("Role", "coordination.k8s.io", "leases", "podfacts-controller", "get"),
        ("Role", "coordination.k8s.io", "leases", "podfacts-controller", "update"),
    }
    assert rights("podfacts-controller-ca") == {
        ("Role", "", "secrets", "podfacts-ca", "get"),
        ("Role", "", "secrets", "podfacts-ca", "update"),
        ("ClusterRole", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "podfacts", "get"),
        ("ClusterRole", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "podfacts", "patch"),
    }


def test_the_roles_for_apps_read_a_few_kinds_and_are_bound_to_nobody() -> None:
    rights = {
        (role["metadata"]["name"].removeprefix("podfacts-app-"), resource, *rule["verbs"])
        for role in APPS
        for rule in role["rules"]
        for resource in rule["resources"]
    }
    assert rights == {
        ("read-pods", "pods", "get", "list"),
        ("read-services", "services", "get", "list"),
        ("read-services", "endpoints", "get", "list"),
        ("read-services", "endpointslices", "get", "list"),
        ("watch-pods", "pods", "get", "list", "watch"),
    }
    # No label that would add them to view, edit or admin by aggregation.
    assert not any(
        "rbac.authorization.k8s.io" in label for role in APPS for label in role["metadata"]["labels"]
    )
    bound = {binding["roleRef"]["name"] for binding in BINDINGS}
    assert bound.isdisjoint(role["metadata"]["name"] for role in APPS)


def rules_with_comments(files: str) -> Iterator[Ruled]:
    """Give each rule of the files in rbac/ with the comment above it."""
    for path in sorted((CHECKOUT / "rbac").glob(files)):
        yield from ruled(path)


def test_the_table_in_the_readme_is_what_rbac_says() -> None:
    readme = README.read_text()
    assert written(readme) == readme, "write it anew: make manifests"


def test_every_rule_says_which_call_needs_it() -> None:
    seen = 0
    for _, rule, call, reason in rules_with_comments("[wc]*.yaml"):
        seen += 1
        assert {METHODS[verb] for verb in rule["verbs"]} == {
            word for word in METHODS.values() if word in call.split()
        }
        [group], [resource] = rule["apiGroups"], rule["resources"]
        path = f"/apis/{group}/v1" if group else "/api/v1/"
        assert path in call, call
        kind, _, part = resource.partition("/")
        name = rule.get("resourceNames", ["NAME" if part or rule["verbs"] == ["get"] else ""])[0]
        end = "/".join(each for each in (kind, name, part) if each)
        assert call.removesuffix("?watch=true").endswith(f"/{end}"), call
        assert ("watch" in rule["verbs"]) == ("watch=true" in call), call
        assert len(reason.split()) > 5, call
    assert seen == sum(len(role["rules"]) for role in ROLES)


def test_every_rule_for_apps_says_which_call_it_lets_them_make() -> None:
    seen = 0
    for _, rule, call, reason in rules_with_comments("apps.yaml"):
        seen += 1
        [group] = rule["apiGroups"]
        path = f"/apis/{group}/v1/" if group else "/api/v1/"
        assert call.startswith(f"GET {path}namespaces/NAMESPACE/"), call
        assert all(resource in call for resource in rule["resources"]), call
        assert ("watch" in rule["verbs"]) == ("watch=true" in call), call
        assert len(reason.split()) > 5, call
    assert seen == sum(len(role["rules"]) for role in APPS)
