"""The command line of `finetune`. It has no verbs yet; what it prints is plain text, so it needs no library."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

ABOUT = (
    "finetune will align the assistant to you: data and feedback become LoRA adapters. No training verb is part of this version."
)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="finetune", description=ABOUT, exit_on_error=False)
    parser.add_argument("--version", action="version", version=f"finetune {version('assistant')}")
    _, unknown = parser.parse_known_args(arguments)
    if unknown:
        sys.stderr.write(
            f"error: there is no {unknown[0]!r} in this version of finetune\nhint: `finetune --help` shows what there is\n"
        )
        return 2
    parser.print_help()
    return 0
