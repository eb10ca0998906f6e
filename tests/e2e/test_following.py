"""The webhook's picture of the cluster stays true through whatever a network and an API server can do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from podfacts.admission import apiserver
from podfacts.admission.apiserver import ApiServer, Failed, connect
from podfacts.admission.following import Followed, Picture
from podfacts.core.observed import node_part
from podfacts.core.profile import DEFAULT
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.identity import identity
from tests.e2e.proxy import Proxy

pytestmark = pytest.mark.api

NODES = "/api/v1/nodes"
NAME = "followed"


@pytest.fixture
def account(
    api: Api, cluster: Cluster, namespaces: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The folder of an account with the webhook's rights; the environment leads to the API server."""
    with identity(
        api, cluster, tmp_path / "account", "webhook", namespaces["plain"], "following"
    ) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield Path(variables["PODFACTS_SERVICE_ACCOUNT"])
    api.call("DELETE", f"{NODES}/{NAME}")


@pytest.fixture
def proxy(
    account: Path, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    """A door in between that can be shut."""
    assert account.exists()
    with Proxy(cluster.kubeconfig, tmp_path) as door:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(door._address[1]))
        yield door


@asynccontextmanager
async def followed(account: Path) -> AsyncIterator[Picture]:
    picture = Picture({"default": DEFAULT}, admit_unknown=False)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(account))
        assert api is not None
        picture.start(api, stack)
        await until(lambda: picture.lacks() is None)
        yield picture
        assert picture.broken() is None


async def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it waits for is the API server
            await asyncio.sleep(0.02)


def label(picture: Picture) -> str | None:
    node = picture.world.around.nodes.get(NAME)
    return None if node is None else node["metadata"]["labels"].get("a")


def shows(picture: Picture, value: str | None) -> bool:
    return label(picture) == value


def put(api: Api, value: str | None) -> None:
    """Make, change or (``None``) delete the node."""
    if value is None:
        api.call("DELETE", f"{NODES}/{NAME}")
    elif api.call("PATCH", f"{NODES}/{NAME}", {"metadata": {"labels": {"a": value}}}).status != 200:
        api.create(
            NODES, {"metadata": {"name": NAME, "labels": {"a": value}}, "spec": {"unschedulable": True}}
        )


@pytest.mark.fault("T43")
async def test_a_node_comes_changes_and_goes(api: Api, profiles: str, account: Path) -> None:
    assert profiles
    async with followed(account) as picture:
        for value in ("1", "2", None):
            put(api, value)
            await until(partial(shows, picture, value), 2)


@pytest.mark.fault("T44")
@pytest.mark.parametrize("state", ["cut", "refused"])
async def test_what_happened_while_it_was_away_is_known_afterwards(
    api: Api, profiles: str, account: Path, proxy: Proxy, state: Any
) -> None:
    assert profiles
    put(api, "before")
    async with followed(account) as picture:
        await until(lambda: label(picture) == "before")
        proxy.turn(state)
        put(api, "after")
        await asyncio.sleep(1)
        assert label(picture) == "before", "the last picture stays"
        assert picture.lacks() is None, "and is served"
        proxy.turn("open")
        await until(lambda: label(picture) == "after")


@pytest.mark.fault("T44")
async def test_a_watch_that_says_nothing_more_is_opened_anew(
    api: Api, profiles: str, account: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert profiles
    monkeypatch.setattr(apiserver, "SILENCE", 2.0)
    monkeypatch.setattr(apiserver, "ANSWER", 2.0)
    put(api, "before")
    async with followed(account) as picture:
        proxy.turn("silent")
        put(api, "after")
        await asyncio.sleep(3)
        proxy.turn("open")
        await until(lambda: label(picture) == "after")


@pytest.mark.fault("T44")
async def test_a_watch_that_comes_too_late_begins_with_a_list(
    api: Api, profiles: str, account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert profiles
    lists = []
    listed = Followed._list

    async def once_too_late(self: Followed, api: ApiServer) -> str:
        lists.append(self.name)
        version = await listed(self, api)
        # Of a time that the API server has long forgotten.
        return "1" if lists.count(self.name) == 1 else version

    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(connect(account))
        assert door is not None
        with pytest.raises(Failed) as gone:
            await Followed(NODES, node_part)._watch(door, "1")
        assert gone.value.status == 410
    monkeypatch.setattr(Followed, "_list", once_too_late)
    put(api, "1")
    async with followed(account) as picture:
        await until(lambda: lists.count("nodes") == 2)
        put(api, "2")
        await until(lambda: label(picture) == "2")


@pytest.mark.fault("T40")
async def test_a_missing_right_is_said_and_nobody_is_served(
    api: Api, profiles: str, account: Path, namespaces: dict[str, str]
) -> None:
    assert profiles
    binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/podfacts-webhook-following"
    api.call("DELETE", binding)
    await asyncio.sleep(0.5)
    picture = Picture({"default": DEFAULT}, admit_unknown=False)
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(connect(account))
        assert door is not None
        picture.start(door, stack)
        with contextlib.suppress(TimeoutError):
            await until(lambda: "cannot list" in str(picture.lacks()), 10)
        lacks = str(picture.lacks())
        assert "the cluster is not known yet: profiles: profiles.podfacts.dev is forbidden" in lacks
        assert f"system:serviceaccount:{namespaces['plain']}:podfacts-webhook-following" in lacks
