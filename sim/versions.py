"""The versions of everything that can change the outcome of an episode."""

from __future__ import annotations

import functools
import platform
from importlib.metadata import version
from pathlib import Path

WRAPPER_VERSION = "1"
"""Of every family: seeding, action mapping, models and end of an episode. Changes whenever an outcome could."""

PACKAGES = ("metaworld", "mujoco", "gymnasium", "numpy", "scipy")

PROCESS_ENVIRONMENT = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}
"""What to set in the environment of a process that simulates. It is read when the libraries are loaded.

The first makes x86-64 CPUs agree: OpenBLAS picks its kernels by CPU, and they differ in the last digit. The
others keep OpenBLAS and Mesa from starting threads, which on work this small only wait for each other.
"""


CPUINFO = Path("/proc/cpuinfo")
DIGIT_CHANGERS = ("avx2", "fma", "avx512f")
"""Instruction sets by which the C library's and NumPy's functions choose another way to the last digit."""


@functools.cache
def versions() -> dict[str, str]:
    """Component -> version, for the plan of a cycle and the evidence of an episode. Loads no simulator.

    Where these agree an outcome is exact, on CPUs with AVX2 and FMA, under `PROCESS_ENVIRONMENT`.
    """
    return {
        "kinitro.sim": WRAPPER_VERSION,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": platform.machine(),
        **{package: version(package) for package in PACKAGES},
    }


@functools.cache
def machine() -> str:
    """The machine as evidence names it, for example `x86_64, AMD EPYC 7763, avx2 fma`."""
    model, flags = platform.processor(), frozenset[str]()
    if CPUINFO.exists():
        lines = (line.partition(":") for line in CPUINFO.read_text().splitlines())
        first = {name.strip(): value.strip() for name, _, value in reversed(list(lines)) if value}
        model, flags = first.get("model name", model), frozenset(first.get("flags", "").split())
    sets = " ".join(name for name in DIGIT_CHANGERS if name in flags)
    return ", ".join(part for part in (platform.machine(), model, sets) if part)
