import keras
import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Claims that don't depend on the backend are shown once."""
    if keras.backend.backend() == "torch":
        return
    once = [item for item in items if item.get_closest_marker("one_backend")]
    config.hook.pytest_deselected(items=once)
    items[:] = [item for item in items if item not in once]
