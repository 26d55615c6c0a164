"""The energy behind a release, from submissions that nodes signed."""

import pytest

from synnq_assets.cli.demo.setup import create_demo_home
from synnq_assets.defs.release import sum_energy
from synnq_assets.federation import Registry
from synnq_assets.records.rounds import Contribution
from synnq_assets.records.submissions import Submission, TrainingMetrics
from synnq_assets.release import ReportedEnergy
from synnq_assets.settings import resolve_settings
from synnq_assets.trust import SigningKey, sign_record
from synnq_assets_tests.builders import NOW, build_checkpoint_record, digest_of


@pytest.fixture
def home(tmp_path):
    home = create_demo_home(tmp_path / "home", resolve_settings("local", "smoke"))
    Registry(home.ledger).load()
    return home


def contribute(node_id, round_key="r0001"):
    return Contribution(
        node_id=node_id,
        assignment_id=f"{round_key}.{node_id}.1",
        submission_sha256=digest_of(node_id),
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


def build_submission(node_id, joules):
    metrics = TrainingMetrics(
        num_tokens=10,
        num_tokens_processed=10,
        num_steps=1,
        initial_loss=2.0,
        final_loss=1.0,
        mean_gradient_norm=1.0,
        max_gradient_norm=1.0,
        learning_rate_sum=0.1,
        tokens_per_second=1.0,
        wall_seconds=10.0,
        energy_joules=joules,
        world_size=1,
    )
    return Submission(
        federation="synnq-smoke",
        round="r0001",
        assignment_id=f"r0001.{node_id}.1",
        node_id=node_id,
        agreement_sha256=digest_of("agreement"),
        order_sha256=digest_of("order"),
        base_checkpoint_sha256=digest_of("base"),
        shard_ids=(),
        files=(),
        tensor_schema_sha256=digest_of("schema"),
        metrics=metrics,
        privacy_claim=None,
        payload_version="0.1.0",
        image_sha256=None,
        started_at=NOW,
        finished_at=NOW,
        nonce=digest_of(node_id),
    )


def store(home, node_id, joules, key=None):
    """Lay a signed submission where an accepted one lies."""
    key = key or SigningKey.read(home.path / "nodes" / node_id / "keys" / "signing.pem")
    data = sign_record(build_submission(node_id, joules), key)
    home.store.put_bytes(f"rounds/r0001/submissions/r0001.{node_id}.1/submission.json", data)


def build_chain(*node_ids):
    first = build_checkpoint_record("r0000")
    contributions = tuple(contribute(node_id) for node_id in node_ids)
    return [first, build_checkpoint_record("r0001", first, contributions=contributions)]


def test_a_node_without_counter_leaves_the_others_sum(home):
    store(home, "node-east", 100.0)
    store(home, "node-north", None)
    store(home, "node-south", 20.5)
    energy = sum_energy(home, build_chain("node-east", "node-north", "node-south"))
    assert energy == ReportedEnergy(joules=120.5, num_reporting=2, num_contributions=3)
    assert not energy.is_complete


def test_where_all_reported_the_sum_is_complete(home):
    store(home, "node-east", 100.0)
    energy = sum_energy(home, build_chain("node-east"))
    assert energy == ReportedEnergy(joules=100.0, num_reporting=1, num_contributions=1)
    assert energy.is_complete


def test_a_report_whose_signature_does_not_count_any_more_is_not_in_the_sum(home):
    store(home, "node-east", 100.0)
    store(home, "node-north", 50.0, key=SigningKey.generate())
    energy = sum_energy(home, build_chain("node-east", "node-north"))
    assert energy == ReportedEnergy(joules=100.0, num_reporting=1, num_contributions=2)
