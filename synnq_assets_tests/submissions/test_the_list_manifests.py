"""Items 1 to 19 of the list of bad inputs: manifests, signatures, keys."""

import json
import time
import tracemalloc

import pytest

from synnq_assets.errors import EnrolmentError
from synnq_assets.federation import Registry
from synnq_assets.federation.enrolment import KeyRotation
from synnq_assets.records.base import canonical_json, now_at
from synnq_assets.trust import SigningKey, sign_record
from synnq_assets.trust.algorithms.ed25519 import _ORDER
from synnq_assets.trust.encoding import decode_base64, encode_base64
from synnq_assets.trust.keyring import KeyEntry
from synnq_assets.trust.keys import SealingKey

from .the_list import HONEST, POISON

MANIFEST = "submission.json"


def forge_text(bad, old, new):
    """Sign the honest manifest with one piece of its text replaced."""
    bad.submit()
    payload = canonical_json(bad.statement()).decode()
    assert old in payload
    bad.forge(payload.replace(old, new, 1).encode("utf-8", "surrogatepass"))


def forge_metric(bad, name, value):
    """Sign the honest manifest with one metric's text replaced."""
    bad.submit()
    figure = json.dumps(bad.statement()["predicate"]["metrics"][name])
    forge_text(bad, f'"{name}":{figure}', f'"{name}":{value}')


def envelope(bad):
    return json.loads((bad.outbox / MANIFEST).read_bytes())


def test_item_01_a_duplicate_json_key(bad):
    forge_text(bad, '"num_steps":12', '"num_steps":11,"num_steps":12')
    bad.refuse("signature", "repeats a key")


def test_item_01_a_duplicate_json_key_in_the_envelope(bad):
    bad.submit()
    data = (bad.outbox / MANIFEST).read_bytes()
    (bad.outbox / MANIFEST).write_bytes(data.replace(b"{", b'{"payload":"",', 1))
    bad.refuse("signature", "repeats a key")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_item_02_a_number_that_is_not_finite(bad, number):
    forge_metric(bad, "energy_joules", number)
    bad.refuse("signature", "not an envelope")


def test_item_03_an_integer_of_5000_digits(bad):
    forge_metric(bad, "num_steps", "9" * 5000)
    bad.refuse("signature", "more than 20 characters")


@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_item_04_200_000_nested_brackets(bad, bracket):
    bad.submit()
    bad.forge(b"".join([bracket.encode() * 200_000]))
    tracemalloc.start()
    began = time.process_time()
    bad.judge()
    seconds, (_, peak_bytes) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    bad.refuse("signature", "nested deeper than 32 levels")
    assert seconds < 5
    assert peak_bytes < 64 << 20


def test_item_05_a_lone_surrogate(bad):
    forge_text(bad, '"payload_version":"0.1.0"', '"payload_version":"\\ud800"')
    bad.refuse("signature", "not strict JSON")


def test_item_06_a_byte_order_mark(bad):
    bad.submit()
    bad.forge(b"\xef\xbb\xbf" + canonical_json(bad.statement()))
    bad.refuse("signature", "not strict JSON")


@pytest.mark.parametrize("value", ["12.0", "true", '"12"', "1.2e1"])
def test_item_07_an_integer_of_another_type(bad, value):
    forge_metric(bad, "num_steps", value)
    bad.refuse("signature", "metrics.num_steps")


@pytest.mark.parametrize("value", ["1.0", "true", "1"])
def test_item_07_a_round_that_is_a_number(bad, value):
    forge_text(bad, '"round":"r0001"', f'"round":{value}')
    bad.refuse("signature", "not a Submission: round")


def test_item_08_a_missing_field(bad):
    bad.submit()
    bad.forge_predicate(lambda predicate: predicate.pop("nonce"))
    bad.refuse("signature", "nonce: Field required")


def test_item_08_an_extra_field_is_not_repeated(bad):
    bad.submit()
    bad.forge_predicate(lambda predicate: predicate.update(weight=100))
    verdict = bad.refuse("signature", "Extra inputs are not permitted")
    assert "weight" not in verdict.reasons[0]


def test_item_09_a_manifest_of_64_megabytes(bad):
    bad.submit()
    with (bad.outbox / MANIFEST).open("ab") as file:
        file.write(b" " * (64 << 20))
    tracemalloc.start()
    began = time.process_time()
    bad.judge()
    seconds, (_, peak_bytes) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    bad.refuse("signature", "at most 4194304 are taken")
    assert seconds < 5
    assert peak_bytes < 64 << 20


def test_item_10_another_payload_type(bad):
    bad.submit()
    bad.forge(canonical_json(bad.statement()), payloadType="application/json")
    bad.refuse("signature", "payload type must be")


def test_item_11_a_valid_envelope_of_another_statement(bad):
    bad.submit()
    data = sign_record(bad.world.node.profile, bad.world.key)
    (bad.outbox / MANIFEST).write_bytes(data)
    bad.refuse("signature", "of another type, expected submission")


@pytest.mark.parametrize("number", [0, 10_000])
def test_item_12_no_signature_or_ten_thousand(bad, number):
    bad.submit()
    payload = canonical_json(bad.statement())
    bad.forge(payload, signatures=envelope(bad)["signatures"] * number)
    bad.refuse("signature", "1 to 8 signatures")


def test_item_13_one_key_signing_twice_is_one_signature(bad, desk):
    """What needs two signatures is a rotation: by the old key and by the new one."""
    key, registry = desk.key(POISON), Registry(desk.home.ledger)
    rotation = KeyRotation(
        node_id=POISON,
        old_signing_public_key=key.public_key,
        signing_public_key=SigningKey.generate().public_key,
        sealing_public_key=SealingKey.generate().public_key,
        requested_at=now_at(),
    )
    before = registry.get(POISON)
    with pytest.raises(EnrolmentError, match="rotation refused: signed by an unknown key"):
        registry.rotate(sign_record(rotation, key, key), desk.home.coordinator, at=99)
    assert registry.get(POISON) == before
    bad.submit()
    assert bad.judge().decision == "accepted"


@pytest.mark.parametrize(
    "raw",
    [
        bytes(32),  # order 4
        b"\x01" + bytes(31),  # the identity
        b"\xec" + b"\xff" * 30 + b"\x7f",  # order 2
        b"\xee" + b"\xff" * 30 + b"\x7f",  # the identity, not canonical
    ],
)
def test_item_14_a_small_order_or_non_canonical_key(desk, raw):
    from synnq_assets.errors import TrustError

    with pytest.raises(TrustError, match="small order|canonical form"):
        desk.home.ledger.keyring.add(KeyEntry("node-weak", "node", f"ed25519:{encode_base64(raw)}"))


@pytest.mark.parametrize("case", ["scalar", "short", "long", "empty"])
def test_item_15_a_signature_in_another_encoding(bad, case):
    bad.submit()
    found = envelope(bad)
    raw = decode_base64(found["signatures"][0]["sig"])
    scalar = int.from_bytes(raw[32:], "little") + _ORDER
    wrong = {
        "scalar": raw[:32] + scalar.to_bytes(32, "little"),
        "short": raw[:-1],
        "long": raw + b"\0",
        "empty": b"",
    }[case]
    found["signatures"][0]["sig"] = encode_base64(wrong)
    (bad.outbox / MANIFEST).write_bytes(json.dumps(found).encode())
    bad.refuse("signature", "canonical form" if case == "scalar" else "expected 64 bytes")


@pytest.mark.parametrize("where", ["payload", "sig"])
def test_item_16_lenient_base64(bad, where):
    bad.submit()
    found = envelope(bad)
    holder = found if where == "payload" else found["signatures"][0]
    while not holder[where].endswith("="):  # a length that leaves bits over
        bad.outbox = bad.outbox.with_name(f"{bad.outbox.name}-")
        bad.submit(payload_version="0.1.0" + "0" * len(bad.outbox.name))
        found = envelope(bad)
        holder = found if where == "payload" else found["signatures"][0]
    text = holder[where].rstrip("=")
    twin = text[:-1] + chr(ord(text[-1]) + 1) + "=" * (len(holder[where]) - len(text))
    holder[where] = twin
    (bad.outbox / MANIFEST).write_bytes(json.dumps(found).encode())
    bad.refuse("signature", "canonical spelling")


@pytest.mark.parametrize("role", ["coordinator", "steward", "release"])
def test_item_17_a_key_of_another_role(bad, desk, role):
    bad.submit()
    bad.sign_again(key=getattr(desk.home, role, None) or desk.home.release_key)
    bad.refuse("signature", f"signed by a {role} key; expected node")


def test_item_18_the_key_of_one_node_under_the_id_of_another(bad, desk):
    bad.submit()
    bad.sign_again(key=desk.key(HONEST))
    bad.refuse("signature", "signed by")


def test_item_19_another_algorithm_under_the_same_key_id(bad):
    bad.submit()
    payload = canonical_json(bad.statement())
    other = SigningKey.generate("ecdsa-p256")
    bad.forge(payload, other)
    found = envelope(bad)
    found["signatures"][0]["keyid"] = bad.world.key.key_id
    (bad.outbox / MANIFEST).write_bytes(json.dumps(found).encode())
    bad.refuse("signature", "signature")


def test_item_19_an_algorithm_named_in_the_envelope(bad):
    bad.submit()
    found = envelope(bad)
    found["signatures"][0]["alg"] = "none"
    (bad.outbox / MANIFEST).write_bytes(json.dumps(found).encode())
    bad.refuse("signature", "exactly keyid and sig")
