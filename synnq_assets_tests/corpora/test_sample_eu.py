import random
import string

import pytest
from stdnum import iban

from synnq_assets.corpora.sources import build_source
from synnq_assets.corpora.sources.sample_eu import (
    ALTERNATIVES,
    DOMAINS,
    IBAN_COUNTRIES,
    LANGUAGES,
    read_table,
    write_sample,
)
from synnq_assets.errors import SettingsError
from synnq_assets.settings.recipe import SourceSettings

SECTIONS = {"titles", "openings", "body", "closings"}
COUNTRY_SLOTS = {"country", "of", "in", "capital", "iso", "tld", "year", "seats", "prefix"}
COUNTRY_SLOTS |= {"iban_length", "euro_year", "area", "population", "vat", "height"}


def read(**params):
    settings = SourceSettings(name="sample-eu", kind="sample-eu", params=params)
    return list(build_source(settings).read())


def test_the_public_facts_agree_with_what_they_must_add_up_to():
    countries = read_table("facts")["countries"]
    assert len(countries) == 27
    assert sum(fact["seats"] for fact in countries.values()) == 720
    assert sum(fact["euro"] is None for fact in countries.values()) == 6
    assert sum(fact["population"] for fact in countries.values()) == pytest.approx(449, abs=3)
    for code, fact in countries.items():
        structure = iban._ibandb.info(code)[0][1]["bban"]
        digits = [int(part.rstrip("nac").rstrip("!")) for part in _split(structure)]
        assert fact["iban"] == 4 + sum(digits), code


def _split(structure):
    for letter in "nac":
        structure = structure.replace(f"!{letter}", f"!{letter} ")
    return structure.split()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_form_and_only_known_slots(language):
    table = read_table(language)
    countries = [line.split(" ", 1) for line in table["countries"].splitlines()]
    assert sorted(code for code, _ in countries) == sorted(read_table("facts")["countries"])
    assert all(len(forms.split("|")) == 4 and "||" not in forms for _, forms in countries)
    elements = read_table("facts")["elements"]
    assert set(table["elements"]) == {symbol for group in elements.values() for symbol in group}
    assert set(table["domains"]) == set(DOMAINS)
    for domain, sections in table["domains"].items():
        assert set(sections) - {"euro", "no_euro"} == SECTIONS
        known = COUNTRY_SLOTS | {f"{slot}2" for slot in COUNTRY_SLOTS}
        known |= {"element", "symbol", "number"} if domain in elements else set()
        for line in "\n".join(sections.values()).splitlines():
            for alternative in line.split(ALTERNATIVES):
                slots = {field for _, field, _, _ in string.Formatter().parse(alternative) if field}
                assert slots <= known, alternative


@pytest.mark.parametrize("language", LANGUAGES)
def test_documents_are_of_readable_length_and_in_whole_sentences(language):
    for domain in DOMAINS:
        for seed in range(20):
            title, text = write_sample(language, domain, random.Random(seed))
            assert 80 <= len(text.split()) <= 220
            assert "{" not in text
            assert "None" not in text
            assert text.startswith(f"{title}\n\n")
            assert all(part.endswith(".") for part in text.split("\n\n")[1:])


def test_the_same_seed_gives_the_same_documents_and_another_gives_others():
    first = read(documents_per_cell=2, seed=7)
    assert first == read(documents_per_cell=2, seed=7)
    assert len(first) == 2 * 10 * 5
    assert len({document.text for document in first}) == len(first)
    others = {document.text for document in read(documents_per_cell=2, seed=8)}
    assert not others & {document.text for document in first}


def test_a_cell_does_not_change_when_others_are_left_out():
    whole = {d.origin: d for d in read(documents_per_cell=2, seed=1)}
    part = read(documents_per_cell=2, seed=1, languages=["fi"], domains=["energy"])
    assert [whole[d.origin] for d in part] == part


def test_every_document_says_that_it_is_generated_and_public_domain():
    for document in read(documents_per_cell=1):
        assert document.machine_generated
        assert document.licence == "CC0-1.0"


def test_contacts_are_fictitious_and_account_numbers_well_formed():
    texts = [document.text for document in read(documents_per_cell=12, seed=2)]
    with_address = [text for text in texts if "@" in text]
    assert 0.2 < len(with_address) / len(texts) < 0.4
    for text in with_address:
        host = text.split("@")[1].split()[0].rstrip(".;,")
        assert host.startswith("example.") or host.split(".", 1)[1].startswith("example")
    countries = read_table("facts")["countries"]
    assert all(countries[code]["iban"] >= 9 for code in IBAN_COUNTRIES)


def test_an_unknown_language_or_parameter_is_refused():
    with pytest.raises(SettingsError, match=r"params.languages.0"):
        read(languages=["xx"])
    with pytest.raises(SettingsError, match=r"document_per_cell: unknown parameter; did you mean"):
        read(document_per_cell=3)
