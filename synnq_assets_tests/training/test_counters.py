"""Counters as the machines write them, and a machine without any."""

from pathlib import Path

import pytest

from synnq_assets.training.counters import EnergyMeter, NoCounters, find_counters


def write_cray(folder: Path, joules: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "energy").write_text(f"{joules} J 1795394966626696 us\n")
    (folder / "power").write_text("900 W 1795394966626696 us\n")
    for k in range(2):
        (folder / f"accel{k}_power").write_text(f"{200 + k} W 1795394966626696 us\n")
    (folder / "accel0_power_cap").write_text("0 W\n")


def test_cray_counters_give_accelerator_power_and_host_energy(tmp_path: Path) -> None:
    write_cray(tmp_path / "pm", 1_000_000)
    counters = find_counters(tmp_path / "pm")
    meter = EnergyMeter(counters)
    write_cray(tmp_path / "pm", 1_003_982)
    assert counters.read_gpu_watts() == 401.0  # 200 + 201; the cap is not a power
    assert counters.read_gpu_percent() is None
    assert meter.read_joules() == 3982.0


@pytest.mark.parametrize("text", ["", "nonsense", "\xff"])
def test_a_counter_that_cannot_be_read_is_unknown(tmp_path: Path, text: str) -> None:
    write_cray(tmp_path / "pm", 5)
    meter = EnergyMeter(find_counters(tmp_path / "pm"))
    (tmp_path / "pm" / "energy").write_text(text, encoding="latin-1")
    assert meter.read_joules() is None


def test_without_counters_everything_is_unknown() -> None:
    counters = NoCounters()
    assert counters.read_gpu_watts() is None
    assert counters.read_gpu_percent() is None
    assert EnergyMeter(counters).read_joules() is None
