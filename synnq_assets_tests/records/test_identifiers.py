import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.errors import RecordError
from synnq_assets.records.identifiers import (
    build_assignment_id,
    build_round_key,
    parse_assignment_id,
    parse_node_id,
    parse_round_key,
)


def test_round_keys_and_assignment_ids_read_back():
    assert parse_round_key(build_round_key(7)) == 7
    assert parse_assignment_id(build_assignment_id("r0007", "lumi-g-03", 2)) == (
        "r0007",
        "lumi-g-03",
        2,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "../x",
        "/etc",
        "a|b",
        "a,b",
        "a[b",
        "A-b",
        "a\0b",
        "a\n",
        "a-",
        "-a",
        "a" * 41,
        "１2",
    ],
)
def test_a_dangerous_node_id_is_refused(text):
    with pytest.raises(RecordError, match="is not a node id"):
        parse_node_id(text)


@given(st.text(max_size=60))
def test_any_text_is_an_id_or_a_typed_error(text):
    for parse in (parse_node_id, parse_round_key, parse_assignment_id):
        try:
            parse(text)
        except RecordError:
            continue
        assert text.isascii()
        assert not set(text) & set("/|[],\\ \n\0")
