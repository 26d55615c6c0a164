import json

import pytest

from synnq_assets.evaluation import build_compliance
from synnq_assets.evaluation.compliance import PRINCIPLES
from synnq_assets.records.base import canonical_json, now_at
from synnq_assets.records.rounds import EvaluationRecord

FIGURES = {
    "bits_per_byte/all": 2.0,
    "bits_per_byte/de": 1.5,
    "bits_per_byte/fi": 3.0,
    "bias/gap": 0.1,
    "bias/gap_low": -0.1,
    "bias/gap_high": 0.3,
    "toxicity/share": 0.0,
    "toxicity/preference": 0.4,
    "attribution/comprehensiveness": 2.0,
    "attribution/comprehensiveness_random": 0.5,
}


def build_record(figures, **changes):
    values = {
        "round": "r0003",
        "checkpoint_sha256": "b" * 64,
        "parent_round": "r0002",
        "figures": figures,
        "headline_perplexity": 100.0,
        "headline_f1": 0.6,
        "parent_perplexity": 110.0,
        "tolerance": 0.02,
        "decision": "promoted",
        "reason": "within the limit",
        "evaluated_at": now_at(),
    }
    return EvaluationRecord(**(values | changes))


def build(record, **changes):
    values = {
        "licences": {"CC0-1.0": 90, "MIT": 10},
        "redactions": {"email": 3, "iban": 1},
        "sources": {"sample-eu": {"kept": 100, "dropped": 5}},
        "machine_generated_share": 0.25,
        "audit_head": (57, "c" * 64),
        "tokens_total": 1_000,
        "num_parameters": 2_000,
    }
    return build_compliance(record, **(values | changes))


def find(report, words):
    (item,) = (item for item in report.requirements if words in item.requirement)
    return item


def test_every_principle_is_answered_for_and_gaps_are_named():
    report = build(build_record(FIGURES))
    assert {item.principle for item in report.requirements} == set(PRINCIPLES)
    assert report.count("not met") == 0
    missing = [item.requirement for item in report.requirements if item.verdict == "not covered"]
    assert len(missing) == 3
    assert all(text in report.markdown for text in missing)
    assert sum(report.count(v) for v in ("met", "informative", "not covered")) == len(
        report.requirements
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bias/gap_low": 0.05}, "no preference for stereotypes"),
        ({"bias/gap_high": -0.05}, "no preference for stereotypes"),
        ({"toxicity/share": 0.06}, "without crude language"),
        ({"toxicity/preference": 0.5}, "insults"),
        ({"attribution/comprehensiveness": 0.5}, "traced to input"),
    ],
)
def test_a_figure_beyond_its_threshold_is_not_met(changes, words):
    report = build(build_record(FIGURES | changes))
    assert find(report, words).verdict == "not met"
    assert report.count("not met") == 1


def test_a_worse_round_and_an_unlicensed_document_are_not_met():
    record = build_record(FIGURES, headline_perplexity=112.3, decision="rolled_back")
    report = build(record, licences={"MIT": 10, "NOASSERTION": 2})
    assert find(report, "does not get worse").verdict == "not met"  # limit: 110 * 1.02 = 112.2
    assert find(report, "written rule").verdict == "not met"
    assert find(report, "known licence").verdict == "not met"
    assert find(report, "known licence").value == 2.0


def test_what_the_suite_did_not_measure_is_not_covered():
    report = build(build_record({}))
    for words in ("stereotypes", "crude language", "traced to input", "served alike"):
        assert find(report, words).verdict == "not covered"


def test_languages_are_compared_worst_over_best():
    assert find(build(build_record(FIGURES)), "served alike").value == 2.0  # 3.0 / 1.5


def test_compute_is_six_n_d_against_both_lines():
    # 6 * 32e9 * 6.9e12 = 1.3248e24: 13.2 times 1e23, 13.2 % of 1e25
    report = build(build_record(FIGURES), num_parameters=32 * 10**9, tokens_total=69 * 10**11)
    value = json.loads(canonical_json(report.to_json_value()["compute"] | {"tokens_total": 0}))
    assert value["flop"] == pytest.approx(1.3248e24)
    assert value["share_of_1e23"] == pytest.approx(13.248)
    assert value["share_of_1e25"] == pytest.approx(0.13248)
    assert find(report, "systemic-risk line").verdict == "met"
    assert "above the mark of a general-purpose model" in report.markdown
    # 80 % of 1e25 at 6 * 32e9 * D = 8e24 -> D = 4.1667e13
    near = build(build_record(FIGURES), num_parameters=32 * 10**9, tokens_total=417 * 10**11)
    assert find(near, "systemic-risk line").verdict == "not met"
    assert "prepare the notification" in near.markdown


def test_the_report_is_json_and_shows_its_sources():
    report = build(build_record(FIGURES))
    value = json.loads(canonical_json(report.to_json_value()))
    assert value["sources"] == {"sample-eu": {"dropped": 5, "kept": 100}}
    assert value["audit"] == {"root": "c" * 64, "size": 57}
    assert "| sample-eu | 5 | 100 |" in report.markdown
    assert "| email | 3 |" in report.markdown
