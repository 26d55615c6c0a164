"""The Python packages installed on this machine: their descriptions and docstrings.

Real text under real licences, offline, on every machine that can run the project. Docstrings are
read with `ast`; nothing is imported. Code that a package carries from others is passed over, since
the package's metadata says nothing about its licence.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from synnq_assets.corpora.documents import Document, clean_text
from synnq_assets.corpora.sources.base import Source, describe_nearest, parse_params
from synnq_assets.corpora.sources.package_licences import PackageLicence, read_package_licence
from synnq_assets.errors import CorpusError
from synnq_assets.records.base import sha256_hex
from synnq_assets.settings.base import SettingsModel

DOMAIN = "software"
MIN_DOCSTRING_CHARACTERS = 400  # of one module; less is no document
MAX_DOCSTRING_CHARACTERS = 20_000
MAX_MODULE_BYTES = 200_000
_FOREIGN = re.compile(r"(^|/)(_?vendor(ed|s|ing)?|_?extern(al)?|third_?party|tests?|testing)(/|$)")


class PythonEnvironmentParams(SettingsModel):
    """How much is taken, and from which packages."""

    max_documents: PositiveInt = 2_000
    packages: tuple[str, ...] = ()  # distribution names; empty: all that are installed


@dataclass(frozen=True, slots=True)
class _Package:
    name: str
    version: str
    licence: PackageLicence
    distribution: metadata.Distribution


class PythonEnvironmentSource(Source):
    """One document per package description, and one per module with enough docstrings."""

    kind = "python-environment"

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        """Validate the parameters; nothing is read yet."""
        self.name = name
        self.params = parse_params(PythonEnvironmentParams, name, self.kind, params)

    def read(self) -> Iterator[Document]:
        """Yield documents in turns, one of each package, so that none crowds out the others.

        Packages and modules come in the order of hashes of their names: the same sample every time.

        Raises:
            CorpusError: a package of `packages` is not installed.
        """
        packages = sorted(self._find_packages(), key=lambda item: sha256_hex(item.name.encode()))
        yield from islice(_take_turns(packages, self.name), self.params.max_documents)

    def _find_packages(self) -> list[_Package]:
        found: dict[str, _Package] = {}
        for distribution in metadata.distributions():
            name = _normalise_name(distribution.metadata["Name"] or "")
            if name and name not in found:  # the first on the path is the one that imports
                found[name] = _Package(
                    name=name,
                    version=distribution.version,
                    licence=read_package_licence(distribution.metadata),
                    distribution=distribution,
                )
        wanted = [_normalise_name(name) for name in self.params.packages]
        for name in wanted:
            if name not in found:
                hint = describe_nearest(name, list(found))
                raise CorpusError(f"package {name!r} is not installed here{hint}")
        return [found[name] for name in wanted or found]


def _normalise_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _take_turns(packages: list[_Package], source: str) -> Iterator[Document]:
    active = [_read_package(package, source) for package in packages]
    while active:
        remaining = []
        for documents in active:
            document = next(documents, None)
            if document is not None:
                yield document
                remaining.append(documents)
        active = remaining


def _read_package(package: _Package, source: str) -> Iterator[Document]:
    about = package.distribution.metadata.json
    description = str(about.get("description") or "")
    title = f"{package.name}: {about.get('summary') or 'description'}"
    if description.strip():
        yield _build(package, source, "package_description", title, "METADATA", description)
    for path in _find_modules(package):
        text = _read_docstrings(Path(str(package.distribution.locate_file(path))))
        if len(text) >= MIN_DOCSTRING_CHARACTERS:
            yield _build(package, source, "docstrings", f"{package.name}: {path}", path, text)


def _find_modules(package: _Package) -> list[str]:
    paths = {
        str(path)
        for path in package.distribution.files or ()
        if path.suffix == ".py" and not str(path).startswith(("..", "/"))
    }
    own = (path for path in paths if not _FOREIGN.search(path.rpartition("/")[0]))
    return sorted(own, key=lambda path: sha256_hex(f"{package.name}|{path}".encode()))


def _read_docstrings(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_MODULE_BYTES:
            return ""
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # a template, or another Python's syntax: there is no docstring to read
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    parts: list[str] = []
    size = 0
    for node in ast.walk(tree):
        docstring = ast.get_docstring(node) if isinstance(node, kinds) else None
        if docstring and size + len(docstring) <= MAX_DOCSTRING_CHARACTERS:
            parts.append(docstring.strip())
            size += len(docstring) + 2
    return "\n\n".join(parts)


def _build(
    package: _Package, source: str, doc_type: str, title: str, path: str, text: str
) -> Document:
    return Document(
        source=source,
        origin=clean_text(f"python:{package.name}=={package.version}#{path}"),
        text=clean_text(text),
        language="en",
        domain=DOMAIN,
        doc_type=doc_type,
        licence=package.licence.statement,
        title=" ".join(clean_text(title).split()),
        licence_conflict=package.licence.is_contradicted,
    )
