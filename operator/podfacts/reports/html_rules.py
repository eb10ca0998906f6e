"""What each rule that found something is about: said once, and linked from every finding."""

from podfacts.audit.report import Report
from podfacts.reports.markup import Markup, element
from podfacts.reports.wording import all_decided, described


def rules(report: Report) -> Markup:
    """The rules that found something, in their order."""
    used = {each.finding.rule for each in all_decided(report)}
    found = []
    for each in described(report):
        if each.rule in used:
            name = element(
                "dt",
                element("b", each.rule),
                f" {each.title}" if each.title != each.rule else "",
                id=each.rule,
            )
            source = element("span", f" ({each.source})", class_="quiet") if each.source else Markup()
            found.append(element("div", name, element("dd", each.why, source)))
    return element("dl", *found, class_="rules") if found else element("p", "No rule found anything.")
