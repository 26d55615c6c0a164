"""An error becomes a code that says where it came from, and nothing of what it said."""

import builtins
import re

import pytest

from synnq_assets.errors import OrderError, RecordError
from synnq_assets.privacy.failures import (
    FAILURE_CODE,
    UNKNOWN_PLACE,
    build_failure_code,
    explain_place,
    find_failure_code,
)
from synnq_assets.records.base import parse_strict_json
from synnq_assets.records.jobs import Progress


def catch(action):
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_a_code_is_class_and_place_and_the_place_is_found_again():
    code = build_failure_code(catch(lambda: parse_strict_json(b'{"erika@example.org": NaN}')))
    kind, _, place = code.partition("@")
    assert kind == "RecordError"
    assert explain_place(place) == ["synnq_assets.records.base:_refuse_constant"]
    assert "erika" not in code


def test_a_foreign_class_is_named_by_its_nearest_known_ancestor():
    class ErikaMustermannError(OrderError):
        pass

    foreign = type("Erika", (ValueError,), {"__module__": "clinic.patients"})
    assert build_failure_code(foreign("x")) == f"ValueError@{UNKNOWN_PLACE}"
    own = type("Erika", (OrderError,), {"__module__": "clinic"})
    assert build_failure_code(own("x")).startswith("OrderError@")


def test_every_error_of_python_has_a_code_of_the_form_that_progress_takes():
    for name, kind in vars(builtins).items():
        if isinstance(kind, type) and issubclass(kind, BaseException) and "Group" not in name:
            instance = kind.__new__(kind)
            assert re.fullmatch(FAILURE_CODE, build_failure_code(instance)), name


def test_a_progress_report_holds_no_text():
    report = {
        "assignment_id": "r0001.node-a.1",
        "phase": "failed",
        "step": 1,
        "num_steps": 2,
        "loss": None,
        "tokens_per_second": None,
        "failure": "OrderError@0123456789ab",
        "reported_at": "2026-11-23T09:24:48Z",
    }
    assert Progress.from_json_value(report).failure == "OrderError@0123456789ab"
    for change in (
        {"failure": "OrderError: erika@example.org"},
        {"failure": "OrderError@0123456789ab\n"},
        {"phase": "at nid001"},
        {"message": "a sentence"},
        {"loss": "2.5"},
        {"assignment_id": "erika"},
    ):
        with pytest.raises(RecordError) as refusal:
            Progress.from_json_value({**report, **change})
        assert "erika" not in str(refusal.value)
        assert "sentence" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("noise\nsynnq: OrderError@0123456789ab\n", "OrderError@0123456789ab"),
        ("synnq: OrderError@0123456789ab\nnoise", None),
        ("synnq: erika@example.org", None),
        ("synnq: OrderError@0123456789ab and erika", None),
        ("", None),
    ],
)
def test_of_what_a_job_printed_only_a_code_is_read(text, code):
    assert find_failure_code(text) == code
