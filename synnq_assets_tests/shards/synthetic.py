"""Small synthetic corpora: invented words of several languages, in the curated columns."""

import hashlib
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SYLLABLES = {
    "de": ["der", "und", "recht", "schul", "wald", "ß", "ün", "keit", "ver", "haus"],
    "fi": ["tta", "ssa", "yhd", "kau", "pää", "oik", "eus", "met", "sä", "koti"],
    "fr": ["le", "droit", "é", "tion", "maison", "bois", "que", "ère", "à", "loi"],
    "el": ["το", "νόμο", "ς", "δάσ", "ος", "και", "σπί", "τι", "ή", "εία"],
}


def write_sentence(rng: random.Random, language: str) -> str:
    words = [
        "".join(rng.choices(SYLLABLES[language], k=rng.randint(1, 3)))
        for _ in range(rng.randint(4, 12))
    ]
    return " ".join(words).capitalize() + "."


def write_text(rng: random.Random, language: str, num_sentences: int) -> str:
    sentences = [write_sentence(rng, language) for _ in range(num_sentences)]
    paragraphs = [" ".join(sentences[k : k + 5]) for k in range(0, num_sentences, 5)]
    return "\n\n".join(paragraphs)


def build_document(language: str, domain: str, text: str, number: int = 0) -> dict[str, object]:
    source, origin = f"made-{language}", f"https://example.org/{language}/{number}"
    return {
        "doc_id": hashlib.sha256(f"{source}|{origin}|{text}".encode()).hexdigest(),
        "source": source,
        "language": language,
        "domain": domain,
        "doc_type": "prose",
        "licence": "CC0-1.0" if number % 2 else "CC-BY-4.0",
        "title": f"{language} {number}",
        "origin": origin,
        "text": text,
        "num_characters": len(text),
        "redactions_email": 0,
        "redactions_phone": 0,
        "redactions_iban": 0,
        "machine_generated": False,
    }


def build_cell(
    language: str, domain: str, num_documents: int, *, sentences: tuple[int, int] = (2, 20)
) -> list[dict[str, object]]:
    rng = random.Random(f"{language}.{domain}")
    return [
        build_document(language, domain, write_text(rng, language, rng.randint(*sentences)), k)
        for k in range(num_documents)
    ]


def write_documents(path: Path, rows: list[dict[str, object]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd", row_group_size=64)
    return path
