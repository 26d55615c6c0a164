"""The recipe: what is trained, on what, and by which rules."""

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from synnq_assets.records.identifiers import Domain, Language, NodeId, SourceName
from synnq_assets.settings.base import SettingsModel, Variant

Share = Annotated[float, Field(ge=0.0, le=1.0)]
ShareBelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]


class ModelSettings(SettingsModel):
    """The model by architecture name (see modeling/architectures.py)."""

    architecture: str
    context_tokens: PositiveInt  # longest sequence the model is built for


class SourceSettings(SettingsModel):
    """One corpus source: its partition name, its kind, and the kind's own parameters."""

    name: SourceName
    kind: str  # python-environment, sample-eu, directory, huggingface
    params: dict[str, str | int | float | bool | list[str] | dict[str, str]] = Field(
        default_factory=dict
    )


class QualitySettings(SettingsModel):
    """Thresholds of the quality step."""

    min_characters: PositiveInt = 80
    max_characters: PositiveInt = 5_000_000
    min_letter_share: Share = 0.55  # letters among non-space characters
    min_mean_word_characters: PositiveFloat = 2.0
    max_mean_word_characters: PositiveFloat = 16.0
    max_repeated_line_share: Share = 0.4
    max_repeated_ngram_share: Share = 0.5  # characters covered by the commonest 5-word sequence

    @model_validator(mode="after")
    def _some_length_passes(self) -> Self:
        if self.min_characters > self.max_characters:
            raise ValueError(
                f"min_characters {self.min_characters} is above max_characters "
                f"{self.max_characters}: no document could pass"
            )
        if self.min_mean_word_characters > self.max_mean_word_characters:
            raise ValueError(
                f"min_mean_word_characters {self.min_mean_word_characters:g} is above "
                f"max_mean_word_characters {self.max_mean_word_characters:g}: no document could "
                "pass"
            )
        return self


class CorpusSettings(SettingsModel):
    """What may enter the corpus."""

    sources: tuple[SourceSettings, ...]
    licences: tuple[str, ...]  # SPDX ids that are accepted; anything else is refused
    languages: tuple[Language, ...]  # languages that are kept
    min_language_confidence: Share = 0.5
    quality: QualitySettings = QualitySettings()

    @model_validator(mode="after")
    def _source_names_are_unique(self) -> Self:
        names = [source.name for source in self.sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"sources: the name {twice[0]!r} is given twice; each is a partition")
        return self


class TokenizerSettings(SettingsModel):
    """Byte-level BPE."""

    vocab_size: Annotated[int, Field(ge=257)]  # 256 bytes and the end of text
    max_training_characters: PositiveInt = 60_000_000


class ShardSettings(SettingsModel):
    """How documents become shards."""

    target_tokens: Annotated[int, Field(ge=16)] = 10_000_000
    tolerance: Share = 0.01  # a shard's token count may miss the target by this share
    min_cell_shards: PositiveInt = 1  # a cell with fewer shards' worth of tokens is rolled up
    generation: PositiveInt = 1
    holdout_share: ShareBelowOne = 0.02  # documents kept back for evaluation and probes, per cell


class TrainingSettings(SettingsModel):
    """The inner optimisation on a node."""

    epochs: PositiveInt = 5
    sequence_tokens: PositiveInt
    batch_sequences: PositiveInt  # over all ranks, per optimizer step
    precision: Literal["fp32", "bf16"] = "fp32"
    beta1: ShareBelowOne = 0.9
    beta2: ShareBelowOne = 0.95
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.1
    max_gradient_norm: PositiveFloat = 1.0
    checkpoint_every_steps: PositiveInt = 50
    report_every_seconds: PositiveFloat = 1.0
    parallelism: Variant = Variant(name="single")  # single, fsdp2, deepspeed
    seed: NonNegativeInt = 0


class ScheduleSettings(SettingsModel):
    """The learning rate as a function of trained tokens (with epochs), over the campaign."""

    shape: Literal["cosine", "wsd"] = "cosine"
    peak_learning_rate: PositiveFloat
    warmup_tokens: NonNegativeInt
    total_tokens: PositiveInt
    final_share: Share = 0.1  # of the peak, at the end
    decay_share: Share = 0.2  # of total_tokens spent decaying; wsd only

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.warmup_tokens > self.total_tokens:
            raise ValueError(
                f"warmup_tokens {self.warmup_tokens} is more than total_tokens {self.total_tokens}"
            )
        decay_begin = self.total_tokens * (1 - self.decay_share)
        if self.shape == "wsd" and self.warmup_tokens > decay_begin:
            raise ValueError(
                f"warmup_tokens {self.warmup_tokens} reaches into the decay, which begins at "
                f"{decay_begin:.0f}; lower warmup_tokens or decay_share"
            )
        return self


class RoundSettings(SettingsModel):
    """When a round closes, and what happens to nodes that do not answer."""

    num_rounds: PositiveInt
    quorum: PositiveInt
    minimum: PositiveInt
    deadline_seconds: PositiveInt
    lease_seconds: PositiveInt  # no progress report for so long: the node has dropped
    grace_seconds: NonNegativeInt = 0  # after quorum, wait so long for nodes still reporting
    max_attempts: PositiveInt = 3  # per lost assignment and per failed run
    max_staleness_rounds: NonNegativeInt = 2
    max_shards_per_node: PositiveInt = 1000

    @model_validator(mode="after")
    def _quorum_is_enough(self) -> Self:
        if self.quorum < self.minimum:
            raise ValueError(
                f"quorum {self.quorum} is below minimum {self.minimum}: a round that reached its "
                "quorum could not close; raise quorum or lower minimum"
            )
        return self


class AllocationSettings(SettingsModel):
    """Weights of the allocation objective, and its limits."""

    makespan_weight: NonNegativeFloat = 1.0  # per second of the slowest node
    energy_weight: NonNegativeFloat = 1e-4  # per joule
    balance_weight: NonNegativeFloat = 0.1  # per token of deviation from the target mix, relative
    memory_bytes_per_parameter: PositiveFloat = 16.0  # weights, gradients, Adam moments, fp32 copy
    max_job_seconds: PositiveInt = 172_800
    solver_seconds: PositiveFloat = 10.0


class IntakeSettings(SettingsModel):
    """Thresholds of the intake checks."""

    max_update_bytes: PositiveInt = 80_000_000_000
    max_step_ratio: PositiveFloat = 1.0  # RMS of a tensor's update over the sum of learning rates
    max_loss_rise: NonNegativeFloat = 0.05  # relative, over the submission's own curve
    probe: bool = True  # off where the model is too large to be held in memory at intake
    probe_step: PositiveFloat = 0.2  # share of the update applied before the probe loss is taken
    max_probe_loss_rise: NonNegativeFloat = 0.02  # relative to the base checkpoint's probe loss
    probe_tokens: PositiveInt = 8_192


class PrivacySettings(SettingsModel):
    """How little of a node's work is told, and for how long a node keeps one pseudonym."""

    # A loss or gradient norm leaves a node as an aggregate over at least so many sequences.
    min_loss_sequences: PositiveInt = 1000
    pseudonym_epoch_days: PositiveInt = 90  # a key of the audit log's pseudonyms serves so long


class AggregationSettings(SettingsModel):
    """How accepted updates become the next checkpoint."""

    rule: Variant = Variant(name="trimmed-mean", params={"trim_share": 0.2})
    outer: Variant = Variant(name="nesterov", params={"learning_rate": 0.7, "momentum": 0.9})
    clip_to_median_norm: bool = True
    staleness_exponent: NonNegativeFloat = 0.5
    half_life_seconds: PositiveFloat = 14_400.0
    target_mix: dict[Domain, NonNegativeFloat] = Field(default_factory=dict)  # empty: as trained
    domain_correction_min: PositiveFloat = 0.25
    domain_correction_max: PositiveFloat = 4.0
    block_elements: PositiveInt = 1_048_576

    @model_validator(mode="after")
    def _corrections_are_ordered(self) -> Self:
        if self.domain_correction_min > self.domain_correction_max:
            raise ValueError(
                f"domain_correction_min {self.domain_correction_min:g} is above "
                f"domain_correction_max {self.domain_correction_max:g}"
            )
        return self


class EvaluationSettings(SettingsModel):
    """What is measured, and when a round is rolled back."""

    documents_per_cell: PositiveInt = 8
    items_per_task: PositiveInt = 40
    rollback_tolerance: NonNegativeFloat = 0.02  # relative rise of the headline perplexity
    batch_size: PositiveInt = 16


class ReleaseSettings(SettingsModel):
    """How the released model presents itself."""

    model_name: str
    licence: str = "Apache-2.0"
    provider: str = "SYNNQ federation"
    contact: str = "coordinator@example.org"
    every_rounds: PositiveInt = 1


class Recipe(SettingsModel):
    """A whole campaign, apart from where it runs."""

    name: str
    description: str
    federation: NodeId
    model: ModelSettings
    corpus: CorpusSettings
    tokenizer: TokenizerSettings
    shards: ShardSettings
    training: TrainingSettings
    schedule: ScheduleSettings
    rounds: RoundSettings
    allocation: AllocationSettings = AllocationSettings()
    intake: IntakeSettings = IntakeSettings()
    privacy: PrivacySettings = PrivacySettings()
    aggregation: AggregationSettings = AggregationSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    release: ReleaseSettings

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if self.training.sequence_tokens > self.model.context_tokens:
            raise ValueError(
                f"training.sequence_tokens {self.training.sequence_tokens} is longer than "
                f"model.context_tokens {self.model.context_tokens}, which the model is built for"
            )
        if self.training.report_every_seconds >= self.rounds.lease_seconds:
            raise ValueError(
                f"training.report_every_seconds {self.training.report_every_seconds:g} is not "
                f"below rounds.lease_seconds {self.rounds.lease_seconds}: every node would count "
                "as lost between two reports"
            )
        num_sequences = self.shards.target_tokens // self.training.sequence_tokens
        if self.privacy.min_loss_sequences > num_sequences:
            raise ValueError(
                f"privacy.min_loss_sequences {self.privacy.min_loss_sequences} is more than a "
                f"shard's {num_sequences} sequences: no node could report a loss; lower it, or "
                "raise shards.target_tokens"
            )
        return self
