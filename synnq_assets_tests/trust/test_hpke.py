"""HPKE as it wraps data keys, against a second implementation written from RFC 9180.

The RFC has vectors for DHKEM(X25519, HKDF-SHA256) with HKDF-SHA256 under AES-128-GCM (A.1.1), and
none under AES-256-GCM. So: the second implementation opens A.1.1, with the RFC's key and nonce on
the way; then, with AES-256-GCM, it opens what the platform wraps.
"""

import hmac

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from synnq_assets.trust import SealingKey
from synnq_assets.trust.encoding import decode_base64, encode_base64
from synnq_assets.trust.sealing import unwrap_data_key, wrap_data_key

KEM, KDF = (0x0020).to_bytes(2, "big"), (0x0001).to_bytes(2, "big")
AES_128_GCM, AES_256_GCM = (1, 16), (2, 32)  # id, bytes of the key


def extract(suite, salt, label, ikm):
    """LabeledExtract, RFC 9180 §4."""
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def expand(suite, prk, label, info, length):
    """LabeledExpand, RFC 9180 §4; one block is enough."""
    text = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, text + b"\x01", "sha256")[:length]


def derive(private, enc, info, aead):
    """Return key and base nonce: Decap (§4.1) and the key schedule of base mode (§5.1)."""
    kem = b"KEM" + KEM
    dh = private.exchange(X25519PublicKey.from_public_bytes(enc))
    context = enc + private.public_key().public_bytes_raw()
    shared = expand(kem, extract(kem, b"", b"eae_prk", dh), b"shared_secret", context, 32)
    suite = b"HPKE" + KEM + KDF + aead[0].to_bytes(2, "big")
    context = b"\x00" + extract(suite, b"", b"psk_id_hash", b"")
    context += extract(suite, b"", b"info_hash", info)
    secret = extract(suite, shared, b"secret", b"")
    return (
        expand(suite, secret, b"key", context, aead[1]),
        expand(suite, secret, b"base_nonce", context, 12),
    )


def test_the_second_implementation_opens_the_vector_of_the_rfc():
    private = X25519PrivateKey.from_private_bytes(
        bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
    )
    enc = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
    key, nonce = derive(private, enc, b"Ode on a Grecian Urn", AES_128_GCM)
    assert key.hex() == "4531685d41d65f03dc48f6b8302c05b0"
    assert nonce.hex() == "56d890e5accaaf011cff4b7d"
    ciphertext = bytes.fromhex(
        "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
    )
    plaintext = AESGCM(key).decrypt(nonce, ciphertext, b"Count-0")
    assert plaintext == b"Beauty is truth, truth beauty"


def test_the_second_implementation_opens_what_is_wrapped():
    node, context = SealingKey.generate(), b"synnq-test\0shard\0r0001.node-a.1\0node-a"
    wrapped = decode_base64(wrap_data_key(b"k" * 32, node.public_key, context))
    assert len(wrapped) == 32 + 32 + 16
    key, nonce = derive(node.private, wrapped[:32], context, AES_256_GCM)
    assert AESGCM(key).decrypt(nonce, wrapped[32:], b"") == b"k" * 32
    other, nonce = derive(node.private, wrapped[:32], context + b"x", AES_256_GCM)
    with pytest.raises(InvalidTag):
        AESGCM(other).decrypt(nonce, wrapped[32:], b"")


def test_what_the_second_implementation_wraps_is_unwrapped():
    node, ephemeral, context = SealingKey.generate(), X25519PrivateKey.generate(), b"context"
    enc = ephemeral.public_key().public_bytes_raw()
    key, nonce = derive(node.private, enc, context, AES_256_GCM)
    wrapped = encode_base64(enc + AESGCM(key).encrypt(nonce, b"k" * 32, b""))
    assert unwrap_data_key(wrapped, node, context) == b"k" * 32
