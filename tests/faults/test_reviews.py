"""What neither size, nor next year's fields, nor names, nor repeating does to a review."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from podfacts.admission.journal import Journal
from podfacts.admission.metrics import Metrics
from podfacts.core.patch import apply
from podfacts.core.review import review
from podfacts.serving import logs
from tests.faults.hostile import patch, pod, response, whole
from tests.faults.verdict import WORLD, judged
from tests.faults.webhook import asked, running, sized
from tests.pods import pods

KIB, MIB = 1024, 1024 * 1024


@pytest.mark.fault("T21")
def test_an_empty_body_is_no_review() -> None:
    assert judged(b"").reason == "not_json"


@pytest.mark.fault("T21")
@pytest.mark.parametrize(
    "size", [KIB, MIB - 1, MIB, MIB + 1, 3 * MIB // 2, 3 * MIB, 7 * MIB - 1, 7 * MIB], ids=str
)
def test_a_review_of_any_size_gets_the_answer_of_a_small_one(size: int) -> None:
    small = asked(pod())
    answer, expected = judged(sized(small, size)), judged(small)
    assert patch(answer) == patch(expected)
    assert answer._replace(body=b"") == expected._replace(body=b"")


@pytest.mark.fault("T22")
@pytest.mark.parametrize(("size", "warned"), [(MIB, False), (MIB + 1, True)])
def test_above_a_mebibyte_the_author_hears_what_kubernetes_stores(size: int, warned: bool) -> None:
    told = response(judged(sized(asked(pod()), size)))["warnings"]
    assert ("1.5 MiB that Kubernetes stores" in told[0]) is warned
    untouched = {**pod(), "metadata": {"name": "web"}}
    assert "warnings" not in response(judged(sized(asked(untouched), size)))


@pytest.mark.fault("T21")
@pytest.mark.parametrize("size", [MIB - 1, MIB + 1, 3 * MIB // 2, 7 * MIB], ids=str)
def test_a_pod_of_any_size_is_injected(size: int) -> None:
    bare = asked(pod(env=[{"name": "LONG", "value": ""}]))
    body = bare.replace(b'"value": ""', b'"value": "%s"' % (b"x" * (size - len(bare))))
    assert len(body) == size
    answer = judged(body)
    assert (answer.outcome, answer.injected) == ("injected", 20)
    assert len(answer.body) < 8 * KIB


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
unknown = st.dictionaries(st.sampled_from(["xNew", "xNext", "xüber", "x/y~z"]), values, min_size=1)


@pytest.mark.fault("T37")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pods(("true", "everything", "vault")), unknown, unknown, unknown)
def test_next_years_fields_survive_and_change_nothing(
    plain: dict[str, Any], of_pod: dict[str, Any], of_spec: dict[str, Any], of_container: dict[str, Any]
) -> None:
    newer = {
        **plain,
        **of_pod,
        "spec": {**plain["spec"], **of_spec, "ephemeralContainers": [{"name": "debug"}]},
    }
    newer["spec"]["containers"] = [{**each, **of_container} for each in plain["spec"]["containers"]]
    answer = review(asked(newer), WORLD)
    expected = review(asked(plain), WORLD)
    assert (answer.outcome, patch(answer)) == (expected.outcome, patch(expected))
    after = apply(newer, patch(answer))
    assert {key: after[key] for key in of_pod} == of_pod
    assert {key: after["spec"][key] for key in of_spec} == of_spec
    assert after["spec"]["ephemeralContainers"] == [{"name": "debug"}]
    for container in after["spec"]["containers"]:
        assert {key: container[key] for key in of_container} == of_container


# T41: what is logged and counted.

NAMES = (
    "web\n{}",
    "\x1b[2J\x1b[31mweb",
    "web\u202egnp",
    "\u2028",
    "\x9b31m",
    '"}\\',
    "x" * 9000,
    "\U0001f4a9",
    "漢",
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    before = logging.root.handlers[:], logging.root.level
    text = io.StringIO()
    logs.configure(text)
    yield text
    structlog.reset_defaults()
    logging.root.handlers[:], logging.root.level = before


@pytest.mark.fault("T41")
def test_ten_thousand_namespaces_with_nasty_names_are_a_line_each_and_no_more_series(
    stream: io.StringIO,
) -> None:
    metrics = Metrics(loop="asyncio")
    journal = Journal(metrics)
    bodies = [
        asked({**pod(), "spec": []}),
        asked(pod()),
        asked({}),
        asked(pod({"podfacts.dev/mount-path": "\n\x1b"})),
    ]
    sent = [json.loads(each) for each in bodies]
    for each in sent:
        journal.reviewed(review(orjson.dumps(each), WORLD), 0.001)
    series = generate_latest(metrics.registry).count(b"\n")
    for number in range(10_000):
        name = NAMES[number % len(NAMES)]
        request = {
            **sent[number % len(sent)]["request"],
            "namespace": f"{name}-{number}",
            "name": name,
            "uid": name,
        }
        journal.reviewed(review(orjson.dumps({**sent[0], "request": request}), WORLD), 0.001)
    assert generate_latest(metrics.registry).count(b"\n") == series
    lines = stream.getvalue().split("\n")
    assert len(lines) == len(sent) + 10_000 + 1
    assert all(line.isprintable() and len(line) < 4 * KIB for line in lines)
    assert all(json.loads(line)["event"] == "review" for line in lines if line)


# T42: the same again.


@pytest.mark.fault("T42")
@pytest.mark.parametrize("dry", [False, True])
def test_the_same_review_a_hundred_times_is_answered_alike(dry: bool) -> None:
    sent = json.loads(asked(whole()))
    sent["request"]["dryRun"] = dry
    body = orjson.dumps(sent)
    first = review(body, WORLD)
    assert {review(body, WORLD) for _ in range(100)} == {first}
    assert first == review(asked(whole()), WORLD), "a dry run gets what a real one gets"
    assert (first.outcome, bool(patch(first))) == ("injected", True)


@pytest.mark.fault("T42")
def test_the_server_answers_the_same_uid_a_hundred_times_in_the_same_bytes(tmp_path: Path) -> None:
    with running(tmp_path / "webhook") as webhook:
        connection = webhook.connection()
        try:
            assert len({webhook.ask(asked(pod()), connection).body for _ in range(100)}) == 1
        finally:
            connection.close()
        assert len(webhook.events("review")) == 100
        assert webhook.is_well()
