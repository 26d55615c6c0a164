"""The source contract: yield every document that there is; judging them is the steps' business."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import ValidationError

from synnq_assets.corpora.documents import Document
from synnq_assets.errors import SettingsError
from synnq_assets.settings.base import SettingsModel

P = TypeVar("P", bound=SettingsModel)


class Source(ABC):
    """One kind of corpus source. It owns and validates its parameters."""

    kind: ClassVar[str]

    @abstractmethod
    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        """Take the source's partition name and its raw parameters.

        Raises:
            SettingsError: a parameter is unknown, missing or invalid.
        """

    @abstractmethod
    def read(self) -> Iterator[Document]:
        """Yield the documents.

        Raises:
            CorpusError: the source cannot be read; the message says what to do.
        """


def parse_params(model: type[P], source: str, kind: str, params: Mapping[str, Any]) -> P:
    """Return the validated parameters of a source.

    Raises:
        SettingsError: names the source, the parameter and the nearest known one.
    """
    try:
        return model.model_validate(dict(params))
    except ValidationError as error:
        problems = "; ".join(_describe(item, list(model.model_fields)) for item in error.errors())
        raise SettingsError(f"source {source!r} ({kind}): {problems}") from error


def describe_nearest(name: str, known: list[str]) -> str:
    """Return "; did you mean 'x'?" if something known is close to `name`, else nothing."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _describe(item: Any, known: list[str]) -> str:
    where = ".".join(str(part) for part in ("params", *item["loc"]))
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown parameter{describe_nearest(str(item['loc'][0]), known)}"
    if item["type"] == "missing":
        return f"{where}: required parameter is missing"
    return f"{where}: {item['msg']}, got {item.get('input')!r}"[:300]
