import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.errors import RecordError, SignatureError, TrustError
from synnq_assets.records.federation import NodeProfile, ParticipationAgreement
from synnq_assets.trust import Keyring, SigningKey, open_envelope, sign_record
from synnq_assets.trust.envelopes import encode_for_signing
from synnq_assets.trust.keyring import KeyEntry, Window
from synnq_assets.trust.keys import parse_public_key
from synnq_assets_tests.builders import build_agreement, build_profile

KEY = SigningKey.generate()
RING = Keyring.with_root("synnq-test", KEY.public_key)
COORDINATOR = ("coordinator",)


def reopen(data, **changes):
    options = {"record_type": NodeProfile, "keyring": RING, "roles": COORDINATOR, **changes}
    return open_envelope(data, **options)


def test_a_signed_record_opens():
    assert reopen(sign_record(build_profile(), KEY)) == build_profile()


def test_the_pre_authentication_encoding_is_the_specification_s_example():
    # protocol.md, "Test Vectors"
    assert encode_for_signing("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_a_stranger_s_signature_is_refused():
    with pytest.raises(SignatureError, match="unknown key"):
        reopen(sign_record(build_profile(), SigningKey.generate()))


def test_a_key_of_another_role_is_refused():
    with pytest.raises(SignatureError, match="signed by a coordinator key; expected node"):
        reopen(sign_record(build_profile(), KEY), roles=("node",))


def test_node_a_cannot_sign_as_node_b():
    key, ring = SigningKey.generate(), Keyring()
    ring.add(KeyEntry("node-a", "node", key.public_key))
    with pytest.raises(SignatureError, match="signed by 'node-a', but it claims to be 'node-b'"):
        reopen(sign_record(build_profile(), key), keyring=ring, roles=("node",), identity="node-b")


def test_a_suspended_key_is_refused():
    key, ring = SigningKey.generate(), Keyring()
    ring.add(KeyEntry("node-a", "node", key.public_key, windows=(Window(3, 7),)))
    with pytest.raises(SignatureError, match="suspended or revoked"):
        reopen(sign_record(build_profile(), key), keyring=ring, roles=("node",))


@pytest.mark.parametrize(("at", "counts"), [(2, False), (3, True), (6, True), (7, False)])
def test_a_signature_counts_inside_its_key_s_window_alone(at, counts):
    key, ring = SigningKey.generate(), Keyring()
    ring.add(KeyEntry("node-a", "node", key.public_key, windows=(Window(3, 7), Window(9))))
    envelope = sign_record(build_profile(), key)
    if counts:
        assert reopen(envelope, keyring=ring, roles=("node",), at=at) == build_profile()
    else:
        with pytest.raises(SignatureError, match=f"not valid at position {at} of the audit log"):
            reopen(envelope, keyring=ring, roles=("node",), at=at)
    assert reopen(envelope, keyring=ring, roles=("node",)) == build_profile()


def test_a_key_belongs_to_one_party_alone():
    key, ring = SigningKey.generate(), Keyring()
    ring.add(KeyEntry("node-a", "node", key.public_key))
    with pytest.raises(TrustError, match="is the node key of 'node-a' already"):
        ring.add(KeyEntry("node-b", "node", key.public_key))


def test_another_kind_of_record_is_refused():
    with pytest.raises(SignatureError, match="of another type, expected node-profile"):
        reopen(sign_record(build_agreement(), KEY))
    assert reopen(sign_record(build_agreement(), KEY), record_type=ParticipationAgreement)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda e: e.update(payloadType="text/plain"), "payload type"),
        (lambda e: e.update(signatures=[]), "1 to 8 signatures"),
        (lambda e: e.update(signatures=e["signatures"] * 10_000), "1 to 8 signatures"),
        (lambda e: e.update(extra=1), "not a DSSE envelope"),
        (lambda e: e["signatures"][0].update(sig="QUI="), "expected 64 bytes"),
        (lambda e: e["signatures"][0].update(sig="!"), "not base64"),
        (lambda e: e["signatures"][0].update(keyid="0" * 64), "unknown key"),
    ],
)
def test_a_tampered_envelope_is_refused(change, says):
    envelope = json.loads(sign_record(build_profile(), KEY))
    change(envelope)
    with pytest.raises(TrustError, match=says):
        reopen(json.dumps(envelope).encode())


@given(st.data())
def test_no_flipped_byte_of_an_envelope_opens_as_something_else(data):
    envelope = bytearray(sign_record(build_profile(), KEY))
    position = data.draw(st.integers(0, len(envelope) - 1))
    envelope[position] ^= data.draw(st.integers(1, 255))
    try:
        assert reopen(bytes(envelope)) == build_profile()  # a change outside of what is signed
    except (TrustError, RecordError):
        pass


def test_lenient_base64_is_refused():
    envelope = json.loads(sign_record(build_profile(), KEY))
    signature = envelope["signatures"][0]["sig"]
    raw = base64.b64decode(signature)
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        other = signature[:-3] + last + "=="
        if other != signature and base64.b64decode(other) == raw:
            envelope["signatures"][0]["sig"] = other
            with pytest.raises(SignatureError, match="canonical spelling"):
                reopen(json.dumps(envelope).encode())
            return


@pytest.mark.parametrize(
    "raw",
    [
        (1).to_bytes(32, "little"),  # the identity
        (0).to_bytes(32, "little"),  # order 4
        (2**255 - 20).to_bytes(32, "little"),  # order 2
        (2**255 - 18).to_bytes(32, "little"),  # the identity, not canonical
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        (1 | 1 << 255).to_bytes(32, "little"),
        (2).to_bytes(32, "little"),  # not on the curve
        b"\0" * 31,
    ],
)
def test_an_unsafe_public_key_is_refused(raw):
    with pytest.raises(TrustError):
        parse_public_key("ed25519:" + base64.b64encode(raw).decode())


def test_a_thousand_good_keys_are_taken():
    for _ in range(50):
        parse_public_key(SigningKey.generate().public_key)
