"""The HTML report as whoever opens it has it: nothing asked of anybody, all of it by keyboard, names that are no markup."""

import re
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from podfacts.audit.escalation.paths import paths
from podfacts.audit.finding import Finding, Severity
from podfacts.audit.inventory import Subject
from podfacts.audit.judgement.findings import findings
from podfacts.audit.report import Report
from podfacts.reports import as_html
from tests.audit.reports.found import EMPTY, READER, REPORT, many
from tests.audit.small import inventory
from tests.browser.chromium import Page

EVIL = (
    "</script></style><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
)
ROWS = "[...document.querySelectorAll('#table tbody tr')]"
SHOWN = f"{ROWS}.filter((each) => !each.hidden && each.offsetHeight > 0)"
CASE: dict[str, Any] = {
    "roles": {
        "reader": [{"verbs": ["get", "list"], "resources": ["secrets"]}],
        "run": [{"verbs": ["create"], "resources": ["pods"]}],
    },
    "bindings": {
        "reader": ["reader", "ServiceAccount vault/injector", "User alice"],
        "ci/run": ["run", "Group developers"],
        "admin": ["cluster-admin", "ServiceAccount ci/deployer"],
    },
}


def audited(case: dict[str, Any]) -> Report:
    found = inventory(case)
    return Report(findings(found), found, paths=paths(found), scope="deploy/")


async def opened(page: Page, report: Report, folder: Path) -> None:
    file = folder / "report.html"
    file.write_text(as_html.rendered(report), encoding="utf-8")
    await page.open(file)


def quiet(page: Page) -> None:
    """Nothing was asked for but the file, and nothing complained."""
    asked = [each["request"]["url"] for each in page.said("Network.requestWillBeSent")]
    assert len(asked) == 1
    assert asked[0].startswith("file:")
    assert not page.said("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")


@pytest.mark.parametrize(
    "report", [audited(CASE), REPORT, EMPTY, many(200)], ids=["real", "full", "empty", "many"]
)
async def test_it_opens_without_a_complaint_and_asks_nobody(
    page: Page, report: Report, tmp_path: Path
) -> None:
    await opened(page, report, tmp_path)
    assert await page.evaluate("document.querySelectorAll('main > section').length") >= 4
    # The probe of the probe: what the policy forbids is complained about, and does not leave the machine.
    quiet(page)
    await page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x'}))")
    await page.evaluate("new Promise((done) => setTimeout(done, 300))")
    assert any("Content Security Policy" in str(each) for each in page.said("Log.entryAdded"))


async def test_its_own_style_and_script_are_in_force(page: Page, tmp_path: Path) -> None:
    await opened(page, audited(CASE), tmp_path)
    assert await page.evaluate("getComputedStyle(document.querySelector('.tiles')).display") == "grid"
    assert await page.evaluate("document.querySelector('#filters').hidden") is False


async def test_sorting_by_keyboard_changes_the_order(page: Page, tmp_path: Path) -> None:
    await opened(page, audited(CASE), tmp_path)
    subjects = f"{ROWS}.map((each) => each.cells[2].textContent)"
    before = await page.evaluate(subjects)
    await tab_to(page, "document.activeElement.textContent === 'Subject'")
    assert await page.evaluate("document.activeElement.matches(':focus-visible')")
    await page.press("Enter")
    head = "document.activeElement.closest('th').getAttribute('aria-sort')"
    assert await page.evaluate(head) == "ascending"
    ascending = await page.evaluate(subjects)
    assert ascending == sorted(before, key=str.lower)
    assert ascending != before
    await page.press("Enter")
    assert await page.evaluate(head) == "descending"
    assert (await page.evaluate(subjects))[0] == ascending[-1]
    assert await page.evaluate("document.querySelectorAll('th[aria-sort]:not([aria-sort=none])').length") == 1


async def test_severities_sort_by_how_bad_they_are(page: Page, tmp_path: Path) -> None:
    found = [replace(READER, severity=each) for each in Severity]
    await opened(page, replace(EMPTY, findings=tuple(found)), tmp_path)
    for expected in (
        ["critical", "high", "medium", "low", "info"],
        ["info", "low", "medium", "high", "critical"],
    ):
        await page.evaluate("document.querySelector('#table th button').click()")
        assert await page.evaluate(f"{ROWS}.map((each) => each.cells[0].textContent)") == expected


async def test_typing_hides_rows_and_says_how_many_are_left(page: Page, tmp_path: Path) -> None:
    await opened(page, audited(CASE), tmp_path)
    total = await page.evaluate(f"{ROWS}.length")
    await tab_to(page, "document.activeElement.id === 'text'")
    await page.type("ALICE secret")
    left = await page.evaluate(f"{SHOWN}.map((each) => each.cells[2].textContent)")
    assert set(left) == {"User alice"}
    assert (
        await page.evaluate("document.querySelector('[role=status]').textContent")
        == f"{len(left)} of {total} shown"
    )
    await page.type("no such thing")
    assert await page.evaluate(f"{SHOWN}.length") == 0
    await tab_to(page, "document.activeElement.textContent === 'Show all'")
    await page.press("Enter")
    await page.evaluate("new Promise((done) => setTimeout(done, 50))")
    assert await page.evaluate(f"{SHOWN}.length") == total


@pytest.mark.parametrize(
    ("field", "value", "column"), [("severity", "critical", 0), ("rule", "RB16", 1), ("namespace", "ci", 3)]
)
async def test_each_choice_leaves_what_is_so(
    page: Page, tmp_path: Path, field: str, value: str, column: int
) -> None:
    await opened(page, audited(CASE), tmp_path)
    await page.evaluate(
        f"(() => {{ const each = document.getElementById('{field}'); each.value = '{value}';"
        " each.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    left = await page.evaluate(f"{SHOWN}.map((each) => each.cells[{column}].firstChild.textContent)")
    assert left
    assert set(left) == {value}
    assert len(left) < await page.evaluate(f"{ROWS}.length")


async def test_each_thing_that_one_can_do_has_a_name_and_is_reached_by_tab(
    page: Page, tmp_path: Path
) -> None:
    await opened(page, audited(CASE), tmp_path)
    targets = "[...document.querySelectorAll('a, button, input, select, summary, [tabindex]')].filter((each) => each.offsetHeight > 0 || each.matches('.skip'))"
    await page.evaluate(f"window.left = new Set({targets})")
    for _ in range(await page.evaluate("window.left.size") + 2):
        await page.press("Tab")
        await page.evaluate("window.left.delete(document.activeElement)")
    assert await page.evaluate("[...window.left].map((each) => each.outerHTML.slice(0, 80))") == []
    unnamed = "[...document.querySelectorAll('input, select')].filter((each) => !each.labels.length || !each.labels[0].textContent).length"
    assert await page.evaluate(unnamed) == 0


async def test_details_open_by_keyboard(page: Page, tmp_path: Path) -> None:
    await opened(page, audited(CASE), tmp_path)
    await tab_to(page, "document.activeElement.tagName === 'SUMMARY'")
    await page.press("Enter")
    told = await page.evaluate("document.querySelector('#table details[open]').innerText")
    assert "Why it matters: " in told
    assert "rules[0] of" in told


async def test_the_matrix_says_who_may_do_what(page: Page, tmp_path: Path) -> None:
    await opened(page, audited(CASE), tmp_path)
    cells = (
        "Object.fromEntries([...document.querySelectorAll('.matrix tbody tr')].map((row) => "
        "[row.cells[0].textContent, [row.cells[1].innerText, row.cells[2].innerText]]))"
    )
    told = await page.evaluate(cells)
    secrets, pods = told["User alice"]
    assert re.sub(r"\s+", " ", secrets).strip() == "high: get list everywhere"
    assert pods.strip() == "no"
    assert "create" in told["Group developers"][1]
    assert "in ci" in told["Group developers"][1]


async def test_the_graph_shows_each_chain_and_the_list_says_it(page: Page, tmp_path: Path) -> None:
    report = audited(CASE)
    await opened(page, report, tmp_path)
    drawn = await page.evaluate(
        "[...document.querySelectorAll('svg')].map((each) => [...each.querySelectorAll('g > title')].map((title) => title.textContent))"
    )
    said = await page.evaluate("document.querySelector('#escalation').textContent")
    assert {"group:developers", "system:serviceaccount:ci:deployer", "cluster-admin"} <= set(drawn[0])
    for path in report.paths:
        assert (
            all(f"{step.start} gets {step.end} by {step.does}." in said for step in path.steps)
            or path.goal != "cluster-admin"
        )
    # Nothing is drawn over another: boxes of one drawing do not touch.
    overlaps = """[...document.querySelectorAll('svg')].flatMap((svg) => {
      const boxes = [...svg.querySelectorAll('.node > rect, .goal > rect')].map((each) => each.getBoundingClientRect());
      return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) =>
        a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom));
    }).length"""
    assert await page.evaluate(overlaps) == 0


async def test_names_that_are_markup_are_only_names(page: Page, tmp_path: Path) -> None:
    evil = replace(
        READER,
        subject=Subject("User", "", EVIL),
        message=EVIL,
        remediation=EVIL,
        binding=("RoleBinding", EVIL, EVIL),
        rule=EVIL,
    )
    found = inventory({"bindings": {"b": ["cluster-admin", f"User {EVIL}"]}})
    report = Report((evil,), found, paths=paths(found), scope=EVIL, unread=(EVIL,), warnings=(EVIL,))
    await opened(page, report, tmp_path)
    assert await page.evaluate("document.title") == f"RBAC audit of {EVIL}"
    assert await page.evaluate("document.querySelectorAll('img, main script').length") == 0
    assert await page.evaluate("document.scripts.length") == 1
    assert await page.evaluate(f"{ROWS}[0].cells[2].textContent") == f"User {EVIL}"
    quiet(page)


async def test_without_scripts_all_of_it_is_shown(page: Page, tmp_path: Path) -> None:
    await page.send("Emulation.setScriptExecutionDisabled", value=True)
    report = audited(CASE)
    await opened(page, report, tmp_path)
    root = await page.send("DOM.getDocument")
    rows = await page.send(
        "DOM.querySelectorAll", nodeId=root["root"]["nodeId"], selector="#table tbody tr:not([hidden])"
    )
    assert len(rows["nodeIds"]) == len(report.findings)
    controls = await page.send(
        "DOM.querySelectorAll",
        nodeId=root["root"]["nodeId"],
        selector="#filters[hidden], th button[disabled]",
    )
    assert len(controls["nodeIds"]) == 7
    quiet(page)


@pytest.mark.parametrize("width", [400, 800, 1280])
async def test_the_page_itself_never_scrolls_sideways(page: Page, tmp_path: Path, width: int) -> None:
    await page.send(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False
    )
    long = replace(READER, subject=Subject("User", "", "x" * 300), message="y" * 300)
    await opened(page, replace(audited(CASE), findings=(long, *audited(CASE).findings)), tmp_path)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


CONTRAST = """(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const bad = new Set();
  for (const each of document.querySelectorAll('body *:not(script, svg, svg *)')) {
    const words = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!words || each.closest('.unseen, .skip') || !each.getClientRects().length) continue;
    const style = getComputedStyle(each);
    const under = ground(each);
    const opacity = Number(style.opacity);
    const over = parse(style.color).slice(0, 3).map((v, at) => v * opacity + under[at] * (1 - opacity));
    const [high, low] = [light(over), light(under)].sort((a, b) => b - a);
    if ((high + 0.05) / (low + 0.05) < 4.5) bad.add(each.tagName + '.' + each.className + ' ' + style.color + ' on ' + under);
  }
  return [...bad];
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_word_has_the_contrast_of_wcag_aa(page: Page, tmp_path: Path, scheme: str) -> None:
    await page.send(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    every = tuple(replace(READER, severity=each) for each in Severity)
    report = audited(CASE)
    await opened(
        page, replace(report, findings=(*report.findings, *every), known=every[:1], unread=("x",)), tmp_path
    )
    await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert await page.evaluate(CONTRAST) == []
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


async def test_five_thousand_findings_can_be_sorted_and_filtered(page: Page, tmp_path: Path) -> None:
    started = monotonic()
    await opened(page, many(5000), tmp_path)
    figures = {"load": monotonic() - started}
    for name, does in (
        ("sort", "document.querySelectorAll('#table th button')[2].click()"),
        (
            "filter",
            "(() => { const each = document.getElementById('text'); each.value = 'web-4999'; each.dispatchEvent(new Event('input', {bubbles: true})); })()",
        ),
    ):
        started = monotonic()
        await page.evaluate(f"{does}; document.body.offsetHeight")
        figures[name] = monotonic() - started
    assert await page.evaluate(f"{SHOWN}.length") == 1
    print({key: f"{value:.2f} s" for key, value in figures.items()})  # noqa: T201


async def tab_to(page: Page, condition: str) -> None:
    """Press Tab until the condition holds of what has the focus."""
    for _ in range(80):
        await page.press("Tab")
        if await page.evaluate(condition):
            return
    raise AssertionError(f"no Tab leads to it: {condition}")


def test_the_same_findings_are_the_same_page() -> None:
    found: tuple[Finding, ...] = audited(CASE).findings
    assert found
    assert as_html.rendered(audited(CASE)) == as_html.rendered(audited(CASE))
