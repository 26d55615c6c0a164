from pathlib import Path

import pytest

from synnq_assets.errors import ServingError
from synnq_assets.records.base import sha256_hex
from synnq_assets.serving import generate_api_key, read_api_keys
from synnq_assets.serving.keys import is_known_key


def test_a_key_has_256_bits_and_its_hash_is_stored():
    key, digest = generate_api_key()
    assert digest == sha256_hex(key.encode())
    assert len(key.removeprefix("synnq_")) == 43  # ceil(256 / 6) base64 characters
    assert generate_api_key()[0] != key


def test_a_known_key_is_known_and_others_are_not():
    (first, first_hash), (second, second_hash) = generate_api_key(), generate_api_key()
    hashes = (first_hash, second_hash)
    assert is_known_key(first, hashes)
    assert is_known_key(second, hashes)
    for other in ("", first[:-1], first + "x", first_hash, "ключ", "\udce9"):
        assert not is_known_key(other, hashes)


def test_a_key_file_holds_hashes_and_comments(tmp_path: Path):
    path = tmp_path / "keys"
    path.write_text(f"# partners\n{'a' * 64}  # bologna\n\n{'b' * 64}\n")
    assert read_api_keys(path) == ("a" * 64, "b" * 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no API key"),
        ("# none\n", "no API key"),
        ("synnq_secret\n", "store hashes"),
        ("A" * 64, "store hashes"),
        ("é", "cannot read"),
    ],
)
def test_an_unusable_key_file_is_refused(text: str, message: str, tmp_path: Path):
    path = tmp_path / "keys"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ServingError, match=message):
        read_api_keys(path)


def test_a_missing_key_file_is_refused(tmp_path: Path):
    with pytest.raises(ServingError, match="cannot read API keys"):
        read_api_keys(tmp_path / "absent")
