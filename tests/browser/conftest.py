"""A browser with one page, for each test its own profile."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser.chromium import Page, browser
from tests.cluster import packages


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A page of a headless Chromium; a skip where none is and none could be installed."""
    command = packages.browser()
    if not command:
        if os.geteuid() == 0 and shutil.which("apt-get"):
            pytest.fail("no chromium-headless-shell: run make prepare")
        pytest.skip("no Chromium here, and neither root nor apt-get to install one")
    async with browser(command, tmp_path / "profile") as opened:
        yield opened
