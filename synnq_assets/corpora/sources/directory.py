"""A directory of JSONL, zstd-compressed JSONL or Parquet files.

Files are read in the order of their names. A file without a text column is an error unless
`files` chooses the files, so that labels lying beside a corpus are never taken for documents.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import field_validator

from synnq_assets.corpora.documents import Document
from synnq_assets.corpora.sources.base import Source, parse_params
from synnq_assets.corpora.sources.columns import RowParams, RowReader
from synnq_assets.errors import CorpusError

ENDINGS = (".jsonl", ".jsonl.zst", ".parquet")
BATCH_ROWS = 1_000
BLOCK_BYTES = 1 << 16


class DirectoryParams(RowParams):
    """Where the files lie, and which of them count."""

    path: str  # relative paths are taken from the working directory
    files: str = ""  # a glob within the directory; empty: every file with a known ending

    @field_validator("files")
    @classmethod
    def _stays_inside(cls, files: str) -> str:
        if files.startswith("/") or ".." in Path(files).parts:
            raise ValueError("the glob must stay within the directory")
        return files


class DirectorySource(Source):
    """Documents from files of rows."""

    kind = "directory"

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        """Validate the parameters; nothing is opened yet."""
        self.params = parse_params(DirectoryParams, name, self.kind, params)
        self._rows = RowReader(name, self.params)

    def read(self) -> Iterator[Document]:
        """Yield one document per row.

        Raises:
            CorpusError: no directory, no file, no text column, or a file is damaged.
        """
        documents = (document for path in self._find_files() for document in self._read_file(path))
        yield from islice(documents, self.params.max_documents)

    def _find_files(self) -> list[Path]:
        folder = Path(self.params.path)
        if not folder.is_dir():
            raise CorpusError(
                f"corpus directory {folder} does not exist; give params.path of a directory"
            )
        found = folder.glob(self.params.files or "*")
        files = sorted(path for path in found if path.is_file() and path.name.endswith(ENDINGS))
        if not files:
            raise CorpusError(
                f"no {', '.join(ENDINGS)} file in {folder} matches {self.params.files or '*'!r}"
            )
        return files

    def _read_file(self, path: Path) -> Iterator[Document]:
        if path.name.endswith(".parquet"):
            yield from self._read_parquet(path)
        else:
            yield from self._read_jsonl(path)

    def _read_parquet(self, path: Path) -> Iterator[Document]:
        try:
            with pq.ParquetFile(path) as file:
                columns = self._rows.select_columns(file.schema_arrow.names, str(path))
                number = 0
                for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                    for row in batch.to_pylist():
                        number += 1
                        yield self._rows.build_document(row, f"{path}: row {number}", path.name)
        except pa.ArrowException as error:
            raise CorpusError(f"{path} is not a readable Parquet file: {error}") from error

    def _read_jsonl(self, path: Path) -> Iterator[Document]:
        checked = False
        for number, line in enumerate(_read_lines(path), start=1):
            if not line.strip():
                continue
            where = f"{path}: line {number}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise CorpusError(f"{where}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise CorpusError(f"{where}: expected a JSON object")
            if not checked:
                self._rows.select_columns(row.keys(), str(path))
                checked = True
            yield self._rows.build_document(row, where, path.name)


def _read_lines(path: Path) -> Iterator[str]:
    import zstandard

    try:
        with path.open("rb") as file:
            is_compressed = path.name.endswith(".zst")
            blocks = _decompress(path, file) if is_compressed else _read_blocks(file)
            for line in _split_lines(blocks):
                yield line.decode()
    except (OSError, UnicodeDecodeError, zstandard.ZstdError) as error:
        raise CorpusError(f"{path} cannot be read as JSON lines: {error}") from error


def _read_blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _decompress(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of every frame; a file that ends within one is an error, not the end.

    Source: RFC 8878, section 3: a file is any number of frames, one after the other.
    """
    import zstandard

    decompressor = zstandard.ZstdDecompressor()
    frame = None
    num_frames = 0
    for block in _read_blocks(file):
        rest = block
        while rest:
            if frame is None:
                frame = decompressor.decompressobj()
                num_frames += 1
            yield frame.decompress(rest)
            rest = frame.unused_data
            if frame.eof:
                frame = None
    if frame is not None or num_frames == 0:
        raise CorpusError(f"{path} ends before its last zstd frame does; fetch it again, whole")


def _split_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    begun: list[bytes] = []  # of a line that goes over several blocks
    for block in blocks:
        *ended, rest = block.split(b"\n")
        if ended:
            yield b"".join([*begun, ended[0]])
            yield from ended[1:]
            begun = []
        begun.append(rest)
    if any(begun):
        yield b"".join(begun)
