import shutil

import pytest

from synnq_assets.federation import Registry
from synnq_assets.trust import Home
from synnq_assets_tests.gateway import world


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    return world.build_home(tmp_path_factory.mktemp("gateway") / "home").path


@pytest.fixture
def home(built, tmp_path):
    home = Home.open(shutil.copytree(built, tmp_path / "home"))
    Registry(home.ledger).load()
    return home


@pytest.fixture
def gateway(home):
    with world.running(home) as running:
        yield running
