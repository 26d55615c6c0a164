"""A whole order in this process: what comes out, and what never does."""

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from synnq_assets.errors import SettingsError, StorageError, TrainingError, TrustError
from synnq_assets.modeling.models import build_model, load_weights, read_weights, write_weights
from synnq_assets.records.jobs import Progress
from synnq_assets.records.orders import CheckpointRef, digest_files
from synnq_assets.records.submissions import Submission
from synnq_assets.settings.base import Variant
from synnq_assets.storage.files import describe_file
from synnq_assets.storage.tensors import TensorFile, digest_schema
from synnq_assets.training import run_order
from synnq_assets.training.folder import JobFolder
from synnq_assets.training.opening import open_shards
from synnq_assets.trust import Keyring, open_envelope
from synnq_assets.trust.keyring import KeyEntry
from synnq_assets_tests.training.order_folder import (
    NODE_ID,
    OrderFolder,
    build_recipe,
    write_order_folder,
)


def read_submission(job: OrderFolder) -> Submission:
    keyring = Keyring()
    keyring.add(KeyEntry(NODE_ID, "node", job.signing_key.public_key))
    data = (job.root / "submission" / "submission.json").read_bytes()
    return open_envelope(data, Submission, keyring, roles=("node",), identity=NODE_ID)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> OrderFolder:
    """An order of two shards, carried out."""
    job = write_order_folder(tmp_path_factory.mktemp("done"))
    assert run_order(job.order_path, job.node) == job.root / "submission"
    return job


def test_the_submission_answers_the_order_and_lists_its_files(done: OrderFolder) -> None:
    submission = read_submission(done)
    folder = done.root / "submission"
    assert submission.order_sha256 == done.order.digest()
    assert submission.base_checkpoint_sha256 == done.order.base.checkpoint_sha256
    assert submission.shard_ids == tuple(shard.shard_id for shard in done.order.shards)
    assert submission.files == tuple(describe_file(folder / f.name) for f in submission.files)
    assert {f.name for f in submission.files} | {"submission.json"} == {
        path.name for path in folder.iterdir()
    }
    assert submission.started_at < submission.finished_at < done.order.deadline_at


def test_the_metrics_follow_from_the_log(done: OrderFolder) -> None:
    log = pq.read_table(done.root / "submission" / "training_log.parquet").to_pydict()
    metrics = read_submission(done).metrics
    # 500 tokens: 499 targets in 16 windows of 32, 2 batches of 8; 300: 299 in 10, 2; 2 epochs.
    assert log["step"] == list(range(8))
    assert log["epoch"] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert sum(log["tokens"]) == metrics.num_tokens_processed == 2 * (499 + 299)
    assert metrics.num_tokens == 800
    assert metrics.num_steps == 8
    assert log["learning_rate"] == [done.order.lr.at(k / 8) for k in range(8)]
    assert metrics.learning_rate_sum == pytest.approx(sum(log["learning_rate"]))
    assert (metrics.initial_loss, metrics.final_loss) == (log["loss"][0], log["loss"][-1])
    assert metrics.final_loss < metrics.initial_loss < math.log(512) + 0.1
    assert metrics.max_gradient_norm == max(log["gradient_norm"])
    assert metrics.world_size == 1


def test_diagnostics_have_their_columns_and_ascend_in_time(done: OrderFolder) -> None:
    table = pq.read_table(done.root / "submission" / "diagnostics.parquet").to_pydict()
    assert list(table) == ["seconds", "cpu_percent", "memory_bytes", "gpu_percent", "gpu_watts"]
    assert table["seconds"] == sorted(table["seconds"])
    assert len(table["seconds"]) >= 2
    assert min(table["memory_bytes"]) > 0


def test_base_plus_update_is_a_better_model_than_the_base(done: OrderFolder) -> None:
    path = done.root / "submission" / "update.safetensors"
    with TensorFile(path) as file:
        assert {dtype for dtype, _ in file.schema.values()} == {"BF16"}
        assert digest_schema(file.schema) == read_submission(done).tensor_schema_sha256
    base = read_weights(done.root / "inputs" / "checkpoint" / "model.safetensors")
    update = read_weights(path)
    assert base.keys() == update.keys()
    shards = open_shards(done.order, JobFolder(done.order_path), done.node, vocab_size=512)
    ids = torch.from_numpy(shards[0].tokens[:480].astype(np.int64).reshape(15, 32))
    losses = []
    for weights in (base, {name: base[name] + update[name] for name in base}):
        model = build_model(done.recipe)
        load_weights(model, weights)
        losses.append(model(input_ids=ids, labels=ids).loss.item())
    assert losses[1] < losses[0] - 0.1


def test_no_token_of_a_shard_is_left_on_the_disk(done: OrderFolder) -> None:
    shards = open_shards(done.order, JobFolder(done.order_path), done.node, vocab_size=512)
    needles = [shard.tokens[k : k + 8].tobytes() for shard in shards for k in range(0, 240, 8)]
    files = [path for path in done.root.parent.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if any(n in path.read_bytes() for n in needles)]


def test_work_is_cleared_and_progress_says_done(done: OrderFolder) -> None:
    assert not (done.root / "work").exists()
    report = Progress.parse((done.root / "progress.json").read_bytes())
    assert (report.phase, report.step, report.num_steps) == ("done", 8, 8)
    assert report.canonical_bytes() == (done.root / "progress.json").read_bytes()


def test_opened_shards_are_in_the_exposure_file(done: OrderFolder) -> None:
    exposed = (done.node_path.parent / "exposure.txt").read_text().split()
    assert exposed == [shard.shard_id for shard in done.order.shards]


def test_running_again_changes_nothing(done: OrderFolder) -> None:
    before = (done.root / "submission" / "submission.json").read_bytes()
    run_order(done.order_path, done.node)
    assert (done.root / "submission" / "submission.json").read_bytes() == before


def test_an_answer_to_another_order_is_not_an_answer(tmp_path: Path) -> None:
    job = write_order_folder(tmp_path, num_tokens=(40,))
    run_order(job.order_path, job.node)
    job.sign_order(nonce="6" * 64)
    with pytest.raises(TrainingError, match="answers another order"):
        run_order(job.order_path, job.node)


def test_bf16_arithmetic_learns_as_well(tmp_path: Path) -> None:
    job = write_order_folder(tmp_path, recipe=build_recipe(precision="bf16"), num_tokens=(500,))
    run_order(job.order_path, job.node)
    metrics = read_submission(job).metrics
    assert metrics.final_loss < metrics.initial_loss


def test_a_loss_that_is_not_a_number_stops_the_training(tmp_path: Path) -> None:
    job = write_order_folder(tmp_path, num_tokens=(40,))
    path = job.root / "inputs" / "checkpoint" / "model.safetensors"
    weights = read_weights(path)
    weights["model.norm.weight"][0] = float("nan")
    write_weights(path, weights, metadata={"format": "pt"})
    files = (describe_file(path),)
    digest = digest_files(files)
    job.sign_order(base=CheckpointRef(round="r0000", checkpoint_sha256=digest, files=files))
    with pytest.raises(TrainingError, match="diverged at step 0: loss nan"):
        run_order(job.order_path, job.node)
    report = Progress.parse((job.root / "progress.json").read_bytes())
    assert (report.phase, report.loss) == ("failed", None)
    assert not (job.root / "submission").exists()


def test_an_unknown_parallelism_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    job = write_order_folder(tmp_path, num_tokens=(40,))
    for variant, words in (
        (Variant(name="fdsp2"), "did you mean 'fsdp2'"),
        (Variant(name="single", params={"stage": 2}), "stage: unknown setting"),
    ):
        node = job.node.model_copy(update={"parallelism": variant})
        with pytest.raises(SettingsError, match=words):
            run_order(job.order_path, node)


def test_an_adversarial_node_can_change_its_update(tmp_path: Path) -> None:
    job = write_order_folder(tmp_path, num_tokens=(40,))
    run_order(
        job.order_path,
        job.node,
        transform_update=lambda update: {n: torch.full_like(u, 3.0) for n, u in update.items()},
    )
    update = read_weights(job.root / "submission" / "update.safetensors")
    assert all(bool((values == 3.0).all()) for values in update.values())
    read_submission(job)


def test_a_submission_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    job = write_order_folder(tmp_path, num_tokens=(40,))
    (job.root / "submission" / "update.safetensors").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"cannot write .*update.safetensors"):
        run_order(job.order_path, job.node)
    assert [path.name for path in (job.root / "submission").iterdir()] == ["update.safetensors"]


def test_a_missing_signing_key_is_found_before_anything_opens(tmp_path: Path) -> None:
    job = write_order_folder(tmp_path, num_tokens=(40,))
    (job.node_path.parent / "signing.pem").unlink()
    with pytest.raises(TrustError, match="cannot read private key"):
        run_order(job.order_path, job.node)
    assert not (job.node_path.parent / "exposure.txt").exists()


def test_a_file_in_the_submissions_place_is_named(tmp_path: Path) -> None:
    job = write_order_folder(tmp_path, num_tokens=(40,))
    (job.root / "submission").write_text("a file where a folder should be")
    with pytest.raises(TrainingError, match="remove what is in its way"):
        run_order(job.order_path, job.node)
