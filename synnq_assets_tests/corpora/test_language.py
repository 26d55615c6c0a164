import random

import pytest

from synnq_assets.corpora.documents import Document
from synnq_assets.corpora.sources.sample_eu import DOMAINS, LANGUAGES, write_sample
from synnq_assets.corpora.steps import Drop, Keep, Review
from synnq_assets.corpora.steps.language import LanguageStep, detect_language
from synnq_assets.settings.recipe import CorpusSettings

GERMAN = write_sample("de", "health", random.Random(1))[1]


def judge(text, declared="und", wanted=("de", "fr")):
    step = LanguageStep(CorpusSettings(sources=(), licences=(), languages=wanted))
    return step.judge(Document(source="s", origin="o", text=text, language=declared))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_generated_language_is_recognised(language):
    for domain in DOMAINS:
        text = write_sample(language, domain, random.Random(3))[1]
        detected, confidence = detect_language(text)
        assert detected == language
        assert confidence > 0.8


@pytest.mark.parametrize("declared", ["de", "und", "fr", "fi"])
def test_the_kept_label_is_the_true_one_whatever_was_declared(declared):
    answer = judge(GERMAN, declared)
    assert isinstance(answer, Keep)
    assert answer.document.language == "de"


def test_a_language_that_is_not_wanted_is_dropped_even_if_mislabelled():
    for declared in ("de", "fr", "und"):
        answer = judge(GERMAN, declared, wanted=("fr",))
        assert isinstance(answer, Drop)
        assert answer.reason == "not-wanted"


@pytest.mark.parametrize("text", ["", "12345 67890", "https://example.org/a/b"])
def test_a_text_without_words_has_no_language(text):
    for declared in ("de", "und"):
        assert isinstance(answer := judge(text, declared), Drop)
        assert answer.reason == "undetermined"


def test_weak_disagreement_goes_to_a_person():
    answer = judge("taxi hotel internet radio", declared="de")
    assert isinstance(answer, Review)
    assert answer.reason == "disagrees"
    assert "declared de" in answer.detail


def test_bokmaal_and_nynorsk_count_as_norwegian():
    text = (
        "Kommunen skal gi innbyggerne informasjon om rettighetene sine, og det er gratis å klage."
    )
    answer = judge(text, declared="nb", wanted=("no",))
    assert isinstance(answer, Keep)
    assert answer.document.language == "no"
