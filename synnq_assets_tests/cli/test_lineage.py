"""`synnq lineage`: ids to begin with, then one of them followed."""

import re

import pytest

from synnq_assets.cli.app import USAGE_EXIT_CODE, run
from synnq_assets.settings import resolve_settings
from synnq_assets.trust import Home
from synnq_assets_tests.shards.campaign import build_campaign


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("SYNNQ_HOME", "")  # given back after the commands have set it
    return Home.create(tmp_path / "home", resolve_settings("local", "smoke"))


def test_without_a_document_some_of_each_cell_are_listed_and_can_be_followed(
    home, tmp_path, capsys
):
    campaign = build_campaign(tmp_path)
    for cell in campaign.plan.cells:
        campaign.seal(home.store, cell)
    assert run(["lineage", "--home", str(home.path), "--per-cell", "2"]) == 0
    printed = capsys.readouterr().out
    listed = re.findall(r"^ *(\w+\.\w+) +([0-9a-f]{16}) +made-", printed, re.MULTILINE)
    assert [cell for cell, _ in listed] == [cell for cell in campaign.plan.cells for _ in range(2)]
    for _, document in listed:
        assert run(["lineage", document, "--home", str(home.path)]) == 0
        assert f"document {document}" in capsys.readouterr().out


def test_before_anything_is_sealed_it_says_what_is_missing(home, capsys):
    assert run(["lineage", "--home", str(home.path)]) == USAGE_EXIT_CODE
    assert "no cell is sealed yet" in capsys.readouterr().err
