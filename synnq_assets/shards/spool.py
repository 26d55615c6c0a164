"""Token ids on their way through: an unnamed temporary file, read back by document.

Planning and sealing both visit tokens in another order than documents arrive in. The file has no
name, so that nothing readable is left behind however the process ends.
"""

import os
import tempfile
from contextlib import AbstractContextManager
from types import TracebackType

import numpy as np

from synnq_assets.errors import ShardError
from synnq_assets.shards.plan import PlannedDocument
from synnq_assets.shards.tokenizer import Tokens
from synnq_assets.storage.tokens import END_OF_TEXT


class TokenSpool(AbstractContextManager["TokenSpool"]):
    """Tokens [num_tokens] uint32 of each document, end of text included."""

    def __init__(self) -> None:
        """Create the file in the system's temporary folder (TMPDIR)."""
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by __exit__
        self._spans: dict[str, tuple[int, int]] = {}
        self._num_tokens = 0

    def append(self, doc_id: str, tokens: Tokens) -> None:
        """Add one document.

        Raises:
            ShardError: the document came twice, or the temporary folder is full.
        """
        if doc_id in self._spans:
            raise ShardError(f"document {doc_id} comes twice; remove one of its sources")
        data = memoryview(tokens.astype("<u4", copy=False).tobytes())
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise ShardError(f"cannot spool tokens to TMPDIR: {error.strerror}") from error
        self._spans[doc_id] = (self._num_tokens, len(tokens))
        self._num_tokens += len(tokens)

    def __contains__(self, doc_id: object) -> bool:
        """Return whether the document was added."""
        return doc_id in self._spans

    def read(self, doc_id: str) -> Tokens:
        """Return the tokens of a document that was added."""
        begin, num_tokens = self._spans[doc_id]
        data = os.pread(self._file.fileno(), num_tokens * 4, begin * 4)
        return np.frombuffer(data, dtype="<u4")

    def read_part(self, document: PlannedDocument) -> Tokens:
        """Return the tokens of a part; one that is not the last gets an end of text of its own."""
        tokens = self.read(document.doc_id)[document.begin :]
        if document.part == document.num_parts:
            return tokens
        return np.append(tokens[: document.num_tokens - 1], np.uint32(END_OF_TEXT))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close, and with that delete, the file."""
        self._file.close()
