import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.corpora.documents import Document
from synnq_assets.corpora.licences import (
    UnknownLicenceError,
    normalise_licence,
    parse_accepted,
    select_licence,
)
from synnq_assets.corpora.steps import Drop, Keep, Review
from synnq_assets.corpora.steps.licence import LicenceStep
from synnq_assets.errors import SettingsError
from synnq_assets.settings.recipe import CorpusSettings

ACCEPTED = parse_accepted(["CC0-1.0", "CC-BY-4.0", "MIT", "Apache-2.0", "LicenseRef-DE-UrhG-5"])


def judge(licence, **fields):
    corpus = CorpusSettings(sources=(), licences=tuple(ACCEPTED), languages=("en",))
    document = Document(source="s", origin="o", text="t", licence=licence, **fields)
    return LicenceStep(corpus).judge(document)


@pytest.mark.parametrize(
    ("statement", "licence"),
    [
        ("mit", "MIT"),
        ("MIT License", "MIT"),
        ("The MIT License", "MIT"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("MIT AND cc0-1.0", "MIT AND CC0-1.0"),
        ("GPL-3.0-only OR MIT", "MIT"),
        ("GPL-3.0-only OR (MIT AND Apache-2.0)", "MIT AND Apache-2.0"),
        ("MIT AND (Apache-2.0 OR LicenseRef-Commercial)", "MIT AND Apache-2.0"),
        ("MIT OR CC0-1.0", "MIT"),
        ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception"),
        ("LicenseRef-DE-UrhG-5", "LicenseRef-DE-UrhG-5"),
    ],
)
def test_an_accepted_statement_is_recorded_in_official_spelling(statement, licence):
    answer = judge(statement)
    assert isinstance(answer, Keep)
    assert answer.document.licence == licence


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("", "missing"),
        ("  ", "missing"),
        ("NOASSERTION", "missing"),
        ("UNKNOWN", "missing"),
        ("free to use", "not-spdx"),
        ("BSD", "not-spdx"),
        ("MIT OR", "not-spdx"),
        ("MIT; see LICENSE", "not-spdx"),
        ("MIT WITH Apache-2.0", "not-spdx"),
        ("x" * 501, "not-spdx"),
        ("CC-BY-NC-4.0", "not-accepted"),
        ("CC0-1.0 AND CC-BY-NC-4.0", "not-accepted"),
        ("GPL-3.0-only OR LGPL-3.0-only", "not-accepted"),
        ("LicenseRef-Commercial", "not-accepted"),
    ],
)
def test_what_is_not_plainly_permitted_is_dropped_with_its_reason(statement, reason):
    answer = judge(statement)
    assert isinstance(answer, Drop)
    assert answer.reason == reason


def test_own_licence_references_are_kept_verbatim():
    # The library's register would rewrite this one to another id.
    assert normalise_licence("LicenseRef-Commercial") == "LicenseRef-Commercial"


def test_reserved_text_and_data_mining_overrides_an_accepted_licence():
    assert judge("CC-BY-4.0", tdm_reserved=True) == Drop("tdm-reserved", "CC-BY-4.0")


def test_contradicting_statements_go_to_review_only_if_they_would_pass():
    assert judge("MIT", licence_conflict=True) == Review("conflict", "MIT")
    assert judge("GPL-3.0-only", licence_conflict=True) == Drop("not-accepted", "GPL-3.0-only")


def test_an_accepted_list_with_a_wrong_id_says_which():
    with pytest.raises(SettingsError, match=r"corpus.licences: 'CC-BY-5' is not an SPDX id"):
        parse_accepted(["MIT", "CC-BY-5"])


def test_grouping_survives_normalisation():
    assert normalise_licence("mit and (apache-2.0 or isc)") == "MIT AND (Apache-2.0 OR ISC)"


IDS = st.sampled_from(["MIT", "isc", "GPL-3.0-only", "LicenseRef-Own", "CC BY 4.0x", "WITH", "("])


@given(st.lists(st.one_of(IDS, st.sampled_from(["AND", "OR", ")"])), max_size=8).map(" ".join))
def test_any_statement_is_either_normalised_for_good_or_refused(statement):
    choice = select_licence(statement, ACCEPTED)
    assert choice.reason in {"", "missing", "not-spdx", "not-accepted"}
    try:
        once = normalise_licence(statement)
    except UnknownLicenceError:
        assert choice.reason in {"missing", "not-spdx"}
    else:
        assert normalise_licence(once) == once


@given(st.text(max_size=80))
def test_foreign_text_never_raises_and_is_never_a_permission(text):
    choice = select_licence(text, ACCEPTED)
    if not choice.reason:
        assert select_licence(choice.licence, ACCEPTED) == choice
