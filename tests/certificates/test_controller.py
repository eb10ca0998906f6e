"""What the controller's probes say, and which settings it refuses, without a cluster."""

from datetime import timedelta
from typing import Any, cast

import pytest

from podfacts.controller.apiserver import Failed, Resource
from podfacts.controller.controller import STUCK, Controller, Settings
from podfacts.controller.keeper import Authority
from podfacts.controller.metrics import ControllerMetrics

NO_API = cast("Any", None)  # Nothing here asks it anything.
LEASE = Resource("coordination.k8s.io", "v1", "leases", "podfacts-controller", "podfacts-system")


def controller() -> Controller:
    made = Controller(Settings(), NO_API)
    made._election.answered = True
    return made


def leading() -> tuple[Controller, Authority]:
    made, settings = controller(), Settings()
    authority = Authority(NO_API, settings.place, settings.policy, ControllerMetrics(), leads=lambda: True)
    made._authority = authority
    return made, authority


def test_it_is_alive_while_its_loops_come_round() -> None:
    made, authority = leading()
    assert made.stuck() is None
    made._election.fault = authority.fault = Failed("get", LEASE, 0, "connection refused")
    assert made.stuck() is None, "an API server that is away is no reason to start anew"


def test_a_loop_that_does_not_come_round_is_a_reason_to_start_anew() -> None:
    made, authority = leading()
    authority.beat -= STUCK + 1
    assert "the CA has not been looked at for 12" in str(made.stuck())
    made = controller()
    made._election.beat -= STUCK + 1
    assert "the election has not moved for 12" in str(made.stuck())


def test_it_is_ready_once_it_has_read_the_lease() -> None:
    made = Controller(Settings(), NO_API)
    assert made.hindered() == "the Lease has not been read yet"
    made._election.fault = Failed("get", LEASE, 0, "connection refused")
    assert "connection refused" in str(made.hindered())
    made._election.answered = True
    assert made.hindered() is None, "losing the API server later changes nothing"


MISSING_RIGHT = 'leases is forbidden: User "me" cannot get resource "leases"'


@pytest.mark.parametrize("status", [403, 404])
def test_what_somebody_must_put_right_makes_it_unready(status: int) -> None:
    made, authority = leading()
    authority.fault = Failed("get", LEASE, status, MISSING_RIGHT)
    assert made.hindered() == (
        "get leases.coordination.k8s.io/podfacts-controller in namespace podfacts-system: " + MISSING_RIGHT
    )


def test_lifetimes_that_cannot_work_are_refused_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="a CA lifetime of 0:10:00 is too short"):
        Settings(ca_lifetime=timedelta(minutes=10))


def test_a_restarted_container_is_another_candidate() -> None:
    assert Settings().identity != Settings().identity


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (0, "unreachable"),
        (401, "forbidden"),
        (403, "forbidden"),
        (404, "absent"),
        (409, "conflict"),
        (422, "refused"),
        (500, "error"),
        (429, "error"),
    ],
)
def test_failures_have_few_names(status: int, reason: str) -> None:
    assert Failed("update", LEASE, status, MISSING_RIGHT).reason == reason


def test_an_object_that_is_refused_is_no_missing_right() -> None:
    """By an admission policy, somebody's webhook, or a namespace that ends."""
    message = "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'podfacts-controller-fence' denied request"
    assert Failed("patch", LEASE, 403, message).reason == "refused"


def test_paths_are_those_of_the_api() -> None:
    assert Settings().place.secret.path == "/api/v1/namespaces/podfacts-system/secrets/podfacts-ca"
    assert LEASE.path == "/apis/coordination.k8s.io/v1/namespaces/podfacts-system/leases/podfacts-controller"
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/podfacts"
    assert Settings().place.configuration.path == path
