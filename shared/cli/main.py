"""Entry of `gpnas-sr`: finds the command, imports its module alone, prints the result as text or as JSON.

A command is a module with EXAMPLE, configure(parser), run(args) -> JSON value, render(value) -> text. Commands of two words share
a module: `data check` is EXAMPLE_CHECK, configure_check, run_check and render_check of shared/cli/data.py.
"""

import argparse
import importlib
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from shared.errors import UsageError, WorkError

# Words of a command -> (module, one line of help). Only the module that is asked for is imported, by this text: the stages
# own their commands, and nothing in `shared` depends on a stage
COMMANDS: Mapping[tuple[str, ...], tuple[str, str]] = {
    ("demo",): ("shared.cli.demo", "the whole method on simulated pairs, in minutes"),
    ("data", "simulate"): ("shared.cli.data", "make LR/HR pairs from clean photographs by a camera model"),
    ("data", "prepare"): ("shared.cli.data", "check LR/HR pairs and write them into one pack"),
    ("data", "check"): ("shared.cli.data", "what is in a pack or a folder of pairs, and what is wrong with it"),
    ("search",): (
        "search_paddle.commands.search",
        "search architectures by GP-NAS with short trainings on PaddlePaddle",
    ),
    ("train",): ("train_torch.commands.train", "train a suite or single specs fully on PyTorch"),
    ("upscale",): ("train_torch.commands.upscale", "super-resolve an image or a folder with the three-level ensemble"),
    ("evaluate",): ("train_torch.commands.evaluate", "PSNR and SSIM of a suite on LR/HR pairs, beside bicubic"),
    ("ablate",): ("train_torch.commands.ablate", "the paper's Table 1 for a suite: singles, pairs, all, levels off"),
    ("convert",): (
        "weights_convert.commands.convert",
        "weights between our files, Paddle, Torch and published checkpoints",
    ),
    ("export",): ("train_torch.commands.export", "a network or a suite as ONNX or torch.export program, checked"),
    ("check-tiling",): (
        "train_torch.commands.check_tiling",
        "what cutting into tiles costs, and the smallest safe tile",
    ),
    ("compare",): (
        "weights_convert.commands.compare",
        "whether Paddle, Torch and NumPy compute the same network, node by node",
    ),
    ("report",): ("shared.cli.report", "one HTML page of runs: search, table, pictures"),
    ("archive", "add"): ("shared.cli.archive", "put spec files into an archive"),
    ("archive", "list"): ("shared.cli.archive", "the specs of an archive"),
    ("archive", "show"): ("shared.cli.archive", "one spec of an archive"),
    ("archive", "diff"): ("shared.cli.archive", "fields in which two specs differ"),
    ("archive", "verify"): ("shared.cli.archive", "check ids, costs and schemas of an archive"),
}

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 the work failed, 2 the input or usage was wrong, 130 interrupted.

    Args:
        arguments: words of the command line; None: those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = _command(words)
    if command is None:
        return _overview(words)
    args = make_parser(command).parse_args(words[len(command) :])
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    try:
        value = part(command, "run")(args)
    except UsageError as error:
        return _complain(command, error, EXIT_USAGE)
    except WorkError as error:
        return _complain(command, error, EXIT_FAILED)
    except KeyboardInterrupt:
        return _complain(command, "interrupted; run the same command again to continue", EXIT_INTERRUPTED)
    status = int(value.pop("exit_status", EXIT_DONE))
    render = part(command, "render")
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) if args.json else render(value)
    if text:  # none where an image itself went to standard output
        sys.stdout.write(text.rstrip("\n") + "\n")
    return status


def _command(words: Sequence[str]) -> tuple[str, ...] | None:
    return next((command for command in COMMANDS if tuple(words[: len(command)]) == command), None)


def _overview(words: Sequence[str]) -> int:
    """Help on all commands, or on a group (`gpnas-sr data`); an unknown word is an error that shows the same."""
    group = [command for command in COMMANDS if words and len(command) > 1 and command[0] == words[0]]
    width = max(len(" ".join(command)) for command in COMMANDS)
    lines = [f"  {' '.join(command):{width}}  {COMMANDS[command][1]}" for command in group or COMMANDS]
    text = "\n".join(
        [
            "usage: gpnas-sr COMMAND ... [--json] [--help]",
            "",
            "Super-resolution of real photographs: GP-NAS architecture search and heterogeneous ensembles.",
            "",
            "commands:",
            *lines,
            "",
            "`gpnas-sr COMMAND --help` shows the options of a command, with an example.",
            "Exit status: 0 done, 1 the work failed, 2 the input or usage was wrong.",
            "",
        ]
    )
    rest = words[1:] if group else words
    if rest and rest[0] in ("-h", "--help"):
        sys.stdout.write(text)
        return EXIT_DONE
    problem = f"gpnas-sr: got {' '.join(words)!r}, expected one of the commands above\n" if words else ""
    sys.stderr.write(text + problem)
    return EXIT_USAGE


def part(command: tuple[str, ...], name: str) -> Any:
    """EXAMPLE, configure, run or render of a command; its module is imported at the first call."""
    suffix = "".join(f"_{word}" for word in command[1:])
    return getattr(importlib.import_module(COMMANDS[command][0]), name + (suffix.upper() if name.isupper() else suffix))


def make_parser(command: tuple[str, ...]) -> argparse.ArgumentParser:
    """The parser of one command's options."""
    description = COMMANDS[command][1]
    parser = argparse.ArgumentParser(
        prog=f"gpnas-sr {' '.join(command)}",
        description=f"{description[0].upper()}{description[1:]}.",
        epilog="example:\n" + "\n".join(f"  {line.strip()}" for line in part(command, "EXAMPLE").strip().splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    part(command, "configure")(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON value on standard output, and nothing else")
    return parser


def _complain(command: tuple[str, ...], problem: object, status: int) -> int:
    sys.stderr.write(f"gpnas-sr {' '.join(command)}: {problem}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
