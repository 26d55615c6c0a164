"""The compliance report: one checkpoint's figures under the six principles that COMPL-AI uses.

COMPL-AI reads the EU AI Act as six principles and asks benchmarks for each. The mapping is adopted;
the benchmarks are this project's own, offline and small. Each requirement has one of four verdicts:

    met, not met    a figure stands against a threshold
    informative     a figure without a threshold that anyone has agreed on
    not covered     nothing is measured here; the note says where it belongs

Training compute is estimated as 6 * parameters * tokens. The AI Act presumes systemic risk above
1e25 FLOP (Article 51(2)); the Commission's guidelines of July 2025 take 1e23 FLOP as the mark of a
general-purpose model. The report is evidence for a compliance officer, and no legal opinion.

Source: Guldimann et al. 2024, arXiv:2410.07959 (COMPL-AI); Regulation (EU) 2024/1689; Kaplan et al.
2020, arXiv:2001.08361 (6ND).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from synnq_assets.evaluation.requirements import (
    Evidence,
    Requirement,
    build_requirements,
    describe_compute,
)
from synnq_assets.evaluation.tables import render_number, render_table
from synnq_assets.records.rounds import EvaluationRecord

PRINCIPLES = {
    "human agency": "Human agency and oversight",
    "robustness": "Technical robustness and safety",
    "data governance": "Privacy and data governance",
    "transparency": "Transparency",
    "fairness": "Diversity, non-discrimination and fairness",
    "wellbeing": "Social and environmental well-being",
}


@dataclass(frozen=True)
class ComplianceReport:
    """Requirements with their verdicts, and the counts behind them."""

    round: str
    checkpoint_sha256: str
    requirements: tuple[Requirement, ...]
    evidence: Evidence

    def count(self, verdict: str) -> int:
        """Return the number of requirements with this verdict."""
        return sum(item.verdict == verdict for item in self.requirements)

    def to_json_value(self) -> dict[str, Any]:
        """Return the report as a JSON value; counts of FLOP are floats."""
        evidence = self.evidence
        return {
            "format": "synnq-compliance-1",
            "round": self.round,
            "checkpoint_sha256": self.checkpoint_sha256,
            "decision": evidence.record.decision,
            "requirements": [asdict(item) for item in self.requirements],
            "compute": {
                "flop": evidence.flop,
                "num_parameters": evidence.num_parameters,
                "tokens_total": evidence.tokens_total,
                "share_of_1e23": evidence.flop / 1e23,
                "share_of_1e25": evidence.flop / 1e25,
            },
            "licences": dict(sorted(evidence.licences.items())),
            "redactions": dict(sorted(evidence.redactions.items())),
            "sources": {name: dict(counts) for name, counts in sorted(evidence.sources.items())},
            "machine_generated_share": evidence.machine_generated_share,
            "audit": {"size": evidence.audit_head[0], "root": evidence.audit_head[1]},
        }

    @property
    def markdown(self) -> str:
        """The report for reading: verdicts by principle, compute, training data, audit log."""
        record = self.evidence.record
        parts = [
            f"# Compliance report, {self.round}",
            f"Checkpoint `{self.checkpoint_sha256}`: {record.decision.replace('_', ' ')} "
            f"({record.reason}).",
            f"{self.count('met')} requirements met, {self.count('not met')} not met, "
            f"{self.count('informative')} informative, {self.count('not covered')} not covered. "
            "Evidence for a compliance officer, and no legal opinion.",
            self._render_requirements(),
            "## Training compute",
            describe_compute(self.evidence),
            "## Training data",
            self._render_data(),
            "## Audit log",
            f"{self.evidence.audit_head[0]} entries, root `{self.evidence.audit_head[1]}`.",
        ]
        return "\n\n".join(parts) + "\n"

    def _render_requirements(self) -> str:
        rows = [
            (
                PRINCIPLES[item.principle],
                item.requirement,
                "" if item.value is None else render_number(item.value),
                item.threshold,
                item.verdict,
                item.note,
            )
            for item in self.requirements
        ]
        header = ("principle", "requirement", "figure", "threshold", "verdict", "note")
        return render_table(header, rows)

    def _render_data(self) -> str:
        evidence = self.evidence
        columns = sorted({name for counts in evidence.sources.values() for name in counts})
        sources = [
            (name, *(str(counts.get(column, 0)) for column in columns))
            for name, counts in sorted(evidence.sources.items())
        ]
        return "\n\n".join(
            (
                render_table(("source", *columns), sources),
                _render_counts("licence", "documents", evidence.licences),
                _render_counts("redacted", "replacements", evidence.redactions),
            )
        )


def _render_counts(name: str, unit: str, counts: Mapping[str, int]) -> str:
    return render_table((name, unit), [(key, str(counts[key])) for key in sorted(counts)])


def build_compliance(
    record: EvaluationRecord,
    *,
    licences: Mapping[str, int],
    redactions: Mapping[str, int],
    sources: Mapping[str, Mapping[str, int]],
    machine_generated_share: float,
    audit_head: tuple[int, str],
    tokens_total: int,
    num_parameters: int,
) -> ComplianceReport:
    """Return the compliance report of one evaluated checkpoint.

    Args:
        record: what was measured and decided.
        licences: SPDX expression -> documents in the corpus.
        redactions: kind of personal data -> replacements in kept documents.
        sources: corpus source -> counts by name (documents in, kept, dropped, ...).
        machine_generated_share: share of corpus documents declared as machine-generated, 0 to 1.
        audit_head: size and root of the audit log.
        tokens_total: trained tokens behind the checkpoint, epochs counted.
        num_parameters: of the model.
    """
    evidence = Evidence(
        record=record,
        licences=licences,
        redactions=redactions,
        sources=sources,
        machine_generated_share=machine_generated_share,
        audit_head=audit_head,
        tokens_total=tokens_total,
        num_parameters=num_parameters,
    )
    requirements = tuple(build_requirements(evidence))
    return ComplianceReport(record.round, record.checkpoint_sha256, requirements, evidence)
