"""What people click: from the start page to the asset graph and to a checkpoint's partition."""

import os
import shutil
from pathlib import Path

import pytest

from synnq_assets_tests.journeys.running import ask

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WAIT_MS = 120_000


@pytest.fixture(scope="module")
def chromium():
    found = shutil.which("chromium")
    if found is None:
        if "browser" in os.environ.get("SYNNQ_TEST_REQUIRE", ""):
            pytest.fail("SYNNQ_TEST_REQUIRE names browser, but there is no chromium")
        pytest.skip("there is no chromium")
    return found


@pytest.fixture
def page(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(WAIT_MS)
        yield page
        browser.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory):
    folder = os.environ.get("SYNNQ_TEST_SCREENSHOTS")
    path = Path(folder) if folder else tmp_path_factory.mktemp("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_a_click_through_from_the_graph_to_a_checkpoint_s_partition(finished, page, screenshots):
    page.goto(finished.url)
    page.locator('a[href="/asset-groups"]').first.click()
    for group in ("corpora", "shards", "federation", "aggregation", "evaluation", "release"):
        page.get_by_text(group, exact=True).first.wait_for()
    page.wait_for_timeout(2000)
    page.screenshot(path=screenshots / "asset-groups.png")
    page.locator('a[href="/assets"]').first.click()
    page.locator('a[href*="/assets/global_checkpoint"]').first.click()
    page.get_by_role("tab", name="Lineage").first.click()
    page.get_by_text("verified_submission", exact=True).first.wait_for()
    page.wait_for_timeout(2000)
    page.screenshot(path=screenshots / "asset-graph.png")
    page.get_by_role("tab", name="Partitions").first.click()
    page.get_by_text("r0001", exact=True).first.click()
    page.get_by_text("contributions").first.wait_for()
    page.get_by_text("trained tokens").first.wait_for()
    page.wait_for_timeout(2000)
    page.screenshot(path=screenshots / "global-checkpoint-r0001.png", full_page=True)
    assert "r0001.node-" in page.content()


WIPE = """mutation {
  wipeAssets(assetPartitionRanges: [{assetKey: {path: ["global_checkpoint"]}}]) { __typename }
}"""


def test_the_read_only_page_changes_nothing(compliance_page):
    answer = ask(compliance_page.url, WIPE)
    assert answer["wipeAssets"]["__typename"] == "UnauthorizedError"


CHECKS = """query { assetCheckExecutions(
  assetKey: {path: ["curated_corpus"]}, checkName: "expectations", limit: 5
) { evaluation { success metadataEntries { label
  ... on UrlMetadataEntry { url } ... on PathMetadataEntry { path } } } } }"""


def test_the_corpus_check_passed_and_links_its_data_docs(finished, page):
    evaluation = ask(finished.url, CHECKS)["assetCheckExecutions"][0]["evaluation"]
    assert evaluation["success"]
    entries = {entry["label"]: entry for entry in evaluation["metadataEntries"]}
    assert Path(entries["Data Docs file"]["path"]).is_file()
    url = entries["Data Docs"]["url"]
    assert url.startswith("http://127.0.0.1:")
    page.goto(url)
    page.get_by_role("heading", name="expectations").wait_for()
    page.get_by_role("link", name="-documents").first.click()
    page.get_by_text("values must be unique").first.wait_for()


EVENTS = """query($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
  assetMaterializations(limit: 20) { partition metadataEntries { label
    ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr } } } } } }"""


def test_a_verdict_is_shown_with_every_check(finished):
    answer = ask(finished.url, EVENTS, key={"path": ["verified_submission"]})
    shown = answer["assetOrError"]["assetMaterializations"]
    assert {item["partition"][:5] for item in shown} == {"r0001", "r0002"}
    entries = {entry["label"]: entry for entry in shown[0]["metadataEntries"]}
    assert entries["decision"]["text"] == "accepted"
    for check in ("signature", "lineage", "finite", "probe"):
        assert check in entries["checks"]["mdStr"]
