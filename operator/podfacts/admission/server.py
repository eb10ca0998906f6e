"""The admission endpoint: ``POST /mutate`` and nothing else, around a review that is a pure function.

An API server trusts what comes back with status 200 only; whatever else is said here makes it follow the webhook's
failurePolicy. So everything that is not a review gets a 4xx and one plain sentence, never an ``allowed``.
"""

import time
from collections.abc import Callable
from http import HTTPStatus

from podfacts.core.review import Answer
from podfacts.serving.messages import JSON, TEXT, Reply, Request

PATH = "/mutate"


def admission(
    review: Callable[[bytes], Answer],
    record: Callable[[Answer, float], None],
    rejected: Callable[[str, BaseException | None], None] = lambda _reason, _cause: None,
) -> Callable[[Request], Reply]:
    """Return what answers a request. ``record`` hears of each review and of the seconds it took.

    The content type is not looked at: what counts is whether the body is a review.
    """

    def answer(request: Request) -> Reply:
        if request.path != PATH:
            rejected("wrong_path", None)
            return Reply(HTTPStatus.NOT_FOUND, b"podfacts answers POST " + PATH.encode() + b" only\n")
        if request.method != "POST":
            rejected("wrong_method", None)
            return Reply(
                HTTPStatus.METHOD_NOT_ALLOWED, b"podfacts answers POST only\n", headers=(("Allow", "POST"),)
            )
        began = time.perf_counter()
        answered = review(request.body)
        record(answered, time.perf_counter() - began)
        return Reply(answered.status, answered.body, JSON if answered.status == HTTPStatus.OK else TEXT)

    return answer
