"""The recipe: what is trained, on what, and by which rules."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from synnq_assets.records.identifiers import Domain, Language, NodeId, SourceName
from synnq_assets.settings.base import SettingsModel, Variant

Share = Annotated[float, Field(ge=0.0, le=1.0)]


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


class CorpusSettings(SettingsModel):
    """What may enter the corpus."""

    sources: tuple[SourceSettings, ...]
    licences: tuple[str, ...]  # SPDX ids that are accepted; anything else is refused
    languages: tuple[Language, ...]  # languages that are kept
    min_language_confidence: Share = 0.5
    quality: QualitySettings = QualitySettings()


class TokenizerSettings(SettingsModel):
    """Byte-level BPE."""

    vocab_size: PositiveInt
    max_training_characters: PositiveInt = 60_000_000


class ShardSettings(SettingsModel):
    """How documents become shards."""

    target_tokens: PositiveInt = 10_000_000
    tolerance: Share = 0.01  # a shard's token count may miss the target by this share
    min_cell_shards: PositiveInt = 1  # a cell with fewer shards' worth of tokens is rolled up
    generation: PositiveInt = 1
    holdout_share: Share = 0.02  # documents kept back for evaluation and probes, per cell


class TrainingSettings(SettingsModel):
    """The inner optimisation on a node."""

    epochs: PositiveInt = 5
    sequence_tokens: PositiveInt
    batch_sequences: PositiveInt  # over all ranks, per optimizer step
    precision: Literal["fp32", "bf16"] = "fp32"
    beta1: Share = 0.9
    beta2: Share = 0.95
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
    probe_step: PositiveFloat = 0.2  # share of the update applied before the probe loss is taken
    max_probe_loss_rise: NonNegativeFloat = 0.02  # relative to the base checkpoint's probe loss
    probe_tokens: PositiveInt = 8_192


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
    aggregation: AggregationSettings = AggregationSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    release: ReleaseSettings
