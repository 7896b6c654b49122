"""Shared by the programs of the peers: their flags, their peak memory, and the line that `--peers` reads."""
import argparse
import json
import resource


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("workloads", nargs="*")
    return parser


def peak_mb():
    # The system counts in units of 1024 bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def report(name, version, threads, workload, batch, median, imported):
    """Prints a line: `median` is a step's seconds, `imported` the peak memory before the first workload."""
    line = dict(peer=name, v=version, threads=threads, name=workload, ms=round(median * 1e3, 4))
    line |= dict(samples_s=round(batch / median), memory_mb=round(peak_mb() - imported))
    print(json.dumps(line), flush=True)
