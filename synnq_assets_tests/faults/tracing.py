"""What strace is told, and what it says.

Source: strace(1), "Tampering".
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

WRITE_SIDE = (
    *("openat", "creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat"),
    *("symlink", "symlinkat", "unlink", "unlinkat", "rmdir", "chmod", "fchmod", "fchmodat"),
    *("write", "pwrite64", "writev", "pwritev", "sendfile", "copy_file_range", "fallocate"),
    *("ftruncate", "truncate", "fsync", "fdatasync", "sync_file_range", "msync"),
)
_LINE = re.compile(r"\d+ +(\w+)\((.*)")
_MAKES_OR_WRITES = re.compile(r"O_CREAT|O_WRONLY|O_RDWR|O_TMPFILE|O_TRUNC")
_RANDOM = re.compile(r"[0-9a-f]{12,}")


@dataclass(frozen=True)
class Call:
    """The `number`-th call of a name, counted from the moment strace was attached."""

    name: str
    number: int
    target: str  # path below the state, without what is random in it


@dataclass(frozen=True)
class Fault:
    """What happens at a call: the process is killed, or the call fails, once or from then on."""

    name: str
    injection: str
    is_lasting: bool = False

    def options(self, call: Call) -> list[str]:
        """Return strace's options."""
        when = f"{call.number}+" if self.is_lasting else str(call.number)
        return [
            "-e",
            f"trace={call.name}",
            "-e",
            f"inject={call.name}:{self.injection}:when={when}",
        ]


FAULTS = (
    Fault("kill", "signal=KILL"),
    Fault("eio", "error=EIO"),
    Fault("enospc", "error=ENOSPC"),
    Fault("enospc-stays", "error=ENOSPC", is_lasting=True),
)


def trace_options() -> list[str]:
    """Return the options of a run without faults, which finds the calls."""
    return ["-e", "trace=" + ",".join(f"?{name}" for name in WRITE_SIDE)]


def find_calls(log: str, folder: str) -> Iterator[Call]:
    """Yield the write-side calls on anything below a folder, in order."""
    counts: Counter[str] = Counter()
    for line in log.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, rest = match.groups()
        counts[name] += 1
        where = rest.find(folder)
        if where < 0 or (name == "openat" and not _MAKES_OR_WRITES.search(rest)):
            continue
        target = re.match(r"[^\">,]*", rest[where + len(folder) :])
        yield Call(name, counts[name], _RANDOM.sub("*", target[0] if target else ""))
