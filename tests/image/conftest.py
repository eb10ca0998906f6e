"""The image, built once and mounted as long as its tests run."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster.progress import quiet
from tests.image.buildah import buildah, mounted
from tests.image.contents import Image
from tests.image.product import build


@pytest.fixture(scope="package")
def image() -> Iterator[Image]:
    built = build(quiet)
    inspected = json.loads(buildah("inspect", "--type", "image", built.image))
    with mounted(built.image) as (_, root):
        yield Image(built, inspected["OCIv1"]["config"], root)
