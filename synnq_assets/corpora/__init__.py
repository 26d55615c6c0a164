"""From documents that someone has published to documents that may be trained on.

In: a source by name and kind, and the recipe's rules on licences, languages and quality. Out: the
kept documents, the rejected ones with their reasons (never their text), a report in which
kept + dropped + review = input, statistics for a page, and expectations with Data Docs.

    sources/         python-environment, sample-eu, directory, huggingface: a registry
    steps/           licence, language, exact-dedup, quality, redaction: an ordered registry
    documents.py     a document, and the Parquet schema
    licences.py      licence statements and the SPDX expressions that they mean
    curate.py        one source through all steps
    statistics.py    tables and a plot
    expectations.py  Great Expectations' only door
    data_docs.py     its pages, without foreign scripts
"""

from synnq_assets.corpora.curate import curate_source, digest_curation
from synnq_assets.corpora.expectations import ExpectationOutcome, validate_corpus
from synnq_assets.corpora.statistics import CorpusStatistics, build_statistics

__all__ = [
    "CorpusStatistics",
    "ExpectationOutcome",
    "build_statistics",
    "curate_source",
    "digest_curation",
    "validate_corpus",
]
