"""The public summary of training content that AI Act Art. 53(1)(d) asks for.

A field that no record answers is null, and listed under `to_complete`: the provider fills it in.
Source: Commission Communication C(2025) 8311, annexed template (General information; List of data
sources; Relevant data processing aspects).
"""

from typing import Any

from synnq_assets.records.corpora import CurationReport
from synnq_assets.release.facts import ReleaseFacts
from synnq_assets.release.inputs import ReleaseInputs
from synnq_assets.release.sources import SECTIONS, find_kind
from synnq_assets.release.tables import (
    escape_text,
    format_count,
    render_cells,
    render_curation,
    render_licences,
    render_pairs,
    render_refusals,
)

Summary = dict[str, Any]
_BANDS = ((10**9, "less than 1 billion tokens"), (10**13, "1 billion to 10 trillion tokens"))


def select_size_band(num_tokens: int) -> str:
    """Return the template's range of training data size for text."""
    return next(
        (band for limit, band in _BANDS if num_tokens < limit), "more than 10 trillion tokens"
    )


def _build_general(inputs: ReleaseInputs, facts: ReleaseFacts) -> Summary:
    release = inputs.recipe.release
    return {
        "provider": {"name": release.provider, "contact": release.contact},
        "authorised_representative": None,
        "model": {
            "versioned_name": f"{release.model_name} {inputs.record.round}",
            "checkpoint_sha256": inputs.record.checkpoint.checkpoint_sha256,
            "dependencies": None,
            "union_market_date": None,
        },
        "modalities": ["text"],
        "training_data_size": {
            "band": select_size_band(facts.num_tokens),
            "num_tokens": facts.num_tokens,
            "num_documents": facts.num_documents,
        },
        "types_of_content": list(facts.domains),
        "languages": list(facts.languages),
        "latest_acquisition_date": None,
        "is_acquired_continuously": None,
    }


def _build_source(report: CurationReport, kind: str, description: str) -> Summary:
    return {
        "name": report.source,
        "kind": kind,
        "description": description,
        "num_documents_kept": report.num_kept,
        "num_characters": report.num_characters,
        "licences": dict(sorted(report.licences.items())),
        "languages": dict(sorted(report.languages.items())),
        "domains": dict(sorted(report.domains.items())),
        "curated_on": report.created_at.date().isoformat(),
        "link": None,
    }


def _build_sources(inputs: ReleaseInputs) -> Summary:
    reports = {report.source: report for report in inputs.curation}
    sections: dict[str, Summary] = {
        number: {"title": title, "sources": []} for number, title in SECTIONS.items()
    }
    for source in inputs.recipe.corpus.sources:
        if report := reports.pop(source.name, None):
            kind = find_kind(source)
            row = _build_source(report, source.kind, kind.description)
            sections[kind.section]["sources"].append(row)
    for report in reports.values():  # curated under an earlier recipe
        row = _build_source(report, "unknown", "A source that the recipe no longer names.")
        sections["2.6"]["sources"].append(row)
    return sections


def _build_processing(inputs: ReleaseInputs) -> Summary:
    redactions: dict[str, int] = {}
    for report in inputs.curation:
        for name, count in report.redactions.items():
            redactions[name] = redactions.get(name, 0) + count
    return {
        "rights_reservations": {
            "accepted_licences": list(inputs.recipe.corpus.licences),
            "text_and_data_mining_opt_out": None,
        },
        "illegal_content": None,
        "personal_data_redactions": dict(sorted(redactions.items())),
        "documents": {
            report.source: {
                "read": report.num_input,
                "kept": report.num_kept,
                "refused": dict(sorted(report.dropped.items())),
                "set_aside": dict(sorted(report.review.items())),
            }
            for report in inputs.curation
        },
    }


def list_empty_fields(value: Any, prefix: str = "") -> list[str]:
    """Return the dotted paths of all nulls in a JSON value."""
    if value is None:
        return [prefix]
    if isinstance(value, list):
        value = {str(k): item for k, item in enumerate(value)}
    if not isinstance(value, dict):
        return []
    join = f"{prefix}." if prefix else ""
    return [path for key, item in value.items() for path in list_empty_fields(item, join + key)]


def build_summary(inputs: ReleaseInputs, facts: ReleaseFacts) -> Summary:
    """Return the summary as a JSON value."""
    sections = {
        "1 General information": _build_general(inputs, facts),
        "2 List of data sources": _build_sources(inputs),
        "3 Relevant data processing aspects": _build_processing(inputs),
    }
    return {
        "template": "Public summary of training content, AI Act Art. 53(1)(d), C(2025) 8311",
        "last_updated": facts.released_at.date().isoformat(),
        **sections,
        "to_complete": list_empty_fields(sections),
    }


def render_summary(inputs: ReleaseInputs, facts: ReleaseFacts, summary: Summary) -> str:
    """Return the summary for people."""
    general = summary["1 General information"]
    pairs = [
        ("Provider", escape_text(general["provider"]["name"])),
        ("Contact", escape_text(general["provider"]["contact"])),
        ("Model", escape_text(general["model"]["versioned_name"])),
        ("Modality", "text"),
        ("Size", f"{general['training_data_size']['band']} ({format_count(facts.num_tokens)})"),
        ("Types of content", ", ".join(facts.domains)),
        ("Languages", ", ".join(facts.languages)),
        ("Last updated", summary["last_updated"]),
    ]
    lists = []
    for number, section in summary["2 List of data sources"].items():
        rows = [
            f"- **{row['name']}** ({escape_text(row['kind'])}): {row['description']} "
            f"{format_count(row['num_documents_kept'])} documents kept, "
            f"{format_count(row['num_characters'])} characters."
            for row in section["sources"]
        ]
        lists.append(f"### {number} {section['title']}\n\n" + "\n".join(rows or ["None."]) + "\n")
    missing = "\n".join(f"- {escape_text(path)}" for path in summary["to_complete"])
    return "\n".join(
        (
            "# Public summary of training content\n",
            "Regulation (EU) 2024/1689, Article 53(1)(d). Generated from the campaign's records.\n",
            f"## 1 General information\n\n{render_pairs(pairs)}",
            "## 2 List of data sources\n",
            *lists,
            f"### Composition\n\n{render_cells(facts)}\n{render_licences(facts)}",
            "## 3 Relevant data processing aspects\n",
            render_curation(inputs.curation, facts),
            render_refusals(inputs.curation),
            f"## For the provider to complete\n\nNo record answers these fields.\n\n{missing}\n",
        )
    )
