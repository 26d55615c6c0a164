import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.errors import RecordError
from synnq_assets.records.base import canonical_json, parse_strict_json
from synnq_assets.records.federation import NodeProfile
from synnq_assets.records.orders import LrSegment
from synnq_assets_tests.builders import build_profile


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"a": 1, "a": 2}', "repeats a key"),
        (b'{"a": NaN}', "not finite"),
        (b'{"a": 1e999}', "not strict JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "more than 20 characters"),
        (b"[" * 200_000, "nested deeper"),
        (rb'{"a": "\ud800"}', "not strict JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "not strict JSON"),
        (b"\xff\xfe", "not strict JSON"),
        (b"{", "not strict JSON"),
    ],
)
def test_lenient_json_is_refused(data, says):
    with pytest.raises(RecordError, match=says):
        parse_strict_json(data)


def test_an_oversized_document_is_refused_unread():
    with pytest.raises(RecordError, match="at most 10 are read"):
        parse_strict_json(b" " * 11, max_bytes=10)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(json_values)
def test_canonical_json_reads_back_and_is_a_fixed_point(value):
    data = canonical_json(value)
    assert canonical_json(parse_strict_json(data)) == data


@given(st.binary(max_size=200))
def test_foreign_bytes_parse_or_raise_a_typed_error(data):
    try:
        parse_strict_json(data)
    except RecordError:
        pass


def test_a_record_reads_back_with_the_same_digest():
    profile = build_profile()
    assert NodeProfile.parse(profile.canonical_bytes()).digest() == profile.digest()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"extra": 1}, "Extra inputs"),
        ({"memory_gib": "4"}, "memory_gib"),
        ({"num_hosts": True}, "num_hosts"),
        ({"num_hosts": 1.5}, "num_hosts"),
        ({"node_id": "../../etc"}, "node_id"),
        ({"node_id": "node-a\n"}, "node_id"),
        ({"node_id": "nоde-a"}, "node_id"),
    ],
)
def test_a_wrong_field_is_named(change, says):
    value = json.loads(build_profile().canonical_bytes()) | change
    with pytest.raises(RecordError, match=says):
        NodeProfile.from_json_value(value)


def test_a_learning_rate_segment_is_piecewise_linear():
    segment = LrSegment(fractions=(0.0, 0.5, 1.0), learning_rates=(0.0, 1.0, 0.5))
    assert [segment.at(f) for f in (0.0, 0.25, 0.5, 0.75, 1.0, 2.0)] == [0, 0.5, 1, 0.75, 0.5, 0.5]
