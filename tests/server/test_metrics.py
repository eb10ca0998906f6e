"""What is counted and what is said of it."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from podfacts.admission.journal import Journal
from podfacts.admission.metrics import Metrics
from podfacts.admission.tls import Pair, serve
from podfacts.core.review import Answer
from podfacts.serving import logs

ANSWER = Answer(200, b"{}", "injected", "ok", "uid", "shop", "web-*", injected=20, kept=2)


def samples(metrics: Metrics) -> dict[str, float]:
    text = generate_latest(metrics.registry).decode()
    return {
        sample.name + "".join(f"[{key}={sample.labels[key]}]" for key in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    before = logging.root.handlers[:], logging.root.level
    text = io.StringIO()
    logs.configure(text)
    yield text
    structlog.reset_defaults()
    logging.root.handlers[:], logging.root.level = before


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(loop="asyncio")


def test_reviews_by_outcome_and_reason(metrics: Metrics) -> None:
    for answer in (ANSWER, ANSWER, Answer(400, b"", "bad_request", "not_json")):
        metrics.reviewed(answer, 0.0003)
    found = samples(metrics)
    assert found["podfacts_admission_requests_total[outcome=injected][reason=ok]"] == 2
    assert found["podfacts_admission_requests_total[outcome=bad_request][reason=not_json]"] == 1
    assert found["podfacts_facts_injected_total"] == 40
    assert found["podfacts_facts_kept_total"] == 4
    assert found["podfacts_admission_duration_seconds_count"] == 3
    assert found["podfacts_admission_duration_seconds_bucket[le=0.00025]"] == 0
    assert found["podfacts_admission_duration_seconds_bucket[le=0.0005]"] == 3
    assert "podfacts_admission_duration_seconds_bucket[le=2.0]" in found


def test_no_sender_can_make_a_time_series(metrics: Metrics) -> None:
    metrics.reviewed(ANSWER, 0.1)
    before = set(samples(metrics))
    for number in range(1000):
        metrics.reviewed(Answer(200, b"", "injected", "ok", f"u{number}", f"n{number}", f"p{number}\n"), 0.1)
    assert set(samples(metrics)) == before


def test_what_no_review_saw(metrics: Metrics) -> None:
    assert samples(metrics)["podfacts_connections_cut_total[reason=handshake]"] == 0
    metrics.cut("handshake")
    metrics.rejected("too_large")
    metrics.rejected("failed")
    found = samples(metrics)
    assert found["podfacts_connections_cut_total[reason=handshake]"] == 1
    assert found["podfacts_admission_requests_total[outcome=bad_request][reason=too_large]"] == 1
    assert found["podfacts_admission_requests_total[outcome=error][reason=failed]"] == 1


def test_connections_are_looked_up_when_asked_for(metrics: Metrics) -> None:
    numbers = [3, 1]
    metrics.connections(lambda: numbers[0], lambda: numbers[1])
    assert samples(metrics)["podfacts_open_connections"] == 3
    numbers[:] = [5, 2]
    found = samples(metrics)
    assert (found["podfacts_open_connections"], found["podfacts_requests_in_flight"]) == (5, 2)


def test_the_certificate_and_its_failures(metrics: Metrics, stream: io.StringIO) -> None:
    journal = Journal(metrics)
    for _ in range(3):
        journal.certificate_failed("torn")
    found = samples(metrics)
    assert found["podfacts_certificate_load_failures_total"] == 3
    assert found["podfacts_certificate_expiry_timestamp_seconds"] == 0
    from tests.server.wire import AUTHORITY  # noqa: PLC0415 - made when it is needed

    now = datetime.now(UTC)
    pair = Pair(AUTHORITY.certificate_pem, AUTHORITY.key_pem, signs=True)
    served = serve(pair, ("a.svc",), now, timedelta(hours=1), "1.3")
    journal.certificate_loaded(served)
    journal.certificate_failed("torn")
    found = samples(metrics)
    assert found["podfacts_certificate_expiry_timestamp_seconds"] == served.not_after.timestamp()
    assert found["podfacts_certificate_loads_total"] == 1
    said = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert said == ["certificate not loaded", "certificate loaded", "certificate not loaded"]
    assert "PRIVATE" not in stream.getvalue()


def test_what_runs(metrics: Metrics) -> None:
    (info,) = (key for key in samples(metrics) if key.startswith("podfacts_build_info"))
    assert "[loop=asyncio]" in info
    assert "[version=0." in info


def test_a_review_is_one_line(metrics: Metrics, stream: io.StringIO) -> None:
    Journal(metrics).reviewed(ANSWER, 0.00021)
    event = json.loads(stream.getvalue())
    del event["time"]
    assert event == {
        "level": "info",
        "event": "review",
        "uid": "uid",
        "namespace": "shop",
        "name": "web-*",
        "outcome": "injected",
        "reason": "ok",
        "injected": 20,
        "kept": 2,
        "ms": 0.21,
    }


def test_a_bug_of_ours_is_an_error_with_its_cause(metrics: Metrics, stream: io.StringIO) -> None:
    # As long as a real one: what says most stands at its end, far behind what an ordinary field may hold.
    traceback = "Traceback\n" + "".join(f'  File "x.py", line {n}\n' for n in range(100)) + "KeyError: 'spec'"
    Journal(metrics).reviewed(Answer(200, b"", "error", "bug", detail=traceback), 0.001)
    event = json.loads(stream.getvalue())
    assert (event["level"], event["exception"][-1]) == ("error", "KeyError: 'spec'")
    assert "detail" not in event


def test_a_flood_does_not_fill_the_log(
    metrics: Metrics, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(metrics)
    for _ in range(5000):
        journal.cut("handshake", "reset")
        journal.rejected("not_http", None)
    assert len(stream.getvalue().splitlines()) == 2
    assert samples(metrics)["podfacts_connections_cut_total[reason=handshake]"] == 5000
    monkeypatch.setattr("podfacts.admission.journal.PAUSE", 0.0)
    journal.cut("handshake", "reset")
    assert json.loads(stream.getvalue().splitlines()[-1])["left_out"] == 4999
