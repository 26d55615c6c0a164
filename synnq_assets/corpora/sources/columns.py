"""Rows of other people's data sets, as documents.

Every field of ours has the names under which it usually occurs; `columns` says otherwise.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import Field, PositiveInt, field_validator

from synnq_assets.corpora.documents import UNKNOWN_LANGUAGE, Document, clean_text
from synnq_assets.corpora.sources.base import describe_nearest
from synnq_assets.errors import CorpusError
from synnq_assets.records.identifiers import Domain
from synnq_assets.settings.base import SettingsModel

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "language": ("language", "lang"),
    "domain": ("domain",),
    "doc_type": ("doc_type",),
    "licence": ("licence", "license"),
    "title": ("title",),
    "origin": ("origin", "url", "source_url", "id"),
    "path": ("path",),  # joined to the origin
    "machine_generated": ("machine_generated", "machine_translated"),
    "tdm_reserved": ("tdm_reserved",),
    "licence_conflict": ("licence_conflict",),
}
MAX_DOMAIN_CHARACTERS = 40
# ISO 639-2 and 639-3 codes of the languages that have a two-letter code and an official status.
_TWO_LETTERS = {
    "bul": "bg", "ces": "cs", "cze": "cs", "dan": "da", "deu": "de", "ger": "de", "ell": "el",
    "gre": "el", "eng": "en", "spa": "es", "est": "et", "fin": "fi", "fra": "fr", "fre": "fr",
    "gle": "ga", "hrv": "hr", "hun": "hu", "ita": "it", "lit": "lt", "lav": "lv", "mlt": "mt",
    "nld": "nl", "dut": "nl", "pol": "pl", "por": "pt", "ron": "ro", "rum": "ro", "slk": "sk",
    "slo": "sk", "slv": "sl", "swe": "sv", "nor": "no", "nob": "no", "nno": "no",
}  # fmt: skip


class RowParams(SettingsModel):
    """Parameters of every source whose documents are rows."""

    columns: dict[str, str] = Field(default_factory=dict)  # ours -> theirs
    default_language: str = UNKNOWN_LANGUAGE
    default_licence: str = ""
    default_domain: Domain = "general"
    default_doc_type: str = "document"
    max_documents: PositiveInt | None = None  # the first so many rows

    @field_validator("columns")
    @classmethod
    def _known_fields(cls, columns: dict[str, str]) -> dict[str, str]:
        for ours in columns:
            if ours not in USUAL_NAMES:
                hint = describe_nearest(ours, list(USUAL_NAMES))
                raise ValueError(f"{ours!r} is not a field of ours{hint}")
        return columns


class RowReader:
    """Turns rows into documents under one source's parameters."""

    def __init__(self, source: str, params: RowParams) -> None:
        self._source = source
        self._params = params
        self._names = {
            ours: (params.columns[ours],) if ours in params.columns else names
            for ours, names in USUAL_NAMES.items()
        }

    def select_columns(self, available: Collection[str], where: str) -> list[str]:
        """Return which of the available columns are read.

        Raises:
            CorpusError: there is no text column, or a column that the parameters name is missing.
        """
        for ours in ("text", *self._params.columns):
            if not any(name in available for name in self._names[ours]):
                name = self._names[ours][0]
                raise CorpusError(
                    f"{where} has no column {name!r} for {ours!r} (it has: "
                    f"{', '.join(sorted(available)) or 'none'}); map it with params.columns, "
                    "or choose other files"
                )
        wanted = {name for names in self._names.values() for name in names}
        return [name for name in available if name in wanted]

    def build_document(self, row: Mapping[str, Any], where: str, origin: str) -> Document:
        """Return the document of one row; `origin` is used where the row names none.

        Raises:
            CorpusError: there is no text column, or the text is not text.
        """
        text = self._get(row, "text")
        if text is None and any(name in row for name in self._names["text"]):
            text = ""  # an empty row is a document too: it is dropped with a counted reason
        if not isinstance(text, str):
            raise CorpusError(f"{where}: text is {type(text).__name__}, expected a string")
        params = self._params
        path = self._get_text(row, "path")
        own_origin = "#".join(part for part in (self._get_text(row, "origin"), path) if part)
        return Document(
            source=self._source,
            origin=own_origin or clean_text(origin),
            text=clean_text(text),
            language=normalise_language(self._get_text(row, "language") or params.default_language),
            domain=normalise_domain(self._get_text(row, "domain"), params.default_domain),
            doc_type=self._get_text(row, "doc_type") or params.default_doc_type,
            licence=self._get_text(row, "licence") or params.default_licence,
            title=self._get_text(row, "title"),
            machine_generated=self._get_flag(row, "machine_generated"),
            tdm_reserved=self._get_flag(row, "tdm_reserved"),
            licence_conflict=self._get_flag(row, "licence_conflict"),
        )

    def _get(self, row: Mapping[str, Any], ours: str) -> Any:
        return next((row[name] for name in self._names[ours] if row.get(name) is not None), None)

    def _get_text(self, row: Mapping[str, Any], ours: str) -> str:
        value = self._get(row, ours)
        if isinstance(value, list):  # several licences, as data set cards write them
            value = " AND ".join(map(str, value))
        return clean_text(str(value)) if value is not None else ""

    def _get_flag(self, row: Mapping[str, Any], ours: str) -> bool:
        value = self._get(row, ours)
        return str(value).casefold() in {"true", "1", "yes"}


def normalise_language(code: str) -> str:
    """Return the ISO 639-1 code where there is one: `pt-BR -> pt`, `deu -> de`; else `und`."""
    base = re.split(r"[-_]", code.strip().casefold(), maxsplit=1)[0]
    base = _TWO_LETTERS.get(base, base)
    return base if re.fullmatch(r"[a-z]{2,3}", base) else UNKNOWN_LANGUAGE


def normalise_domain(name: str, default: str) -> str:
    """Return a name that can be part of a partition key: `"Law & Order" -> "law_order"`."""
    key = re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")
    if key and not key[0].isalpha():
        key = f"d_{key}"
    return key[:MAX_DOMAIN_CHARACTERS].rstrip("_") or default
