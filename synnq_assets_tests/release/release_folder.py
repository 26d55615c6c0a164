"""A small release for tests: a nano model, a tokenizer trained on a few sentences, three rounds."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synnq_assets.modeling.models import build_model, named_weights, write_weights
from synnq_assets.records.base import sha256_hex
from synnq_assets.records.corpora import CurationReport
from synnq_assets.records.federation import KeyGrant, Role
from synnq_assets.records.orders import CheckpointRef, FileDigest, digest_files
from synnq_assets.records.releases import ReleaseRecord
from synnq_assets.records.rounds import CheckpointRecord, Contribution, EvaluationRecord
from synnq_assets.records.shards import ShardManifest
from synnq_assets.release import ReleaseInputs, ReportedEnergy, build_release
from synnq_assets.settings import load_recipe
from synnq_assets.storage.files import describe_file
from synnq_assets.trust import AuditLog, SigningKey, sign_record
from synnq_assets.trust.audit import LogKeys
from synnq_assets.trust.audit.receipts import Evidence

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SENTENCES = (
    "Die Richtlinie gilt für alle Mitgliedstaaten der Europäischen Union.",
    "Le règlement entre en vigueur le vingtième jour suivant sa publication.",
    "Il regolamento è obbligatorio in tutti i suoi elementi.",
    "Asetus on kaikilta osiltaan velvoittava ja sitä sovelletaan sellaisenaan.",
    "The parser reads a line, splits it into fields and returns a record.",
)
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@dataclass(frozen=True)
class SmallRelease:
    """A built release, with the keys behind it."""

    folder: Path
    inputs: ReleaseInputs
    record: ReleaseRecord
    root: SigningKey
    key: SigningKey


def write_tokenizer(path: Path, *, vocab_size: int) -> Path:
    """Train byte-level BPE on the sentences above; `<|endoftext|>` is id 0."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return path


def sign_grant(
    root: SigningKey,
    key: SigningKey,
    *,
    role: Role = "release",
    identity: str = "release-office",
) -> bytes:
    """Return the root's grant of a role to a key."""
    grant = KeyGrant(identity=identity, role=role, public_key=key.public_key, granted_at=NOON)
    return sign_record(grant, root)


def make_promotion(folder: Path, keys: LogKeys, evaluation: EvaluationRecord) -> Evidence:
    """Log a promotion among other acts, and return the evidence of it."""
    log = AuditLog(folder / "audit.sqlite", keys)
    log.log_event("event", "before", actor="coordinator")
    with log.act("evaluation_report", evaluation.round, actor="coordinator") as deed:
        deed.details.update(sha256=evaluation.digest(), decision=evaluation.decision)
    log.log_event("event", "after", actor="coordinator")
    assert deed.position is not None
    return log.evidence(deed.position)


def make_checkpoint(
    number: int, file: FileDigest, parent: CheckpointRecord | None
) -> CheckpointRecord:
    """Return the record of a round's checkpoint, with two contributions where it has a parent."""
    contributions = tuple(
        Contribution(
            node_id=node,
            assignment_id=f"r{number:04d}.{node}.1",
            submission_sha256=sha256_hex(f"{node}{number}".encode()),
            weight=0.5,
            tokens_factor=1.0,
            decay_factor=1.0,
            domain_factor=1.0,
            score_factor=1.0,
            update_norm=0.25,
            clipped_share=0.0,
            cosine_to_mean=0.9,
            staleness_rounds=0,
        )
        for node in ("aalto", "bologna")
    )
    return CheckpointRecord(
        federation="synnq-smoke",
        round=f"r{number:04d}",
        parent_round=parent.round if parent else None,
        parent_checkpoint_sha256=parent.checkpoint.checkpoint_sha256 if parent else None,
        checkpoint=CheckpointRef(
            round=f"r{number:04d}", checkpoint_sha256=digest_files((file,)), files=(file,)
        ),
        outer_files=(),
        contributions=contributions if parent else (),
        rule="trimmed-mean",
        outer_optimizer="nesterov",
        settings_sha256="a" * 64,
        tokens_total=20_000 * number,
        update_norm=0.3 * number,
        created_at=NOON,
    )


def make_evaluation(record: CheckpointRecord, perplexity: float) -> EvaluationRecord:
    """Return a promoted evaluation with figures per language, sector and task."""
    return EvaluationRecord(
        round=record.round,
        checkpoint_sha256=record.checkpoint.checkpoint_sha256,
        parent_round=record.parent_round,
        figures={
            "perplexity/de": perplexity,
            "perplexity/fr": perplexity + 10.0,
            "perplexity/all": perplexity,
            "perplexity/domain/law": perplexity + 5.0,
            "perplexity/de.law": perplexity + 7.0,
            "f1/language": 0.4321,
            "bias/gap": 0.0123,
            "suite/fingerprint": float(0x0123456789AB),
        },
        headline_perplexity=perplexity,
        headline_f1=0.4321,
        parent_perplexity=None,
        tolerance=0.1,
        decision="promoted",
        reason="perplexity fell",
        evaluated_at=NOON,
    )


def make_manifest(language: str, num_tokens: int, licence: str) -> ShardManifest:
    """Return the manifest of one shard of law texts."""
    return ShardManifest(
        shard_id=sha256_hex(f"{language}{licence}".encode()),
        cell=f"{language}.law",
        language=language,
        domain="law",
        generation=1,
        num_tokens=num_tokens,
        num_documents=12,
        complexity=0.5,
        tokenizer_sha256="b" * 64,
        ciphertext_sha256="c" * 64,
        ciphertext_bytes=4096,
        plaintext_commitment="d" * 64,
        licences={licence: 12},
        sources={"sample-eu": 12},
        created_at=NOON,
    )


def make_curation() -> CurationReport:
    """Return a report in which 30 documents came in and 24 were kept."""
    return CurationReport(
        source="sample-eu",
        num_input=30,
        num_kept=24,
        dropped={"licence:not-accepted": 4, "quality:too-short": 1},
        review={"licence:conflict": 1},
        redactions={"email": 3},
        languages={"de": 12, "fr": 12},
        domains={"law": 24},
        licences={"CC-BY-4.0": 12, "CC0-1.0": 12},
        num_characters=9_000,
        documents_sha256="e" * 64,
        created_at=NOON,
    )


def make_inputs(folder: Path, root: SigningKey, key: SigningKey, **changes: Any) -> ReleaseInputs:
    """Write weights and tokenizer below `folder`, and return inputs that fit together."""
    recipe = load_recipe("smoke", {})
    weights = folder / "model.safetensors"
    write_weights(weights, named_weights(build_model(recipe, seed=3)), metadata={"format": "pt"})
    tokenizer = write_tokenizer(folder / "tokenizer.json", vocab_size=recipe.tokenizer.vocab_size)
    first = make_checkpoint(0, FileDigest(name=weights.name, sha256="1" * 64, num_bytes=8), None)
    second = make_checkpoint(1, FileDigest(name=weights.name, sha256="2" * 64, num_bytes=8), first)
    last = make_checkpoint(3, describe_file(weights), second)  # round 2 was rolled back
    evaluations = (make_evaluation(first, 512.0), make_evaluation(last, 123.4))
    log_keys = LogKeys.generate("synnq-smoke")
    values: dict[str, Any] = {
        "recipe": recipe,
        "settings_sha256": "a" * 64,
        "record": last,
        "chain": (first, second, last),
        "evaluations": evaluations,
        "weights": weights,
        "tokenizer": tokenizer,
        "manifests": (
            make_manifest("de", 3_000, "CC-BY-4.0"),
            make_manifest("fr", 1_000, "CC0-1.0"),
        ),
        "curation": (make_curation(),),
        "compliance_markdown": "# Compliance\n\nbias/gap 0.0123\n",
        "compliance": {"bias/gap": 0.0123},
        "promotion": make_promotion(folder, log_keys, evaluations[-1]),
        "grants": (
            sign_grant(root, key),
            sign_grant(root, log_keys.ed25519, role="log", identity="log"),
            sign_grant(root, log_keys.ml_dsa_44, role="log", identity="log-ml-dsa-44"),
        ),
        "root_public_key": root.public_key,
        "plots": {"perplexity.png": PNG, "rounds.png": PNG},
        "energy": ReportedEnergy(joules=0.0, num_reporting=0, num_contributions=4),
    }
    return ReleaseInputs(**{**values, **changes})


def build_small_release(folder: Path, **changes: Any) -> SmallRelease:
    """Build a release at `folder / "release"`."""
    root, key = SigningKey.generate(), SigningKey.generate()
    inputs = make_inputs(folder / "inputs", root, key, **changes)
    record = build_release(inputs, key, folder / "release")
    return SmallRelease(folder / "release", inputs, record, root, key)
