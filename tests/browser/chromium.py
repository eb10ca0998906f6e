"""Headless Chromium, driven by its DevTools protocol over a websocket of this machine."""

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

KEYS = {"Tab": 9, "Enter": 13, " ": 32}
FLAGS = (
    "--headless",
    "--no-sandbox",  # As root it does not start with one.
    "--remote-debugging-port=0",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
)
SECONDS = 60


class Page:
    """A page: what it is told, and what it said since."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._session: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result; what else is said meanwhile is kept."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters, **self._session})
        while True:
            said = await self._next()
            if said.get("id") == number:
                assert "error" not in said, said["error"]
                result: dict[str, Any] = said["result"]
                return result

    async def attach(self) -> None:
        """Take a page of the browser as this one."""
        target = await self.send("Target.createTarget", url="about:blank")
        attached = await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log", "Security"):
            await self.send(f"{domain}.enable")

    async def open(self, file: Path) -> None:
        """Open a file, until it is loaded."""
        await self.send("Page.navigate", url=file.as_uri())
        while not self.said("Page.loadEventFired"):
            await self._next()

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression of the page."""
        found = await self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def press(self, key: str, times: int = 1) -> None:
        """Press a key, as a person would."""
        code = {"key": key, "windowsVirtualKeyCode": KEYS[key], "code": key}
        for _ in range(times):
            text = {"text": "\r"} if key == "Enter" else {}
            await self.send("Input.dispatchKeyEvent", type="keyDown", **code, **text)
            await self.send("Input.dispatchKeyEvent", type="keyUp", **code)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        for each in text:
            await self.send("Input.dispatchKeyEvent", type="char", text=each)

    def said(self, *methods: str) -> list[dict[str, Any]]:
        """The events of these names so far."""
        return [each["params"] for each in self.events if each["method"] in methods]

    async def _next(self) -> dict[str, Any]:
        said: dict[str, Any] = await asyncio.wait_for(self._socket.receive_json(), SECONDS)
        if "method" in said:
            self.events.append(said)
        return said


@asynccontextmanager
async def browser(command: str, profile: Path) -> AsyncIterator[Page]:
    """A browser of its own with one page; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        command,
        *FLAGS,
        f"--user-data-dir={profile}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Debian's command is a script, and the browser a child of it.
    )
    try:
        port, path = await _listening(process, profile / "DevToolsActivePort")
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
        ):
            page = Page(socket)
            await page.attach()
            yield page
            await page.send("Target.setDiscoverTargets", discover=False)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _listening(process: asyncio.subprocess.Process, file: Path) -> tuple[str, str]:
    """Where the browser listens, which it writes into a file."""
    for _ in range(SECONDS * 10):
        assert process.returncode is None, "the browser ended at once"
        words = _lines(file)
        if len(words) > 1:
            return words[0], words[1]
        await asyncio.sleep(0.1)
    raise AssertionError("the browser does not listen")


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.is_file() else []
