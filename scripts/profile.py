"""Shows where the time of a step goes: perf's samples of the benchmark `training`, by source file.

    python3 scripts/profile.py [WORKLOAD ...]

Needs Linux, perf and binutils. Prints a Markdown table: the share of each kind of work in the time of all threads."""
import collections
import json
import os
import re
import subprocess
import sys
import tempfile

WORKLOADS = "mlp_b32 mlp_b1024 cnn2_b64 cnn4_b64 trad_b1024 lenet64_b64 resnet18_b32 vgg16_infer_b32 cnn2_infer_b1 resnet18_infer_b1"
# The first entry that the path of a source file contains. The innermost frame in the library decides, except
# `lanes.rs`, which all kernels use.
KINDS = [
    ("products", ["kernels/tile.rs", "kernels/gemm.rs", "kernels/stream.rs"]),
    ("copies for products", ["kernels/pack.rs", "kernels/im2col.rs", "kernels/taps.rs", "kernels/panels.rs", "kernels/kernel.rs"]),
    ("Winograd's transforms", ["kernels/winograd"]),
    ("numbers that are not 0", ["kernels/sparse.rs"]),
    ("pooling", ["kernels/pool.rs", "_pool.rs"]),
    ("batch norm", ["normalize.rs", "batch_norm.rs"]),
    ("optimizer", ["/optim/"]),
    ("activations, losses, sums", ["core/src/"]),
]
REST = "threads, system"


def build():
    command = ["cargo", "bench", "--no-run", "--bench", "training", "--message-format=json"]
    # Generic code of the library is compiled in the first of our crates that uses it.
    for package in ["backstitch", "backstitch-core", "backstitch-io", "backstitch-plot", "backstitch-examples"]:
        command += ["--config", f'profile.bench.package.{package}.debug="line-tables-only"']
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    messages = [json.loads(line) for line in lines if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "training")


def segments(program):
    """Offset in the file, address in the program and length of each executable segment."""
    text = subprocess.run(["readelf", "-lW", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    loads = [line.split() for line in text.splitlines() if line.strip().startswith("LOAD")]
    return [(int(l[1], 16), int(l[2], 16), int(l[4], 16)) for l in loads]


def samples(program, workload, folder):
    """Addresses in the program with their counts, and the number of samples elsewhere."""
    data = os.path.join(folder, "perf")
    run = ["perf", "record", "-q", "-F", "999", "-o", data, program, "--seconds", "4", workload]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    script = ["perf", "script", "-i", data, "--show-mmap-events", "-F", "comm,pid,tid,ip,event"]
    text = subprocess.run(script, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    maps, found, elsewhere = [], collections.Counter(), 0
    loaded = segments(program)
    for line in text.splitlines():
        mapped = re.search(r"MMAP2? .*\[(0x\w+)\((0x\w+)\) @ (0x\w+|0) .*\]: \S*x\S* (\S+)", line)
        if mapped:
            if mapped[4] == program:
                start, length, offset = (int(n, 16) for n in mapped.groups()[:3])
                maps.append((start, start + length, offset))
            continue
        ip = line.split()[-1] if line.split() else ""
        if not re.fullmatch(r"[0-9a-f]+", ip):
            continue
        ip = int(ip, 16)
        place = next((ip - start + offset for start, end, offset in maps if start <= ip < end), None)
        segment = None if place is None else next((s for s in loaded if s[0] <= place < s[0] + s[2]), None)
        if segment:
            found[place - segment[0] + segment[1]] += 1
        else:
            elsewhere += 1
    return found, elsewhere


def kinds(program, found):
    """The kind of work at each address."""
    asked = "\n".join(hex(address) for address in found)
    command = ["addr2line", "-a", "-i", "-e", program]
    text = subprocess.run(command, input=asked, check=True, stdout=subprocess.PIPE, text=True).stdout
    result, address = {}, None
    for line in text.splitlines():
        if line.startswith("0x") and ":" not in line:
            address = int(line, 16)
        elif any(skipped in line for skipped in ["/rustc/", "/library/", "kernels/lanes.rs"]):
            continue
        elif address not in result and "core/src/" in line:
            result[address] = next((kind for kind, files in KINDS if any(f in line for f in files)), None)
    return result


def main():
    program = build()
    columns = [kind for kind, _ in KINDS] + [REST]
    print("| workload | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    with tempfile.TemporaryDirectory() as folder:
        for workload in sys.argv[1:] or WORKLOADS.split():
            found, elsewhere = samples(program, workload, folder)
            of_address, shares = kinds(program, found), collections.Counter({REST: elsewhere})
            for address, count in found.items():
                shares[of_address.get(address) or REST] += count
            total = sum(shares.values())
            print(f"| `{workload}` | " + " | ".join(f"{100 * shares[c] / total:.0f}" for c in columns) + " |", flush=True)


main()
