"""What is counted and logged of everything the admission server does, in one place.

A review is one line at level info. What strangers can cause is at most one line per reason and ten seconds, which says
how many were left out: a flood must not fill the log. What stays broken is said once, and counted each time.
"""

import time
from typing import Any

import structlog

from podfacts.admission.metrics import Metrics
from podfacts.admission.tls import Served
from podfacts.core.review import Answer
from podfacts.serving import logs

PAUSE = 10.0


class Journal:
    """The log and the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self.log: Any = structlog.get_logger().bind()
        self._metrics = metrics
        self._said: dict[str, float] = {}
        self._left_out: dict[str, int] = {}
        self._no_certificate = ""

    def reviewed(self, answer: Answer, seconds: float) -> None:
        """Tell of a review, at level error when it found a bug of ours."""
        self._metrics.reviewed(answer, seconds)
        told: dict[str, Any] = {
            "uid": answer.uid,
            "namespace": answer.namespace,
            "name": answer.name,
            "outcome": answer.outcome,
            "reason": answer.reason,
            "injected": answer.injected,
            "kept": answer.kept,
            "ms": round(seconds * 1000, 3),
        }
        if answer.outcome == "error":
            # A traceback says most at its end, which a field of ordinary length would cut off.
            self.log.error("review", **told, exception=answer.detail)
        elif answer.detail:
            logs.info("review", **told, detail=answer.detail)
        else:
            logs.info("review", **told)

    def rejected(self, reason: str, cause: BaseException | None) -> None:
        """Tell of a request that no review saw."""
        self._metrics.rejected(reason)
        if reason == "failed":
            self.log.error("request failed", exc_info=cause)
        else:  # The text of the cause repeats what was sent.
            self._sparingly("request rejected", reason, type(cause).__name__ if cause else "")

    def cut(self, reason: str, cause: str) -> None:
        """Tell of a connection that ended without an answer."""
        self._metrics.cut(reason)
        self._sparingly("connection cut", reason, cause)

    def certificate_loaded(self, served: Served) -> None:
        """Tell of a certificate taken into service."""
        self._no_certificate = ""
        self._metrics.certificate(served.not_after.timestamp())
        self.log.info(
            "certificate loaded",
            signed_here=served.pair.signs,
            not_after=served.not_after.isoformat(),
            renew_at=served.renew_at.isoformat() if served.renew_at else None,
        )

    def certificate_failed(self, reason: str) -> None:
        """Tell of a look at the certificates that found none to take."""
        self._metrics.no_certificate()
        if reason != self._no_certificate:
            self.log.warning("certificate not loaded", reason=reason)
        self._no_certificate = reason

    def _sparingly(self, event: str, reason: str, cause: str) -> None:
        now = time.monotonic()
        if now - self._said.get(reason, -PAUSE) < PAUSE:
            self._left_out[reason] = self._left_out.get(reason, 0) + 1
            return
        self._said[reason] = now
        self.log.warning(event, reason=reason, cause=cause, left_out=self._left_out.pop(reason, 0))
