"""The figures that the card and the papers share, each derived from records alone."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from synnq_assets.records.base import now_at
from synnq_assets.records.rounds import EvaluationRecord
from synnq_assets.records.shards import ShardManifest
from synnq_assets.release.inputs import ReleaseInputs, ReportedEnergy
from synnq_assets.storage.tensors import TensorFile

# AI Act Art. 51(2): above this much training compute, a model is presumed to bear systemic risk.
SYSTEMIC_RISK_FLOP = 1e25
JOULES_PER_MWH = 3.6e9


@dataclass(frozen=True)
class CellFacts:
    """What was trained on in one (language, sector) cell; each token counted once."""

    language: str
    domain: str
    num_shards: int
    num_documents: int
    num_tokens: int


@dataclass(frozen=True)
class ReleaseFacts:
    """Figures of a release."""

    released_at: datetime
    num_parameters: int
    num_weight_bytes: int
    num_tokens: int  # in the shards, each counted once
    num_documents: int
    num_trained_tokens: int  # with epochs
    compute_flop: float
    energy: ReportedEnergy
    cells: tuple[CellFacts, ...]
    licences: dict[str, int]  # SPDX expression -> documents in the shards
    sources: dict[str, int]  # corpus source -> documents in the shards
    languages: tuple[str, ...]
    domains: tuple[str, ...]
    first_evaluation: EvaluationRecord
    evaluation: EvaluationRecord

    @property
    def energy_mwh(self) -> float:
        """What was reported, in MWh; how complete that is says `energy`."""
        return self.energy.joules / JOULES_PER_MWH


def _sum_cells(manifests: tuple[ShardManifest, ...]) -> tuple[CellFacts, ...]:
    groups: dict[tuple[str, str], list[ShardManifest]] = {}
    for manifest in manifests:
        groups.setdefault((manifest.language, manifest.domain), []).append(manifest)
    return tuple(
        CellFacts(
            language=language,
            domain=domain,
            num_shards=len(group),
            num_documents=sum(manifest.num_documents for manifest in group),
            num_tokens=sum(manifest.num_tokens for manifest in group),
        )
        for (language, domain), group in sorted(groups.items())
    )


def estimate_flop(num_parameters: int, num_trained_tokens: int) -> float:
    """Return the estimated training compute in floating point operations: 6 x N x D.

    Source: Kaplan et al. 2020, arXiv:2001.08361, §2.1; attention over long contexts not counted.
    """
    return 6.0 * num_parameters * num_trained_tokens


def build_facts(inputs: ReleaseInputs) -> ReleaseFacts:
    """Return the figures of a release; reads the header of the weights.

    Raises:
        TensorFileError: the weights break the strict profile.
        ReleaseError: the released round was not evaluated.
    """
    with TensorFile(inputs.weights) as file:
        num_parameters = sum(info.num_elements for info in file.tensors.values())
    licences: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    for manifest in inputs.manifests:
        licences.update(manifest.licences)
        sources.update(manifest.sources)
    cells = _sum_cells(inputs.manifests)
    return ReleaseFacts(
        released_at=now_at(),
        num_parameters=num_parameters,
        num_weight_bytes=inputs.weights.stat().st_size,
        num_tokens=sum(cell.num_tokens for cell in cells),
        num_documents=sum(cell.num_documents for cell in cells),
        num_trained_tokens=inputs.record.tokens_total,
        compute_flop=estimate_flop(num_parameters, inputs.record.tokens_total),
        energy=inputs.energy,
        cells=cells,
        licences=dict(sorted(licences.items())),
        sources=dict(sorted(sources.items())),
        languages=tuple(sorted({cell.language for cell in cells} - {"mul"})),
        domains=tuple(sorted({cell.domain for cell in cells})),
        first_evaluation=min(inputs.evaluations, key=lambda evaluation: evaluation.round),
        evaluation=inputs.released_evaluation,
    )
