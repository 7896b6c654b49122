"""Shared by the programs of the peers: their flags, their peak memory, and the line that `--peers` reads."""
import argparse
import json
import resource
import statistics
import time


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("workloads", nargs="*")
    return parser


def median_of(step, seconds):
    """The median time of a step that is repeated for some seconds, after three that are not counted."""
    for _ in range(3):
        step()
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 5:
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def peak_mb():
    # The system counts in units of 1024 bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def report(name, version, threads, workload, batch, median, imported):
    """Prints a line: `median` is a step's seconds, `imported` the peak memory before the first workload."""
    line = dict(peer=name, v=version, threads=threads, name=workload, ms=round(median * 1e3, 4))
    line |= dict(samples_s=round(batch / median), memory_mb=round(peak_mb() - imported))
    print(json.dumps(line), flush=True)
