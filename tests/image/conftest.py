"""Both targets of the Dockerfile, built once for all tests that need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.image.base import base_archive
from tests.image.buildah import PROJECT, Store

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Built:
    """The names that other tools find the images by."""

    service: str
    shell: str


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    archive = base_archive()
    with Store(tmp_path_factory.mktemp("images") / "store") as store:
        store.run("pull", "--quiet", f"oci-archive:{archive}")
        store.build(PROJECT, "private-svc")
        store.build(PROJECT, "private-shell", "--target=shell")
        yield Built(store.reference("localhost/private-svc"), store.reference("localhost/private-shell"))
