"""Every algorithm is held to the same contract; published vectors anchor each."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synnq_assets.errors import SignatureError, TrustError
from synnq_assets.trust.algorithms import ALGORITHMS, find_algorithm
from synnq_assets.trust.keys import SigningKey, parse_public_key

NAMES = sorted(ALGORITHMS)
KEYS = {name: SigningKey.generate(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_signature_verifies_under_its_key_and_message_alone(name):
    key, other = KEYS[name], SigningKey.generate(name)
    signature = base64.b64encode(key.sign(b"message")).decode()
    parse_public_key(key.public_key).verify(signature, b"message")
    with pytest.raises(SignatureError):
        parse_public_key(key.public_key).verify(signature, b"massage")
    with pytest.raises(SignatureError):
        parse_public_key(other.public_key).verify(signature, b"message")


@pytest.mark.parametrize("name", NAMES)
def test_lengths_are_those_of_the_table(name):
    key, algorithm = KEYS[name], find_algorithm(name)
    assert key.public_key.startswith(f"{name}:")
    assert len(parse_public_key(key.public_key).raw) == algorithm.public_bytes
    assert len(key.sign(b"")) == algorithm.signature_bytes


@pytest.mark.parametrize("name", NAMES)
@given(position=st.integers(min_value=0), flip=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_changed_signature_is_refused(name, position, flip):
    changed = bytearray(KEYS[name].sign(b"message"))
    changed[position % len(changed)] ^= flip
    with pytest.raises(SignatureError):
        parse_public_key(KEYS[name].public_key).verify(
            base64.b64encode(changed).decode(), b"message"
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [0, 1, 63, 65, 2421])
def test_a_signature_of_another_length_is_refused(name, length):
    with pytest.raises(TrustError, match="expected"):
        parse_public_key(KEYS[name].public_key).verify(
            base64.b64encode(b"x" * length).decode(), b""
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_key_survives_the_disk(name, tmp_path):
    KEYS[name].write(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert SigningKey.read(tmp_path / "key.pem").public_key == KEYS[name].public_key


@pytest.mark.parametrize(
    "text", ["", "ed25519", "rsa:AAAA", "ED25519:" + "A" * 43 + "=", "ed25519:AAAA", "ed25519:é"]
)
def test_what_is_no_public_key_is_refused(text):
    with pytest.raises(TrustError):
        parse_public_key(text)


def test_the_same_bytes_under_another_algorithm_are_another_key():
    raw = base64.b64encode(b"\x02" * 33).decode()
    with pytest.raises(TrustError, match="expected 32 bytes"):
        parse_public_key(f"ed25519:{raw}")


def test_of_two_ecdsa_signatures_that_verify_one_is_accepted():
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signature = KEYS["ecdsa-p256"].sign(b"message")
    twin = signature[:32] + (order - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
    with pytest.raises(SignatureError, match="canonical"):
        parse_public_key(KEYS["ecdsa-p256"].public_key).verify(
            base64.b64encode(twin).decode(), b"message"
        )


def test_an_ed25519_scalar_beyond_the_group_s_order_is_refused():
    order = 2**252 + 27742317777372353535851937790883648493
    signature = KEYS["ed25519"].sign(b"message")
    twin = signature[:32] + (order + int.from_bytes(signature[32:], "little")).to_bytes(
        32, "little"
    )
    with pytest.raises(SignatureError, match="canonical"):
        parse_public_key(KEYS["ed25519"].public_key).verify(
            base64.b64encode(twin).decode(), b"message"
        )


@pytest.mark.parametrize(
    ("public", "message", "signature"),
    [
        # RFC 8032 §7.1, tests 1 to 3
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
            "f9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
            "f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
            "c6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ],
)
def test_the_vectors_of_rfc_8032_verify(public, message, signature):
    key = parse_public_key("ed25519:" + base64.b64encode(bytes.fromhex(public)).decode())
    key.verify(base64.b64encode(bytes.fromhex(signature)).decode(), bytes.fromhex(message))
