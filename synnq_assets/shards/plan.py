"""The plan: which documents make which shard, decided before anything is sealed.

A plan holds ids and counts, no text. Its bytes are JSON that anyone can read.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from synnq_assets.errors import ShardError
from synnq_assets.settings.recipe import ShardSettings
from synnq_assets.shards.content import digest_config

FORMAT = "synnq-shard-plan-1"
PLAN_KEY = "shards/plan.json"


@dataclass(frozen=True, slots=True)
class PlannedDocument:
    """A document, or a part of an oversized one, in a shard."""

    doc_id: str
    part: int  # 1 to num_parts
    num_parts: int  # 1 for a whole document
    begin: int  # the document's token at which the part begins
    num_tokens: int  # end of text included


@dataclass(frozen=True)
class PlannedShard:
    """One shard, with its documents in their order."""

    cell: str
    shard_id: str
    documents: tuple[PlannedDocument, ...]
    num_tokens: int
    complexity: float  # token-weighted mean rank, in [0, 1]
    complexity_distance: float  # Kolmogorov-Smirnov, from all documents of the cell
    is_residual: bool = False  # the last shard of all, which may be short


@dataclass(frozen=True)
class ShardPlan:
    """All shards of a generation by cell, the documents kept back, and those left out."""

    cells: dict[str, tuple[PlannedShard, ...]]
    holdout: dict[str, tuple[str, ...]]  # original cell -> doc_ids kept back
    holdout_tokens: dict[str, int]
    rolled_up: dict[str, str]  # original cell -> the larger cell that took it whole
    passed_up_tokens: dict[str, int]  # cell -> tokens it passed to its parent as a leftover
    tokenizer_sha256: str
    config_sha256: str
    settings: ShardSettings
    # source -> document left out -> the document of the same text that stays
    duplicates: dict[str, dict[str, str]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the plan as JSON; equal plans give equal bytes."""
        value: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        value["format"] = FORMAT
        value["settings"] = self.settings.model_dump(mode="json")
        value["cells"] = {
            cell: [_render_shard(shard) for shard in shards] for cell, shards in self.cells.items()
        }
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "ShardPlan":
        """Read a plan back.

        Raises:
            ShardError: not a plan, or its settings are not those that its digest names.
        """
        try:
            value = json.loads(data)
            if value.pop("format") != FORMAT:
                raise ShardError(f"not a {FORMAT} file; plan again")
            cells = {
                cell: tuple(_parse_shard(shard) for shard in shards)
                for cell, shards in value.pop("cells").items()
            }
            settings = ShardSettings.model_validate(value.pop("settings"))
            holdout = {cell: tuple(ids) for cell, ids in value.pop("holdout").items()}
            plan = cls(cells=cells, holdout=holdout, settings=settings, **value)
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
            raise ShardError(f"not a shard plan ({error}); plan again") from error
        if digest_config(settings) != plan.config_sha256:
            raise ShardError("the plan's settings do not match its config_sha256; plan again")
        return plan


def _render_shard(shard: PlannedShard) -> dict[str, Any]:
    rows = [[d.doc_id, d.part, d.num_parts, d.begin, d.num_tokens] for d in shard.documents]
    fields = {name: getattr(shard, name) for name in shard.__dataclass_fields__}
    return fields | {"documents": rows}


def _parse_shard(value: dict[str, Any]) -> PlannedShard:
    documents = tuple(PlannedDocument(*row) for row in value.pop("documents"))
    return PlannedShard(documents=documents, **value)
