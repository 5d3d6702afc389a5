"""What several test files share."""

import pytest

from metareward.models.base import Model
from metareward.models.resolve import resolve


@pytest.fixture(scope="session")
def default_model() -> Model:
    """The small real model, fetched and converted by the first test that asks. Mark such tests `model`."""
    return resolve("smollm2-135m-instruct")
