"""One event is one line of JSON, whatever is in it."""

import asyncio
import io
import json
import logging
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from podfacts.serving import logs

NASTY = {
    "a newline": 'x\n{"level":"error","event":"forged"}',
    "a carriage return": "x\rforged",
    "an escape sequence": "\x1b[2J\x1b[1;31mred",
    "an 8-bit escape": "\x9b31m",
    "a right-to-left override": "safe\u202eevil",
    "a line separator": "a\u2028b\u2029c",
    "a lone surrogate": "\ud800 x",
    "a null": "a\x00b",
    "a zero-width space": "a\u200bb",
    "quotes": '"}\\"',
}


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    before = logging.root.handlers[:], logging.root.level
    text = io.StringIO()
    logs.configure(text, "debug")
    yield text
    structlog.reset_defaults()
    logging.root.handlers[:], logging.root.level = before


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY.keys())
def test_nothing_gets_out_of_its_field(stream: io.StringIO, text: str) -> None:
    structlog.get_logger().info("review", name=text, uid=text, listed=[text])
    (event,) = events(stream)
    assert (event["event"], event["level"]) == ("review", "info")
    assert stream.getvalue().count("\n") == 1
    for shown in (event["name"], event["uid"], event["listed"][0]):
        assert shown.isprintable()


@given(st.text(st.characters(categories=None), max_size=700))
def test_any_text_at_all(text: str) -> None:
    event = json.loads(logs.line(None, "", logs.bounded(None, "", {"event": "x", "name": text})))
    assert event["name"].isprintable()
    assert len(event["name"]) <= logs.TEXT_LENGTH
    if text.isprintable() and len(text) <= logs.TEXT_LENGTH:
        assert event["name"] == text


@pytest.mark.fault("T41")
@pytest.mark.parametrize("text", [*NASTY.values(), "plain", "x" * 600], ids=[*NASTY, "plain", "long"])
def test_the_line_of_every_request_is_what_structlog_makes_of_it(stream: io.StringIO, text: str) -> None:
    fields = {"name": text, "kept": 3, "ms": 0.25, "much": 2**70, "listed": [text], "nothing": None}
    structlog.get_logger().info("review", **fields)
    logs.info("review", **fields)
    slow, fast = ({**event, "time": len(event["time"])} for event in events(stream))
    assert slow == fast
    assert [*slow] == [*fast]


@pytest.mark.fault("T41")
def test_the_line_of_every_request_goes_where_the_bytes_go_at_once(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        logs.configure(file)
        structlog.get_logger().info("before")
        logs.info("review")
        structlog.get_logger().info("after")
        said = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert said == ["before", "review", "after"]


def test_plain_text_stays_as_it_is(stream: io.StringIO) -> None:
    text = "web-5d4f-* ünï 漢字 \N{PILE OF POO}"
    assert all(unicodedata.category(char) != "Cc" for char in text)
    structlog.get_logger().info("review", name=text)
    assert events(stream)[0]["name"] == text


def test_a_line_is_shorter_than_a_container_runtime_allows(stream: io.StringIO) -> None:
    for long in ("x" * 10**6, "\x1b" * 10**6, "\\" * 10**6, "漢" * 10**6):
        structlog.get_logger().info(long, uid=long, namespace=long, name=long, detail=long)
    lines = stream.getvalue().encode().splitlines()
    assert len(lines) == 4
    assert all(len(line) < 16 * 1024 for line in lines)


def test_numbers_stay_numbers_where_json_has_them(stream: io.StringIO) -> None:
    structlog.get_logger().info("x", a=1, b=0.25, c=True, d=None, e=2**70, f=float("nan"), g={"k": "\n"})
    event = events(stream)[0]
    assert {key: event[key] for key in "abcd"} == {"a": 1, "b": 0.25, "c": True, "d": None}
    assert (event["e"], event["f"], event["g"]) == (str(2**70), None, "{'k': '\\n'}")


def test_when_and_what_comes_first(stream: io.StringIO) -> None:
    structlog.get_logger().warning("x", a=1)
    assert list(events(stream)[0]) == ["time", "level", "event", "a"]


def test_a_traceback_is_a_list_of_lines(stream: io.StringIO) -> None:
    try:
        int("bad\n\x1b[31mname")
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    event = events(stream)[0]
    assert event["exception"][0] == "Traceback (most recent call last):"
    assert event["exception"][-1].startswith("ValueError: invalid literal")
    assert all(line.isprintable() for line in event["exception"])


async def test_the_standard_library_logs_in_the_same_form(stream: io.StringIO) -> None:
    logging.getLogger("aiohttp.server").warning("odd %s", "\x1b[31m\nline")
    asyncio.get_running_loop().call_exception_handler({"message": "boom", "exception": KeyError("k")})
    first, second = events(stream)[-2:]
    assert (first["level"], first["logger"], first["event"]) == (
        "warning",
        "aiohttp.server",
        "odd \\u001b[31m\\nline",
    )
    assert (second["level"], second["logger"], second["event"]) == ("error", "asyncio", "boom")
    assert second["exception"][-1] == "KeyError: 'k'"


def test_arguments_that_do_not_fit_are_no_error(stream: io.StringIO) -> None:
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "%d of", ("text",), None)
    (handler,) = (each for each in logging.root.handlers if type(each).__module__ == "podfacts.serving.logs")
    handler.emit(record)
    assert events(stream)[0]["event"] == "%d of"


def test_the_level_is_kept(stream: io.StringIO) -> None:
    logs.configure(stream, "warning")
    structlog.get_logger().info("no")
    logging.getLogger("asyncio").info("no")
    logs.info("no")
    structlog.get_logger().warning("yes")
    assert [event["event"] for event in events(stream)] == ["yes"]
