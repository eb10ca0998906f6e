"""A watch that dies, in each way in which one can: the picture is whole again within a minute, and nothing is told twice."""

import asyncio
import json
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import yaml

from podfacts.controller import crowds
from podfacts.controller.apiserver import Failed
from podfacts.controller.crowds import Crowd
from podfacts.controller.vitals import NODES, SILENCE, Vitals
from podfacts.controller.watches import session
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.identity import RBAC, certificate_authority, identity
from tests.e2e.proxy import Proxy

pytestmark = [pytest.mark.api, pytest.mark.fault("T44")]
PATH = "/api/v1/nodes"
SELECTOR = "example.com/watched"
ACCOUNT = "podfacts-webhook-watches"
BINDING = f"{RBAC}/clusterrolebindings/{ACCOUNT}"
FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"
RESYNC = 60  # Seconds, at most.


class Heard:
    """Who listens: what is there by name, how often it was told of each, and what was told again that it knew.

    Others change nodes, too, where a controller manager runs: so it is by its version that a thing is known.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}
        self.times: Counter[str] = Counter()
        self.again: list[str] = []
        self.lists = 0
        self._known: set[tuple[str, str]] = set()
        self._seen: dict[str, float] = {}

    def take(self, tree: Any, gone: bool) -> None:
        name = tree["metadata"]["name"]
        self.times[name] += 1
        version = (name, tree["metadata"]["resourceVersion"])
        if version in self._known:
            self.again.append(name)
        self._known.add(version)
        self._seen[name] = time.monotonic()
        if gone:
            self.nodes.pop(name, None)
        else:
            self.nodes[name] = tree["metadata"]["labels"].get("a", "")

    def listed(self, began: float) -> None:
        self.lists += 1
        self.nodes = {name: value for name, value in self.nodes.items() if self._seen[name] >= began}


@pytest.fixture
def names(api: Api) -> Iterator[list[str]]:
    """Two nodes that are watched, and one that the API server leaves out."""
    found = [f"watched-{os.getpid()}-{number}" for number in range(3)]
    for name in found:
        labels = {"a": "before"} | ({SELECTOR: "yes"} if name != found[2] else {})
        api.create(PATH, {"metadata": {"name": name, "labels": labels}, "spec": {"unschedulable": True}})
    yield found
    for name in found:
        api.call("DELETE", f"{PATH}/{name}")


@pytest.fixture
def proxy(cluster: Cluster, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A door in between, and an account that may watch nodes."""
    with identity(api, cluster, tmp_path / "account", "webhook", "default", "watches"):
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": (tmp_path / "account" / "token").read_text()}
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps(config))
        with Proxy(kubeconfig, tmp_path) as door:
            monkeypatch.setenv("KUBECONFIG", str(door.kubeconfig))
            yield door


@contextmanager
def limited(api: Api, token: str, cluster: Cluster) -> Iterator[None]:
    """The API server answers 429 to whatever the account asks: it has no seat of its own, and the one it may borrow is taken."""
    shares = {"nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0}
    none = {"type": "Limited", "limited": {**shares, "limitResponse": {"type": "Reject"}}}
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True}
    subject = {"kind": "ServiceAccount", "serviceAccount": {"namespace": "default", "name": ACCOUNT}}
    rules = [{"subjects": [subject], "resourceRules": [{**everything, "namespaces": ["*"]}]}]
    flow = {"priorityLevelConfiguration": {"name": ACCOUNT}, "matchingPrecedence": 2, "rules": rules}
    for kind, spec in (("prioritylevelconfigurations", none), ("flowschemas", flow)):
        api.create(f"{FLOW}/{kind}", {"metadata": {"name": ACCOUNT}, "spec": spec})
    account = Api(cluster.kubeconfig, token)
    try:
        wait_for(lambda: _says(api, "current_limit_seats", "0"), 20)
        with _sitting(api, token, cluster):
            wait_for(lambda: account.call("GET", PATH, limit="1").status == 429, 20)
            yield
    finally:
        for kind in ("flowschemas", "prioritylevelconfigurations"):
            api.call("DELETE", f"{FLOW}/{kind}/{ACCOUNT}")


def _says(api: Api, name: str, value: str) -> bool:
    line = f'apiserver_flowcontrol_{name}{{priority_level="{ACCOUNT}"}} {value}'
    return line in str(api.call("GET", "/metrics").body["text"])


@contextmanager
def _sitting(api: Api, token: str, cluster: Cluster) -> Iterator[None]:
    """A request that anybody may make, and whose body does not come."""
    address = urlsplit(api.server)
    tls = ssl.create_default_context(cadata=certificate_authority(cluster).decode())
    head = (
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews HTTP/1.1\r\n"
        f"Host: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
    )
    plain = socket.create_connection((str(address.hostname), address.port or 443))
    with tls.wrap_socket(plain, server_hostname=address.hostname) as secured:
        secured.sendall(head.encode())
        yield


@asynccontextmanager
async def followed(vitals: Vitals) -> AsyncIterator[tuple[Heard, Crowd]]:
    heard = Heard()
    crowd = Crowd(NODES, heard.take, heard.listed, selector=SELECTOR)
    made = await session(vitals)
    async with made.aiohttp_session as client:
        following = asyncio.create_task(crowd.follow(made.server, client))
        await until(lambda: "nodes" in vitals.watched)
        try:
            yield heard, crowd
            assert not following.done()
        finally:
            following.cancel()
            await asyncio.wait([following])
    await asyncio.sleep(0.25)  # TLS takes a moment to end a connection.


async def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it waits for is the API server
            await asyncio.sleep(0.02)


def label(api: Api, name: str, value: str) -> None:
    said = api.call("PATCH", f"{PATH}/{name}", {"metadata": {"labels": {"a": value}}})
    assert said.status == 200


@pytest.mark.parametrize("way", ["cut", "refused"])
async def test_a_watch_that_is_cut_goes_on_where_it_was_and_tells_nothing_twice(
    api: Api, names: list[str], proxy: Proxy, way: Literal["cut", "refused"]
) -> None:
    async with followed(Vitals()) as (heard, _):
        proxy.turn(way)
        label(api, names[0], "after")
        api.call("DELETE", f"{PATH}/{names[1]}")
        await asyncio.sleep(1)
        assert heard.nodes == dict.fromkeys(names[:2], "before"), "the last picture stays"
        proxy.turn("open")
        await until(lambda: heard.nodes == {names[0]: "after"})
        assert heard.lists == 1
        assert heard.again == []


async def test_a_watch_that_says_nothing_more_is_begun_anew_and_its_age_is_shown_meanwhile(
    api: Api, names: list[str], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection hangs for ever, and looks as well as any other."""
    assert SILENCE < RESYNC - 5, "what it takes as it is shipped"
    monkeypatch.setattr(crowds, "SILENCE", 3.0)
    vitals = Vitals()
    async with followed(vitals) as (heard, _):
        proxy.turn("stalled")
        label(api, names[0], "after")
        await until(lambda: vitals.age("nodes") > 2)
        assert heard.nodes[names[0]] == "before"
        await until(lambda: heard.nodes[names[0]] == "after")
        assert vitals.age("nodes") < 2
        assert heard.lists == 1
        assert heard.again == []
        proxy.turn("cut")  # A connection that hangs takes half a minute to end.


async def test_a_watch_that_comes_too_late_begins_with_a_list_which_forgets_what_has_gone(
    api: Api, names: list[str], proxy: Proxy
) -> None:
    """410: the API server has forgotten the time that the watch would go on from."""
    async with followed(Vitals()) as (heard, crowd):
        proxy.turn("cut")
        api.call("DELETE", f"{PATH}/{names[1]}")
        crowd._version = "1"
        proxy.turn("open")
        await until(lambda: heard.nodes == {names[0]: "before"}, RESYNC)
        assert heard.lists == 2
        label(api, names[0], "after")
        await until(lambda: heard.nodes == {names[0]: "after"})
        assert heard.times[names[0]] >= 3, "by each list once, and when it changed"


async def test_an_object_that_is_not_understood_is_one_and_the_others_are_followed(
    api: Api, names: list[str], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert proxy
    take = Heard.take

    def fails_at_the_first(self: Heard, tree: Any, gone: bool) -> None:
        take(self, tree, gone)
        if tree["metadata"]["name"] == names[0]:
            raise KeyError("status")

    monkeypatch.setattr(Heard, "take", fails_at_the_first)
    async with followed(Vitals()) as (heard, _):
        label(api, names[0], "after")
        label(api, names[1], "after")
        await until(lambda: heard.nodes == dict.fromkeys(names[:2], "after"))
        assert heard.lists == 1, "and nothing is begun anew for it"


async def test_too_many_requests_are_waited_out(
    api: Api, names: list[str], proxy: Proxy, cluster: Cluster, tmp_path: Path
) -> None:
    """The API server itself answers 429: the picture stays, the version too, and nobody is asked in a hurry."""
    vitals = Vitals()
    async with followed(vitals) as (heard, _):
        with limited(api, (tmp_path / "account" / "token").read_text(), cluster):
            proxy.turn("cut")
            proxy.turn("open")
            label(api, names[0], "after")
            await asyncio.sleep(3)
            assert heard.nodes[names[0]] == "before"
            assert vitals.age("nodes") > 2
        await until(lambda: heard.nodes[names[0]] == "after", RESYNC)
        assert heard.lists == 1


async def test_bookmarks_alone_keep_a_watch_from_growing_old(
    api: Api, names: list[str], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing happens to what is watched, much to the rest: the next watch begins where the last bookmark was."""
    assert proxy
    monkeypatch.setattr(
        crowds, "WATCH_SECONDS", 3
    )  # Before it ends a watch the API server says how far it is.
    async with followed(Vitals()) as (heard, crowd):
        began = int(crowd._version)
        for number in range(5):
            label(api, names[2], f"unseen-{number}")
        latest = int(api.call("GET", f"{PATH}/{names[2]}").body["metadata"]["resourceVersion"])
        await until(lambda: int(crowd._version) >= latest, 30)
        assert latest > began
        assert heard.lists == 1
        assert heard.again == []


async def test_a_missing_right_is_raised_but_not_that_of_a_moment(
    api: Api, names: list[str], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API server that begins refuses everybody for a moment."""
    assert names
    monkeypatch.setattr(crowds, "PATIENCE", 3.0)
    heard = Heard()
    made = await session(Vitals())
    async with followed(Vitals()) as (well, _), made.aiohttp_session as client:
        binding = api.call("GET", BINDING).body
        api.call("DELETE", BINDING)
        proxy.turn("cut")
        proxy.turn("open")
        await asyncio.sleep(1.5)
        anew = {key: binding["metadata"][key] for key in ("name",)}
        api.create(BINDING.rpartition("/")[0], {**binding, "metadata": anew})
        label(api, names[0], "after")
        await until(lambda: well.nodes[names[0]] == "after")

        api.call("DELETE", BINDING)
        await asyncio.sleep(1)
        began = time.monotonic()
        with pytest.raises(Failed) as refused:
            await Crowd(NODES, heard.take, heard.listed).follow(made.server, client)
        api.create(BINDING.rpartition("/")[0], {**binding, "metadata": anew})
    assert refused.value.status == 403
    assert time.monotonic() - began > 3
    assert not heard.times
