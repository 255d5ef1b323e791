import pytest

from orlop.registry import RegistryClient, RegistryOptions
from orlop.testing.registry import FaultyRegistry


@pytest.fixture
def start():
    """Start registries that are stopped after the test."""
    started = []

    def start(*args, **kwargs):
        registry = FaultyRegistry(*args, **kwargs)
        registry.__enter__()
        started.append(registry)
        return registry

    yield start
    for registry in started:
        registry.close()


@pytest.fixture
def registry(start):
    return start()


@pytest.fixture
def waits():
    """How long clients wanted to wait between attempts."""
    return []


@pytest.fixture
def connect(waits):
    """Make clients that do not wait, closed after the test."""
    made = []

    def connect(credentials=None, **options):
        options.setdefault("sleep", waits.append)
        client = RegistryClient(RegistryOptions(**options), credentials)
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def client(connect):
    return connect()
