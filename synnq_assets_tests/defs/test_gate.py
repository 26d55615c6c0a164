"""From quarantine to checkpoint in a home with real shards: copies, changed files, lost probes."""

import os
import shutil
import threading

import pytest

from synnq_assets.cli.demo.setup import build_settings, create_demo_home
from synnq_assets.defs import aggregation, compute, submissions
from synnq_assets.defs.federation import issue_orders
from synnq_assets.defs.shards import PROBE
from synnq_assets.errors import AggregationError, SubmissionError
from synnq_assets.federation import Registry, build_round_base
from synnq_assets.records.submissions import Submission
from synnq_assets.trust import Home, SigningKey, open_envelope, sign_record
from synnq_assets_tests.benchmarks.federated_vs_central import prepare, train

pytestmark = pytest.mark.slow
WORKER, COPYIST = "node-north", "node-east"


def open_home(path):
    home = Home.open(path)
    Registry(home.ledger).load()
    return home


def issue(home):
    """Open round 1 and order two shards from one node."""
    parent = home.campaign.find_checkpoint("r0000")
    base = build_round_base(
        home.settings,
        round_key="r0001",
        parent=parent,
        roster=(WORKER, COPYIST),
        tokens_planned=10_000,
    )
    home.campaign.put_base(base, home.coordinator)
    shard_ids = tuple(manifest.shard_id for manifest in home.campaign.list_manifests()[:2])
    assignment_id = f"r0001.{WORKER}.1"
    issue_orders(home, base, {assignment_id: shard_ids})
    return home.campaign.get_order(assignment_id)


def copy_work(home, order, source, target):
    """Another node answers an order for the same shards with the first node's files."""
    agreement = Registry(home.ledger).get(COPYIST).agreement_sha256
    mine = {
        "node_id": COPYIST,
        "assignment_id": f"r0001.{COPYIST}.1",
        "agreement_sha256": agreement,
    }
    copied = order.model_copy(update=mine)
    home.campaign.put_order(copied, home.coordinator)
    shutil.copytree(source, target)
    manifest = open_envelope(
        (source / "submission.json").read_bytes(),
        Submission,
        home.ledger.keyring,
        roles=("node",),
        identity=WORKER,
    ).model_copy(update={**mine, "order_sha256": copied.digest()})
    key = SigningKey.read(home.path / "nodes" / COPYIST / "keys" / "signing.pem")
    (target / "submission.json").write_bytes(sign_record(manifest, key))
    return copied


@pytest.fixture(scope="module")
def received(tmp_path_factory):
    """A home with two submissions in quarantine, the second a copy of the first; not judged."""
    folder = tmp_path_factory.mktemp("gate")
    home = create_demo_home(folder / "home", build_settings("smoke", num_rounds=None))
    Registry(home.ledger).load()
    prepare(home)
    order = issue(home)
    outbox = train(home, order)
    copied = copy_work(home, order, outbox, folder / "copy")
    submissions.store_submission(home, outbox, order)
    submissions.store_submission(home, folder / "copy", copied)
    return home.path, order, copied


@pytest.fixture
def home(received, tmp_path):
    shutil.copytree(received[0], tmp_path / "home")
    return open_home(tmp_path / "home")


def test_of_two_copies_judged_side_by_side_one_is_accepted(home, received):
    verdicts = {}

    def judge(order):
        verdicts[order.node_id] = submissions.judge(open_home(home.path), order)

    threads = [threading.Thread(target=judge, args=(order,)) for order in received[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decisions = sorted(verdict.decision for verdict in verdicts.values())
    assert decisions == ["accepted", "refused"], [v.reasons for v in verdicts.values()]
    (refused,) = (verdict for verdict in verdicts.values() if verdict.decision == "refused")
    assert [reason.split(" of the")[0] for reason in refused.reasons] == ["duplicate: copy"]
    assert refused.update_sha256 == next(
        v.update_sha256 for v in verdicts.values() if v.decision == "accepted"
    )


def test_a_judgement_reads_no_other_submission(home, received):
    _, order, copied = received
    submissions.judge(home, order)
    folder = home.store.local_path(f"quarantine/r0001/{order.assignment_id}/arrival.json").parent
    shutil.rmtree(folder)
    assert submissions.judge(home, copied).decision == "refused"


def test_a_lost_probe_stops_the_judgement(home, received):
    home.store.local_path(PROBE).unlink()
    with pytest.raises(
        SubmissionError, match=f"intake.probe is on, but the store holds no {PROBE}"
    ):
        submissions.judge(home, received[1])
    assert home.campaign.find_verdict(received[1].assignment_id) is None


def test_a_payload_that_writes_its_base_does_not_change_the_global_checkpoint(home, received):
    order = received[1]
    shutil.rmtree(home.path / "jobs")
    (home.path / "jobs").mkdir()
    compute.build_job(home, order)
    staged = (
        home.path / "jobs" / order.assignment_id / "inputs" / "checkpoint" / "model.safetensors"
    )
    staged.write_bytes(b"poison")
    submissions.judge(home, order)
    record, result = aggregation.aggregate(home, "r0001", reserve(home), None)
    assert result.node_order == (WORKER,)
    shown = aggregation.describe_checkpoint(record, home.settings.recipe.aggregation)
    assert shown["tolerates"] == "0 faulty of 1"
    assert WORKER in shown["contributions"].md_str


def reserve(home):
    return home.store.reserve("checkpoints/r0001/model.safetensors").parent


@pytest.mark.parametrize("changed", ["base", "update"])
def test_what_changed_in_the_store_is_not_aggregated(home, received, changed):
    order = received[1]
    assert submissions.judge(home, order).decision == "accepted"
    key = {
        "base": f"checkpoints/{order.base.checkpoint_sha256}/model.safetensors",
        "update": f"rounds/r0001/submissions/{order.assignment_id}/update.safetensors",
    }[changed]
    path = home.store.local_path(key)
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(AggregationError, match=f"is not what was recorded: {path}"):
        aggregation.aggregate(home, "r0001", reserve(home), None)
    assert os.listdir(reserve(home)) == []
    assert home.campaign.find_checkpoint("r0001") is None
