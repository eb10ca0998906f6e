"""``-o html``: one file to open in a browser, to send and to keep. It asks nobody for anything, and says so to the browser.

The policy in it allows its own style and its own script, each by its hash, and nothing else at all: no request, no other
script, whatever the objects of a cluster are called. Without scripts all of it is shown, only not sorted or filtered.
"""

import base64
import hashlib
from importlib.resources import files

from podfacts.audit.report import Report
from podfacts.reports.html_findings import findings
from podfacts.reports.html_graph import graph
from podfacts.reports.html_matrix import matrix
from podfacts.reports.html_rules import rules
from podfacts.reports.markup import Markup, element
from podfacts.reports.wording import audited

SECTIONS = (
    ("Findings", findings),
    ("Who may do what", matrix),
    ("Escalation paths", graph),
    ("Rules", rules),
)


def rendered(report: Report) -> str:
    """The whole page."""
    style, script = _asset("report.css"), _asset("report.js")
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    title = f"RBAC audit of {report.scope}" if report.scope else "RBAC audit"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", style),
    )
    body = element(
        "body",
        element("a", "Skip to the findings", class_="skip", href="#findings"),
        element("header", element("h1", title), _audited(report), _summary(report)),
        element("main", *_notes(report), *(_section(title, part(report)) for title, part in SECTIONS)),
        element("script", script),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _section(title: str, content: Markup) -> Markup:
    name = title.split(maxsplit=1)[0].lower()
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, content, id=name, aria_labelledby=f"{name}-title")


def _audited(report: Report) -> Markup:
    return element("p", audited(report), class_="quiet")


def _summary(report: Report) -> Markup:
    """How many of each severity; the words and the figures say it, the colours only repeat it."""
    tiles = [
        element(
            "li",
            element("b", f"{count:,}"),
            element("span", name),
            class_=f"tile {name if count else 'none'}",
        )
        for name, count in report.summary.items()
    ]
    return element("ul", *tiles, class_="tiles", aria_label="Findings by severity")


def _notes(report: Report) -> list[Markup]:
    """What could not be read, and what else is to be known: before everything else, for it limits all of it."""
    found = []
    for title, lines in (("Not read", report.unread), ("Warnings", report.warnings)):
        if lines:
            items = element("ul", *(element("li", each) for each in lines))
            found.append(element("section", element("h2", title), items, class_="note"))
    return found


def _asset(name: str) -> Markup:
    return Markup(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
