import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synnq_assets.errors import ReleaseError
from synnq_assets.records.releases import ReleaseRecord
from synnq_assets.release import verify_release
from synnq_assets.release.contents import RECORD_FILE, describe_files, list_paths
from synnq_assets.trust import SigningKey, sign_record
from synnq_assets_tests.release.release_folder import SmallRelease, build_small_release, sign_grant


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    return build_small_release(tmp_path_factory.mktemp("verified"))


@pytest.fixture
def copy(small: SmallRelease, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small.folder, tmp_path / "copy"))


def is_refused(folder: Path, root_public_key: str | None) -> bool:
    try:
        verify_release(folder, root_public_key)
    except ReleaseError:
        return True
    return False


def sign_again(folder: Path, small: SmallRelease, key: SigningKey | None = None, **changes) -> None:
    """Sign the folder as it is now: what a holder of the release key could do."""
    record = small.record.model_copy(update={"files": describe_files(folder), **changes})
    envelope = sign_record(ReleaseRecord.parse(record.canonical_bytes()), key or small.key)
    (folder / RECORD_FILE).write_bytes(envelope)


def edit_json(path: Path, edit: Callable[[dict], None]) -> None:
    value = json.loads(path.read_bytes())
    edit(value)
    path.write_text(json.dumps(value))


def test_an_untouched_copy_verifies_anywhere(copy: Path, small: SmallRelease):
    assert verify_release(copy, small.root.public_key).is_pinned
    unpinned = verify_release(copy)
    assert not unpinned.is_pinned
    assert ("root key", "from the folder; not pinned") in unpinned.checks


def test_a_flipped_bit_in_any_file_is_found(copy: Path, small: SmallRelease):
    for name in list_paths(copy):
        path = copy / name
        data = path.read_bytes()
        for position in {0, len(data) // 3, len(data) // 2, len(data) - 1}:
            path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
            assert is_refused(copy, small.root.public_key), (name, position)
            assert is_refused(copy, None), (name, position)
        path.write_bytes(data)
    assert not is_refused(copy, small.root.public_key)


@settings(max_examples=300, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_the_signed_record_is_found(
    small: SmallRelease, tmp_path_factory: pytest.TempPathFactory, share: float, bit: int
):
    folder = tmp_path_factory.getbasetemp() / "flipped"
    if not folder.exists():
        shutil.copytree(small.folder, folder)
    data = bytearray((small.folder / RECORD_FILE).read_bytes())
    data[int(share * len(data))] ^= 1 << bit
    (folder / RECORD_FILE).write_bytes(data)
    assert is_refused(folder, small.root.public_key)


def test_a_truncated_or_extended_file_is_found(copy: Path, small: SmallRelease):
    for name in list_paths(copy):
        data = (copy / name).read_bytes()
        for changed in (data[:-1], data + b"\n", b""):
            (copy / name).write_bytes(changed)
            assert is_refused(copy, small.root.public_key), name
        (copy / name).write_bytes(data)


def test_a_removed_file_is_found(copy: Path, small: SmallRelease):
    for name in list_paths(copy):
        (copy / name).rename(copy.parent / "aside")
        assert is_refused(copy, small.root.public_key), name
        (copy.parent / "aside").rename(copy / name)
    assert not is_refused(copy, small.root.public_key)


@pytest.mark.parametrize(
    "name",
    [".hidden", ".gitattributes", ".git/config", "modeling.py", "provenance/extra.json", "a\nb"],
)
def test_an_added_file_is_found(name: str, copy: Path, small: SmallRelease):
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_bytes(b"")
    with pytest.raises(ReleaseError, match="not in the signed list"):
        verify_release(copy, small.root.public_key)


def test_an_added_grant_is_found(copy: Path, small: SmallRelease):
    grant = sign_grant(small.root, SigningKey.generate())
    (copy / "provenance/keys/other.json").write_bytes(grant)
    with pytest.raises(ReleaseError, match=r"other\.json.*not in the signed list"):
        verify_release(copy, small.root.public_key)


def test_a_link_a_pipe_and_an_empty_folder_are_found(copy: Path, small: SmallRelease):
    (copy / "link").symlink_to(copy / "README.md")
    with pytest.raises(ReleaseError, match="link or a special file"):
        verify_release(copy, small.root.public_key)
    (copy / "link").unlink()
    os.mkfifo(copy / "provenance" / "pipe")
    with pytest.raises(ReleaseError, match="link or a special file"):
        verify_release(copy, small.root.public_key)
    (copy / "provenance" / "pipe").unlink()
    (copy / "empty").mkdir()
    with pytest.raises(ReleaseError, match="empty"):
        verify_release(copy, small.root.public_key)


def test_folders_nested_too_deep_are_found(copy: Path, small: SmallRelease):
    copy.joinpath(*"abcd").mkdir(parents=True)
    copy.joinpath(*"abcd", "e").write_bytes(b"")
    with pytest.raises(ReleaseError, match="nested more than 3 deep"):
        verify_release(copy, small.root.public_key)


def test_a_file_replaced_by_a_link_to_the_same_bytes_is_found(copy: Path, small: SmallRelease):
    (copy / "config.json").rename(copy.parent / "config.json")
    (copy / "config.json").symlink_to(copy.parent / "config.json")
    assert is_refused(copy, small.root.public_key)


@pytest.mark.parametrize("name", ["missing", "README.md"])
def test_what_is_no_folder_is_refused(name: str, small: SmallRelease):
    with pytest.raises(ReleaseError, match="not a folder"):
        verify_release(small.folder / name)


def test_another_root_is_refused(copy: Path):
    with pytest.raises(ReleaseError, match="another root key"):
        verify_release(copy, SigningKey.generate().public_key)


def test_a_forged_release_passes_only_without_a_pinned_root(small: SmallRelease, tmp_path: Path):
    forged = build_small_release(tmp_path)
    assert not verify_release(forged.folder).is_pinned
    with pytest.raises(ReleaseError, match="another root key"):
        verify_release(forged.folder, small.root.public_key)


def test_a_record_signed_by_other_keys_is_refused(copy: Path, small: SmallRelease):
    for key in (SigningKey.generate(), small.root):
        sign_again(copy, small, key)
        with pytest.raises(ReleaseError, match="unknown key"):
            verify_release(copy, small.root.public_key)


def test_a_key_granted_by_itself_is_refused(copy: Path, small: SmallRelease):
    thief = SigningKey.generate()
    (copy / "provenance/keys/thief.json").write_bytes(sign_grant(thief, thief))
    sign_again(copy, small, thief)
    with pytest.raises(ReleaseError, match=r"thief\.json: signed by an unknown key"):
        verify_release(copy, small.root.public_key)


def test_a_key_granted_as_coordinator_grants_nothing(copy: Path, small: SmallRelease):
    deputy, thief = SigningKey.generate(), SigningKey.generate()
    grant = sign_grant(small.root, deputy, role="coordinator")
    (copy / "provenance/keys/a.json").write_bytes(grant)
    (copy / "provenance/keys/b.json").write_bytes(sign_grant(deputy, thief))
    sign_again(copy, small, thief)
    with pytest.raises(ReleaseError, match=r"b\.json: signed by an unknown key"):
        verify_release(copy, small.root.public_key)


def test_a_second_signature_or_another_spelling_is_refused(copy: Path, small: SmallRelease):
    data = (copy / RECORD_FILE).read_bytes()
    envelope = json.loads(data)
    (copy / RECORD_FILE).write_bytes(json.dumps(envelope).encode())
    with pytest.raises(ReleaseError, match="spelling"):
        verify_release(copy, small.root.public_key)
    envelope["signatures"] *= 2
    (copy / RECORD_FILE).write_bytes(json.dumps(envelope, separators=(",", ":")).encode())
    with pytest.raises(ReleaseError, match="spelling"):
        verify_release(copy, small.root.public_key)


def test_a_broken_chain_is_refused_though_signed(copy: Path, small: SmallRelease):
    path = copy / "provenance/rounds/r0001.json"
    edit_json(path, lambda value: value.update(parent_checkpoint_sha256="9" * 64))
    sign_again(copy, small)
    with pytest.raises(ReleaseError, match="chain is broken: r0000 is not r0001's parent"):
        verify_release(copy, small.root.public_key)


def test_a_chain_with_a_round_cut_out_is_refused_though_signed(copy: Path, small: SmallRelease):
    (copy / "provenance/rounds/r0001.json").unlink()
    sign_again(copy, small)
    with pytest.raises(ReleaseError, match="chain is broken: r0000 is not r0003's parent"):
        verify_release(copy, small.root.public_key)


def test_a_chain_that_the_record_does_not_name_is_refused(copy: Path, small: SmallRelease):
    sign_again(copy, small, chain=("1" * 64, small.record.checkpoint_sha256))
    with pytest.raises(ReleaseError, match="does not hold the chain"):
        verify_release(copy, small.root.public_key)


def test_a_record_of_another_round_is_refused(copy: Path, small: SmallRelease):
    sign_again(copy, small, round="r0004")
    with pytest.raises(ReleaseError, match="chain ends at r0003, the record is of r0004"):
        verify_release(copy, small.root.public_key)


def test_other_weights_are_refused_though_signed(copy: Path, small: SmallRelease):
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    sign_again(copy, small)
    with pytest.raises(ReleaseError, match="not the checkpoint that the record names"):
        verify_release(copy, small.root.public_key)


def test_a_config_for_other_tensors_is_refused_though_signed(copy: Path, small: SmallRelease):
    edit_json(copy / "config.json", lambda value: value.update(num_hidden_layers=3))
    sign_again(copy, small)
    with pytest.raises(ReleaseError, match=r"differ in tensor model\.layers\.2"):
        verify_release(copy, small.root.public_key)


def test_a_config_for_other_shapes_is_refused_though_signed(copy: Path, small: SmallRelease):
    edit_json(copy / "config.json", lambda value: value.update(vocab_size=511))
    sign_again(copy, small)
    with pytest.raises(ReleaseError, match=r"F32\[512, 64\].* calls for \[511, 64\]"):
        verify_release(copy, small.root.public_key)


@pytest.mark.parametrize("key", ["auto_map", "_attn_implementation_internal"])
def test_a_config_that_names_code_is_refused_though_signed(
    key: str, copy: Path, small: SmallRelease
):
    edit_json(copy / "config.json", lambda value: value.update({key: "evil.py"}))
    sign_again(copy, small)
    with pytest.raises(ReleaseError, match=f"{key} is not allowed"):
        verify_release(copy, small.root.public_key)


def test_shards_that_the_record_does_not_name_are_refused(copy: Path, small: SmallRelease):
    edit_json(copy / "provenance/shards.json", lambda value: value["shards"].pop())
    sign_again(copy, small)
    with pytest.raises(ReleaseError, match="does not list the shards"):
        verify_release(copy, small.root.public_key)


def test_an_evaluation_of_another_checkpoint_is_refused(copy: Path, small: SmallRelease):
    path = copy / "provenance/evaluations/r0003.json"
    edit_json(path, lambda value: value.update(checkpoint_sha256="9" * 64))
    sign_again(copy, small)
    with pytest.raises(ReleaseError, match="evaluation of r0003"):
        verify_release(copy, small.root.public_key)


def test_a_release_without_its_evaluation_is_refused(copy: Path, small: SmallRelease):
    (copy / "provenance/evaluations/r0003.json").unlink()
    sign_again(copy, small)
    with pytest.raises(ReleaseError, match="no evaluation of the released round"):
        verify_release(copy, small.root.public_key)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[]", b"{}", b"[" * 100_000, b'"x"'])
def test_nonsense_in_the_signed_record_is_a_typed_refusal(
    data: bytes, copy: Path, small: SmallRelease
):
    (copy / RECORD_FILE).write_bytes(data)
    assert is_refused(copy, small.root.public_key)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\n", b"AAAA\n", b"AAAA" * 1000])
def test_nonsense_as_root_key_is_a_typed_refusal(data: bytes, copy: Path):
    (copy / "provenance/root.pub").write_bytes(data)
    assert is_refused(copy, None)
