"""The image runs as whoever it is told to be, as platforms do that give each namespace user ids of its own.

Such a user is in no file of the image, has group 0 and no capability, and owns nothing; the root is read-only.
"""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.image.contents import Image
from tests.server.folder import MountedSecret
from tests.server.test_admission import POD, asked
from tests.server.test_process import Process

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="building an image needs root"),
    pytest.mark.timeout(1800),  # a first build fetches Debian and every dependency
]
USER = "1000730000:0"
CERTIFICATES = "/home"  # A folder that is there, for on a read-only root none can be made.


@asynccontextmanager
async def serving(image: Image, folder: Path) -> AsyncIterator[Process]:
    """The webhook of the image, as that user, with a mounted CA."""
    secret = MountedSecret(folder / "certificates")
    words = ("webhook", "--port", "0", "--probe-port", "0", "--certificates", CERTIFICATES)
    process = await asyncio.create_subprocess_exec(
        *image.command(*image.config["Entrypoint"], *words, user=USER, volumes={secret.path: CERTIFICATES}),
        env=image.environment(),
        stderr=asyncio.subprocess.PIPE,
    )
    running = Process(process, secret)
    secret.write_authority(running.authority)
    try:
        yield running
    finally:
        process.terminate()
        assert await running.ended() == 0


def status(pid: int) -> dict[str, str]:
    """Return what the kernel says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


async def test_the_webhook_answers_a_review(image: Image, tmp_path: Path) -> None:
    async with serving(image, tmp_path) as running:
        client = await running.connect()
        reply = await client.ask(asked(POD))
        assert reply.status == 200
        assert b'"patch"' in reply.body
        await client.close()
        said = status(running.process.pid)
        assert (said["Uid"].split()[1], said["Gid"].split()[1]) == ("1000730000", "0")
        assert (int(said["CapEff"], 16), int(said["CapPrm"], 16), said["NoNewPrivs"]) == (0, 0, "1")


def test_the_controller_says_that_it_finds_no_cluster(image: Image) -> None:
    done = image.run(*image.config["Entrypoint"], "controller", "--probe-port", "0", user=USER)
    last = json.loads(done.stderr.splitlines()[-1])
    assert (done.returncode, last["event"]) == (2, "cannot start")
    assert last["reason"].startswith("no cluster to talk to: ")


def test_nothing_in_it_may_be_written_by_whom_it_runs_as(image: Image) -> None:
    # By its modes, for a platform may leave the read-only root out. Group 0 counts: it is that user's.
    found = [
        path
        for path in image.root.rglob("*")
        if not path.is_symlink() and path.lstat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ]
    assert {
        f"/{path.relative_to(image.root)}" for path in found if not path.lstat().st_mode & stat.S_ISVTX
    } == set()


def test_on_its_read_only_root_it_can_write_nowhere(image: Image) -> None:
    script = """
import os
folders = [path for top in set(os.listdir("/")) - {"proc"} for path, _, _ in os.walk("/" + top)]
print(len(folders) > 100, [path for path in folders if os.access(path, os.W_OK)])
"""
    done = image.run("python3", "-c", script, user=USER)
    assert (done.stdout, done.stderr) == ("True []\n", "")
