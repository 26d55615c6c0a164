import dataclasses
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.records.corpora import CurationReport
from synnq_assets.release import ReportedEnergy
from synnq_assets.release.card import render_card
from synnq_assets.release.documentation import build_documentation
from synnq_assets.release.facts import build_facts, estimate_flop
from synnq_assets.release.sources import find_kind
from synnq_assets.release.summary import build_summary, list_empty_fields, select_size_band
from synnq_assets.release.tables import escape_text, format_count, format_figure, render_figures
from synnq_assets.settings.recipe import ReleaseSettings, SourceSettings
from synnq_assets_tests.release.release_folder import (
    SmallRelease,
    build_small_release,
    make_curation,
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    return build_small_release(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="module")
def card(small: SmallRelease) -> str:
    return (small.folder / "README.md").read_text()


def test_the_card_holds_every_figure_of_the_evaluation(card: str):
    # perplexity 512 at the start, 123.4 now; fr is 10, law 5, de.law 7 above (release_folder.py)
    assert "| all | all | 512 | 123.4 |\n| de | language | 512 | 123.4 |" in card
    assert "| de.law | cell | 519 | 130.4 |" in card
    assert "Digest of the questions: `0123456789ab…`." in card
    assert "| de | language | 512 | 123.4 |" in card
    assert "| fr | language | 522 | 133.4 |" in card
    assert "| law | sector | 517 | 128.4 |" in card
    assert "| language | task | 0.4321 | 0.4321 |" in card
    assert "| gap | task | 0.0123 | 0.0123 |" in card


def test_the_card_names_lineage_data_and_digest(card: str, small: SmallRelease):
    assert small.record.checkpoint_sha256 in card
    assert "| r0003 | 2 | trimmed-mean | 60 000 | 0.9 | 123.4 | 0.4321 |" in card
    assert "2 nodes contributed to the 2 promoted rounds" in card
    assert "| de | law | 3 000 | 75.0% | 12 | 1 |" in card
    assert "| CC-BY-4.0 | 12 |" in card
    assert "| sample-eu | 30 | 24 | 5 | 1 | 3 | 24 |" in card
    assert "synnq verify-release DIR --root KEY" in card


def test_every_link_of_the_card_leads_into_the_folder(card: str, small: SmallRelease):
    links = re.findall(r"\]\(([^)]+)\)", card)
    assert {"figures/perplexity.png", "figures/rounds.png"} <= set(links)
    assert len(links) == 5
    assert all((small.folder / link).is_file() for link in links)


def test_the_front_matter_is_what_model_hubs_read(small: SmallRelease, card: str):
    from huggingface_hub import ModelCard

    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "apache-2.0"
    assert front["language"] == ["de", "fr"]
    assert front["pipeline_tag"] == "text-generation"
    data = ModelCard.load(small.folder / "README.md").data
    assert data.eval_results is not None
    values = {result.metric_type: result.metric_value for result in data.eval_results}
    assert values == {"perplexity": 123.4, "f1": 0.4321}


def test_compute_is_six_times_parameters_times_tokens(card: str):
    assert estimate_flop(125_248, 60_000) == 6 * 125_248 * 60_000 == 45_089_280_000
    assert "4.51e+10 FLOP" in card


@pytest.mark.parametrize(
    ("joules", "num_reporting", "sentence", "value"),
    [
        (0.0, 0, "0 of 4 contributions reported energy; what the others used is not known.", None),
        (
            7.2e9,  # 3.6e9 J are one MWh
            3,
            "3 of 4 contributions reported 2 MWh in total; what the others used is not known.",
            None,
        ),
        (7.2e9, 4, "4 of 4 contributions reported 2 MWh in total.", 2.0),
    ],
)
def test_energy_comes_with_how_many_contributions_reported_it(
    joules: float, num_reporting: int, sentence: str, value: float | None, small: SmallRelease
):
    energy = ReportedEnergy(joules=joules, num_reporting=num_reporting, num_contributions=4)
    inputs = dataclasses.replace(small.inputs, energy=energy)
    facts = build_facts(inputs)
    assert f"Energy: {sentence}\n" in render_card(inputs, facts)
    items = build_documentation(inputs, facts)["sections"]["8 Energy consumption"]
    assert items[0]["value"] == value
    method = items[1]["value"]
    assert (method is None) if num_reporting == 0 else f"{num_reporting} of 4" in method


def test_a_language_without_figure_is_named_as_a_limit(small: SmallRelease):
    evaluation = small.inputs.evaluations[1]
    figures = {key: value for key, value in evaluation.figures.items() if key != "perplexity/fr"}
    evaluation = evaluation.model_copy(update={"figures": figures})
    inputs = dataclasses.replace(small.inputs, evaluations=(evaluation,))
    assert "without a figure of their own: fr." in render_card(inputs, build_facts(inputs))


def test_foreign_text_cannot_add_markup_or_front_matter(small: SmallRelease):
    release = ReleaseSettings(
        model_name="x\n---\nlicense: mit", licence="MIT", provider="a | b <script> [x](http://y)"
    )
    recipe = small.inputs.recipe.model_copy(update={"release": release})
    inputs = dataclasses.replace(small.inputs, recipe=recipe)
    card = render_card(inputs, build_facts(inputs))
    front = yaml.safe_load(card.split("\n---\n")[0].removeprefix("---\n"))
    assert front["model-index"][0]["name"] == release.model_name
    assert "| Provider | a \\| b \\<script\\> \\[x\\](http://y) |" in card
    assert "\n# x --- license: mit\n" in card


@given(st.text())
def test_escaped_text_is_one_line_without_open_markup(text: str):
    escaped = escape_text(text)
    assert len(escaped.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(\\\\)*[`*_{}\[\]<>|#!]", escaped)


def test_figures_are_written_with_four_digits():
    assert [format_figure(value) for value in (None, 0.0, 12.3456, 123456.0, 1.7e308)] == [
        "–",
        "0",
        "12.35",
        "1.235e+05",
        "not finite",
    ]
    assert format_count(1234567) == "1 234 567"


def test_a_figure_without_slice_is_shown(small: SmallRelease):
    evaluation = small.inputs.evaluations[1].model_copy(update={"figures": {"loss": 2.5}})
    inputs = dataclasses.replace(small.inputs, evaluations=(evaluation,))
    assert "### loss\n\n" in render_figures(build_facts(inputs))
    assert "| all | all | 2.5 | 2.5 |" in render_figures(build_facts(inputs))


def test_the_summary_follows_the_template(small: SmallRelease):
    folder = small.folder / "papers"
    summary = json.loads((folder / "training-content-summary.json").read_text())
    assert list(summary["2 List of data sources"]) == ["2.1", "2.2", "2.3", "2.4", "2.5", "2.6"]
    (source,) = summary["2 List of data sources"]["2.5"]["sources"]
    assert (source["name"], source["num_documents_kept"]) == ("sample-eu", 24)
    assert summary["1 General information"]["languages"] == ["de", "fr"]
    documents = summary["3 Relevant data processing aspects"]["documents"]["sample-eu"]
    assert documents["read"] == documents["kept"] + sum(
        count for part in ("refused", "set_aside") for count in documents[part].values()
    )
    text = (folder / "training-content-summary.md").read_text()
    assert "### 2.3 Data crawled and scraped from online sources\n\nNone.\n" in text
    assert "| licence:not-accepted | 4 | 0 |" in text


def test_what_no_record_answers_is_left_for_the_provider(small: SmallRelease):
    summary = build_summary(small.inputs, build_facts(small.inputs))
    assert "1 General information.model.union_market_date" in summary["to_complete"]
    assert list_empty_fields({"a": None, "b": [{"c": None}, 1], "d": 0}) == ["a", "b.0.c"]


def test_a_source_that_the_recipe_no_longer_names_is_still_listed(small: SmallRelease):
    value = json.loads(make_curation().canonical_bytes())
    report = CurationReport.from_json_value({**value, "source": "old-archive"})
    inputs = dataclasses.replace(small.inputs, curation=(*small.inputs.curation, report))
    summary = build_summary(inputs, build_facts(inputs))
    (source,) = summary["2 List of data sources"]["2.6"]["sources"]
    assert source["name"] == "old-archive"


@pytest.mark.parametrize(
    ("kind", "params", "section"),
    [
        ("huggingface", {"id": "organisation/name"}, "2.1"),
        ("huggingface", {"id": "json", "data_files": ["/data/a.jsonl"]}, "2.6"),
        ("huggingface", {"id": "/srv/corpus"}, "2.6"),
        ("sample-eu", {}, "2.5"),
        ("python-environment", {}, "2.6"),
        ("directory", {}, "2.6"),
        ("something-new", {}, "2.6"),
    ],
)
def test_a_source_is_listed_under_its_section(kind: str, params: dict[str, str], section: str):
    source = SourceSettings.model_validate({"name": "a-source", "kind": kind, "params": params})
    assert find_kind(source).section == section


def test_size_bands_are_those_of_the_template():
    assert select_size_band(10**9 - 1) == "less than 1 billion tokens"
    assert select_size_band(10**9) == "1 billion to 10 trillion tokens"
    assert select_size_band(10**13) == "more than 10 trillion tokens"


def test_each_item_of_the_documentation_says_who_may_read_it(small: SmallRelease):
    form = build_documentation(small.inputs, build_facts(small.inputs))
    items = [item for section in form["sections"].values() for item in section]
    assert len(form["sections"]) == 8
    assert all(
        set(item["audiences"]) <= {"ai-office", "national-authorities", "downstream-providers"}
        for item in items
    )
    assert all(item["audiences"] for item in items)
    by_name = {item["item"]: item for item in items}
    assert by_name["Total model size"]["value"] == 125_248
    assert by_name["Model authenticity"]["value"]["audit_size"] == 4
    assert "downstream-providers" not in by_name["Amount of computation, in FLOP"]["audiences"]
    missing = [item["item"] for item in items if item["value"] is None]
    assert [entry.split(": ")[1] for entry in form["to_complete"]] == missing


def test_the_compliance_papers_are_passed_on_as_they_are(small: SmallRelease):
    folder: Path = small.folder / "papers"
    assert json.loads((folder / "compliance.json").read_text()) == {"bias/gap": 0.0123}
    assert (folder / "compliance.md").read_text() == small.inputs.compliance_markdown
