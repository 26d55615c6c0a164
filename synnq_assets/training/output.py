"""What the payload prints: codes on stderr. All other output stays on the node.

Libraries warn with paths, drivers with names of hosts and devices, and a traceback can quote the
text that was trained on. So both streams of this process, C libraries included, go to a file in the
node's own log folder, which is no part of the job folder; what leaves is the failure's code.
"""

import os
import secrets
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synnq_assets.errors import StorageError
from synnq_assets.records.base import now_at


@contextmanager
def keep_output(folder: Path) -> Iterator[None]:
    """Send stdout and stderr to a new file, readable by the owner alone, while the block runs.

    An error's traceback goes there too. A file that stayed empty is removed.

    Raises:
        StorageError: the file cannot be created; nothing was printed.
    """
    path = folder / f"{now_at():%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(3)}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise StorageError(f"cannot create {path}: {error.strerror}") from error
    saved = [os.dup(stream) for stream in (1, 2)]
    try:
        _flush()
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        yield
    except BaseException:
        os.write(descriptor, traceback.format_exc().encode("utf-8", "backslashreplace"))
        raise
    finally:
        _flush()
        for stream, held in zip((1, 2), saved, strict=True):
            os.dup2(held, stream)
            os.close(held)
        is_empty = os.fstat(descriptor).st_size == 0
        os.close(descriptor)
        if is_empty:
            with suppress(OSError):
                path.unlink()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
