"""Accelerator load, power and energy, where the machine offers them.

Sources: NVML (nvmlDeviceGetUtilizationRates, nvmlDeviceGetPowerUsage in mW,
nvmlDeviceGetTotalEnergyConsumption in mJ);
HPE Cray EX `/sys/cray/pm_counters` (`energy` in J, `accel<k>_power` in W, of one host).
"""

import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

CRAY_FOLDER = Path("/sys/cray/pm_counters")


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
        return float(path.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None


class NvmlCounters(Counters):
    """NVIDIA accelerators that this process may see. Raises an NVMLError without a driver."""

    def __init__(self) -> None:
        import pynvml

        self._nvml: Any = pynvml
        pynvml.nvmlInit()
        self._devices = [
            pynvml.nvmlDeviceGetHandleByIndex(k) for k in range(pynvml.nvmlDeviceGetCount())
        ]

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


def find_counters(cray_folder: Path = CRAY_FOLDER) -> Counters:
    """Return the best counters of this host."""
    if (cray_folder / "energy").is_file():
        return CrayCounters(cray_folder)
    try:
        import pynvml
    except ImportError:
        return NoCounters()
    try:
        return NvmlCounters()
    except pynvml.NVMLError:
        return NoCounters()


class EnergyMeter:
    """Joules since the meter was made."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._begin = counters.read_joules()

    def read_joules(self) -> float | None:
        """Return the energy so far, or None where the machine has no counter."""
        now = self._counters.read_joules()
        return None if now is None or self._begin is None else max(0.0, now - self._begin)
