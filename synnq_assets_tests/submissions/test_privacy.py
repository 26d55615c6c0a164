"""Text and too fine figures in a submission: refused by name, and never repeated."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synnq_assets.records.base import canonical_json, sha256_hex
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust.encoding import decode_base64, encode_base64
from synnq_assets.trust.envelopes import PAYLOAD_TYPE, encode_for_signing

from .makers import write_table

SECRET = "Patientin Erika Mustermann, erika@example.org, /home/erika"


def refuse(world, folder, *names):
    """The named checks refuse by themselves, and no word of the secret is in the verdict."""
    verdict = world.judge(folder)
    failed = {c.name for c in verdict.checks if not c.passed and "not run" not in c.reason}
    assert failed == set(names), verdict.reasons
    text = verdict.canonical_bytes().decode().lower()
    assert not [word for word in ("erika", "mustermann", "patientin") if word in text]
    return verdict


def rewrite(world, folder, name, **columns):
    table = world.work.log if name == "training_log" else world.work.diagnostics
    write_table(folder / f"{name}.parquet", {**table, **columns})
    world.sign(folder)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("training_log", {SECRET: [1.0] * 12}),
        ("training_log", {"note": [SECRET] * 12}),
        ("training_log", {"loss": [SECRET] * 12}),
        ("training_log", {"loss": pa.array([[1.0]] * 12)}),
        ("training_log", {"loss": [float("nan")] * 12}),
        ("training_log", {"step": [0.5] * 12}),
        ("diagnostics", {"hostname": [SECRET] * 2}),
        ("diagnostics", {"gpu_percent": [SECRET] * 2}),
        ("diagnostics", {"seconds": [0.0, float("inf")]}),
        ("diagnostics", {"memory_bytes": [2**30 + 1, 2**30]}),  # finer than registered
    ],
)
def test_61_free_text_and_unregistered_figures_in_metrics_are_refused(
    world, tmp_path, name, columns
):
    folder = world.submit(tmp_path / "in")
    rewrite(world, folder, name, **columns)
    refuse(world, folder, name)


@pytest.mark.parametrize("name", ["training_log", "diagnostics"])
def test_a_note_in_a_table_is_refused(world, tmp_path, name):
    folder = world.submit(tmp_path / "in")
    path = folder / f"{name}.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({"host": SECRET}), path)
    world.sign(folder)
    verdict = refuse(world, folder, "privacy")
    assert f"privacy: {name}.parquet carries a note that is not registered" in verdict.reasons


def test_a_note_on_a_column_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    path = folder / "training_log.parquet"
    table = pq.read_table(path)
    schema = table.schema.set(0, table.schema.field(0).with_metadata({"host": SECRET}))
    pq.write_table(table.cast(schema), path)
    world.sign(folder)
    refuse(world, folder, "privacy")


def test_a_note_in_the_update_is_refused(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    data = (folder / "update.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = {**json.loads(data[8 : 8 + length]), "__metadata__": {"host": SECRET}}
    raw = json.dumps(header).encode()
    write_atomically(
        folder / "update.safetensors", len(raw).to_bytes(8, "little") + raw + data[8 + length :]
    )
    world.sign(folder)
    refuse(world, folder, "privacy")


def sign_changed(world, folder, **changes):
    """Sign a manifest that our own classes would not build."""
    envelope = json.loads((folder / "submission.json").read_bytes())
    statement = json.loads(decode_base64(envelope["payload"]))
    statement["predicate"] |= changes
    digest = sha256_hex(canonical_json(statement["predicate"]))
    statement["subject"] = [{"name": "submission", "digest": {"sha256": digest}}]
    payload = canonical_json(statement)
    envelope["payload"] = encode_base64(payload)
    signature = world.key.sign(encode_for_signing(PAYLOAD_TYPE, payload))
    envelope["signatures"] = [{"keyid": world.key.key_id, "sig": encode_base64(signature)}]
    write_atomically(folder / "submission.json", json.dumps(envelope).encode())


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({SECRET: 1}, ("signature",)),
        ({"round": SECRET}, ("signature",)),
        ({"node_id": "erika-mustermann"}, ("lineage",)),
        ({"payload_version": SECRET}, ("lineage", "privacy")),
        ({"payload_version": "patientin erika"}, ("lineage",)),
    ],
)
def test_text_in_the_manifest_is_refused(world, tmp_path, changes, names):
    folder = world.submit(tmp_path / "in")
    sign_changed(world, folder, **changes)
    refuse(world, folder, *names)


def test_a_key_id_and_a_type_are_not_repeated(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    envelope = json.loads((folder / "submission.json").read_bytes())
    envelope["signatures"][0]["keyid"] = "erika mustermann"
    write_atomically(folder / "submission.json", json.dumps(envelope).encode())
    refuse(world, folder, "signature")


def test_file_names_are_counted_and_not_repeated(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    (folder / "erika-mustermann.txt").write_text(SECRET)
    refuse(world, folder, "files")


# --- losses of a few sequences


def windows(world, sizes, **columns):
    """Return a log with windows of so many steps, for two shards of 4 and 2 steps, 2 epochs."""
    log, row = {name: [] for name in world.work.log}, 0
    for size in sizes:
        rows = slice(row, row + size)
        part = {name: values[rows] for name, values in world.work.log.items()}
        for name in ("step", "epoch", "shard"):
            log[name].append(part[name][0])
        log["num_steps"].append(size)
        log["tokens"].append(sum(part["tokens"]))
        for name in ("loss", "gradient_norm", "learning_rate", "tokens_per_second"):
            log[name].append(sum(part[name]) / size)
        row += size
    return {**log, **columns}


def at_least(world, min_sequences):
    privacy = world.recipe.privacy.model_copy(update={"min_loss_sequences": min_sequences})
    return replace(world, recipe=world.recipe.model_copy(update={"privacy": privacy}))


def submit_log(world, folder, log):
    from .makers import measure_metrics

    work = replace(world.work, log=log)
    return world.submit(folder, work=work, metrics=measure_metrics(world.order, log))


def test_losses_over_enough_sequences_are_accepted_and_finer_ones_refused(world, tmp_path):
    # a step is 256 targets of 32 a sequence, so 8 sequences
    strict = at_least(world, 16)
    fine = submit_log(strict, tmp_path / "fine", windows(world, [1] * 12))
    verdict = refuse(strict, fine, "privacy")
    says = "privacy: 12 rows tell a loss or gradient norm of fewer than 16 sequences"
    assert says in verdict.reasons
    coarse = submit_log(strict, tmp_path / "coarse", windows(world, [2] * 6))
    assert strict.judge(coarse).decision == "accepted"


def test_a_small_shard_tells_no_loss_and_is_accepted_so(world, tmp_path):
    strict = at_least(world, 32)  # the first shard has 32 sequences, the second 16
    hidden = windows(world, [4, 4, 2, 2])
    for name in ("loss", "gradient_norm"):
        hidden[name] = [*hidden[name][:2], None, None]
    verdict = strict.judge(submit_log(strict, tmp_path / "in", hidden))
    assert verdict.decision == "accepted", verdict.reasons


def test_a_loss_that_could_be_told_is_not_kept_back(world, tmp_path):
    hidden = windows(world, [1] * 12)
    for name in ("loss", "gradient_norm"):
        hidden[name] = [None] * 12
    folder = submit_log(world, tmp_path / "in", hidden)
    verdict = refuse(world, folder, "curve")
    assert "curve: 4 epochs keep back losses that could be told" in verdict.reasons
