"""What a release is made of, and what must hold before anything is written."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from synnq_assets.errors import ReleaseError
from synnq_assets.records.corpora import CurationReport
from synnq_assets.records.identifiers import FileName
from synnq_assets.records.rounds import CheckpointRecord, EvaluationRecord
from synnq_assets.records.shards import ShardManifest
from synnq_assets.settings.recipe import Recipe
from synnq_assets.trust.audit.receipts import Evidence

_PNG = b"\x89PNG\r\n\x1a\n"
_FILE_NAME = TypeAdapter(FileName)


@dataclass(frozen=True)
class ReportedEnergy:
    """What nodes reported of the training behind a release; a machine without counter cannot."""

    joules: float  # sum over the contributions that reported
    num_reporting: int
    num_contributions: int

    @property
    def is_complete(self) -> bool:
        """Whether every contribution is in the sum."""
        return self.num_reporting == self.num_contributions


@dataclass(frozen=True)
class ReleaseInputs:
    """Everything that a release may say; nothing else enters its card or its papers."""

    recipe: Recipe
    settings_sha256: str
    record: CheckpointRecord  # of the released round
    chain: tuple[CheckpointRecord, ...]  # promoted lineage, from the initial checkpoint to `record`
    evaluations: tuple[EvaluationRecord, ...]  # in the chain's order
    weights: Path  # model.safetensors
    tokenizer: Path  # tokenizer.json
    manifests: tuple[ShardManifest, ...]  # shards that were trained on in the chain
    curation: tuple[CurationReport, ...]
    compliance_markdown: str
    compliance: dict[str, Any]  # a JSON value
    promotion: Evidence  # of the audit entry that promoted the checkpoint
    grants: tuple[bytes, ...]  # envelopes of key grants, signed by the coordinator's root key
    root_public_key: str  # the coordinator's, ed25519:…
    plots: dict[str, bytes]  # file name -> PNG
    energy: ReportedEnergy

    @property
    def released_evaluation(self) -> EvaluationRecord:
        """The evaluation of the released checkpoint.

        Raises:
            ReleaseError: it was not evaluated, or was rolled back.
        """
        for evaluation in self.evaluations:
            if evaluation.checkpoint_sha256 == self.record.checkpoint.checkpoint_sha256:
                if evaluation.decision != "promoted":
                    raise ReleaseError(
                        f"round {self.record.round} was rolled back; release a promoted round"
                    )
                return evaluation
        raise ReleaseError(f"round {self.record.round} has no evaluation; evaluate it first")


def verify_chain(chain: tuple[CheckpointRecord, ...]) -> None:
    """Check that each checkpoint's parent is the one before it, back to the initial checkpoint.

    Raises:
        ReleaseError: empty, a parent is missing or another, or federations differ.
    """
    if not chain:
        raise ReleaseError("the chain of checkpoints is empty")
    first = chain[0]
    if first.parent_round is not None or first.parent_checkpoint_sha256 is not None:
        raise ReleaseError(f"the chain begins at {first.round}, which is not an initial checkpoint")
    for parent, child in itertools.pairwise(chain):
        named = (child.parent_round, child.parent_checkpoint_sha256)
        if named != (parent.round, parent.checkpoint.checkpoint_sha256):
            raise ReleaseError(f"the chain is broken: {parent.round} is not {child.round}'s parent")
        if child.federation != parent.federation or child.round <= parent.round:
            raise ReleaseError(f"the chain is broken: {child.round} cannot follow {parent.round}")


def verify_evaluations(
    chain: tuple[CheckpointRecord, ...], evaluations: tuple[EvaluationRecord, ...]
) -> None:
    """Check that each evaluation is of a checkpoint in the chain, at most one for each.

    Raises:
        ReleaseError: an evaluation of something else, or a second one.
    """
    open_rounds = {record.round: record.checkpoint.checkpoint_sha256 for record in chain}
    for evaluation in evaluations:
        if open_rounds.pop(evaluation.round, None) != evaluation.checkpoint_sha256:
            raise ReleaseError(f"the evaluation of {evaluation.round} is not of the chain's record")


def verify_inputs(inputs: ReleaseInputs) -> None:
    """Check that inputs agree with each other.

    Raises:
        ReleaseError: a file is missing, the chain is broken, the round was not promoted, shards
            are of another tokenizer, or a plot is not a PNG with a plain name.
    """
    for path in (inputs.weights, inputs.tokenizer):
        if not path.is_file():
            raise ReleaseError(f"{path} is missing; fetch it from the object store first")
    verify_chain(inputs.chain)
    if inputs.chain[-1] != inputs.record:
        raise ReleaseError(f"the chain does not end at the released round {inputs.record.round}")
    verify_evaluations(inputs.chain, inputs.evaluations)
    _ = inputs.released_evaluation
    if len({manifest.shard_id for manifest in inputs.manifests}) != len(inputs.manifests):
        raise ReleaseError("a shard manifest is given twice")
    for name, data in inputs.plots.items():
        try:
            _FILE_NAME.validate_python(name)
        except ValidationError as error:
            raise ReleaseError(f"plot name {name!r} is not a plain lower-case name") from error
        if not name.endswith(".png") or not data.startswith(_PNG):
            raise ReleaseError(f"plot {name} is not a PNG file named .png")
