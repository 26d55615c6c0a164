"""Whole submissions, honest and bad: each bad one is refused for its own reason."""

import os
import struct
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synnq_assets.errors import SubmissionError
from synnq_assets.records.base import sha256_hex
from synnq_assets.records.submissions import Verdict
from synnq_assets.storage.files import hash_file, write_atomically
from synnq_assets.storage.tensors import encode_tensors
from synnq_assets.submissions import CHECKS
from synnq_assets.trust import Keyring, SigningKey, sign_record
from synnq_assets.trust.keyring import KeyEntry, Window

from .makers import ISSUED_AT, make_node, make_order, write_update

TENSOR = "model.layers.0.mlp.down_proj.weight"


def by_name(verdict):
    return {check.name: check for check in verdict.checks}


def refuse(verdict, name, fragment):
    """The verdict refuses, and the named check says why; what hangs on it was not run."""
    assert verdict.decision == "refused"
    assert verdict.score == 0.0
    check = by_name(verdict)[name]
    assert not check.passed
    assert fragment in check.reason
    assert any(reason.startswith(f"{name}: ") for reason in verdict.reasons)
    own = {c.name for c in verdict.checks if not c.passed and not c.reason.startswith("not run")}
    return own


def changed(work, **columns):
    return replace(work, log={**work.log, **columns})


def with_tensor(work, values, name=TENSOR):
    return replace(work, update={**work.update, name: values})


# --- honest work


def test_honest_work_is_accepted_with_every_figure(world, tmp_path):
    verdict = world.judge(world.submit(tmp_path / "in"), probe=True)
    assert verdict.decision == "accepted", verdict.reasons
    assert verdict.reasons == ()
    assert [check.name for check in verdict.checks] == list(CHECKS)
    assert verdict.num_tokens == 1538
    assert verdict.cell_tokens == {"de.law": 1025, "it.news": 513}
    figures = {check.name: check.figures for check in verdict.checks}
    assert figures["probe"]["probe_loss"] < figures["probe"]["base_loss"]
    assert verdict.score == figures["probe"]["score"] == 1.0
    assert 0 < figures["step_bound"]["share_of_bound"] < 1
    assert figures["curve"]["num_steps"] == 12
    assert figures["norm"]["update_norm"] > 0
    assert figures["finite"]["num_elements"] == sum(u.size for u in world.work.update.values())
    assert verdict.submission_sha256 == hash_file(tmp_path / "in" / "submission.json")[0]
    assert Verdict.parse(verdict.canonical_bytes()) == verdict


def test_where_the_recipe_asks_for_no_probe_the_score_is_one(world, tmp_path):
    verdict = world.judge(world.submit(tmp_path / "in"))
    assert verdict.decision == "accepted"
    assert by_name(verdict)["probe"].figures == {"skipped": True, "score": 1.0}
    assert verdict.score == 1.0


def test_the_same_assignment_may_be_judged_again(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    known = {
        hash_file(folder / name)[0]: world.order.assignment_id
        for name in ("submission.json", "update.safetensors")
    }
    assert world.judge(folder, known_digests=known).decision == "accepted"


def test_late_work_is_accepted_and_its_lateness_written_down(world, tmp_path):
    verdict = world.judge(world.submit(tmp_path / "in"), received_at=ISSUED_AT + timedelta(hours=3))
    assert verdict.decision == "accepted"
    assert by_name(verdict)["lineage"].figures["late_seconds"] == 3600.0


# --- signature


def test_a_submission_signed_by_another_nodes_key_is_refused(world, tmp_path):
    verdict = world.judge(world.submit(tmp_path / "in", key=world.other_key))
    refuse(verdict, "signature", "signed by 'lumi-g-03', but it claims to be 'uni-torino'")
    assert by_name(verdict)["files"].reason == "not run: signature failed"
    assert by_name(verdict)["probe"].reason == "not run: finite failed"


def test_a_submission_signed_by_a_stranger_is_refused(world, tmp_path):
    verdict = world.judge(world.submit(tmp_path / "in", key=SigningKey.generate()))
    refuse(verdict, "signature", "signed by an unknown key")


@pytest.mark.parametrize(("at", "counts"), [(2, False), (3, True), (6, True), (7, False)])
def test_a_key_counts_between_its_enrolment_and_its_rotation(world, tmp_path, at, counts):
    ring = Keyring()
    ring.add(KeyEntry(world.node.node_id, "node", world.key.public_key, (Window(3, 7),)))
    verdict = world.judge(world.submit(tmp_path / "in"), keyring=ring, audit_index=at)
    assert verdict.audit_index == at
    if counts:
        assert verdict.decision == "accepted"
    else:
        refuse(verdict, "signature", f"was not valid at position {at} of the audit log")


def test_an_unsigned_submission_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    envelope = (folder / "submission.json").read_bytes()
    head, _, _ = envelope.partition(b'"signatures":')
    write_atomically(folder / "submission.json", head + b'"signatures":[]}')
    refuse(world.judge(folder), "signature", "an envelope carries 1 to 8 signatures")


def test_a_bare_manifest_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    write_atomically(folder / "submission.json", b'{"kind":"submission"}')
    refuse(world.judge(folder), "signature", "not a DSSE envelope")


def test_another_record_in_the_envelope_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    write_atomically(folder / "submission.json", sign_record(world.node, world.key))
    refuse(world.judge(folder), "signature", "expected submission")


def test_an_empty_folder_is_refused_and_has_no_digest(world, tmp_path):
    (tmp_path / "in").mkdir()
    verdict = world.judge(tmp_path / "in")
    refuse(verdict, "signature", "submission.json is missing")
    assert verdict.submission_sha256 == "0" * 64


def test_a_manifest_of_megabytes_is_not_read(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    os.truncate(folder / "submission.json", 5 << 20)
    verdict = world.judge(folder)
    refuse(verdict, "signature", "submission.json has 5242880 bytes; at most 4194304 are read")
    assert verdict.submission_sha256 == "0" * 64


# --- agreement, lineage, replay


def test_another_agreement_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in", agreement_sha256=sha256_hex(b"other terms"))
    own = refuse(world.judge(folder), "agreement", "another agreement than the order's")
    assert own == {"agreement"}


@pytest.mark.parametrize("status", ["suspended", "revoked"])
def test_a_node_that_is_not_active_is_refused(world, tmp_path, status):
    node = make_node(world.key, status=status)
    verdict = world.judge(world.submit(tmp_path / "in"), node=node)
    assert refuse(verdict, "agreement", f"node uni-torino is {status}") == {"agreement"}


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"federation": "synnq-other"}, "federation is not the order's, synnq-smoke"),
        ({"round": "r0001"}, "round is not the order's, r0002"),
        (
            {"assignment_id": "r0002.uni-torino.2"},
            "assignment_id is not the order's, r0002.uni-torino.1",
        ),
        ({"node_id": "lumi-g-03"}, "node_id is not the order's, uni-torino"),
        ({"order_sha256": "1" * 64}, "order_sha256 is not the order's"),
        ({"base_checkpoint_sha256": "2" * 64}, "base_checkpoint_sha256 is not the order's"),
        ({"shard_ids": ("3" * 64,)}, "shard_ids are not the order's shards"),
        ({"payload_version": "<script>"}, "payload_version is not a version"),
        ({"started_at": ISSUED_AT - timedelta(hours=2)}, "started before the order was issued"),
        ({"finished_at": ISSUED_AT}, "training finished before it started"),
        ({"finished_at": ISSUED_AT + timedelta(days=1)}, "finished after the submission was rec"),
    ],
)
def test_what_does_not_answer_the_order_is_refused(world, tmp_path, changes, fragment):
    verdict = world.judge(world.submit(tmp_path / "in", **changes))
    assert refuse(verdict, "lineage", fragment) == {"lineage"}


def test_an_image_other_than_ordered_is_refused(world, tmp_path):
    ordered = replace(
        world, order=make_order(world.base_model, world.recipe, image_sha256="4" * 64)
    )
    verdict = ordered.judge(ordered.submit(tmp_path / "in", image_sha256="5" * 64))
    refuse(verdict, "lineage", "image_sha256 is not the order's, 444")


def test_a_submission_replayed_from_an_older_round_is_refused(world, tmp_path):
    older_order = make_order(
        world.base_model, world.recipe, round="r0001", assignment_id="r0001.uni-torino.1"
    )
    folder = replace(world, order=older_order).submit(tmp_path / "in")
    known = {
        hash_file(folder / name)[0]: "r0001.uni-torino.1"
        for name in ("submission.json", "update.safetensors")
    }
    verdict = world.judge(folder, known_digests=known)
    own = refuse(verdict, "duplicate", "replay of r0001.uni-torino.1")
    assert own == {"duplicate", "lineage"}
    assert "round is not the order's, r0002" in by_name(verdict)["lineage"].reason


def test_another_nodes_update_under_ones_own_signature_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    known = {hash_file(folder / "update.safetensors")[0]: "r0002.lumi-g-03.1"}
    verdict = world.judge(folder, known_digests=known)
    own = refuse(verdict, "duplicate", "copy of the update of r0002.lumi-g-03.1")
    assert own == {"duplicate"}


# --- files


def test_a_wrong_length_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    size = (folder / "update.safetensors").stat().st_size
    os.truncate(folder / "update.safetensors", size - 2)
    verdict = world.judge(folder)
    refuse(verdict, "files", f"update.safetensors has {size - 2} bytes, {size} were declared")
    assert by_name(verdict)["tensor_profile"].reason == "not run: files failed"


def test_a_wrong_digest_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    data = bytearray((folder / "update.safetensors").read_bytes())
    data[-1] ^= 1
    write_atomically(folder / "update.safetensors", bytes(data))
    own = refuse(
        world.judge(folder), "files", "update.safetensors does not have the declared digest"
    )
    assert own == {"files"}


def test_an_extra_file_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    (folder / "model.pkl").write_bytes(b"cos\nsystem\n")
    refuse(world.judge(folder), "files", "1 extra files")


def test_a_missing_file_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    (folder / "diagnostics.parquet").unlink()
    refuse(world.judge(folder), "files", "diagnostics.parquet is missing")


def test_a_link_is_refused_and_not_followed(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    (folder / "update.safetensors").rename(tmp_path / "elsewhere")
    (folder / "update.safetensors").symlink_to(tmp_path / "elsewhere")
    refuse(world.judge(folder), "files", "update.safetensors is a symbolic link")


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_without_waiting_for_it(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    (folder / "training_log.parquet").unlink()
    os.mkfifo(folder / "training_log.parquet")
    refuse(world.judge(folder), "files", "training_log.parquet is not a regular file")


def test_a_folder_in_place_of_a_file_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    (folder / "submission.json").unlink()
    (folder / "submission.json").mkdir()
    refuse(world.judge(folder), "signature", "submission.json is a folder")


def test_an_oversized_update_is_refused_unread(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    tight = world.recipe.intake.model_copy(update={"max_update_bytes": 1000, "probe": False})
    refuse(world.judge(folder, settings=tight), "files", "bytes; at most 1000 are read")


def test_a_manifest_that_lists_other_files_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    world.sign(folder, files=())
    refuse(world.judge(folder), "files", "the manifest must list exactly diagnostics.parquet")


# --- tensors: the node signs what it sends, so that length and digest are right


def resign(world, folder, data):
    write_atomically(folder / "update.safetensors", data)
    world.sign(folder)
    return world.judge(folder)


def test_a_truncated_update_is_refused_even_when_signed_so(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    data = (folder / "update.safetensors").read_bytes()
    verdict = resign(world, folder, data[:-100])
    assert "declared" in by_name(verdict)["tensor_profile"].reason
    refuse(verdict, "tensor_profile", f"{len(data) - 100} bytes on disk, {len(data)} declared")


def test_trailing_bytes_are_refused_even_when_signed_so(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    data = (folder / "update.safetensors").read_bytes()
    verdict = resign(world, folder, data + b"PK\x03\x04")
    refuse(verdict, "tensor_profile", f"{len(data) + 4} bytes on disk, {len(data)} declared")


def header(text, data=b"\0\0"):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw + data


@pytest.mark.parametrize(
    ("data", "fragment"),
    [
        (
            header('{"../../etc/passwd":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'),
            "tensor 0: its name is not allowed",
        ),
        (
            header('{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},"a":{}}'),
            "repeats a key",
        ),
        (
            header('{"a":{"dtype":["BF16"],"shape":[1],"data_offsets":[0,2]}}'),
            "update.safetensors",
        ),
        (header('{"a":{"dtype":"BF16","shape":[1],"data_offsets":2}}'), "update.safetensors"),
        (header('{"a":{"dtype":"BF16","shape":[-1],"data_offsets":[0,2]}}'), "small integers"),
        (struct.pack("<Q", 2**63) + b"{}", "header of 9223372036854775808 bytes is not allowed"),
        (b"\x80\x04\x95cos\nsystem\n", "is not allowed"),
        (b"", "shorter than a safetensors header"),
    ],
)
def test_a_header_that_breaks_the_profile_is_refused(world, tmp_path, data, fragment):
    verdict = resign(world, world.submit(tmp_path / "in"), data)
    assert refuse(verdict, "tensor_profile", fragment) == {"tensor_profile"}


def test_a_missing_tensor_is_refused(world, tmp_path):
    update = {name: values for name, values in world.work.update.items() if name != TENSOR}
    verdict = world.judge(world.submit(tmp_path / "in", work=replace(world.work, update=update)))
    assert refuse(verdict, "tensor_schema", f"tensor {TENSOR} is missing") == {"tensor_schema"}


def test_an_unexpected_tensor_is_refused(world, tmp_path):
    work = with_tensor(world.work, np.ones(3), name="lm_head.weight")
    verdict = world.judge(world.submit(tmp_path / "in", work=work))
    refuse(verdict, "tensor_schema", "1 tensors are not part of the model")


def test_a_transposed_tensor_is_refused(world, tmp_path):
    work = with_tensor(world.work, world.work.update[TENSOR].T)
    verdict = world.judge(world.submit(tmp_path / "in", work=work))
    refuse(verdict, "tensor_schema", f"{TENSOR} is [176, 64], expected [64, 176]")


def test_another_dtype_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    write_update(folder / "update.safetensors", world.work.update, dtype="F32")
    world.sign(folder)
    refuse(world.judge(folder), "tensor_schema", "is F32, expected BF16")


def test_a_schema_digest_that_is_not_the_files_is_refused(world, tmp_path):
    verdict = world.judge(world.submit(tmp_path / "in", tensor_schema_sha256="6" * 64))
    refuse(verdict, "tensor_schema", "declares another tensor schema than the file has")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_nan_or_infinity_is_refused(world, tmp_path, bad):
    values = world.work.update[TENSOR].copy()
    values[-1, -1] = bad
    verdict = world.judge(world.submit(tmp_path / "in", work=with_tensor(world.work, values)))
    own = refuse(verdict, "finite", f"elements are NaN or infinite, first in {TENSOR}")
    assert own == {"finite"}
    assert by_name(verdict)["finite"].figures["num_nonfinite"] == 1


def test_an_update_of_zeros_is_refused_although_its_curve_is_fine(world, tmp_path):
    verdict = world.judge(world.submit(tmp_path / "in", work=world.scaled(0.0)))
    assert refuse(verdict, "norm", "zero everywhere: nothing was trained") == {"norm"}
    assert by_name(verdict)["curve"].passed


# --- log, diagnostics, curve


@pytest.mark.parametrize(
    ("column", "values", "fragment"),
    [
        ("loss", [float("nan")] * 12, "column loss holds NaN or infinity"),
        ("loss", ["a secret sentence"] * 12, "column loss is text, expected floating"),
        ("note", ["a secret sentence"] * 12, "a text column that is not registered"),
        ("gradient_norm", [float("inf")] * 12, "column gradient_norm holds NaN or infinity"),
        ("gradient_norm", [-1.0] * 12, "column gradient_norm holds a negative figure"),
        ("tokens", pa.array([None] * 12, pa.int64()), "column tokens has gaps"),
        ("loss", [1e308] * 12, "column loss holds a figure above 1e+15"),
        ("tokens", [0] * 12, "a step must train 1 to 256 tokens"),
        ("tokens", [257] * 12, "a step must train 1 to 256 tokens"),
        ("step", [0] * 12, "steps do not ascend"),
        ("step", list(range(12))[::-1], "steps do not ascend"),
        ("shard", [2] * 12, "a shard is beyond the order's 2"),
        ("shard", ["a secret sentence"] * 12, "column shard is text, expected integer"),
        ("num_steps", [2] * 12, "took 24 steps, the order takes 12"),
        ("num_steps", [0] * 12, "a row has no step"),
    ],
)
def test_a_log_with_anything_but_figures_is_refused(world, tmp_path, column, values, fragment):
    folder = world.submit(tmp_path / "in")
    table = pa.table({**world.work.log, column: values})
    pq.write_table(table, folder / "training_log.parquet", store_schema=False)
    world.sign(folder)
    verdict = world.judge(folder)
    assert refuse(verdict, "training_log", fragment) == {"training_log"}
    assert by_name(verdict)["curve"].reason == "not run: training_log failed"
    assert "secret" not in verdict.canonical_bytes().decode()


def test_a_log_without_a_column_or_without_rows_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    table = pa.table(world.work.log)
    pq.write_table(table.drop_columns("loss"), folder / "training_log.parquet")
    world.sign(folder)
    refuse(world.judge(folder), "training_log", "column loss is missing")
    pq.write_table(table.slice(0, 0), folder / "training_log.parquet")
    world.sign(folder)
    refuse(world.judge(folder), "training_log", "0 rows; 1 to 2000000 are read")


def test_a_log_that_is_no_parquet_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    (folder / "training_log.parquet").write_bytes(b"step,loss\n1,2\n")
    world.sign(folder)
    refuse(world.judge(folder), "training_log", "training_log.parquet is not readable Parquet")


def test_diagnostics_with_text_are_refused(world, tmp_path):
    columns = {**world.work.diagnostics, "hostname": ["nid001", "nid001"]}
    work = replace(world.work, diagnostics=columns)
    verdict = world.judge(world.submit(tmp_path / "in", work=work))
    assert refuse(verdict, "diagnostics", "a text column that is not registered") == {"diagnostics"}


def test_a_rising_loss_is_refused(world, tmp_path):
    rising = changed(world.work, loss=world.work.log["loss"][::-1])
    verdict = world.judge(world.submit(tmp_path / "in", work=rising))
    assert refuse(verdict, "curve", "loss rose by") == {"curve"}
    assert by_name(verdict)["curve"].figures["loss_rise"] > 0.05


def epochs(*, first, last):
    """Losses of both shards, by epoch, in the log's order of steps."""
    return [first[0]] * 4 + [last[0]] * 4 + [first[1]] * 2 + [last[1]] * 2


def test_a_rise_within_the_tolerance_is_accepted_and_one_above_is_refused(world, tmp_path):
    # tolerance 5 %: 2.00 -> 2.09 is 4.5 %, 2.00 -> 2.11 is 5.5 %
    within = changed(world.work, loss=epochs(first=(2.0, 2.0), last=(2.09, 2.09)))
    above = changed(world.work, loss=epochs(first=(2.0, 2.0), last=(2.11, 2.11)))
    assert world.judge(world.submit(tmp_path / "in", work=within)).decision == "accepted"
    refuse(world.judge(world.submit(tmp_path / "above", work=above)), "curve", "rose by 5.5%")


def test_a_harder_second_shard_is_no_rising_loss(world, tmp_path):
    harder = changed(world.work, loss=epochs(first=(2.0, 6.0), last=(1.9, 5.8)))
    verdict = world.judge(world.submit(tmp_path / "in", work=harder))
    assert verdict.decision == "accepted", verdict.reasons
    # steps of 256 tokens weigh alike: (4 * 2.0 + 2 * 6.0) / 6 = 3.333, then 3.2
    figures = by_name(verdict)["curve"].figures
    assert figures["first_epoch_loss"] == pytest.approx(20 / 6)
    assert figures["last_epoch_loss"] == pytest.approx(19.2 / 6)


def test_one_epoch_compares_its_last_tenth_with_its_first(world, tmp_path):
    once = replace(world, order=make_order(world.base_model, world.recipe, epochs=1))
    rows = [0, 1, 2, 3, 8, 9]
    log = {name: [values[k] for k in rows] for name, values in world.work.log.items()}
    log |= {"learning_rate": [0.001] * 6, "step": list(range(6))}
    for name, loss, decision in (
        ("fell", [3.0, 9, 9, 9, 9, 2.0], "accepted"),
        ("rose", [2.0, 1, 1, 1, 1, 3.0], "refused"),
    ):
        work = replace(world.scaled(0.5), log={**log, "loss": loss})
        assert once.judge(once.submit(tmp_path / name, work=work)).decision == decision


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("initial_loss", 9.0),
        ("final_loss", 0.1),
        ("num_steps", 13),
        ("num_tokens_processed", 3071),
        ("mean_gradient_norm", 0.5),
        ("max_gradient_norm", 0.0),
        ("learning_rate_sum", 1.0),
    ],
)
def test_metrics_that_are_not_the_logs_are_refused(world, tmp_path, name, value):
    folder = world.submit(tmp_path / "in")
    metrics = world_metrics(world).model_copy(update={name: value})
    world.sign(folder, metrics=metrics)
    assert refuse(world.judge(folder), "curve", f"{name} is {value} in the manifest") == {"curve"}


def world_metrics(world):
    from .makers import measure_metrics

    return measure_metrics(world.order, world.work.log)


def test_more_tokens_than_ordered_are_refused_and_never_weigh(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    world.sign(folder, metrics=world_metrics(world).model_copy(update={"num_tokens": 10**9}))
    verdict = world.judge(folder)
    refuse(verdict, "curve", "claims 1000000000 tokens, the order has 1538")
    assert verdict.num_tokens == 1538


def test_fewer_steps_than_ordered_are_refused(world, tmp_path):
    short = replace(world.work, log={name: rows[:6] for name, rows in world.work.log.items()})
    verdict = world.judge(world.submit(tmp_path / "in", work=short))
    refuse(verdict, "training_log", "took 6 steps, the order takes 12")


def test_all_steps_on_the_easier_shard_are_refused(world, tmp_path):
    easy = changed(world.work, shard=[0] * 12)
    verdict = world.judge(world.submit(tmp_path / "in", work=easy))
    refuse(verdict, "training_log", "a fixed number of each shard in each epoch")


def test_learning_rates_above_the_orders_are_refused(world, tmp_path):
    hot = changed(world.work, learning_rate=[0.05] * 12)
    refuse(world.judge(world.submit(tmp_path / "in", work=hot)), "curve", "above the order's")


# --- poison


def test_a_sign_flipped_update_ten_times_as_long_is_refused_twice_over(world, tmp_path):
    verdict = world.judge(world.submit(tmp_path / "in", work=world.scaled(-10.0)), probe=True)
    own = refuse(verdict, "step_bound", "times as far as the order's learning rates allow")
    assert own == {"step_bound", "probe"}
    refuse(verdict, "probe", "the held-out loss rises by")


def test_a_sign_flipped_update_of_honest_length_is_refused_by_the_probe(world, tmp_path):
    verdict = world.judge(world.submit(tmp_path / "in", work=world.scaled(-1.0)), probe=True)
    assert refuse(verdict, "probe", "the held-out loss rises by") == {"probe"}


def test_one_hidden_giant_element_is_refused(world, tmp_path):
    values = world.work.update[TENSOR].copy()
    values[0, 0] = 1e30
    verdict = world.judge(world.submit(tmp_path / "in", work=with_tensor(world.work, values)))
    assert refuse(verdict, "step_bound", f"{TENSOR} moved") == {"step_bound"}


def test_an_update_that_breaks_the_model_is_refused(world, tmp_path):
    values = np.full_like(world.work.update[TENSOR], 3e38)
    work = with_tensor(world.work, values)
    verdict = world.judge(world.submit(tmp_path / "in", work=work), probe=True)
    refuse(verdict, "probe", "held-out loss")
    assert Verdict.parse(verdict.canonical_bytes()) == verdict  # NaN figures became text


# --- our own faults are errors, not verdicts


def test_a_broken_base_checkpoint_is_our_fault(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    with pytest.raises(SubmissionError, match="the base checkpoint cannot be read"):
        world.judge(folder, base_model=tmp_path / "none")


def test_an_order_for_another_node_is_our_fault(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    with pytest.raises(SubmissionError, match="is for uni-torino, not for lumi-g-03"):
        world.judge(folder, node=make_node(world.other_key, "lumi-g-03"))


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (np.full((2, 8), 600, dtype=np.uint16), "beyond the recipe's vocabulary"),
        (np.zeros(8, dtype=np.uint16), "must be rows of token ids"),
        (np.zeros((2, 8)), "must be rows of token ids"),
        (None, "cannot read probe"),
    ],
)
def test_an_unusable_probe_is_our_fault(world, tmp_path, rows, match):
    probe = tmp_path / "probe.npy"
    if rows is not None:
        np.save(probe, rows)
    bad = replace(world, probe=probe)
    with pytest.raises(SubmissionError, match=match):
        bad.judge(bad.submit(tmp_path / "in"), probe=True)


def test_a_missing_probe_is_our_fault_where_the_recipe_asks_for_one(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    says = r"intake.probe is on, but r0002.uni-torino.1 is judged without one"
    with pytest.raises(SubmissionError, match=says):
        world.judge(folder, settings=world.recipe.intake)


def test_a_missing_quarantine_folder_is_our_fault(world, tmp_path):
    with pytest.raises(SubmissionError, match="cannot list"):
        world.judge(tmp_path / "none")


# --- anything at all


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(
        ["submission.json", "update.safetensors", "training_log.parquet", "diagnostics.parquet"]
    ),
    position=st.floats(0, 1),
    junk=st.binary(min_size=1, max_size=24),
    cut=st.booleans(),
)
def test_whatever_a_node_signs_the_answer_is_a_verdict(
    world, tmp_path_factory, name, position, junk, cut
):
    folder = world.submit(tmp_path_factory.mktemp("fuzz") / "in")
    data = (folder / name).read_bytes()
    # half of the positions fall into the first kilobyte, where the headers are
    at = int(position * 2 * 1024) if position < 0.5 else int((2 * position - 1) * len(data))
    at = min(at, len(data))
    damaged = data[:at] + junk + (b"" if cut else data[at + len(junk) :])
    write_atomically(folder / name, damaged)
    if name != "submission.json":
        world.sign(folder)
    verdict = world.judge(folder)
    assert Verdict.parse(verdict.canonical_bytes()) == verdict
    if name == "submission.json" and damaged != data:
        assert verdict.decision == "refused"


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    column=st.sampled_from(["step", "epoch", "tokens", "loss", "gradient_norm", "learning_rate"]),
    values=st.one_of(
        st.lists(st.floats(), min_size=1, max_size=12),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=12),
        st.lists(st.text(max_size=3), min_size=1, max_size=12),
    ),
)
def test_whatever_figures_a_log_holds_the_answer_is_a_verdict(
    world, tmp_path_factory, column, values
):
    folder = world.submit(tmp_path_factory.mktemp("log") / "in")
    log = {name: rows[: len(values)] for name, rows in world.work.log.items()}
    pq.write_table(pa.table({**log, column: values}), folder / "training_log.parquet")
    world.sign(folder)
    verdict = world.judge(folder)
    assert Verdict.parse(verdict.canonical_bytes()) == verdict


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(tensors=st.dictionaries(st.text("ab._", max_size=3), st.integers(0, 3), max_size=3))
def test_no_other_set_of_tensors_is_accepted(world, tmp_path_factory, tensors):
    folder = world.submit(tmp_path_factory.mktemp("schema") / "in")
    arrays = {name: ("BF16", np.zeros(size)) for name, size in tensors.items()}
    verdict = resign(world, folder, encode_tensors(arrays))
    assert verdict.decision == "refused"


def test_the_registry_lists_needs_before_those_that_need_them():
    seen = set()
    for name, check in CHECKS.items():
        assert check.name == name
        assert seen.issuperset(check.needs)
        seen.add(name)


def test_importing_the_room_loads_no_torch():
    program = "import sys, synnq_assets.submissions as s; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
