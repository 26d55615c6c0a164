"""Items 50 to 62 of the list of bad inputs: well-formed answers that answer something else."""

import shutil
from datetime import timedelta

import pytest

from synnq_assets.defs.submissions import judge, store_submission
from synnq_assets.errors import ObjectConflictError
from synnq_assets.records.base import canonical_json, now_at
from synnq_assets.records.submissions import PrivacyClaim
from synnq_assets.storage.files import write_atomically

from .makers import digest, measure_metrics, write_table
from .the_list import HONEST, accepted, times

LOG = "training_log.parquet"


def forge_metric(bad, name, value):
    """Sign the honest manifest with one metric's text replaced."""
    bad.submit()
    figure = bad.statement()["predicate"]["metrics"][name]
    payload = canonical_json(bad.statement()).decode()
    old = f'"{name}":{canonical_json(figure).decode()}'
    assert old in payload
    bad.forge(payload.replace(old, f'"{name}":{value}').encode())


def test_item_50_an_exact_duplicate_is_taken_once(bad, desk):
    bad.submit()
    verdict = bad.judge()
    assert verdict.decision == "accepted"
    before = desk.keys_of(bad.order.assignment_id)
    assert bad.judge() == verdict
    assert desk.keys_of(bad.order.assignment_id) == before


def test_item_50_an_envelope_replayed_for_another_order(bad, desk, tmp_path):
    bad.submit()
    assert bad.judge().decision == "accepted"
    again = desk.case(tmp_path / "again")
    shutil.copytree(bad.outbox, again.outbox)
    verdict = again.refuse("duplicate", f"replay of {bad.order.assignment_id}")
    assert "lineage" in {check.name for check in verdict.checks if not check.passed}


def test_item_51_the_same_bytes_from_another_node(bad, desk, tmp_path):
    bad.submit()
    first = desk.issue(HONEST, 90)
    first.submit(tmp_path / "first", **times(first.order))
    store_submission(desk.home, tmp_path / "first", first.order)
    assert judge(desk.home, first.order).decision == "accepted"
    shutil.rmtree(bad.outbox)
    shutil.copytree(tmp_path / "first", bad.outbox)
    bad.refuse("signature", "signed by")


def test_item_51_the_same_update_under_another_signature(bad, desk, tmp_path):
    first = desk.issue(HONEST, 91)
    first.submit(tmp_path / "first", **times(first.order))
    store_submission(desk.home, tmp_path / "first", first.order)
    assert judge(desk.home, first.order).decision == "accepted"
    bad.submit()
    shutil.copyfile(tmp_path / "first/update.safetensors", bad.outbox / "update.safetensors")
    bad.sign_again()
    bad.refuse("duplicate", f"copy of the update of {first.order.assignment_id}")


@pytest.mark.parametrize("round_key", ["r0000", "r0002", "r9999"])
def test_item_52_and_53_a_previous_or_a_future_round(bad, round_key):
    bad.submit(round=round_key)
    bad.refuse("lineage", "round is not the order's")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"base_checkpoint_sha256": digest("another")}, "base_checkpoint_sha256 is not"),
        ({"order_sha256": digest("another")}, "order_sha256 is not"),
        ({"assignment_id": "r0001.node-north.1"}, "assignment_id is not"),
        ({"node_id": "node-north"}, "node_id is not"),
        ({"federation": "another"}, "federation is not"),
    ],
)
def test_item_54_a_wrong_base_or_another_reference(bad, changes, says):
    bad.submit(**changes)
    bad.refuse("lineage", says)


def test_item_55_a_clock_that_runs_ahead_by_more_than_an_hour(bad):
    bad.submit(finished_at=now_at() + timedelta(minutes=61))
    bad.refuse("lineage", "finished after the submission was received")


def test_item_55_a_start_more_than_an_hour_before_the_order(bad):
    bad.submit(started_at=bad.order.issued_at - timedelta(minutes=61))
    bad.refuse("lineage", "started before the order was issued")


def test_item_55_an_end_before_the_start(bad):
    started_at = times(bad.order)["started_at"]
    bad.submit(finished_at=started_at - timedelta(seconds=1))
    bad.refuse("lineage", "finished before it started")


def test_item_55_a_clock_that_is_off_by_less_is_accepted(bad):
    bad.submit(
        started_at=bad.order.issued_at - timedelta(minutes=59),
        finished_at=now_at() + timedelta(minutes=59),
    )
    assert bad.judge().decision == "accepted"


def test_item_55_what_comes_late_is_accepted_and_counts_for_the_rounds_that_may_use_it(
    desk, tmp_path
):
    """Lateness lowers the weight; the round decides how late is too late."""
    bad = desk.case(tmp_path, deadline_at=now_at() - timedelta(hours=2))
    bad.submit()
    verdict = bad.judge()
    assert verdict.decision == "accepted"
    late = {check.name: check for check in verdict.checks}["lineage"].figures["late_seconds"]
    assert late >= 7200

    def usable(round_key):
        found = desk.home.campaign.select_candidates(round_key, max_staleness_rounds=2)
        return bad.order.assignment_id in {v.assignment_id for v in found}

    assert usable("r0003")
    assert not usable("r0004")


def test_item_56_of_two_submissions_for_one_assignment_the_first_counts(bad, desk, tmp_path):
    bad.submit()
    verdict = bad.judge()
    assert verdict.decision == "accepted"
    bad.sign_again(nonce=digest("another"))
    with pytest.raises(ObjectConflictError, match="the first one counts"):
        store_submission(desk.home, bad.outbox, bad.order)
    assert desk.home.campaign.find_verdict(bad.order.assignment_id) == verdict
    assert desk.building() == []
    desk.verify_the_rest_goes_on(tmp_path / "honest")


def test_item_57_a_shard_that_was_not_assigned(bad):
    shard_ids = [shard.shard_id for shard in bad.order.shards]
    bad.submit(shard_ids=(*shard_ids, digest("another")))
    bad.refuse("lineage", "shard_ids are not the order's shards")


@pytest.mark.parametrize("shard_ids", [(), "repeated"])
def test_item_57_a_shard_left_out_or_repeated(bad, shard_ids):
    own = tuple(shard.shard_id for shard in bad.order.shards)
    bad.submit(shard_ids=(own[0], *own) if shard_ids else ())
    bad.refuse("lineage", "shard_ids are not the order's shards")


@pytest.mark.parametrize("number", ["0", "-1", str(2**63), str(10**19)])
def test_item_58_an_absurd_number_of_tokens(bad, number):
    forge_metric(bad, "num_tokens", number)
    verdict = bad.refuse("signature", "")
    assert verdict.num_tokens == bad.order.num_tokens


def test_item_58_more_tokens_than_assigned_never_weigh(bad):
    metrics = measure_metrics(bad.order, bad.world.work.log)
    bad.submit(metrics=metrics.model_copy(update={"num_tokens": 10**12}))
    verdict = bad.refuse("curve", "claims 1000000000000 tokens, the order has 1538")
    assert verdict.num_tokens == bad.order.num_tokens == 1538
    assert sum(verdict.cell_tokens.values()) == 1538


@pytest.mark.parametrize("value", ["NaN", "-1.0", "Infinity"])
def test_item_59_a_loss_of_nan_in_the_manifest(bad, value):
    forge_metric(bad, "final_loss", value)
    bad.refuse("signature", "")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_item_59_a_loss_of_nan_in_the_log(bad, value):
    bad.submit()
    log = dict(bad.world.work.log)
    log["loss"] = [*log["loss"][:-1], value]
    write_table(bad.outbox / LOG, log)
    bad.sign_again()
    bad.refuse("training_log", "column loss holds")


def claim(**changes):
    fields = {
        "unit": "example",
        "mechanism": "dp-sgd",
        "noise_multiplier": 1.0,
        "clip_norm": 1.0,
        "sampling_rate": 0.1,
        "num_steps": 100,
        "epsilon": 7.05,
        "delta": 1e-5,
        "accountant": "pld",
    }
    return {**fields, **changes}


@pytest.mark.parametrize("epsilon", ["-1.0", "Infinity", "NaN", "1e999"])
def test_item_60_a_privacy_claim_with_an_impossible_epsilon(bad, epsilon):
    bad.submit()
    text = canonical_json(bad.statement(privacy_claim=PrivacyClaim(**claim()))).decode()
    assert '"epsilon":7.05' in text
    bad.forge(text.replace('"epsilon":7.05', f'"epsilon":{epsilon}').encode())
    bad.refuse("signature", "")


def test_item_60_a_privacy_claim_that_nobody_asked_for(bad):
    bad.submit(privacy_claim=PrivacyClaim(**claim()))
    bad.refuse("privacy", "claims differential privacy, which the recipe does not ask for")


@pytest.mark.parametrize(
    "text", ["Patientin Erika Mustermann", "Traceback (most recent call last)", "/home/erika/x.py"]
)
def test_item_61_text_in_the_metrics_is_refused_and_not_repeated(bad, text):
    bad.submit()
    bad.forge_predicate(lambda predicate: predicate["metrics"].update(num_steps=text))
    verdict = bad.refuse("signature", "metrics.num_steps")
    assert text not in verdict.model_dump_json()


def test_item_61_text_in_the_log_is_refused_and_not_repeated(bad):
    bad.submit()
    log = dict(bad.world.work.log)
    write_table(bad.outbox / LOG, {**log, "note": ["Erika Mustermann"] * len(log["step"])})
    bad.sign_again()
    verdict = bad.refuse("training_log", "not registered")
    assert "Erika" not in verdict.model_dump_json()


def test_item_62_no_agreement(bad):
    bad.submit()
    bad.forge_predicate(lambda predicate: predicate.pop("agreement_sha256"))
    bad.refuse("signature", "agreement_sha256: Field required")


def test_item_62_another_agreement_than_the_order_s(bad):
    bad.submit(agreement_sha256=digest("old"))
    bad.refuse("agreement", "under another agreement than the order's")


def test_item_62_an_order_under_an_old_agreement(desk, tmp_path):
    bad = desk.case(tmp_path, agreement_sha256=digest("old"))
    bad.submit()
    bad.refuse("agreement", "agreement has changed since the order was issued")


def test_no_submission_at_all(bad):
    bad.outbox.mkdir()
    bad.refuse("signature", "submission.json is missing")


def test_an_outbox_of_nothing_but_a_manifest(bad):
    bad.submit()
    for path in bad.outbox.glob("*.parquet"):
        path.unlink()
    write_atomically(bad.outbox / "update.safetensors", b"")
    bad.refuse("files", "is missing")
    assert not bad.desk.home.store.has(accepted(bad.order))
