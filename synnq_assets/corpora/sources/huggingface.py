"""A data set of the Hugging Face `datasets` library, streamed.

Source: https://huggingface.co/docs/datasets/stream. Scripts in a data set are never run (the
library no longer supports them). Pin `revision`, since a data set on a hub changes under its name.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from synnq_assets.corpora.documents import Document
from synnq_assets.corpora.sources.base import Source, parse_params
from synnq_assets.corpora.sources.columns import RowParams, RowReader
from synnq_assets.errors import CorpusError


class HuggingFaceParams(RowParams):
    """What `datasets.load_dataset` is called with."""

    id: str  # hub id ("organisation/name"), a local folder, or a builder such as "json"
    configuration: str | None = None
    split: str = "train"
    revision: str | None = None  # commit of the data set on the hub
    data_files: tuple[str, ...] = ()  # with a builder: local paths or URLs


class HuggingFaceSource(Source):
    """Documents from a streamed data set."""

    kind = "huggingface"

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        """Validate the parameters; nothing is fetched yet."""
        self.params = parse_params(HuggingFaceParams, name, self.kind, params)
        self._rows = RowReader(name, self.params)

    def read(self) -> Iterator[Document]:
        """Yield one document per row, without holding the data set on disk.

        Raises:
            CorpusError: the data set does not exist, cannot be reached, or has no text column.
        """
        where = f"data set {self.params.id!r}"
        try:
            for number, row in enumerate(islice(self._stream(), self.params.max_documents), 1):
                if number == 1:
                    self._rows.select_columns(row.keys(), where)
                yield self._rows.build_document(row, f"{where}: row {number}", self._origin())
        except CorpusError:
            raise
        # The library and its transports raise dozens of unrelated types.
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise CorpusError(
                f"{where} cannot be streamed; check its id and revision, and that the hub can be "
                f"reached from here, or fetch it elsewhere and use a directory source: {reason}"
            ) from error

    def _stream(self) -> Iterator[dict[str, Any]]:
        import datasets

        params = self.params
        stream: Iterator[dict[str, Any]] = iter(
            datasets.load_dataset(
                params.id,
                name=params.configuration,
                data_files=list(params.data_files) or None,
                split=params.split,
                revision=params.revision,
                streaming=True,
            )
        )
        return stream

    def _origin(self) -> str:
        revision = f"@{self.params.revision}" if self.params.revision else ""
        return f"hf:{self.params.id}{revision}"
