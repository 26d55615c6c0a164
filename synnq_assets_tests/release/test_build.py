import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from synnq_assets.errors import ReleaseError, StorageError
from synnq_assets.records.orders import CheckpointRef, digest_files
from synnq_assets.release import ReleaseInputs, build_release, verify_release
from synnq_assets.storage import TensorFile, TensorWriter
from synnq_assets.storage.files import describe_file
from synnq_assets.trust import AuditLog, SigningKey
from synnq_assets.trust.audit import LogKeys
from synnq_assets.trust.audit.receipts import Evidence
from synnq_assets_tests.release.release_folder import (
    SmallRelease,
    build_small_release,
    make_evaluation,
    make_inputs,
    sign_grant,
)

Parts = tuple[ReleaseInputs, SigningKey]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    return build_small_release(tmp_path_factory.mktemp("built"))


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    root, key = SigningKey.generate(), SigningKey.generate()
    return make_inputs(tmp_path / "inputs", root, key), key


def assert_refused(inputs: ReleaseInputs, key: SigningKey, folder: Path, message: str) -> None:
    folder.mkdir()
    with pytest.raises(ReleaseError, match=message):
        build_release(inputs, key, folder / "release")
    assert os.listdir(folder) == []


def test_transformers_loads_the_release_and_generates(small: SmallRelease):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(small.folder)
    tokenizer = AutoTokenizer.from_pretrained(small.folder)
    ids = tokenizer("Die Richtlinie gilt", return_tensors="pt").input_ids
    answer = model.generate(ids, max_new_tokens=5, min_new_tokens=5, do_sample=False)
    assert answer.shape == (1, ids.shape[1] + 5)
    assert tokenizer.decode(ids[0]) == "Die Richtlinie gilt"
    with TensorFile(small.inputs.weights) as file:
        expected = file.read("model.norm.weight")
    assert np.array_equal(model.model.norm.weight.detach().numpy(), expected)


def test_a_built_release_verifies_and_names_its_lineage(small: SmallRelease):
    verified = verify_release(small.folder, small.root.public_key)
    assert verified.is_pinned
    assert verified.record == small.record
    assert [digest[:4] for digest in small.record.chain] == [
        record.checkpoint.checkpoint_sha256[:4] for record in small.inputs.chain
    ]
    assert small.record.checkpoint_sha256 == digest_files(
        (describe_file(small.folder / "model.safetensors"),)
    )
    assert dict(verified.checks)["weights"].startswith("125248 parameters")


def test_a_second_build_returns_the_existing_release(small: SmallRelease):
    before = {path: path.stat().st_mtime_ns for path in small.folder.rglob("*")}
    assert build_release(small.inputs, small.key, small.folder) == small.record
    assert {path: path.stat().st_mtime_ns for path in small.folder.rglob("*")} == before
    assert os.listdir(small.folder.parent).count("release") == 1
    assert not [name for name in os.listdir(small.folder.parent) if name.startswith(".")]


def test_a_folder_with_another_release_is_left_alone(small: SmallRelease):
    earlier = small.inputs.chain[1]
    inputs = dataclasses.replace(small.inputs, record=earlier, chain=small.inputs.chain[:2])
    with pytest.raises(ReleaseError, match="holds the release of r0003"):
        build_release(inputs, small.key, small.folder)


def test_a_folder_with_something_else_is_left_alone(parts: Parts, tmp_path: Path):
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "notes.txt").write_text("mine")
    with pytest.raises(ReleaseError, match="not a release folder"):
        build_release(*parts, tmp_path / "release")
    assert os.listdir(tmp_path / "release") == ["notes.txt"]


def test_an_empty_folder_is_filled(parts: Parts, tmp_path: Path):
    (tmp_path / "release").mkdir()
    build_release(*parts, tmp_path / "release")
    assert (tmp_path / "release" / "README.md").is_file()


def test_missing_weights_leave_nothing(parts: Parts, tmp_path: Path):
    inputs = dataclasses.replace(parts[0], weights=tmp_path / "absent.safetensors")
    assert_refused(inputs, parts[1], tmp_path / "out", "absent.safetensors is missing")


def test_a_failure_after_the_weights_were_copied_leaves_nothing(parts: Parts, tmp_path: Path):
    inputs = dataclasses.replace(parts[0], compliance={"bias/gap": float("nan")})
    assert_refused(inputs, parts[1], tmp_path / "out", "not plain JSON")


def test_weights_of_another_checkpoint_are_refused(parts: Parts, tmp_path: Path):
    data = bytearray(parts[0].weights.read_bytes())
    data[-1] ^= 1
    parts[0].weights.write_bytes(data)
    assert_refused(*parts, tmp_path / "out", "not the checkpoint that the record names")


def test_weights_with_nan_are_refused(parts: Parts, tmp_path: Path):
    with TensorFile(parts[0].weights) as file:
        values = {name: file.read(name).copy() for name in sorted(file.tensors)}
        schema = file.schema
    values["model.norm.weight"][7] = np.nan
    with TensorWriter(parts[0].weights, schema) as writer:
        for name, value in values.items():
            writer.append(name, value)
    file_digest = describe_file(parts[0].weights)
    reference = CheckpointRef(
        round="r0003", checkpoint_sha256=digest_files((file_digest,)), files=(file_digest,)
    )
    record = parts[0].record.model_copy(update={"checkpoint": reference})
    inputs = dataclasses.replace(
        parts[0],
        record=record,
        chain=(*parts[0].chain[:2], record),
        evaluations=(make_evaluation(record, 99.0),),
    )
    assert_refused(inputs, parts[1], tmp_path / "out", "model.norm.weight holds NaN")


def test_weights_of_another_architecture_are_refused(parts: Parts, tmp_path: Path):
    model = parts[0].recipe.model.model_copy(update={"architecture": "tiny"})
    recipe = parts[0].recipe.model_copy(update={"model": model})
    inputs = dataclasses.replace(parts[0], recipe=recipe)
    assert_refused(inputs, parts[1], tmp_path / "out", "differ in tensor model.layers.2")


def test_a_key_without_a_grant_cannot_release(parts: Parts, tmp_path: Path):
    assert_refused(parts[0], SigningKey.generate(), tmp_path / "out", "unknown key")


def test_a_grant_by_another_root_is_refused(parts: Parts, tmp_path: Path):
    grant = sign_grant(SigningKey.generate(), parts[1])
    inputs = dataclasses.replace(parts[0], grants=(grant,))
    assert_refused(inputs, parts[1], tmp_path / "out", "does not verify under the root key")


def test_a_grant_of_another_role_does_not_release(tmp_path: Path):
    root, key = SigningKey.generate(), SigningKey.generate()
    grants = (sign_grant(root, key, role="steward"),)
    inputs = make_inputs(tmp_path / "inputs", root, key, grants=grants)
    assert_refused(inputs, key, tmp_path / "out", "unknown key")


def test_a_round_that_was_rolled_back_is_not_released(parts: Parts, tmp_path: Path):
    last = parts[0].evaluations[-1].model_copy(update={"decision": "rolled_back"})
    inputs = dataclasses.replace(parts[0], evaluations=(parts[0].evaluations[0], last))
    assert_refused(inputs, parts[1], tmp_path / "out", "r0003 was rolled back")


def test_a_round_without_evaluation_is_not_released(parts: Parts, tmp_path: Path):
    inputs = dataclasses.replace(parts[0], evaluations=parts[0].evaluations[:1])
    assert_refused(inputs, parts[1], tmp_path / "out", "r0003 has no evaluation")


@pytest.mark.parametrize(
    ("act", "changes", "says"),
    [
        ("evaluation_report", {"decision": "rolled_back"}, "not about the promotion of r0003"),
        ("evaluation_report", {"sha256": "0" * 64}, "not about the promotion of r0003"),
        ("global_checkpoint", {}, "not about the promotion of r0003"),
    ],
)
def test_a_promotion_that_the_log_does_not_show_is_refused(
    tmp_path: Path, act: str, changes: dict[str, str], says: str
):
    root, key = SigningKey.generate(), SigningKey.generate()
    inputs = make_inputs(tmp_path / "inputs", root, key)
    evaluation = inputs.evaluations[-1]
    keys = LogKeys.generate("synnq-smoke")
    log = AuditLog(tmp_path / "audit.sqlite", keys)
    with log.act(act, "r0003", actor="coordinator") as deed:
        told = {"sha256": evaluation.digest(), "decision": "promoted", **changes}
        deed.details.update(told)
    grants = (
        inputs.grants[0],
        sign_grant(root, keys.ed25519, role="log", identity="log"),
        sign_grant(root, keys.ml_dsa_44, role="log", identity="log-ml-dsa-44"),
    )
    inputs = dataclasses.replace(inputs, grants=grants, promotion=log.evidence(deed.position or 0))
    assert_refused(inputs, key, tmp_path / "out", says)


def test_what_is_no_receipt_is_a_release_error(parts: Parts, tmp_path: Path):
    damaged = Evidence(parts[0].promotion.entry, b"not a receipt")
    inputs = dataclasses.replace(parts[0], promotion=damaged)
    assert_refused(inputs, parts[1], tmp_path / "out", "not a receipt")


@pytest.mark.parametrize("name", ["../up.png", "a/b.png", "Rounds.png", "rounds.svg", ""])
def test_a_plot_needs_a_plain_name(name: str, parts: Parts, tmp_path: Path):
    plot = parts[0].plots["rounds.png"]
    inputs = dataclasses.replace(parts[0], plots={name: plot})
    assert_refused(inputs, parts[1], tmp_path / "out", "plot")


def test_a_plot_that_is_no_png_is_refused(parts: Parts, tmp_path: Path):
    inputs = dataclasses.replace(parts[0], plots={"rounds.png": b"<svg>"})
    assert_refused(inputs, parts[1], tmp_path / "out", "not a PNG")


def test_a_parent_that_cannot_be_written_is_a_storage_error(parts: Parts, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot write"):
        build_release(*parts, tmp_path / "file" / "release")


def test_importing_the_room_imports_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, synnq_assets.release, synnq_assets.serving; "
        "print(sorted({'torch', 'transformers', 'fastapi', 'uvicorn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
