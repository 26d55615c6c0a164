"""Around every asset: audit intent before, audit result after, and metadata that points to both."""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from synnq_assets.errors import SynnqError
from synnq_assets.trust import AuditAction, Home

AUDIT_INDEX = "synnq/audit_index"
SHA256 = "synnq/sha256"


@contextmanager
def recorded(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    home: Home,
    action: str,
    subject: str = "",
    **details: Any,
) -> Iterator[AuditAction]:
    """Log intent, run the block, log result or failure, under this Dagster run's id."""
    with home.audit.act(
        action, subject, actor="coordinator", run_id=context.run.run_id, **details
    ) as deed:
        yield deed


def log_skipped(
    context: dg.AssetExecutionContext | dg.OpExecutionContext | dg.SensorEvaluationContext,
) -> Callable[[str, SynnqError], None]:
    """Return what logs each item that is left out, so that it does not hold up the others."""
    return lambda item, error: context.log.error(f"{item} is left out: {error}")


def build_result(
    deed: AuditAction, *, sha256: str, metadata: Mapping[str, Any], **options: Any
) -> dg.MaterializeResult:
    """Return a materialisation whose data version is the content's digest."""
    return dg.MaterializeResult(
        metadata={**metadata, SHA256: sha256, AUDIT_INDEX: deed.position},
        data_version=dg.DataVersion(sha256),
        **options,
    )


def render_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> dg.MarkdownMetadataValue:
    """Return a Markdown table as metadata."""

    def show(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.4g}"
        return str(value).replace("|", "\\|").replace("\n", " ")

    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(show(value) for value in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def render_image(png: bytes, title: str) -> dg.MarkdownMetadataValue:
    """Return a PNG as metadata that the web page shows inline."""
    data = base64.b64encode(png).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{data})")


def read_tag(context: dg.AssetExecutionContext | dg.OpExecutionContext, name: str) -> str | None:
    """Return one of this run's tags."""
    return context.run.tags.get(f"synnq/{name}")
