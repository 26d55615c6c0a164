"""Accelerator load, power and energy, where the machine offers them.

Sources: NVML (nvmlDeviceGetUtilizationRates, nvmlDeviceGetPowerUsage in mW,
nvmlDeviceGetTotalEnergyConsumption in mJ);
HPE Cray EX `/sys/cray/pm_counters` (`energy` in J, `accel<k>_power` in W, of one host);
Linux kernel, "AMDGPU driver: GPU power/thermal controls and monitoring" (`gpu_busy_percent`;
hwmon `power1_average` or, on newer devices, `power1_input`, in microwatts).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from synnq_assets.settings.node import VisibleDevices

CRAY_FOLDER = Path("/sys/cray/pm_counters")
DRM_FOLDER = Path("/sys/class/drm")
AMD_VENDOR = "0x1002"


class Counters(ABC):
    """One host's counters. Every figure is None where the machine does not offer it."""

    @abstractmethod
    def read_gpu_percent(self) -> float | None:
        """Return the mean load of the accelerators, 0 to 100."""

    @abstractmethod
    def read_gpu_watts(self) -> float | None:
        """Return the power of all accelerators together."""

    @abstractmethod
    def read_joules(self) -> float | None:
        """Return an ever-growing energy counter; only differences mean something."""


class NoCounters(Counters):
    """A machine that offers nothing."""

    def read_gpu_percent(self) -> float | None:
        """Return None."""
        return None

    def read_gpu_watts(self) -> float | None:
        """Return None."""
        return None

    def read_joules(self) -> float | None:
        """Return None."""
        return None


class CrayCounters(NoCounters):
    """`pm_counters` of an HPE Cray EX host: power of accelerators, energy of the whole host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read_gpu_watts(self) -> float | None:
        """Return the sum over `accel<k>_power`."""
        paths = sorted(self._folder.glob("accel*_power"))
        watts = [_read_figure(p) for p in paths if re.fullmatch(r"accel\d+_power", p.name)]
        known = [value for value in watts if value is not None]
        return sum(known) if known else None

    def read_joules(self) -> float | None:
        """Return `energy`."""
        return _read_figure(self._folder / "energy")


def _read_figure(path: Path) -> float | None:
    """Parse the first number of a line such as `1000151 J 1795394966626696 us`."""
    try:
        return float(_read_line(path).split()[0])
    except (ValueError, IndexError):
        return None


def _read_line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def select_devices(ids: Sequence[str], wanted: Sequence[str] | None) -> list[int]:
    """Return the positions of the devices that a visibility variable names, in its order.

    An entry is an index or the begin of an id. As with the drivers, nothing counts from the first
    entry on that names no device. Source: CUDA C++ Programming Guide, CUDA_VISIBLE_DEVICES.

    Args:
        ids: of all devices, in the order that indices count.
        wanted: the variable's entries; None: it is not set, all devices are visible.
    """
    if wanted is None:
        return list(range(len(ids)))
    chosen: list[int] = []
    for entry in wanted:
        is_index = re.fullmatch(r"[0-9]{1,4}", entry) is not None
        found = [
            k
            for k, own in enumerate(ids)
            if (k == int(entry) if is_index else own.startswith(entry))
        ]
        if len(found) != 1:
            break
        chosen += found
    return chosen


class AmdCounters(NoCounters):
    """AMD accelerators that this process may see, through the kernel's files; no energy there."""

    def __init__(self, folder: Path, visible: VisibleDevices) -> None:
        devices = [device for _, device in sorted(_iter_amd(folder))]
        for wanted in (visible.rocr, visible.hip):
            ids = [f"GPU-{_read_line(device / 'unique_id')}" for device in devices]
            devices = [devices[k] for k in select_devices(ids, wanted)]
        self._devices = devices

    def read_gpu_percent(self) -> float | None:
        """Return the mean of `gpu_busy_percent` over the devices that have it."""
        loads = [_read_figure(device / "gpu_busy_percent") for device in self._devices]
        known = [value for value in loads if value is not None]
        return sum(known) / len(known) if known else None

    def read_gpu_watts(self) -> float | None:
        """Return the sum of the power; of a module's two dies, only one shows the module's."""
        known = [value for device in self._devices if (value := _read_microwatts(device))]
        return sum(known) / 1e6 if known else None


def _iter_amd(folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield (card number, device folder) of AMD's; a host's console may be another maker's."""
    for path in folder.glob("card*"):
        match = re.fullmatch(r"card([0-9]+)", path.name)  # not the connectors, such as card0-DP-1
        if match and _read_line(path / "device" / "vendor") == AMD_VENDOR:
            yield int(match[1]), path / "device"


def _read_microwatts(device: Path) -> float | None:
    for name in ("power1_average", "power1_input"):
        for path in sorted(device.glob(f"hwmon/hwmon*/{name}")):
            if (value := _read_figure(path)) is not None:
                return value
    return None


class NvmlCounters(Counters):
    """NVIDIA accelerators that this process may see. Raises an NVMLError without a driver."""

    def __init__(self, visible: VisibleDevices) -> None:
        import pynvml

        self._nvml: Any = pynvml
        pynvml.nvmlInit()
        devices = [pynvml.nvmlDeviceGetHandleByIndex(k) for k in range(pynvml.nvmlDeviceGetCount())]
        ids = [pynvml.nvmlDeviceGetUUID(device) for device in devices]
        self._devices = [devices[k] for k in select_devices(ids, visible.cuda)]

    def _read(self, function: Any) -> list[float] | None:
        try:
            return [float(function(device)) for device in self._devices] or None
        except self._nvml.NVMLError:  # not offered by this device
            return None

    def read_gpu_percent(self) -> float | None:
        """Return the mean utilisation."""
        loads = self._read(lambda device: self._nvml.nvmlDeviceGetUtilizationRates(device).gpu)
        return None if loads is None else sum(loads) / len(loads)

    def read_gpu_watts(self) -> float | None:
        """Return the sum of the power usage."""
        milliwatts = self._read(self._nvml.nvmlDeviceGetPowerUsage)
        return None if milliwatts is None else sum(milliwatts) / 1000

    def read_joules(self) -> float | None:
        """Return the sum of the total energy consumption."""
        millijoules = self._read(self._nvml.nvmlDeviceGetTotalEnergyConsumption)
        return None if millijoules is None else sum(millijoules) / 1000


class JoinedCounters(Counters):
    """Each figure from the first source that offers it, and from that one ever after."""

    def __init__(self, sources: Sequence[Counters]) -> None:
        nothing = NoCounters()
        self._percent = next((s for s in sources if s.read_gpu_percent() is not None), nothing)
        self._watts = next((s for s in sources if s.read_gpu_watts() is not None), nothing)
        self._joules = next((s for s in sources if s.read_joules() is not None), nothing)

    def read_gpu_percent(self) -> float | None:
        """Return the chosen source's load."""
        return self._percent.read_gpu_percent()

    def read_gpu_watts(self) -> float | None:
        """Return the chosen source's power."""
        return self._watts.read_gpu_watts()

    def read_joules(self) -> float | None:
        """Return the chosen source's counter."""
        return self._joules.read_joules()


def find_counters(
    visible: VisibleDevices, *, cray_folder: Path = CRAY_FOLDER, drm_folder: Path = DRM_FOLDER
) -> Counters:
    """Return the best counters of this host: the host's own meter, then those of its devices.

    Args:
        visible: the accelerators that this process may use.
        cray_folder: of an HPE Cray EX host.
        drm_folder: where the kernel lists graphics devices.
    """
    sources = [CrayCounters(cray_folder), *_find_nvml(visible), AmdCounters(drm_folder, visible)]
    return JoinedCounters(sources)


def _find_nvml(visible: VisibleDevices) -> list[Counters]:
    try:
        import pynvml
    except ImportError:
        return []
    try:
        return [NvmlCounters(visible)]
    except pynvml.NVMLError:  # no driver here
        return []


class EnergyMeter:
    """Joules since the meter was made."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._begin = counters.read_joules()

    def read_joules(self) -> float | None:
        """Return the energy so far, or None where the machine has no counter."""
        now = self._counters.read_joules()
        return None if now is None or self._begin is None else max(0.0, now - self._begin)
