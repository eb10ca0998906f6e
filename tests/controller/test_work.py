"""The queue and its pace."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from podfacts.controller import work
from podfacts.controller.apiserver import Failed, Resource
from podfacts.controller.work import Pace, Work

THING = Resource("", "v1", "things", "x")


@contextlib.asynccontextmanager
async def running(do: Callable[[str], Awaitable[bool]], **options: float) -> AsyncIterator[Work[str]]:
    made = Work[str]("test", do, workers=2, **options)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_key_waits_once_and_is_done_again_if_asked_for_meanwhile() -> None:
    done: list[str] = []
    gate = asyncio.Event()

    async def do(key: str) -> bool:
        done.append(key)
        await gate.wait()
        return True

    async with running(do) as queue:
        queue.add(["a", "b", "c", "a", "c"])
        await asyncio.sleep(0.01)
        assert done == ["a", "b"]
        queue.add(["a", "a", "c"])
        assert len(queue) == 2
        gate.set()
        await asyncio.sleep(0.01)
    assert sorted(done) == ["a", "a", "b", "c"]


async def test_a_failure_comes_back_and_holds_up_nobody() -> None:
    tries: list[str] = []

    async def do(key: str) -> bool:
        tries.append(key)
        if key == "bad" and tries.count("bad") < 3:
            raise Failed("patch", THING, 500, "not now")
        if key == "bug" and tries.count("bug") < 2:
            raise KeyError(key)
        return True

    async with running(do, pause=0.02) as queue:
        queue.add(["bad", "bug", "good"])
        await asyncio.sleep(0.01)
        assert tries == ["bad", "bug", "good"]
        await asyncio.sleep(0.2)
    assert (tries.count("bad"), tries.count("bug"), tries.count("good")) == (3, 2, 1)


async def test_a_missing_right_is_shown_until_a_write_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "WITHOUT_RIGHT", 0.02)
    missing = 'things "x" is forbidden: User "me" cannot patch resource "things"'
    answers: list[Failed | bool] = [Failed("patch", THING, 403, missing), False, True]

    async def do(_: str) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Failed):
            raise answer
        return answer

    async with running(do) as queue:
        queue.add(["a"])
        await asyncio.sleep(0.01)
        assert queue.fault
        assert queue.fault.reason == "forbidden"
        await asyncio.sleep(0.03)
        assert len(answers) == 1
        assert queue.fault is None, "nothing waits for the right any more"


async def test_a_key_that_fails_is_tried_again_once_however_often_it_is_asked_for() -> None:
    tries = 0

    async def do(_: str) -> bool:
        nonlocal tries
        tries += 1
        raise Failed("patch", THING, 500, "no")

    async with running(do, pause=0.2) as queue:
        for _ in range(20):
            queue.add(["a"])
            await asyncio.sleep(0.005)
        asked = tries
        await asyncio.sleep(0.5)
    assert asked <= 20
    assert tries - asked <= 3, "one more for each failure, and not for each time it was asked for"


async def test_a_pace() -> None:
    pace = Pace(100, 5)
    started = time.monotonic()
    await asyncio.gather(*(pace.take() for _ in range(5)))
    assert time.monotonic() - started < 0.04
    await asyncio.gather(*(pace.take() for _ in range(20)))
    assert 0.18 < time.monotonic() - started < 0.5
