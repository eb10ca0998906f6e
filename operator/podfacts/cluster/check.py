"""``podfacts check``: the parts of an installation, one after another, and what to do where one is not as it should be.

A check is a row: what is read of the cluster for it, and the function that judges what was read. The cluster is only
read; a pod is tried by dry run, and whoever types is told what they may do by the API server.
"""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

from podfacts.cluster import before_install, exact_rights, installed_parts
from podfacts.cluster.access import ApiServer, NoAnswer
from podfacts.cluster.expected_rights import SYSTEM
from podfacts.cluster.outcome import Outcome, fail, ok, warn
from podfacts.core.catalogue import Catalogue, catalogue
from podfacts.core.options import INJECT, INJECTED
from podfacts.core.profile import DEFAULT
from podfacts.core.refusal import BadInput, Refused
from podfacts.rights.manifest import visible
from podfacts.rights.wanted import namespace_name

Tree = dict[str, Any]
Read = Callable[[ApiServer], Any]

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/profiles.podfacts.dev"
PROFILES = "/apis/podfacts.dev/v1alpha1/profiles"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/podfacts-"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/podfacts-controller"
OPTED_IN = quote(f"{INJECT},{INJECT}!=false")


class Check(NamedTuple):
    """One row: its name, what is read, and who judges it, given what was read in that order."""

    name: str
    reads: tuple[Read, ...]
    judge: Callable[..., Iterable[Outcome]]


class Report(NamedTuple):
    """What was found, by the check's name."""

    found: tuple[tuple[str, Outcome], ...]

    @property
    def sound(self) -> bool:
        """Whether nothing fails."""
        return all(outcome.state != "FAIL" for _, outcome in self.found)

    @property
    def text(self) -> str:
        """For people."""
        lines = []
        for name, outcome in self.found:
            cure = f": {outcome.cure}" if outcome.cure else ""
            lines.append(f"{outcome.state:4}  {name}: {visible(outcome.text)}{visible(cure)}")
        counted = [sum(each.state == state for _, each in self.found) for state in ("ok", "warn", "FAIL")]
        return "\n".join((*lines, "{} ok, {} to look at, {} failed".format(*counted))) + "\n"

    @property
    def json(self) -> str:
        """For programs."""
        checks = [{"check": name, **outcome._asdict()} for name, outcome in self.found]
        return json.dumps({"sound": self.sound, "checks": checks}, ensure_ascii=False, indent=2) + "\n"


def checked(api: ApiServer, namespace: str, *, pre: bool) -> Report:
    """The report. ``namespace`` is where a pod is tried. Raises ``BadInput`` when there is no cluster."""
    try:
        namespace_name(namespace)
    except Refused as refused:
        raise BadInput(f"podfacts check: {refused.reason}") from None
    checks = BEFORE if pre else (*CHECKS, Check("injection", (tried_in(namespace),), injection))
    return Report(tuple((each.name, outcome) for each in checks for outcome in _outcomes(api, each)))


def _outcomes(api: ApiServer, check: Check) -> list[Outcome]:
    try:
        return list(check.judge(*(read(api) for read in check.reads)))
    except NoAnswer as error:
        if not error.status:
            raise
        return [warn(f"not checked: {error}", "ask for the right to read it")]


def one(path: str) -> Read:
    """Read one object; ``None`` when it is not there."""
    return lambda api: api.get(path)


def all_of(path: str) -> Read:
    """Read a list; an empty one when its kind is not served."""

    def read(api: ApiServer) -> list[Tree]:
        try:
            return api.items(path)
        except NoAnswer as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return []
            raise

    return read


def now(_: ApiServer) -> datetime:
    """Here, which is not the cluster's clock: what is judged by it has room for minutes."""
    return datetime.now(UTC)


def allowed(api: ApiServer) -> list[bool]:
    """The authorizer's answers to what an installer does."""
    answers = []
    for question in before_install.asked():
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": question},
        }
        answers.append(bool(api.create(REVIEWS, review)["status"].get("allowed")))
    return answers


def known(api: ApiServer) -> Catalogue:
    """The profiles in force, by the objects and their status."""
    return catalogue(all_of(PROFILES)(api), {DEFAULT.name: DEFAULT})


def tried_in(namespace: str) -> Read:
    """Ask for an opted-in pod in the namespace, by dry run; read what comes of it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "podfacts-check-", "labels": {INJECT: "true"}},
        "spec": {"containers": [{"name": "main", "image": "podfacts-check"}]},
    }

    def read(api: ApiServer) -> Tree | NoAnswer:
        try:
            return api.dry_run(f"/api/v1/namespaces/{namespace}/pods", pod).tree
        except NoAnswer as error:
            if "admission webhook" in str(error) or "failed calling webhook" in str(error):
                return error
            raise

    return read


def injection(answer: Tree | NoAnswer) -> Iterable[Outcome]:
    """Whether a pod that asks for facts gets them: the API server finds the webhook, trusts and asks it."""
    if isinstance(answer, NoAnswer):
        if "denied the request" in str(answer):
            yield warn(f"the webhook answers, and refuses a plain pod: {answer}")
        else:
            yield fail(
                f"the webhook cannot be asked: {answer}",
                f"kubectl logs -n {SYSTEM} deployment/podfacts-webhook",
            )
    elif INJECTED not in (answer["metadata"].get("annotations") or {}):
        yield fail(
            "an opted-in pod comes back without its facts: the webhook is not asked, or away with failurePolicy Ignore",
            f"kubectl get pods -n {SYSTEM}",
        )
    else:
        yield ok("an opted-in pod comes back with its facts, so the webhook is reached and trusted")


BEFORE = (
    Check("version", (one("/version"),), before_install.version),
    Check("served", (one(ADMISSION),), before_install.served),
    Check("rights", (allowed,), before_install.installer),
    Check("crd", (one(CRD),), before_install.definition),
    Check("namespace", (one(f"/api/v1/namespaces/{SYSTEM}"),), before_install.namespace),
)
CONFIGURATIONS = all_of(f"{ADMISSION}/mutatingwebhookconfigurations")
CHECKS = (
    Check("version", (one("/version"),), before_install.version),
    Check("crd", (one(CRD),), installed_parts.crd),
    Check(
        "deployments",
        tuple(one(f"{DEPLOYMENT}{each}") for each in installed_parts.COMPONENTS),
        installed_parts.deployments,
    ),
    Check("webhooks", (CONFIGURATIONS,), installed_parts.webhooks),
    Check("ca", (CONFIGURATIONS, now), installed_parts.ca),
    Check(
        "rights",
        tuple(
            all_of(f"{RBAC}/{each}")
            for each in ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
        ),
        exact_rights.exact_rights,
    ),
    Check(
        "fence",
        (
            all_of(f"{ADMISSION}/validatingadmissionpolicies"),
            all_of(f"{ADMISSION}/validatingadmissionpolicybindings"),
        ),
        installed_parts.fence,
    ),
    Check("profiles", (all_of(PROFILES),), installed_parts.profiles),
    Check("lease", (one(LEASE), now), installed_parts.lease),
    Check("missed", (all_of(f"/api/v1/pods?labelSelector={OPTED_IN}"), known), installed_parts.missed),
)
