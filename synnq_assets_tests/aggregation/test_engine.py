import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synnq_assets.aggregation import aggregate_round, engine
from synnq_assets.errors import AggregationError, SettingsError, StorageError
from synnq_assets.records.rounds import Contribution
from synnq_assets.settings.base import Variant
from synnq_assets.settings.recipe import AggregationSettings
from synnq_assets.storage.files import describe_file

from .makers import make_candidate, pin, read_tensors, write_tensors

MEAN = Variant(name="mean")
AVERAGE = Variant(name="average")


def options(**changes):
    return AggregationSettings(**{"block_elements": 8, **changes})


def run(tmp_path, base, candidates, *, outer_state=None, out="out", **changes):
    return aggregate_round(
        base=pin(base),
        outer_state=None if outer_state is None else pin(outer_state),
        candidates=candidates,
        settings=options(**changes),
        out_dir=tmp_path / out,
    )


def leftovers(folder):
    return sorted(os.listdir(folder)) if folder.exists() else []


@pytest.fixture
def base(tmp_path):
    return write_tensors(tmp_path / "base.safetensors", {"a": [[1, 2], [3, 4]], "b": [10]})


def noisy(seed, *, sign=1.0, scale=0.02):
    rng = np.random.default_rng(seed)
    return {
        "a": sign * (0.5 + scale * rng.normal(size=(2, 2))),
        "b": sign * (0.25 + scale * rng.normal(size=1)),
    }


def test_a_plain_round_is_the_hand_worked_weighted_mean(tmp_path, base):
    # weights 3/4 and 1/4: a moves by 0.75 * 4 + 0.25 * 8 = 5, b by 0.75 * 0 + 0.25 * 4 = 1
    first = make_candidate(tmp_path, "one", {"a": np.full((2, 2), 4), "b": [0]}, num_tokens=3000)
    second = make_candidate(tmp_path, "two", {"a": np.full((2, 2), 8), "b": [4]})
    result = run(
        tmp_path, base, [first, second], rule=MEAN, outer=AVERAGE, clip_to_median_norm=False
    )
    written = read_tensors(tmp_path / "out" / "model.safetensors")
    assert written["a"].tolist() == [[6, 7], [8, 9]]
    assert written["b"].tolist() == [11]
    assert result.update_norm == pytest.approx((4 * 25 + 1) ** 0.5)
    assert {c.node_id: c.weight for c in result.contributions} == {"one": 0.75, "two": 0.25}
    assert result.outer_files == ()
    assert leftovers(tmp_path / "out") == ["model.safetensors"]


def test_clipping_takes_length_away_layer_by_layer(tmp_path, base):
    # b: norms 1, 1, 100 -> the third counts as 1; a: equal norms, untouched
    ones = np.ones((2, 2))
    candidates = [
        make_candidate(tmp_path, name, {"a": ones, "b": [b]})
        for name, b in (("one", 1), ("two", 1), ("three", 100))
    ]
    result = run(tmp_path, base, candidates, rule=MEAN, outer=AVERAGE)
    written = read_tensors(tmp_path / "out" / "model.safetensors")
    assert written["b"] == pytest.approx([11.0])
    assert written["a"].tolist() == [[2, 3], [4, 5]]
    shares = {c.node_id: c.clipped_share for c in result.contributions}
    assert shares == {"one": 0.0, "two": 0.0, "three": 0.5}  # one of two tensors


def test_momentum_travels_with_the_checkpoint(tmp_path, base):
    # g = 2 twice, lr 0.5, mu 0.5: theta 10 -> 11.5 (m 2) -> 11.5 + 0.5 (2 + 0.5 * 3) = 13.25
    outer = Variant(name="nesterov", params={"learning_rate": 0.5, "momentum": 0.5})
    update = {"a": np.zeros((2, 2)), "b": [2]}
    first = run(tmp_path, base, [make_candidate(tmp_path, "one", update)], outer=outer)
    assert read_tensors(tmp_path / "out" / "model.safetensors")["b"].tolist() == [11.5]
    assert read_tensors(tmp_path / "out" / "outer.safetensors")["b"].tolist() == [2.0]
    run(
        tmp_path,
        tmp_path / "out" / "model.safetensors",
        [make_candidate(tmp_path, "two", update)],
        outer_state=tmp_path / "out" / "outer.safetensors",
        out="next",
        outer=outer,
    )
    assert read_tensors(tmp_path / "next" / "model.safetensors")["b"].tolist() == [13.25]
    assert read_tensors(tmp_path / "next" / "outer.safetensors")["b"].tolist() == [3.0]
    assert first.outer_files == (describe_file(tmp_path / "out" / "outer.safetensors"),)


def test_the_result_describes_what_was_written_and_fits_the_record(tmp_path, base):
    candidates = [make_candidate(tmp_path, f"node-{k}", noisy(k)) for k in range(3)]
    result = run(tmp_path, base, candidates)
    assert result.files == (describe_file(tmp_path / "out" / "model.safetensors"),)
    assert (result.rule, result.outer) == ("trimmed-mean", "nesterov")
    assert result.num_elements == 5
    assert result.elements_per_second == pytest.approx(5 / result.seconds)
    assert result.peak_memory_bytes > 1 << 20
    assert [len(row) for row in result.cosines] == [3, 3, 3]
    assert set(result.tensor_norms) == {"a", "b"}
    order = sorted(candidates, key=lambda candidate: candidate.submission_sha256)
    assert result.node_order == tuple(candidate.node_id for candidate in order)
    for contribution in result.contributions:
        assert Contribution.parse(contribution.canonical_bytes()) == contribution
        assert contribution.cosine_to_mean > 0.9


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(6)), block=st.sampled_from([1, 3, 8, 1024]))
def test_the_same_inputs_in_any_order_give_the_same_bytes(tmp_path_factory, order, block):
    tmp_path = tmp_path_factory.mktemp("order")
    base = write_tensors(tmp_path / "base.safetensors", {"a": [[1, 2], [3, 4]], "b": [10]})
    candidates = [
        make_candidate(
            tmp_path, f"n{k}", noisy(k, scale=0.5), num_tokens=100 + 77 * k, age_seconds=13.0 * k
        )
        for k in range(6)
    ]
    expected = run(tmp_path, base, candidates, out="expected")
    found = run(tmp_path, base, [candidates[k] for k in order], out="found", block_elements=block)
    assert (found.files, found.outer_files) == (expected.files, expected.outer_files)
    assert found.contributions == expected.contributions


def test_one_candidate_is_its_own_mean(tmp_path, base):
    update = {"a": np.full((2, 2), 0.5), "b": [-2]}
    for name in ("mean", "trimmed-mean", "median"):
        run(
            tmp_path,
            base,
            [make_candidate(tmp_path, "alone", update)],
            rule=Variant(name=name),
            outer=AVERAGE,
        )
        written = read_tensors(tmp_path / "out" / "model.safetensors")
        assert written["a"].tolist() == [[1.5, 2.5], [3.5, 4.5]]
        assert written["b"].tolist() == [8]


def test_zero_updates_leave_the_model_as_it_was(tmp_path, base):
    zero = {"a": np.zeros((2, 2)), "b": [0]}
    candidates = [make_candidate(tmp_path, name, zero) for name in ("one", "two")]
    result = run(tmp_path, base, candidates)
    assert read_tensors(tmp_path / "out" / "model.safetensors")["a"].tolist() == [[1, 2], [3, 4]]
    assert result.update_norm == 0.0


def test_a_submission_of_zero_weight_changes_nothing_but_is_listed(tmp_path, base):
    honest = [make_candidate(tmp_path, f"n{k}", noisy(k)) for k in range(4)]
    useless = make_candidate(tmp_path, "useless", noisy(9, sign=-50), score=0.0)
    without = run(tmp_path, base, honest, out="without")
    with_it = run(tmp_path, base, [*honest, useless], out="with")
    assert with_it.files == without.files
    (listed,) = (c for c in with_it.contributions if c.node_id == "useless")
    assert listed.weight == 0.0
    assert listed.update_norm > 0


def test_metadata_of_the_base_stays_so_that_libraries_open_the_result(tmp_path, base):
    from synnq_assets.storage.tensors import TensorFile

    run(tmp_path, base, [make_candidate(tmp_path, "one", noisy(1))])
    with TensorFile(tmp_path / "out" / "model.safetensors") as file:
        assert file.metadata == {"format": "pt"}
        assert {info.dtype for info in file.tensors.values()} == {"F32"}


# --- attack


def test_one_of_five_sending_ten_times_the_opposite_hardly_moves_the_model(tmp_path):
    rng = np.random.default_rng(0)
    shape = (64, 64)
    base = write_tensors(tmp_path / "base.safetensors", {"w": np.zeros(shape)})
    direction = rng.normal(size=shape)
    honest = [direction + 0.3 * rng.normal(size=shape) for _ in range(4)]
    updates = [*honest, -10 * np.mean(honest, axis=0)]
    candidates = [
        make_candidate(tmp_path, f"n{k}", {"w": update}) for k, update in enumerate(updates)
    ]
    target = np.mean(honest, axis=0)

    def error(**changes):
        run(tmp_path, base, candidates, outer=AVERAGE, block_elements=1000, **changes)
        moved = read_tensors(tmp_path / "out" / "model.safetensors")["w"]
        return np.linalg.norm(moved - target) / np.linalg.norm(target)

    plain = error(rule=MEAN, clip_to_median_norm=False)
    clipped = error(rule=MEAN)
    defended = error()
    assert plain == pytest.approx(2.2, abs=0.01)  # (4 - 10) / 5 of the honest mean
    assert clipped == pytest.approx(0.4, abs=0.02)  # (4 - 1) / 5
    assert defended < 0.2
    assert defended < clipped < plain


# --- refusals: typed, and nothing is left behind


def refuse(tmp_path, base, candidates, match, **changes):
    with pytest.raises(AggregationError, match=match):
        run(tmp_path, base, candidates, **changes)
    assert leftovers(tmp_path / "out") == []


def test_no_candidate_is_refused(tmp_path, base):
    refuse(tmp_path, base, [], "no accepted submission")


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"a": np.ones((2, 2))}, "lacks tensor b"),
        ({"a": np.ones((2, 2)), "b": [1], "c": [1]}, "has an unexpected tensor c"),
        ({"a": np.ones((4, 1)), "b": [1]}, r"a is BF16 \[4, 1\], expected .* \[2, 2\]"),
    ],
)
def test_another_schema_is_refused(tmp_path, base, tensors, reason):
    candidates = [
        make_candidate(tmp_path, "good", noisy(1)),
        make_candidate(tmp_path, "odd", tensors),
    ]
    refuse(tmp_path, base, candidates, rf"the update of odd \(r0001.odd.1\)\S* {reason}")


def test_an_update_in_half_precision_is_refused(tmp_path, base):
    from synnq_assets.storage.files import write_atomically
    from synnq_assets.storage.tensors import encode_tensors

    candidate = make_candidate(tmp_path, "one", noisy(1))
    half = {"a": ("F16", np.ones((2, 2))), "b": ("F16", np.ones(1))}
    write_atomically(candidate.update.path, encode_tensors(half))
    candidate = replace(candidate, update=pin(candidate.update.path))
    refuse(tmp_path, base, [candidate], r"a is F16 \[2, 2\], expected BF16 or F32")


def test_nan_in_the_last_block_leaves_nothing_behind(tmp_path):
    values = np.ones(100)
    base = write_tensors(tmp_path / "base.safetensors", {"a": values, "z": values})
    bad = values.copy()
    bad[-1] = np.nan
    candidates = [
        make_candidate(tmp_path, "good", {"a": values, "z": values}),
        make_candidate(tmp_path, "bad", {"a": values, "z": bad}),
    ]
    refuse(tmp_path, base, candidates, "the update of bad .*z holds NaN or infinity")


def test_nan_in_the_base_is_found_in_the_second_pass_and_leaves_nothing(tmp_path):
    values = np.ones(100)
    bad = values.copy()
    bad[-1] = np.nan
    base = write_tensors(tmp_path / "base.safetensors", {"a": values, "z": bad})
    candidate = make_candidate(tmp_path, "one", {"a": values, "z": values})
    refuse(tmp_path, base, [candidate], "z: the next checkpoint would hold NaN or infinity")


def test_an_overflowing_step_is_refused(tmp_path):
    base = write_tensors(tmp_path / "base.safetensors", {"a": [3e38]})
    candidate = make_candidate(tmp_path, "one", {"a": [3e38]})
    refuse(tmp_path, base, [candidate], "would hold NaN or infinity", outer=AVERAGE)


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path, monkeypatch):
    values = np.ones(100)
    base = write_tensors(tmp_path / "base.safetensors", {"a": values})
    candidate = make_candidate(tmp_path, "one", {"a": values})
    measure = engine.measure_updates

    def measure_then_cut(*arguments):
        geometry = measure(*arguments)
        os.truncate(candidate.update.path, candidate.update.path.stat().st_size - 20)
        return geometry

    monkeypatch.setattr(engine, "measure_updates", measure_then_cut)
    refuse(tmp_path, base, [candidate], "the update of one .* file ends within the tensor")


def test_a_cut_file_is_refused(tmp_path, base):
    candidate = make_candidate(tmp_path, "one", noisy(1))
    os.truncate(candidate.update.path, candidate.update.path.stat().st_size - 1)
    refuse(tmp_path, base, [candidate], "the update of one .* cannot be used: .* declared")


def test_missing_files_are_named(tmp_path, base):
    candidate = make_candidate(tmp_path, "one", noisy(1))
    refuse(tmp_path, tmp_path / "none", [candidate], "the base checkpoint cannot be used")
    candidate.update.path.unlink()
    refuse(tmp_path, base, [candidate], "the update of one .* cannot be used")


def test_a_base_in_bf16_is_refused(tmp_path):
    base = write_tensors(tmp_path / "base.safetensors", {"a": [1]}, dtype="BF16")
    refuse(tmp_path, base, [make_candidate(tmp_path, "one", {"a": [1]})], "expected F32")


def test_an_outer_state_of_another_model_or_optimiser_is_refused(tmp_path, base):
    candidate = make_candidate(tmp_path, "one", noisy(1))
    other = write_tensors(tmp_path / "other.safetensors", {"a": np.ones((2, 2))})
    refuse(tmp_path, base, [candidate], "the outer state lacks tensor b", outer_state=other)
    tensors = {"a": np.ones((2, 2)), "b": [1]}
    adam = write_tensors(tmp_path / "adam.safetensors", tensors, metadata={"outer": "adam"})
    refuse(tmp_path, base, [candidate], "was written by 'adam'", outer_state=adam)


def test_a_promise_that_the_round_cannot_keep_is_refused(tmp_path, base):
    rule = Variant(name="trimmed-mean", params={"trim_share": 0.2, "max_faulty": 1})
    candidates = [make_candidate(tmp_path, f"n{k}", noisy(k)) for k in range(4)]
    refuse(tmp_path, base, candidates, "tolerates 0 bad of 4 submissions", rule=rule)


def test_unknown_variants_are_settings_errors(tmp_path, base):
    candidate = make_candidate(tmp_path, "one", noisy(1))
    with pytest.raises(SettingsError, match="did you mean 'median'"):
        run(tmp_path, base, [candidate], rule=Variant(name="medain"))
    with pytest.raises(SettingsError, match="did you mean 'average'"):
        run(tmp_path, base, [candidate], outer=Variant(name="averag"))


def test_a_failed_round_leaves_an_earlier_result_as_it_was(tmp_path, base):
    candidate = make_candidate(tmp_path, "one", noisy(1))
    before = run(tmp_path, base, [candidate])
    bad = make_candidate(tmp_path, "bad", {"a": np.full((2, 2), np.nan), "b": [1]})
    with pytest.raises(AggregationError):
        run(tmp_path, base, [candidate, bad])
    assert leftovers(tmp_path / "out") == ["model.safetensors", "outer.safetensors"]
    assert describe_file(tmp_path / "out" / "model.safetensors") == before.files[0]


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path, base):
    (tmp_path / "out").write_text("a file stands here")
    with pytest.raises(StorageError, match="cannot write below"):
        run(tmp_path, base, [make_candidate(tmp_path, "one", noisy(1))])
