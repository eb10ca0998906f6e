"""The HTML report as a text: whatever is put into it, only its own markup is markup."""

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

from hypothesis import given, settings

from podfacts.audit.escalation.steps import Path, Step
from podfacts.audit.judgement.sentences import why
from podfacts.audit.report import Report
from podfacts.reports import as_html
from podfacts.reports.layers import drawn
from podfacts.reports.markup import VOID, element, together
from tests.audit.reports.found import EMPTY, READER, REPORT, reports

OWN = {"script": 1, "style": 1, "html": 1, "body": 1, "main": 1, "h1": 1}


class Read(HTMLParser):
    """The elements of a page, and that each is closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag] += 1
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@settings(max_examples=60, deadline=None)
@given(reports)
def test_any_report_is_a_page_of_our_own_elements_only(report: Report) -> None:
    page = Read(as_html.rendered(report))
    assert {name: page.found[name] for name in OWN} == OWN
    assert not {"img", "iframe", "link", "object", "embed", "base"} & set(page.found)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style")]
    links = {value for name, value in page.attributes if name == "href"}
    assert all(value and value.startswith("#") for value in links)


def test_the_policy_allows_its_own_style_and_script_by_hash_and_nothing_else() -> None:
    text = as_html.rendered(REPORT)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    for name in ("style", "script"):
        (body,) = re.findall(f"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{name}-src &#x27;sha256-{digest}&#x27;" in policy[1]
    assert policy[1].startswith("default-src &#x27;none&#x27;;")
    assert "unsafe" not in policy[1]
    assert policy[1].count("sha256-") == 2


def test_it_names_no_address_of_another_host() -> None:
    assert not re.findall(r"(?:https?:)?//[a-z]", as_html.rendered(EMPTY))


def test_what_was_decided_before_is_said_and_not_counted() -> None:
    text = as_html.rendered(REPORT)
    assert "<b>1</b><span>high</span>" in text  # Of three that are high.
    assert "until 2027-01-31: the shop deploys itself" in text
    assert text.count('class="state"') == 2


def test_text_is_escaped_and_markup_is_not_escaped_twice() -> None:
    inner = element("b", '<&"')
    assert element("p", "a<b", inner, class_='"x') == '<p class="&quot;x">a&lt;b<b>&lt;&amp;&quot;</b></p>'
    assert together("\x00\u202e") == "\\U00000000\\U0000202E"


def chain(*names: str) -> Path:
    steps = tuple(Step(start, end, "doing") for start, end in pairwise(names))
    return Path(names[0], names[-1], steps)


def test_chains_share_what_they_share_and_no_line_crosses_another() -> None:
    found = drawn(
        "goal",
        [chain("a", "x", "goal"), chain("b", "x", "goal"), chain("c", "y", "goal"), chain("d", "goal")],
    )
    assert {name: column for name, (column, _) in found.places.items()} == {
        "goal": 0, "x": 1, "y": 1, "d": 1, "a": 2, "b": 2, "c": 2,
    }  # fmt: skip
    rows = {name: row for name, (_, row) in found.places.items()}
    assert len({found.places[each] for each in rows}) == len(rows)
    assert sorted(rows[each] for each in "abcd") == [0, 1, 2, 3]
    for one in found.onward:
        for other in found.onward:
            (first, _), (second, _) = found.onward[one], found.onward[other]
            if found.places[one][0] == found.places[other][0] and rows[one] < rows[other]:
                assert rows[first] <= rows[second]


def test_chains_that_no_audit_finds_are_drawn_all_the_same() -> None:
    circle = Path("a", "goal", (Step("a", "b", "x"), Step("b", "a", "x"), Step("a", "b", "x")))
    assert set(drawn("goal", [circle]).places) == {"goal", "a", "b"}


def test_many_short_ways_do_not_hide_the_long_ones() -> None:
    short = [chain(f"user:{number}", "cluster-admin") for number in range(40)]
    paths = (*short, chain("user:patient", "user:0", "cluster-admin"))
    text = as_html.rendered(replace(EMPTY, paths=paths))
    assert "<h4>user:patient</h4>" in text
    assert "7 of 41, up to 6 of each length; -o json has all." in text


def test_what_to_do_is_seen_at_once_and_a_proposal_keeps_its_lines() -> None:
    finding = replace(
        READER, message=f"It reads. {why('RB16')}", remediation="Bind this instead:\nkind: Role\nrules: []"
    )
    text = as_html.rendered(replace(EMPTY, findings=(finding,)))
    assert "<b>What to do: </b>Bind this instead:</div>" in text
    assert "<pre>kind: Role\nrules: []</pre>" in text
    assert "<div>It reads.</div>" in text
    assert "<b>Why it matters: </b>" in text
