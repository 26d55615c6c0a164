import os
import signal

import pytest

from synnq_assets.cli.services import Services
from synnq_assets_tests.journeys.running import (
    Running,
    campaign_environment,
    create_campaign,
    finish_campaign,
)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A campaign of two rounds that ran to its release; its web page stays open."""
    path = tmp_path_factory.mktemp("journey") / "home"
    with campaign_environment():
        home = create_campaign(path)
        services = Services(home, port=0)
        services.__enter__()
    try:
        with campaign_environment():
            finish_campaign(home, services)
        # Nothing is left to decide; the daemon would only keep the processors busy.
        daemon = services.children["daemon"]
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait()
        yield Running(home, services)
    finally:
        services.stop()


@pytest.fixture(scope="session")
def compliance_page(finished):
    """The second web server over the same home, which can change nothing."""
    with Services(finished.home, port=0, is_read_only=True) as services:
        yield Running(finished.home, services)
