"""A home with the demo's four nodes, created once and copied for each test."""

import shutil

import dagster as dg
import pytest

from synnq_assets.cli.demo.setup import create_demo_home
from synnq_assets.settings import resolve_settings
from synnq_assets_tests.defs.by_hand import reopen


@pytest.fixture(scope="session")
def enrolled(tmp_path_factory):
    path = tmp_path_factory.mktemp("enrolled") / "home"
    return create_demo_home(path, resolve_settings("local", "smoke")).path


@pytest.fixture
def home(enrolled, tmp_path):
    return reopen(shutil.copytree(enrolled, tmp_path / "home"))


@pytest.fixture
def instance():
    with dg.instance_for_test() as instance:
        yield instance
