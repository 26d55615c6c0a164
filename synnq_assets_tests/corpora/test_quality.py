import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.corpora.documents import Document
from synnq_assets.corpora.steps import Drop, Keep
from synnq_assets.corpora.steps.quality import (
    QualityStep,
    letter_share,
    repeated_line_share,
    repeated_sequence_share,
)
from synnq_assets.settings.recipe import CorpusSettings, QualitySettings


def test_letters_are_counted_among_visible_characters():
    assert letter_share("ab 1é\n") == pytest.approx(3 / 4)
    assert letter_share("Ωж\U00020000.") == pytest.approx(3 / 4)
    assert letter_share(" \n") == 0.0


def test_a_line_repeats_if_it_stood_there_before():
    assert repeated_line_share("a\n\n a \nb\na") == pytest.approx(2 / 4)
    assert repeated_line_share("\n") == 0.0


def test_the_commonest_sequence_of_five_words_covers_its_characters_once():
    # "a b c d e" twice covers 10 of 13 characters; "xyz" stands between.
    words = [*"abcde", "xyz", *"abcde"]
    assert repeated_sequence_share(words) == pytest.approx(10 / 13)
    # Seven equal words: the sequences overlap on all seven.
    assert repeated_sequence_share(["ab"] * 7) == pytest.approx(1.0)
    assert repeated_sequence_share(list("abcdefg")) == 0.0
    assert repeated_sequence_share(list("abc")) == 0.0


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "d"]), max_size=40), st.floats(0, 1))
def test_the_bound_on_the_sequence_share_never_hides_a_larger_one(words, threshold):
    quick, exact = repeated_sequence_share(words, threshold), repeated_sequence_share(words)
    assert (quick > threshold) == (exact > threshold)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("too short", "too-short"),
        ("word " * 60, "too-long"),
        ("12345 67890 " * 10, "few-letters"),
        ("a b c d e f g h i j k l m n o p q r s t u v w x y z " * 2, "word-length"),
        ("Donaudampfschifffahrtsgesellschaft " * 3, "word-length"),
        ("this very line is here again and again\n" * 4, "repeated-lines"),
        ("buy cheap things right now " * 6, "repeated-phrase"),
    ],
)
def test_each_threshold_drops_with_its_reason(text, reason):
    corpus = CorpusSettings(
        sources=(), licences=(), languages=(), quality=QualitySettings(max_characters=250)
    )
    answer = QualityStep(corpus).judge(Document(source="s", origin="o", text=text))
    assert isinstance(answer, Drop)
    assert answer.reason == reason


def test_finnish_compounds_and_short_prose_pass_the_default_thresholds():
    text = (
        "Euroopan yhteenliitetyn sähköverkon taajuus on 50 hertsiä. Energiamerkintä kertoo "
        "laitteen tehokkuudesta. Pumppuvoimalaitos varastoi energiaa ylempään altaaseen."
    )
    corpus = CorpusSettings(sources=(), licences=(), languages=())
    document = Document(source="s", origin="o", text=text)
    assert QualityStep(corpus).judge(document) == Keep(document)
