"""What the installation's identities may do, by rbac/, by the API server's own word, and by what they did."""

import json
from http import HTTPStatus
from typing import Any

import yaml

from tests.e2e.conftest import REPOSITORY
from tests.e2e.install import SYSTEM, Installed

Call = tuple[str, str, str, str]  # Verb, API group, resource, name: what a rule of RBAC is made of.


def rules(component: str) -> set[Call]:
    """Return what rbac/ gives an identity, in atoms."""
    trees = yaml.safe_load_all((REPOSITORY / f"rbac/{component}.yaml").read_text())
    return {
        (verb, group, resource, name)
        for tree in filter(None, trees)
        for rule in tree.get("rules", [])
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }


# The resources of which rbac/ names the one object.
NAMED = ("secrets", "leases", "mutatingwebhookconfigurations")


def granted(here: Installed, account: str) -> set[Call]:
    """All that an account may do in our namespace and cluster-wide, as the authorizer itself lists it."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
    text = json.dumps({**review, "spec": {"namespace": SYSTEM}})
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    words = ("create", "--raw", path, "-f", "-", f"--as=system:serviceaccount:{account}")
    status = json.loads(here.cluster.kubectl(*words, stdin=text).stdout)["status"]
    assert not status["incomplete"]
    urls = {
        (verb, "", url, "")
        for rule in status["nonResourceRules"]
        for verb in rule["verbs"]
        for url in rule["nonResourceURLs"]
    }
    return urls | {
        (verb, group, resource, name)
        for rule in status["resourceRules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }


def may(here: Installed, component: str, call: Call, namespace: str = SYSTEM) -> bool:
    """Whether the API server lets a service account of ours do it."""
    verb, group, resource, name = call
    resource, _, subresource = resource.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "name": name,
    }
    groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}"]
    user = f"system:serviceaccount:{SYSTEM}:podfacts-{component}"
    spec = {"user": user, "groups": groups, "resourceAttributes": {**attributes, "namespace": namespace}}
    said = here.api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    return bool(said["status"]["allowed"])


def answered(here: Installed, component: str) -> list[dict[str, Any]]:
    """The API server's own record of what a service account has asked since the installation."""
    user = f"system:serviceaccount:{SYSTEM}:podfacts-{component}"
    with here.cluster.audit_log.open("rb") as log:
        log.seek(here.audited)
        events = [json.loads(line) for line in log if user.encode() in line]
    return [
        event
        for event in events
        # A watch is answered when it begins, and complete when it ends.
        if event["stage"] == ("ResponseStarted" if event["verb"] == "watch" else "ResponseComplete")
        and event["user"]["username"] == user
    ]


def calls(here: Installed, component: str) -> list[tuple[Call, int]]:
    """What a service account has asked the API server since the installation, and the answers' statuses."""
    return [(_call(event), event["responseStatus"]["code"]) for event in answered(here, component)]


# 404: what was deleted, a pod before its facts could be written among it. 429 is said of profiles while their definition
# is new.
FINE = {
    HTTPStatus.OK,
    HTTPStatus.CREATED,
    HTTPStatus.CONFLICT,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS,
}


# What stands in place of an answer for which the caller did not wait: a process that was ended meanwhile.
LEFT = "context canceled"


def asked(here: Installed, component: str) -> set[Call]:
    """What a service account has asked for; the version, and what kinds there are, everybody may ask."""
    return {call for call, _ in calls(here, component) if not call[2].startswith("/")}


def odd(here: Installed, component: str) -> list[tuple[int, str]]:
    """The answers that no working installation gets: their statuses and the reasons that the API server gave."""
    statuses = [event["responseStatus"] for event in answered(here, component)]
    said = [(status["code"], status.get("message", "")) for status in statuses]
    return [(code, message) for code, message in said if code not in FINE and not message.endswith(LEFT)]


def _call(event: dict[str, Any]) -> Call:
    of = event.get("objectRef", {"resource": event["requestURI"]})
    resource = "/".join(each for each in (of["resource"], of.get("subresource")) if each)
    name = of.get("name", "") if resource in NAMED else ""
    return event["verb"], of.get("apiGroup", ""), resource, name
