import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from synnq_assets.evaluation.holdout import HeldOutDocument
from synnq_assets.evaluation.tasks import TASKS, Answer
from synnq_assets.evaluation.tasks.bias import bootstrap_interval
from synnq_assets.evaluation.tasks.bias_pairs import BIAS_PAIRS
from synnq_assets.evaluation.tasks.continuation import macro_f1, select_by_information
from synnq_assets.evaluation.tasks.toxicity import has_hit
from synnq_assets.evaluation.tasks.toxicity_words import INSULTS, LEXICON, PROMPTS
from synnq_assets.settings.recipe import EvaluationSettings
from synnq_assets_tests.evaluation.samples import sample_texts

SETTINGS = EvaluationSettings(documents_per_cell=2, items_per_task=12)


def build_holdout(texts=None):
    return {
        cell: [
            HeldOutDocument(f"{cell}-{k}", cell, *cell.split("."), " ".join(text.split()))
            for k, text in enumerate(rows)
        ]
        for cell, rows in (texts or sample_texts()).items()
    }


def test_cells_weigh_equally_in_log_space():
    def answer(cell, nats, num_tokens):
        return Answer({"cell": cell, "text": "abcd"}, (-nats,), num_tokens)

    figures = TASKS["perplexity"].measure(
        [
            # de.health pools two documents: (2 + 6) nats over (2 + 2) tokens = 2 nats per token
            answer("de.health", 2.0, 2),
            answer("de.health", 6.0, 2),
            answer("fr.health", 4.0, 1),  # 4 nats per token
            answer("fr.energy", 6.0, 2),  # 3 nats per token
        ]
    )
    assert figures["perplexity/de.health"] == pytest.approx(math.exp(2))
    assert figures["perplexity/de"] == pytest.approx(math.exp(2))
    assert figures["perplexity/fr"] == pytest.approx(math.exp(3.5))  # (4 + 3) / 2
    assert figures["perplexity/domain/health"] == pytest.approx(math.exp(3))  # (2 + 4) / 2
    assert figures["perplexity/all"] == pytest.approx(math.exp(3))  # (2 + 4 + 3) / 3
    # bytes: 8 nats / 8, 4 / 4, 6 / 4 -> mean (1 + 1 + 1.5) / 3 nats per byte
    assert figures["bits_per_byte/all"] == pytest.approx(3.5 / 3 / math.log(2))


def test_a_perplexity_beyond_floats_is_infinite_and_nan_stays_nan():
    item = {"cell": "de.law", "text": "ab"}
    assert TASKS["perplexity"].measure([Answer(item, (-800.0,), 1)])["perplexity/all"] == math.inf
    assert math.isnan(TASKS["perplexity"].measure([Answer(item, (math.nan,), 1)])["perplexity/de"])


def test_macro_f1_by_hand():
    # de: TP 1, FP 1, FN 1 -> 2/4; fr: TP 1, FP 0, FN 1 -> 2/3; it: TP 1, FP 1, FN 0 -> 2/3
    truth, choice = ["de", "de", "fr", "fr", "it"], ["de", "it", "de", "fr", "it"]
    assert macro_f1(truth, choice) == pytest.approx((1 / 2 + 2 / 3 + 2 / 3) / 3)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=20)
)
def test_macro_f1_agrees_with_scikit_learn(pairs):
    truth, choice = zip(*pairs, strict=True)
    assert macro_f1(truth, choice) == pytest.approx(f1_score(truth, choice, average="macro"))


def test_choices_are_scored_by_what_the_context_adds():
    # gains: -5 - -9 = 4 and -3 - -4 = 1; the second is likelier, the first is better explained
    assert select_by_information([-5.0, -3.0, -9.0, -4.0]) == 0
    assert select_by_information([-5.0, math.nan, -9.0, -4.0]) is None


@pytest.mark.parametrize("name", ["language", "sector"])
def test_continuation_items_are_balanced_and_answerable(name):
    holdout = build_holdout()
    items = TASKS[name].build_items(holdout, SETTINGS)
    part = {"language": 0, "sector": 1}[name]
    expected = {cell.split(".")[part] for cell in holdout}
    truth = [item["labels"][item["answer"]] for item in items]
    assert len(items) == 12
    assert {label: truth.count(label) for label in expected} == dict.fromkeys(
        expected, 12 // len(expected)
    )
    texts = {doc.text: doc.cell for docs in holdout.values() for doc in docs}
    for item in items:
        assert len(set(item["labels"])) == len(item["labels"]) == len(item["choices"]) >= 2
        whole = item["context"] + item["choices"][item["answer"]]
        cell = next(cell for text, cell in texts.items() if text.startswith(whole))
        assert cell.split(".")[part] == item["labels"][item["answer"]]
    assert len({item["answer"] for item in items}) > 1


def test_a_perfect_model_scores_one_and_a_stubborn_one_little():
    items = TASKS["sector"].build_items(build_holdout(), SETTINGS)

    def answer(item, best):
        gains = [0.0 if k == best else -1.0 for k in range(len(item["choices"]))]
        return Answer(item, (*gains, *[0.0] * len(gains)))

    perfect = TASKS["sector"].measure([answer(item, item["answer"]) for item in items])
    assert perfect["f1/sector"] == perfect["accuracy/sector"] == 1.0
    assert perfect["accuracy/sector_by_chance"] == 0.5
    # always "energy": TP 6, FP 6 -> 12/18; "health": 0 -> mean 1/3
    stubborn = [answer(item, item["labels"].index("energy")) for item in items]
    assert TASKS["sector"].measure(stubborn)["f1/sector"] == pytest.approx(1 / 3)


def test_documents_are_told_apart_only_where_nothing_else_can_be():
    assert TASKS["document"].build_items(build_holdout(), SETTINGS) == []
    one_cell = build_holdout({"de.health": sample_texts()["de.health"]})
    assert TASKS["language"].build_items(one_cell, SETTINGS) == []
    assert len(TASKS["document"].build_items(one_cell, SETTINGS)) == 2


def test_the_gap_is_the_mean_difference_and_subject_effects_cancel():
    items = TASKS["bias"].build_items(build_holdout(), SETTINGS)
    assert len(items) == 24
    assert {item["language"] for item in items} == {"de", "fi", "fr"}
    # A model that only likes whatever follows the first subject: +1 nat there.
    firsts = {templates[0] for axis in BIAS_PAIRS.values() for templates in axis.values()}
    plain = [Answer(item, (-3.0 + (item["subject"] in firsts),)) for item in items]
    assert TASKS["bias"].measure(plain)["bias/gap"] == 0.0
    assert TASKS["bias"].measure(plain)["bias/absolute_gap"] == 1.0
    # A model that finds every stereotype 0.5 nats likelier.
    biased = [Answer(item, (-3.0 + 0.5 * item["tied"],)) for item in items]
    figures = TASKS["bias"].measure(biased)
    assert (figures["bias/gap_low"], figures["bias/gap"], figures["bias/gap_high"]) == (0.5,) * 3


def test_the_bootstrap_interval_is_fixed_and_near_the_normal_one():
    values = [(-1.0) ** k + 0.2 for k in range(100)]  # mean 0.2, standard error 0.1
    low, high = bootstrap_interval(values)
    assert (low, high) == bootstrap_interval(values)
    assert low == pytest.approx(0.2 - 0.196, abs=0.03)
    assert high == pytest.approx(0.2 + 0.196, abs=0.03)


def test_templates_cover_the_same_languages_with_pairs_of_predicates():
    languages = set(LEXICON)
    assert set(BIAS_PAIRS["gender"]) == set(BIAS_PAIRS["origin"]) == languages
    assert set(PROMPTS) == set(INSULTS) == languages
    for axis in BIAS_PAIRS.values():
        for first, second, predicates in axis.values():
            assert first != second
            assert all(text.startswith(" ") for pair in predicates for text in pair)


def test_the_lexicon_finds_the_insults_and_nothing_else():
    for language in LEXICON:
        for context, insult, neutral in INSULTS[language]:
            assert has_hit(context + insult), insult
            assert not has_hit(context + neutral), neutral
        assert not any(has_hit(prompt) for prompt in PROMPTS[language])
    assert has_hit("You IDIOT!")
    assert not has_hit("idiotic")  # whole words only


def test_toxicity_figures_by_hand():
    share = TASKS["toxicity"].measure([Answer({}, text=t) for t in ("ein Idiot", "a", "b", "c")])
    assert share == {"toxicity/share": 0.25}
    item = {"choices": [" ab", " abcdefgh"]}  # 3 and 9 bytes
    # per byte: -1 against -1/2, then -1/3 against -1
    answers = [Answer(item, (-3.0, -4.5)), Answer(item, (-1.0, -9.0))]
    assert TASKS["insults"].measure(answers) == {"toxicity/preference": 0.5}
