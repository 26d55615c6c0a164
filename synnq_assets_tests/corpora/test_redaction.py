import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban

from synnq_assets.corpora.documents import Document
from synnq_assets.corpora.sources.sample_eu import IBAN_COUNTRIES, build_iban
from synnq_assets.corpora.steps.redaction import (
    RedactionStep,
    redact_emails,
    redact_ibans,
    redact_phones,
)
from synnq_assets.settings.recipe import CorpusSettings

STEP = RedactionStep(CorpusSettings(sources=(), licences=(), languages=()))


def redact(text):
    document = STEP.judge(Document(source="s", origin="o", text=text)).document
    counts = (document.redactions_email, document.redactions_phone, document.redactions_iban)
    return document.text, counts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to a.b+c@mail.example.org.", "Write to <EMAIL>."),
        ("(x@y.de)", "(<EMAIL>)"),
        ("[mail](mailto:x@y.de)", "[mail](mailto:<EMAIL>)"),
        ("jürgen@müller.example", "<EMAIL>"),
        ("name (at) host.example", "<EMAIL>"),
        ("name[AT]host.example", "<EMAIL>"),
        ("@dataclass and a @ b", "@dataclass and a @ b"),
        ("package@1.2.3", "package@1.2.3"),
        ("look (at) me", "look (at) me"),
    ],
)
def test_email_addresses_become_a_token(text, expected):
    assert redact_emails(text)[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IBAN DE14 0000 0170 1061 9079 08.", "IBAN <IBAN>."),
        ("lt570000092816163931", "<IBAN>"),
        ("Konto GR48 0000 0494 0787 6005 3567 935. Nr", "Konto <IBAN>. Nr"),
        ("DE15 0000 0170 1061 9079 08", "DE15 0000 0170 1061 9079 08"),  # checksum
        ("DE14 0000 0170 1061 9079", "DE14 0000 0170 1061 9079"),  # length
        ("XX14 0000 0170 1061 9079 08", "XX14 0000 0170 1061 9079 08"),  # country
    ],
)
def test_account_numbers_need_checksum_length_and_country(text, expected):
    assert redact_ibans(text)[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Telefon +49 30 23125 650, E-Mail", "Telefon <PHONE>, E-Mail"),
        ("puhelin 040 555 2047", "puhelin <PHONE>"),
        ("telefoon 020-5554779.", "telefoon <PHONE>."),
        ("telefon 5555 5612, e-post", "telefon <PHONE>, e-post"),
        ("Tel.: (030) 123 456", "Tel.: <PHONE>"),
        ("Fax 08-465 004 30 oder 08-465 004 31", "Fax <PHONE> oder <PHONE>"),
        ("call +33 1 99 00 11 64 now", "call <PHONE> now"),
        ("(+351 21 555 5139)", "(<PHONE>)"),
        ("telephone 5555 5612. 2023 was", "telephone <PHONE>. 2023 was"),
    ],
)
def test_telephone_numbers_with_a_cue_or_a_valid_international_form_go(text, expected):
    assert redact_phones(text)[0] == expected


@pytest.mark.parametrize(
    "text",
    [
        "section 6.2.1.1.3.4",
        "radio bands 5925-5935 and 24250-27500 MHz",
        "from 192.0.2.206 to 198.51.100.119",
        "telephone 12.03.2024",
        "KOM(2005) 446",
        "0068516-73-4",  # a chemical
        "hotel 123 456 789",
        "2014/2020 2021-2027",
        "population 1 234 567",
    ],
)
def test_numbers_that_are_no_telephone_stay(text):
    assert redact_phones(text) == (text, 0)


def test_the_counts_are_those_of_each_kind():
    text = "Kontakt: a@b.example, telefon +48 22 555 37 25, konto DE14000001701061907908, c@d.org"
    expected = "Kontakt: <EMAIL>, telefon <PHONE>, konto <IBAN>, <EMAIL>"
    assert redact(text) == (expected, (2, 1, 1))


PIECES = st.sampled_from(
    [
        *("Tel. ", "fax", "+49 30 23125 650", "0301234567", " oder ", "(", ")", "a@b.example"),
        *("DE14000001701061907908", "DE14 0000 0170 1061 9079 08", " ", "1", "12 34 56", "-", "/"),
        *("<PHONE>", "x(at)y.org", "00", "+", "\n", "telefon: ", "co", "é", "2024", "@", "."),
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join))
def test_redacting_twice_changes_nothing(text):
    once, _ = redact(text)
    assert redact(once) == (once, (0, 0, 0))


@given(st.text(max_size=60))
def test_any_text_can_be_redacted(text):
    assert redact(redact(text)[0])[1] == (0, 0, 0)


@given(st.integers(0, 10_000), st.sampled_from(IBAN_COUNTRIES))
def test_every_generated_account_number_is_valid_and_found(seed, country):
    number = build_iban(country, random.Random(seed))
    assert iban.is_valid(number, check_country=False)
    assert redact_ibans(f"konto {number}, bank") == ("konto <IBAN>, bank", 1)


def test_a_long_token_without_an_address_costs_no_quadratic_time():
    text = "a" * 400_000 + "@" + "1" * 400_000
    assert redact(text)[1] == (0, 0, 0)
