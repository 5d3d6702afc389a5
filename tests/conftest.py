"""What several test files share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from metareward.models.base import Model
from metareward.models.resolve import resolve

# Processes that tests start find the tests' own modules, as the tests do.
os.environ["PYTHONPATH"] = os.pathsep.join(
    path for path in (str(Path(__file__).parent), os.environ.get("PYTHONPATH")) if path
)

# What a helper beside the tests asserts is told as what a test asserts.
pytest.register_assert_rewrite(*{path.stem for path in Path(__file__).parent.glob("*.py")} - {"conftest"})

# How long an example takes is the machine's affair, not a test's.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Tests with many processes, waiting, or whole loops: `make test` has them, `make check` has not.
THOROUGH = {
    "test_attack",
    "test_attack_asked",
    "test_attack_unreadable",
    "test_bad_input",
    "test_cli",
    "test_diff",
    "test_disks",
    "test_dpo_loss",
    "test_dpo_training",
    "test_export",
    "test_export_by_hand",
    "test_export_loaded",
    "test_faults",
    "test_hostile_run",
    "test_judge_alarms",
    "test_judge_collapse",
    "test_judge_first",
    "test_judge_stopping",
    "test_judge_stopping_actions",
    "test_killed",
    "test_lab_loop",
    "test_ledger",
    "test_provenance",
    "test_provenance_sessions",
    "test_recipes",
    "test_rehearsal",
    "test_run",
    "test_secrets",
    "test_torture",
    "test_untrusted",
    "test_watchdog",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whole files as thorough."""
    for item in items:
        if Path(item.fspath).stem in THOROUGH:
            item.add_marker("thorough")


@pytest.fixture(scope="session")
def default_model() -> Model:
    """The small real model, fetched and converted by the first test that asks. Mark such tests `model`."""
    return resolve("smollm2-135m-instruct")
