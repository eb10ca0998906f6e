"""The matrix: who may do what to what must not be in everybody's hands. The verbs are words; colours only repeat them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from podfacts.audit.finding import Severity
from podfacts.audit.inventory import Role, Subject
from podfacts.audit.report import Report
from podfacts.reports.markup import Markup, element, together
from podfacts.reports.wording import counted
from podfacts.rights.request import Request
from podfacts.rights.rules import allows

SHOWN = 100
RBAC, ADMISSION, CERTIFICATES = (
    "rbac.authorization.k8s.io",
    "admissionregistration.k8s.io",
    "certificates.k8s.io",
)
READ, WRITE = "get list watch", "create update patch delete"


@dataclass(frozen=True, slots=True)
class Column:
    """A resource, the verbs that are asked, and how bad it is to have any: in the cluster, and in one namespace.

    To read only is bad as ``reading`` says. What lies in no namespace no RoleBinding gives, and ``inside`` is ``None``.
    """

    title: str
    request: Request
    verbs: str
    wide: Severity
    inside: Severity | None
    reading: Severity = Severity.INFO


C, H, M = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM
COLUMNS = (
    Column("secrets", Request("", "", "secrets"), f"{READ} {WRITE}", H, M, reading=H),
    Column("pods", Request("", "", "pods"), f"{READ} {WRITE}", H, H),
    Column("pods/exec", Request("", "", "pods", "exec"), "create", H, H),
    Column("deployments", Request("", "apps", "deployments"), f"{READ} {WRITE}", H, H),
    Column("daemonsets", Request("", "apps", "daemonsets"), f"{READ} {WRITE}", H, H),
    Column("serviceaccounts/token", Request("", "", "serviceaccounts", "token"), "create", C, H),
    Column("impersonate users", Request("", "", "users"), "impersonate", C, None),
    Column("impersonate groups", Request("", "", "groups"), "impersonate", C, None),
    Column("impersonate serviceaccounts", Request("", "", "serviceaccounts"), "impersonate", C, H),
    Column("roles", Request("", RBAC, "roles"), f"{WRITE} bind escalate", H, M),
    Column("clusterroles", Request("", RBAC, "clusterroles"), f"{WRITE} bind escalate", C, H),
    Column("rolebindings", Request("", RBAC, "rolebindings"), WRITE, H, M),
    Column("clusterrolebindings", Request("", RBAC, "clusterrolebindings"), WRITE, C, None),
    Column("nodes/proxy", Request("", "", "nodes", "proxy"), "get create", C, None, reading=C),
    Column("nodes", Request("", "", "nodes"), f"{READ} {WRITE}", M, None),
    Column("namespaces", Request("", "", "namespaces"), "create update patch delete", M, M),
    Column("persistentvolumes", Request("", "", "persistentvolumes"), "create update patch", H, None),
    Column("mutatingwebhookconfigurations", Request("", ADMISSION, "mutatingwebhookconfigurations"), WRITE, C, None),
    Column("validatingwebhookconfigurations", Request("", ADMISSION, "validatingwebhookconfigurations"), WRITE, H, None),
    Column("certificatesigningrequests/approval", Request("", CERTIFICATES, "certificatesigningrequests", "approval"), "update patch", M, None),
)  # fmt: skip

Bound = Mapping[str, Sequence[Role]]  # Roles by the namespace where they are bound.


def matrix(report: Report) -> Markup:
    """The subjects of the findings by what they may do."""
    order = {each.subject: None for each in report.findings if each.subject}
    chosen = list(order)[:SHOWN]
    if not chosen:
        return element("p", "No finding names a subject.")
    held = _held(report, set(chosen))
    note = ""
    if len(order) > SHOWN:
        note = f" The {SHOWN} with the worst findings, of {len(order):,}: the findings have all."
    heads = (element("th", element("span", each.title), scope="col") for each in COLUMNS)
    table = element(
        "table",
        element("thead", element("tr", element("th", "Subject", scope="col"), *heads)),
        element("tbody", *(_row(each, held.get(each, {})) for each in chosen)),
        class_="matrix",
    )
    legend = (
        "What the subjects of the findings may do by bindings that name them. "
        "A verb in brackets is for some names only; where it is in force stands below." + note
    )
    scroller = element(
        "div", table, class_="wide", tabindex=0, role="region", aria_label="Subjects by resource"
    )
    return together(element("p", legend, class_="quiet"), scroller)


def _held(report: Report, subjects: set[Subject]) -> dict[Subject, dict[str, list[Role]]]:
    found: dict[Subject, dict[str, list[Role]]] = {}
    for binding in report.inventory.bindings:
        if role := report.inventory.roles.get(binding.role):
            for subject in subjects.intersection(binding.subjects):
                found.setdefault(subject, defaultdict(list))[binding.namespace].append(role)
    return found


def _row(subject: Subject, bound: Bound) -> Markup:
    cells = (_cell(column, bound) for column in COLUMNS)
    return element("tr", element("th", str(subject), scope="row"), *cells)


def _cell(column: Column, bound: Bound) -> Markup:
    everywhere = _verbs(column, bound.get("", ()))
    if everywhere:
        return _filled(everywhere, "everywhere", _severity(column, everywhere, column.wide))
    namespaces = {}
    if column.inside is not None:
        found = {each: _verbs(column, roles) for each, roles in sorted(bound.items()) if each}
        namespaces = {each: verbs for each, verbs in found.items() if verbs}
    if not namespaces:
        return element("td", element("span", "no", class_="unseen"))
    verbs = {verb: all_ for each in namespaces.values() for verb, all_ in each.items()}
    where = next(iter(namespaces)) if len(namespaces) == 1 else counted(len(namespaces), "namespace")
    return _filled(verbs, f"in {where}", _severity(column, verbs, column.inside or column.wide))


def _filled(verbs: Mapping[str, bool], where: str, severity: Severity) -> Markup:
    words = " ".join(verb if all_ else f"({verb})" for verb, all_ in verbs.items())
    said = element("span", f"{severity}: ", class_="unseen")
    return element("td", said, words, element("small", where), class_=f"cell {severity}")


def _severity(column: Column, verbs: Mapping[str, bool], worst: Severity) -> Severity:
    reads = all(verb in READ for verb in verbs)
    least = min(worst, column.reading) if reads else worst
    # By name only, it is what those names are.
    return least if any(verbs.values()) else min(least, Severity.LOW)


def _verbs(column: Column, roles: Sequence[Role]) -> dict[str, bool]:
    """The verbs that are allowed, each with whether that is for all names."""
    found: dict[str, bool] = {}
    for verb in column.verbs.split():
        request = replace(column.request, verb=verb)
        for rule in (rule.tree for role in roles for rule in role.rules):
            names = rule.get("resourceNames") or ()
            if allows(rule, request):
                found[verb] = True
            elif names and verb != "create" and allows(rule, replace(request, name=names[0])):
                found.setdefault(verb, False)
    return found
