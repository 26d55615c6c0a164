"""One tiny builder per record."""

from datetime import UTC, datetime, timedelta

from synnq_assets.records.federation import NodeProfile, ParticipationAgreement
from synnq_assets.records.orders import CheckpointRef, FileDigest, LrSegment, digest_files
from synnq_assets.records.rounds import CheckpointRecord
from synnq_assets.records.shards import ShardManifest

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def digest_of(text):
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def build_profile(node_id="node-a", **changes):
    values = dict(
        node_id=node_id,
        site="local",
        accelerator="cpu",
        architectures=("*",),
        memory_gib=4.0,
        num_hosts=1,
        num_accelerators=1,
        tokens_per_second=1000.0,
        power_watts=50.0,
        power_cap_watts=100.0,
        thermal_limit_celsius=90.0,
        temperature_celsius=40.0,
        container_runtime="none",
    )
    return NodeProfile(**{**values, **changes})


def build_agreement(node_id="node-a", organisation="A"):
    return ParticipationAgreement(
        node_id=node_id,
        organisation=organisation,
        terms_sha256=digest_of("terms"),
        retention_days=1,
        destruction_deadline_days=1,
        isolation="process",
        signed_at=NOW,
    )


def build_manifest(name, cell="de.health", num_tokens=1000, **changes):
    language, domain = cell.split(".")
    values = dict(
        shard_id=digest_of(name),
        cell=cell,
        language=language,
        domain=domain,
        generation=1,
        num_tokens=num_tokens,
        num_documents=3,
        complexity=0.5,
        tokenizer_sha256=digest_of("tokenizer"),
        ciphertext_sha256=digest_of(name + "c"),
        ciphertext_bytes=2000,
        plaintext_commitment=digest_of(name + "p"),
        licences={"CC0-1.0": 3},
        sources={"sample-eu": 3},
        created_at=NOW,
    )
    return ShardManifest(**{**values, **changes})


def build_segment(rate=1e-3):
    return LrSegment(fractions=(0.0, 1.0), learning_rates=(rate, rate))


def build_checkpoint_ref(round_key="r0000", name="model"):
    files = (FileDigest(name="model.safetensors", sha256=digest_of(name), num_bytes=10),)
    return CheckpointRef(round=round_key, checkpoint_sha256=digest_files(files), files=files)


def build_checkpoint_record(round_key="r0000", parent=None, name=None, **changes):
    values = dict(
        federation="synnq-test",
        round=round_key,
        parent_round=parent.round if parent else None,
        parent_checkpoint_sha256=parent.checkpoint.checkpoint_sha256 if parent else None,
        checkpoint=build_checkpoint_ref(round_key, name or round_key),
        outer_files=(),
        contributions=(),
        rule="initial",
        outer_optimizer="none",
        settings_sha256=digest_of("settings"),
        tokens_total=0,
        update_norm=0.0,
        created_at=NOW,
    )
    return CheckpointRecord(**{**values, **changes})
