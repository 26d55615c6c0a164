"""Kinds of corpus source, in the words of the template for the summary of training content.

The recipe names a kind; the kind decides in which section of the template a source is listed. A
kind that is not in the table is listed under "other", for the provider to describe.
"""

import re
from dataclasses import dataclass

from synnq_assets.settings.recipe import SourceSettings


@dataclass(frozen=True)
class SourceKind:
    """One kind: its section in the template, and what is true of every source of it."""

    section: str
    description: str


SECTIONS: dict[str, str] = {
    "2.1": "Publicly available datasets",
    "2.2": "Private datasets, licensed by rightsholders or obtained from third parties",
    "2.3": "Data crawled and scraped from online sources",
    "2.4": "User data",
    "2.5": "Synthetic data",
    "2.6": "Other sources of data",
}

KINDS: dict[str, SourceKind] = {
    "huggingface": SourceKind("2.1", "A dataset of a public hub."),
    "python-environment": SourceKind(
        "2.6", "Descriptions and docstrings of the Python packages of one installation."
    ),
    "sample-eu": SourceKind("2.5", "Short texts generated from tables of facts and sentences."),
    "directory": SourceKind("2.6", "Files that the provider supplied in a folder."),
}
UNKNOWN_KIND = SourceKind("2.6", "A kind of source that this template does not know.")


LOCAL_FILES = SourceKind("2.6", "Files that the provider named, read as a dataset.")


def find_kind(source: SourceSettings) -> SourceKind:
    """Return the kind of a source, or `UNKNOWN_KIND`.

    The library of the hub also reads local files; those are no public dataset.
    """
    is_hub_id = re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", str(source.params.get("id", "")))
    if source.kind == "huggingface" and (not is_hub_id or source.params.get("data_files")):
        return LOCAL_FILES
    return KINDS.get(source.kind, UNKNOWN_KIND)
