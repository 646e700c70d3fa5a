"""The machine: what class it is, and how its memory is made ready for a measurement."""

import mmap
import os
import platform
import re
import time


def describe():
    """Without names: how many processors, how much memory, which kernel."""
    with open("/proc/cpuinfo") as info:
        models = re.findall(r"model name\s*:\s*(.*)", info.read())
    with open("/proc/meminfo") as info:
        memory = int(re.search(r"MemTotal:\s+(\d+)", info.read()).group(1)) / (1 << 20)
    release = re.match(r"\d+\.\d+", platform.release()).group(0)
    return (f"{os.cpu_count()} processors ({models[0] if models else platform.machine()}), "
            f"{memory:.0f} GiB of memory, Linux {release}, {time.strftime('%Y-%m-%d')}")


def free_bytes():
    with open("/proc/meminfo") as info:
        return int(re.search(r"MemFree:\s+(\d+)", info.read()).group(1)) * 1024


def touch(size):
    """Memory that is used for the first time is slow on virtual machines: uses `size` bytes now, so that what is timed
    gets pages that were used before."""
    size = min(size, free_bytes() // 2)
    if size > 0:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def settle():
    """What others wrote is on the disk."""
    os.sync()


def forget_caches():
    """The page cache, where we may: without it a cold read is cold in the program only."""
    try:
        with open("/proc/sys/vm/drop_caches", "w") as control:
            control.write("1")
    except OSError:
        return False
    return True
