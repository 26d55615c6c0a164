"""Counters as the machines write them, and a machine without any."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from synnq_assets.settings.node import VisibleDevices
from synnq_assets.training.counters import (
    Counters,
    EnergyMeter,
    NoCounters,
    find_counters,
    select_devices,
)

EVERYTHING = VisibleDevices()


def find(folder: Path, visible: VisibleDevices = EVERYTHING) -> Counters:
    return find_counters(visible, cray_folder=folder / "pm", drm_folder=folder / "drm")


def write_cray(folder: Path, joules: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "energy").write_text(f"{joules} J 1795394966626696 us\n")
    (folder / "power").write_text("900 W 1795394966626696 us\n")
    for k in range(2):
        (folder / f"accel{k}_power").write_text(f"{200 + k} W 1795394966626696 us\n")
    (folder / "accel0_power_cap").write_text("0 W\n")


def write_card(
    folder: Path, number: int, *, percent: int, power: dict[str, int], vendor: str = "0x1002"
) -> None:
    """Write a card's files as the amdgpu driver shows them below /sys/class/drm."""
    device = folder / "drm" / f"card{number}" / "device"
    hwmon = device / "hwmon" / f"hwmon{number + 3}"
    hwmon.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "gpu_busy_percent").write_text(f"{percent}\n")
    (device / "unique_id").write_text(f"{0xABC0 + number:016x}\n")
    for name, microwatts in power.items():
        (hwmon / name).write_text(f"{microwatts}\n")
    (folder / "drm" / f"card{number}-DP-1").mkdir()


def write_amd_host(folder: Path) -> None:
    """Write a host with a console of another maker, and four dies on two modules."""
    write_card(folder, 0, percent=77, power={}, vendor="0x1a03")
    write_card(folder, 1, percent=10, power={"power1_average": 300_000_000})
    write_card(folder, 2, percent=20, power={"power1_average": 0})  # its module's first die has it
    write_card(folder, 9, percent=30, power={"power1_input": 400_500_000})
    write_card(folder, 10, percent=60, power={})


def test_cray_counters_give_accelerator_power_and_host_energy(tmp_path: Path) -> None:
    write_cray(tmp_path / "pm", 1_000_000)
    counters = find(tmp_path)
    meter = EnergyMeter(counters)
    write_cray(tmp_path / "pm", 1_003_982)
    assert counters.read_gpu_watts() == 401.0  # 200 + 201; the cap is not a power
    assert counters.read_gpu_percent() is None
    assert meter.read_joules() == 3982.0


@pytest.mark.parametrize("text", ["", "nonsense", "\xff"])
def test_a_counter_that_cannot_be_read_is_unknown(tmp_path: Path, text: str) -> None:
    write_cray(tmp_path / "pm", 5)
    meter = EnergyMeter(find(tmp_path))
    (tmp_path / "pm" / "energy").write_text(text, encoding="latin-1")
    assert meter.read_joules() is None


def test_without_counters_everything_is_unknown(tmp_path: Path) -> None:
    for counters in (NoCounters(), find(tmp_path)):
        assert counters.read_gpu_watts() is None
        assert counters.read_gpu_percent() is None
        assert EnergyMeter(counters).read_joules() is None


def test_amd_devices_give_load_and_power_through_the_kernel(tmp_path: Path) -> None:
    write_amd_host(tmp_path)
    counters = find(tmp_path)
    assert counters.read_gpu_percent() == 30.0  # (10 + 20 + 30 + 60) / 4; the console is no part
    assert counters.read_gpu_watts() == 700.5  # 300 + 400.5
    assert counters.read_joules() is None


@pytest.mark.parametrize(
    ("visible", "percent"),
    [
        (VisibleDevices(rocr=("2", "3")), 45.0),  # cards 9 and 10: 30 and 60, after 1 and 2
        (VisibleDevices(rocr=("2", "3"), hip=("1",)), 60.0),  # counts within the first two
        (VisibleDevices(hip=("0",)), 10.0),
        (VisibleDevices(rocr=("GPU-000000000000abc9",)), 30.0),
        (VisibleDevices(rocr=()), None),
        (VisibleDevices(hip=("-1",)), None),
        (VisibleDevices(cuda=("0",)), 30.0),  # settings/node.py says what HIP makes of it
    ],
)
def test_amd_devices_that_this_process_may_not_see_are_not_counted(
    tmp_path: Path, visible: VisibleDevices, percent: float | None
) -> None:
    write_amd_host(tmp_path)
    assert find(tmp_path, visible).read_gpu_percent() == percent


def test_on_a_cray_host_the_load_comes_from_the_kernel_and_the_rest_from_the_host(
    tmp_path: Path,
) -> None:
    write_cray(tmp_path / "pm", 7)
    write_amd_host(tmp_path)
    counters = find(tmp_path)
    figures = (counters.read_gpu_percent(), counters.read_gpu_watts(), counters.read_joules())
    assert figures == (30.0, 401.0, 7.0)


def test_a_damaged_kernel_file_is_left_out(tmp_path: Path) -> None:
    write_card(tmp_path, 0, percent=10, power={"power1_average": 5_000_000})
    write_card(tmp_path, 1, percent=20, power={"power1_average": 7_000_000})
    counters = find(tmp_path)
    device = tmp_path / "drm" / "card1" / "device"
    (device / "gpu_busy_percent").write_text("")
    (device / "hwmon" / "hwmon4" / "power1_average").unlink()
    assert (counters.read_gpu_percent(), counters.read_gpu_watts()) == (10.0, 5.0)


@pytest.mark.parametrize(
    ("wanted", "positions"),
    [
        (None, [0, 1, 2]),
        ((), []),
        (("2", "0"), [2, 0]),
        (("GPU-b",), [1]),
        (("GPU-",), []),  # begins all three
        (("0", "7", "1"), [0]),  # nothing counts after an entry that names no device
        (("-1",), []),
        (("MIG-5",), []),
    ],
)
def test_devices_are_selected_as_the_drivers_do(
    wanted: tuple[str, ...] | None, positions: list[int]
) -> None:
    assert select_devices(["GPU-a", "GPU-b", "GPU-c"], wanted) == positions


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Stand in for NVML: three devices, of which the last offers no energy counter."""
    module = ModuleType("pynvml")

    class NVMLError(Exception):
        pass

    def read_energy(device: int) -> int:
        if device == 2:
            raise NVMLError("not supported")
        return 1_000_000 * (device + 1)

    class Rates:
        def __init__(self, gpu: int) -> None:
            self.gpu = gpu

    functions = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 3,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetUUID": lambda device: f"GPU-{'abc'[device]}",
        "nvmlDeviceGetUtilizationRates": lambda device: Rates(10 * device),
        "nvmlDeviceGetPowerUsage": lambda device: 1000 * (device + 1),
        "nvmlDeviceGetTotalEnergyConsumption": read_energy,
    }
    for name, value in functions.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


@pytest.mark.usefixtures("nvml")
@pytest.mark.parametrize(
    ("wanted", "figures"),
    [
        (None, (10.0, 6.0, None)),  # (0 + 10 + 20) / 3, 1 + 2 + 3 W
        (("0", "1"), (5.0, 3.0, 3000.0)),  # 1000 + 2000 J
        (("GPU-b",), (10.0, 2.0, 2000.0)),
        ((), (None, None, None)),
    ],
)
def test_nvidia_devices_that_this_process_may_not_see_are_not_counted(
    tmp_path: Path,
    wanted: tuple[str, ...] | None,
    figures: tuple[float | None, float | None, float | None],
) -> None:
    counters = find(tmp_path, VisibleDevices(cuda=wanted))
    found = (counters.read_gpu_percent(), counters.read_gpu_watts(), counters.read_joules())
    assert found == figures


def test_nvidia_s_library_without_a_driver_offers_nothing(
    tmp_path: Path, nvml: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise nvml.NVMLError("driver not loaded")

    monkeypatch.setattr(nvml, "nvmlInit", refuse)
    assert find(tmp_path).read_gpu_percent() is None
