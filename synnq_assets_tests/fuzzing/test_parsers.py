"""Spoilt samples of everything that is parsed: a value or a typed error, in bounded time."""

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synnq_assets_tests.fuzzing.mutations import PIECES, mutated
from synnq_assets_tests.fuzzing.targets import build_targets, try_target

TARGETS = build_targets()
LIMIT_SECONDS = 2.0
LONG_BYTES = 1 << 16
YAML = {"recipe", "site-profile", "node-settings"}  # read by plain Python, and by their owner
# Opened with the wrong keys, paths or hashes, and so refused, though they are whole.
REFUSED = {"receipt", "node-settings"}


@pytest.mark.parametrize("name", TARGETS)
def test_samples_are_what_they_should_be(name):
    found = [try_target(TARGETS[name], sample) for sample in TARGETS[name].samples]
    assert all(found) or name in REFUSED or name == "public-key"


@pytest.mark.parametrize("name", TARGETS)
@settings(
    max_examples=60,
    deadline=LIMIT_SECONDS * 1000,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
@given(data=st.data())
def test_spoilt_bytes_give_a_value_or_a_typed_error(name, data):
    target = TARGETS[name]
    try_target(target, data.draw(st.one_of(mutated(target.samples), st.binary(max_size=200))))


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_long_input_takes_time_in_proportion(name):
    target, num_bytes = TARGETS[name], LONG_BYTES // 8 if name in YAML else LONG_BYTES
    for piece in PIECES:
        for head in (b"", b'"', b'["', target.samples[0], target.samples[0][:20]):
            data = head + piece * max(1, num_bytes // len(piece))
            begin = time.process_time()
            try_target(target, data)
            seconds = time.process_time() - begin
            assert seconds < LIMIT_SECONDS, f"{seconds:.1f} s for {data[:60]!r}…"


def test_aliases_in_settings_do_not_multiply():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 9)]
    bomb = "\n".join([*lines, "name: *a8"]).encode()
    begin = time.process_time()
    assert not any(
        try_target(TARGETS[name], bomb) for name in ("recipe", "site-profile", "node-settings")
    )
    assert time.process_time() - begin < LIMIT_SECONDS


def test_a_string_that_never_ends_is_read_once():
    begin = time.process_time()
    assert not try_target(TARGETS["json"], b'["' + b'\\"' * 1_000_000)
    assert time.process_time() - begin < LIMIT_SECONDS


def test_a_root_that_names_a_key_it_lacks_is_refused():
    root = json.loads(TARGETS["registry-root"].samples[0])
    root["signed"]["keys"].popitem()
    assert not try_target(TARGETS["registry-root"], json.dumps(root).encode())


@pytest.mark.parametrize("value", ["1.5", '"\\ud800"'])
def test_a_root_without_a_canonical_form_is_refused(value):
    root = TARGETS["registry-root"].samples[0]
    spoilt = root.replace(b'"keyval"', b'"x":' + value.encode() + b',"keyval"', 1)
    assert spoilt != root
    assert not try_target(TARGETS["registry-root"], spoilt)
