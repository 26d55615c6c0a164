"""Sample documents in ten languages of the European Union, from tables of public facts.

For machines without a corpus: every document states rounded, public facts (capitals, areas, rates
of tax, atomic numbers, rules that hold across the Union) in sentences written for this project, and
some end with an invented contact, so that redaction has work: addresses under example domains,
telephone numbers from ranges reserved for fiction, account numbers of a bank that does not exist.
The documents are machine-generated and dedicated to the public domain (CC0-1.0).
"""

import functools
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import NonNegativeInt, PositiveInt

from synnq_assets.corpora.documents import Document
from synnq_assets.corpora.sources.base import Source, parse_params
from synnq_assets.settings.base import SettingsModel

TABLES = Path(__file__).parent / "sample_eu_tables"
LICENCE = "CC0-1.0"
CONTACT_SHARE = 0.3
MIN_WORDS, MAX_WORDS = 80, 150  # where a document stops taking further sentences
ALTERNATIVES = " || "
IBAN_COUNTRIES = ("DE", "AT", "DK", "EE", "LT", "FI", "SE")  # account numbers of digits alone

SampleLanguage = Literal["de", "fr", "it", "es", "pt", "nl", "pl", "fi", "sv", "en"]
SampleDomain = Literal["public_administration", "health", "energy", "finance", "agriculture"]
LANGUAGES: tuple[SampleLanguage, ...] = SampleLanguage.__args__  # type: ignore[attr-defined]
DOMAINS: tuple[SampleDomain, ...] = SampleDomain.__args__  # type: ignore[attr-defined]


class SampleEuParams(SettingsModel):
    """How many documents, in which cells."""

    documents_per_cell: PositiveInt = 24  # per language and domain
    languages: tuple[SampleLanguage, ...] = LANGUAGES
    domains: tuple[SampleDomain, ...] = DOMAINS
    seed: NonNegativeInt = 0


class SampleEuSource(Source):
    """Generated documents; the same parameters give the same documents on every machine."""

    kind = "sample-eu"

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        """Validate the parameters."""
        self.name = name
        self.params = parse_params(SampleEuParams, name, self.kind, params)

    def read(self) -> Iterator[Document]:
        """Yield `documents_per_cell` documents for every language and domain."""
        for language in dict.fromkeys(self.params.languages):
            for domain in dict.fromkeys(self.params.domains):
                for index in range(self.params.documents_per_cell):
                    yield self._build(language, domain, index)

    def _build(self, language: str, domain: str, index: int) -> Document:
        key = f"{self.params.seed}.{language}.{domain}.{index}"
        title, text = write_sample(language, domain, random.Random(key))
        return Document(
            source=self.name,
            origin=f"sample-eu:{key}",
            text=text,
            language=language,
            domain=domain,
            doc_type="sample",
            licence=LICENCE,
            title=title,
            machine_generated=True,
        )


def write_sample(language: str, domain: str, rng: random.Random) -> tuple[str, str]:
    """Return (title, text) of one generated document; `rng` decides everything."""
    table = read_table(language)
    sentences = table["domains"][domain]
    slots = _choose_slots(table, domain, rng)

    def write(template: str) -> str:
        sentence = rng.choice(template.split(ALTERNATIVES)).format_map(slots)
        return sentence[0].upper() + sentence[1:]

    title = write(rng.choice(_lines(sentences["titles"])))
    written = [write(line) for line in rng.sample(_lines(sentences["openings"]), k=2)]
    body = _lines(sentences["body"])
    currency = "euro" if slots["euro_year"] else "no_euro"
    body += _lines(sentences.get(currency, ""))
    rng.shuffle(body)
    wanted_words = rng.randint(MIN_WORDS, MAX_WORDS)
    while body and sum(len(sentence.split()) for sentence in written) < wanted_words:
        written.append(write(body.pop()))
    written.append(write(rng.choice(_lines(sentences["closings"]))))
    half = len(written) // 2
    paragraphs = [title, " ".join(written[:half]), " ".join(written[half:])]
    if rng.random() < CONTACT_SHARE:
        paragraphs.append(_write_contact(table, rng))
    return title, "\n\n".join(paragraphs)


@functools.lru_cache(maxsize=16)
def read_table(name: str) -> dict[str, Any]:
    """Return one of the tables beside this module: a language's, or `facts`."""
    table = yaml.safe_load((TABLES / f"{name}.yaml").read_text(encoding="utf-8"))
    return dict(table)


def _lines(block: str) -> list[str]:
    return [line.strip() for line in block.splitlines() if line.strip()]


def _choose_slots(table: dict[str, Any], domain: str, rng: random.Random) -> dict[str, Any]:
    facts = read_table("facts")
    forms = dict(line.split(" ", 1) for line in _lines(table["countries"]))
    first, second = rng.sample(sorted(forms), k=2)
    slots = _describe_country(table, first, forms[first].split("|"))
    other = _describe_country(table, second, forms[second].split("|"))
    slots |= {f"{name}2": value for name, value in other.items()}
    elements = facts["elements"].get(domain)
    if elements:
        symbol = rng.choice(sorted(elements))
        name = table["elements"][symbol]
        slots |= {"element": name, "symbol": symbol, "number": elements[symbol]}
    return slots


def _describe_country(table: dict[str, Any], code: str, forms: list[str]) -> dict[str, Any]:
    fact = read_table("facts")["countries"][code]
    country, of, inside, capital = forms
    return {
        "country": country,
        "of": of,
        "in": inside,
        "capital": capital,
        "iso": code,
        "tld": f".{code.lower()}",
        "year": fact["year"],
        "seats": fact["seats"],
        "prefix": fact["prefix"],
        "iban_length": fact["iban"],
        "euro_year": fact["euro"],
        "area": _render_number(fact["area"], table),
        "population": _render_number(fact["population"], table),
        "vat": _render_number(fact["vat"], table),
        "height": _render_number(fact["height"], table),
    }


def _render_number(number: float, table: dict[str, Any]) -> str:
    thousands, decimal = table["separators"]
    if isinstance(number, float):
        return f"{number:.1f}".replace(".", decimal)
    # Four digits stay together: the rule of most of these languages.
    return f"{number:,}".replace(",", thousands) if number >= 10_000 else str(number)


def _write_contact(table: dict[str, Any], rng: random.Random) -> str:
    person = rng.choice(table["persons"])
    local = re.sub(r"[^a-z.]", "", _to_ascii(person).lower().replace(" ", "."))
    host = rng.choice(("example.org", "example.eu", "mail.example.com", "office.example"))
    phone = re.sub("#", lambda _: str(rng.randrange(10)), table["phone"])
    slots = {
        "person": person,
        "email": f"{local}{rng.randrange(1, 100)}@{host}",
        "phone": phone,
        "iban": build_iban(rng.choice(IBAN_COUNTRIES), rng),
    }
    return rng.choice(_lines(table["contacts"])).format_map(slots)


def build_iban(country: str, rng: random.Random) -> str:
    """Return an account number with a valid checksum (ISO 13616) at the bank 00000."""
    num_digits = int(read_table("facts")["countries"][country]["iban"]) - 4
    account = "00000" + "".join(str(rng.randrange(10)) for _ in range(num_digits - 5))
    letters = "".join(str(int(letter, 36)) for letter in country)
    check = 98 - int(f"{account}{letters}00") % 97
    compact = f"{country}{check:02d}{account}"
    return " ".join(compact[start : start + 4] for start in range(0, len(compact), 4))


def _to_ascii(text: str) -> str:
    return text.translate(str.maketrans("äöüåéèáíóúãçłńśżźąęñ", "aouaeeaiouaclnszzaen"))
