"""Indexing a tree of documents: the first time, again with nothing changed, and with one edited file; memory at its peak.

Works on a copy of the documents. Each step is a process of its own, as a user would run it.

    python benchmarks/freshness.py --data ../shared/data/docs_peps --work /tmp/freshness
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from machine import describe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    print(describe("onnxruntime", "faiss-cpu"))
    files = arguments.work / "files"
    if not files.exists():
        shutil.copytree(arguments.data, files)
    environment = {**os.environ, "ASSISTANT_HOME": str(arguments.work / "home")}
    index(files, environment, "the first time (or what was missing)")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"  peak memory {peak:.2f} GB")
    time.sleep(2.5)  # so that no file counts as changed within the same tick of the clock
    for round_ in range(3):
        index(files, environment, f"nothing changed, round {round_ + 1}")
    edited = max(files.rglob("*.rst"), key=lambda file: file.stat().st_size)
    for round_ in range(3):
        with edited.open("a", encoding="utf-8") as stream:
            stream.write(f"\nAn edit made by a benchmark, number {time.time_ns()}.\n")
        index(files, environment, f"one edited file ({edited.stat().st_size / 1e3:.0f} kB), round {round_ + 1}")


def index(files: Path, environment: dict[str, str], what: str) -> None:
    started = time.perf_counter()
    command = [sys.executable, "-m", "assistant", "index", str(files), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr)
    report = json.loads(done.stdout)
    counts = {key: report[key] for key in ("documents", "passages", "added", "changed", "unchanged")}
    print(f"{what}: {seconds:.2f} s; {counts}, {len(report['failed'])} failed")


if __name__ == "__main__":
    main()
