"""An error as a code, such as `OrderError@1f0c9b2ad3e4`: nothing of its text goes along.

The class is the nearest one of this program or of Python itself. The digits are the begin of
SHA-256 over `module:function`, of the innermost function of this program that the error passed;
`synnq explain CODE` gives the function back, from the installed source.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from synnq_assets.records.base import sha256_hex

PACKAGE = Path(__file__).parent.parent
FAILURE_CODE = r"[A-Z][A-Za-z]{2,39}@[0-9a-f]{12}"
UNKNOWN_PLACE = "0" * 12


def hash_place(module: str, function: str) -> str:
    """Return the digits that stand for a function."""
    return sha256_hex(f"{module}:{function}".encode())[:12]


def build_failure_code(error: BaseException) -> str:
    """Return the code of an error."""
    return f"{_name_class(error)}@{_find_place(error.__traceback__)}"


def find_failure_code(text: str) -> str | None:
    """Return the code that the payload's last line states, or None; other text is not looked at."""
    lines = text.strip().splitlines()
    match = re.fullmatch(f"synnq: ({FAILURE_CODE})", lines[-1]) if lines else None
    return match[1] if match else None


def _name_class(error: BaseException) -> str:
    for kind in type(error).__mro__:
        if kind.__module__.partition(".")[0] in (PACKAGE.name, "builtins"):
            return kind.__name__
    return "Exception"  # not reached: every error is one of Python's


def _find_place(trace: TracebackType | None) -> str:
    place = UNKNOWN_PLACE
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module == "__main__" and (spec := trace.tb_frame.f_globals.get("__spec__")):
            module = spec.name
        if module.partition(".")[0] == PACKAGE.name:
            place = hash_place(module, trace.tb_frame.f_code.co_qualname)
        trace = trace.tb_next
    return place


def explain_place(place: str) -> list[str]:
    """Return `module:function` of every function that has these digits; a function, or none."""
    return [
        f"{module}:{function}"
        for module, function in _iter_functions()
        if hash_place(module, function) == place
    ]


def _iter_functions() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = [PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts]
        module = ".".join(part for part in parts if part != "__init__")
        yield module, "<module>"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from ((module, name) for name in _iter_names(tree, ""))


def _iter_names(node: ast.AST, prefix: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name
            yield from _iter_names(child, f"{prefix}{child.name}.<locals>.")
        elif isinstance(child, ast.ClassDef):
            yield from _iter_names(child, f"{prefix}{child.name}.")
        else:
            yield from _iter_names(child, prefix)
