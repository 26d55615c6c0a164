"""Where documents come from.

base.py                the contract, and the validation of parameters
python_environment.py  descriptions and docstrings of the installed packages
package_licences.py    what a package's metadata says about its licence
sample_eu.py           generated documents in ten languages (sentences in sample_eu_tables/)
directory.py           JSONL, JSONL.zst or Parquet files
huggingface.py         a Hugging Face data set, streamed
columns.py             rows of other people's data sets, as documents
"""

from synnq_assets.corpora.sources.base import Source, describe_nearest
from synnq_assets.corpora.sources.directory import DirectorySource
from synnq_assets.corpora.sources.huggingface import HuggingFaceSource
from synnq_assets.corpora.sources.python_environment import PythonEnvironmentSource
from synnq_assets.corpora.sources.sample_eu import SampleEuSource
from synnq_assets.errors import UnknownSourceError
from synnq_assets.settings.recipe import SourceSettings

SOURCES: dict[str, type[Source]] = {
    source.kind: source
    for source in (PythonEnvironmentSource, SampleEuSource, DirectorySource, HuggingFaceSource)
}


def build_source(settings: SourceSettings) -> Source:
    """Return the source that the settings describe.

    Raises:
        UnknownSourceError: there is no such kind; the message names the nearest.
        SettingsError: a parameter is unknown, missing or invalid.
    """
    source = SOURCES.get(settings.kind)
    if source is None:
        raise UnknownSourceError(
            f"source {settings.name!r} has unknown kind {settings.kind!r}"
            f"{describe_nearest(settings.kind, list(SOURCES))} Known: {', '.join(SOURCES)}."
        )
    return source(settings.name, settings.params)


__all__ = ["SOURCES", "Source", "build_source"]
