"""The image, built once and mounted as long as its tests run."""

from collections.abc import Iterator

import pytest

from tests.cluster.progress import quiet
from tests.image.contents import Image, opened
from tests.image.product import build


@pytest.fixture(scope="package")
def image() -> Iterator[Image]:
    with opened(build(quiet)) as found:
        yield found
