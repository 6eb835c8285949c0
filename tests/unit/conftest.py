"""Unit tests reach no network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """Whoever opens a socket fails; an event loop wakes itself through a pair of Unix ones."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
