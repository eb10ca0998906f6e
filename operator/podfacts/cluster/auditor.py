"""The audit as a process: again and again, with its findings as reports in the cluster and as metrics.

An audit runs in a thread, so that probes are answered meanwhile; nobody waits for it at the end. One that fails is
tried again, later each time, and what the last one found stays. It ends by SIGTERM, or when the loop itself breaks.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import structlog

import podfacts
from podfacts.audit.decisions import Decisions, reported
from podfacts.audit.judgement.findings import findings
from podfacts.audit.report import Report
from podfacts.cluster.access import ApiServer, NoAnswer, connect
from podfacts.cluster.audit_metrics import AuditMetrics, Part
from podfacts.cluster.audit_reports import Reports
from podfacts.cluster.inventory import inventory_of
from podfacts.core.refusal import BadInput
from podfacts.offline.audit_settings import decisions
from podfacts.serving.listener import CannotBind
from podfacts.serving.probes import probes

NO_CLUSTER = 2
STUCK = 1800.0  # Seconds: 10,000 bindings take less than ten.
FIRST_PAUSE = 5.0  # Seconds after a failure; twice as many after the next.

Made = TypeVar("Made")


@dataclass(frozen=True)
class Settings:
    """Everything that can be chosen."""

    every: timedelta = timedelta(hours=1)
    ignore_files: tuple[Path, ...] = ()
    probe_port: int = 8080
    host: str = "::"


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT. Return 0, 2 when there is no cluster or no port, 1 when the loop broke."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    try:
        return await Auditor(settings, connect()).run(stop)
    except (NoAnswer, CannotBind) as error:
        structlog.get_logger().error("cannot start", reason=str(error))
        return NO_CLUSTER


class Auditor:
    """The audits, one after the other, and what the probes say."""

    def __init__(self, settings: Settings, api: ApiServer) -> None:
        self._settings = settings
        self._api = api
        self._metrics = AuditMetrics()
        self._reports = Reports(api, self._metrics.wrote)
        self._began: float | None = None  # By the clock that never jumps; None between two audits.
        self._waits_for: str | None = "the first audit is not through yet"
        self._log: Any = structlog.get_logger()

    async def run(self, stop: asyncio.Event) -> int:
        """Audit until it is told to stop."""
        settings = self._settings
        async with probes(
            settings.probe_port,
            live=self.stuck,
            ready=lambda: self._waits_for,
            registry=self._metrics.registry,
            host=settings.host,
        ) as port:
            self._log.info(
                "auditing", probe_port=port, version=podfacts.__version__, every=str(settings.every)
            )
            auditing = asyncio.create_task(self._audit_for_ever())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait([auditing, stopping], return_when=asyncio.FIRST_COMPLETED)
            broken = auditing.done()
            for task in (auditing, stopping):
                task.cancel()
            await asyncio.wait([auditing, stopping])
        if broken:
            self._log.error("the loop broke", exc_info=auditing.exception())
            return 1
        self._log.info("stopped")
        return 0

    def stuck(self) -> str | None:
        """Why the process is to be started anew."""
        taken = time.monotonic() - self._began if self._began is not None else 0.0
        return f"an audit has not come to an end for {taken:.0f} s" if taken > STUCK else None

    async def _audit_for_ever(self) -> None:
        failures = 0
        while True:
            self._began = time.monotonic()
            failures = 0 if await self._is_whole() else failures + 1
            self._began = None
            await asyncio.sleep(pause(self._settings.every.total_seconds(), failures))

    async def _is_whole(self) -> bool:
        """Whether the cluster was audited, and its reports are as they should be."""
        try:
            report = await in_thread(self._audited)
            self._waits_for = None
        except Exception as error:  # noqa: BLE001 - whatever it was, the next audit may go well
            self._failed("audit", error)
            if self._waits_for:
                self._waits_for = f"no audit has come through yet: {error}"
            return False
        try:
            return not await in_thread(lambda: self._reports.keep(report))
        except Exception as error:  # noqa: BLE001 - metrics have it all the same
            self._failed("reports", error)
            return False

    def _audited(self) -> Report:
        """All that is found in the cluster now. Raises ``NoAnswer``."""
        began = time.monotonic()
        inventory, unread = inventory_of(self._api, lambda _count: None)
        report = reported(
            inventory,
            findings(inventory),
            self._decisions(),
            datetime.now(UTC).date(),
            unread=unread,
            scope=f"the cluster at {self._api.server}",
        )
        seconds = time.monotonic() - began
        self._metrics.audited(report, seconds)
        self._tell(report, seconds)
        return report

    def _decisions(self) -> Decisions:
        """What is to be ignored: nothing, when a file is not right. Too many findings are better than none."""
        try:
            return decisions([str(each) for each in self._settings.ignore_files], ())
        except BadInput as error:
            self._failed("ignores", error)
            return Decisions()

    def _tell(self, report: Report, seconds: float) -> None:
        ignored = len(report.ignored)
        self._log.info("audited", **report.summary, ignored=ignored, seconds=round(seconds, 3))
        if report.unread:
            self._log.warning("not all was read", count=len(report.unread), detail=report.unread)
        for each in report.warnings:
            self._log.warning("the ignore file", detail=each)

    def _failed(self, part: Part, error: Exception) -> None:
        """Say it and count it; a failure that is no answer of the cluster's is one of ours, and needs its traceback."""
        self._metrics.failed(part)
        ours = None if isinstance(error, BadInput) else error
        self._log.error(f"failed: {part}", reason=str(error), exc_info=ours)


def pause(every: float, failures: int) -> float:
    """Seconds to the next audit."""
    return min(every, FIRST_PAUSE * 2 ** min(failures - 1, 20)) if failures else every


async def in_thread(work: Callable[[], Made]) -> Made:
    """What the work returns, or raises. At the end of the process nobody waits for it, as they would for an executor's."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Made] = loop.create_future()

    def settle(settled: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # The loop is closed.
            loop.call_soon_threadsafe(lambda: None if done.done() else settled())

    def worked() -> None:
        try:
            made = work()
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            failure = error  # The name of an except clause is gone when it ends.
            settle(lambda: done.set_exception(failure))
        else:
            settle(lambda: done.set_result(made))

    threading.Thread(target=worked, name="audit", daemon=True).start()
    return await done
