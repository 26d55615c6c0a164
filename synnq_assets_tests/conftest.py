import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")


@pytest.fixture
def shared_data():
    """The folder of real text that SYNNQ_TEST_DATA names."""
    from pathlib import Path

    folder = os.environ.get("SYNNQ_TEST_DATA")
    if not folder:
        if "shared_data" in os.environ.get("SYNNQ_TEST_REQUIRE", ""):
            pytest.fail("SYNNQ_TEST_REQUIRE names shared_data, but SYNNQ_TEST_DATA names no folder")
        pytest.skip("SYNNQ_TEST_DATA names no folder of real text")
    return Path(folder)
