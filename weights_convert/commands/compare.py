"""`gpnas-sr compare`: whether Paddle, Torch and NumPy compute the same network and the same training, node by node."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import UsageError

if TYPE_CHECKING:
    from weights_convert.compare.compare import Question

EXAMPLE = """
gpnas-sr compare drn-star --scale 2
gpnas-sr compare spec.json --dtype float32 --steps 100 --html compare.html
gpnas-sr compare member.safetensors --module my_net.py:make
gpnas-sr compare member.safetensors --onnx member.onnx
"""
DIGEST = 10  # arrays shown


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("spec", metavar="SPEC", help="spec file, name of a preset (with --scale), or weights file")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), help="of a preset")
    parser.add_argument("--weights", type=Path, metavar="W", help="weights file (default: random weights and biases)")
    parser.add_argument("--dtype", choices=("float64", "float32"), help="precision (default float64; ONNX: float32)")
    parser.add_argument("--steps", type=int, metavar="N", help="also train N steps in each framework, and compare them")
    parser.add_argument(
        "--against",
        choices=("reference", "torch", "paddle"),
        default="reference",
        help="what is right: the float64 NumPy reference (default), or one framework for the other",
    )
    parser.add_argument(
        "--module", metavar="M", help="judge this torch module: package.module:function or file.py:function"
    )
    parser.add_argument("--onnx", type=Path, metavar="FILE", help="judge this ONNX file")
    parser.add_argument("--size", default="13x11", metavar="HxW", help="of the LR test image, px (default 13x11)")
    parser.add_argument("--batch", type=int, default=2, metavar="N", help="test images (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="of image, cotangents and random weights (default 0)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with a heat map of node x step")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Compare; exit status 1 where something differs."""
    from shared.files import write_bytes
    from weights_convert.compare.compare import compare
    from weights_convert.compare.page import render_page
    from weights_convert.compare.verdict import verdict

    questions = _questions(args)
    answers = compare(questions)
    value = verdict(questions, answers)
    if args.html is not None:
        write_bytes(args.html, render_page(questions, answers).encode())
        value["html"] = str(args.html)
    return value | {"exit_status": 0 if value["equal"] else 1}


def _questions(args: argparse.Namespace) -> "list[Question]":
    from weights_convert.compare.case import DType, make_case
    from weights_convert.compare.compare import FRAMEWORKS, Question, Subject
    from weights_convert.compare.recipe import Recipe

    for option, value in (("--steps", args.steps), ("--batch", args.batch)):
        if value is not None and value < 1:
            raise UsageError(f"{option}: got {value}, expected at least 1")
    spec, weights = _network(args)
    dtype: DType = "float32" if args.dtype == "float32" or (args.dtype is None and args.onnx is not None) else "float64"
    case = make_case(spec, seed=args.seed, shape=(args.batch, *_size(args.size)), dtype=dtype, weights=weights)
    if args.module is not None or args.onnx is not None:
        return [Question(case=case, subject=_foreign(args, dtype), against=args.against)]
    recipe = None if args.steps is None else Recipe(steps=args.steps, seed=args.seed)
    kinds = [kind for kind in FRAMEWORKS if kind != args.against]
    return [Question(case=case, subject=Subject(kind=kind), against=args.against, recipe=recipe) for kind in kinds]


def _network(args: argparse.Namespace) -> tuple[Any, Any]:
    """Spec and weights; a weights file carries its spec."""
    from shared.records.resolve import load_member, resolve
    from shared.records.weights import load_weights

    member = resolve(args.spec, scale=args.scale).one()
    if args.weights is None:
        return member.spec, None if member.weights_path is None else load_member(member).network
    if member.weights_path is not None:
        raise UsageError(f"got {args.spec}, which has weights, and --weights {args.weights}, expected one of them")
    file = load_weights(args.weights)
    if file.spec != member.spec:
        raise UsageError(f"{args.weights} holds weights of {file.spec.id}, expected those of {member.spec.id}")
    return member.spec, file.network


def _foreign(args: argparse.Namespace, dtype: str) -> Any:
    from weights_convert.compare.compare import Subject

    if args.module is not None and args.onnx is not None:
        raise UsageError("got --module and --onnx, expected one of them")
    if args.steps is not None:
        raise UsageError("got --steps with a foreign network, expected a comparison of outputs: leave --steps out")
    if args.onnx is None:
        return Subject(kind="module", network=args.module)
    if dtype != "float32":
        raise UsageError("got --dtype float64 with --onnx, expected float32: ONNX Runtime has no float64 convolution")
    return Subject(kind="onnx", network=str(args.onnx))


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) > 0 for side in sides):
        raise UsageError(f"--size: got {text!r}, expected height x width in px, as in 48x48")
    return int(sides[0]), int(sides[1])


def render(value: dict[str, Any]) -> str:
    """The worst arrays, the first divergence, the verdict."""
    lines = []
    for entry in value["subjects"]:
        lines += [
            f"{entry['name']} against {value['against']}, {value['dtype']}, {entry['nodes']} nodes",
            *_table(entry["worst"]),
        ]
        lines += [*_training(entry["training"]), ""]
    return "\n".join([*lines, *_found(value), "equal" if value["equal"] else "DIFFERENT"])


def _table(worst: list[dict[str, Any]]) -> list[str]:
    if not worst:
        return []
    shown = worst[:DIGEST]
    width = max(len(item["node"]) for item in shown)
    lines = [f"  {'node':{width}}  {'compared':16}  {'error':>8}  {'allowed':>8}"]
    for item in shown:
        mark = "" if item["agrees"] else "  <-"
        lines.append(
            f"  {item['node']:{width}}  {item['column']:16}  {_number(item['error']):>8}  {_number(item['limit']):>8}{mark}"
        )
    return lines


def _training(training: dict[str, Any] | None) -> list[str]:
    if training is None:
        return []
    lines = [f"  training, {training['steps']} steps     loss   weights   control"]
    for row in training["curve"]:
        loss, weights, control = (_number(row[key]) for key in ("loss", "weights", "control"))
        lines.append(f"    after step {row['step']:>4}       {loss:>8}  {weights:>8}  {control:>8}")
    return lines


def _found(value: dict[str, Any]) -> list[str]:
    lines = []
    first = value["first_divergence"]
    if first is not None:
        lines.append(
            f"first divergence: {first['node']} ({first['direction']}, {first['framework']}), error {_number(first['error'])}"
        )
    for item in value["blame"]:
        where = f"step {item['step']}, {item['part']}" if "step" in item else item["node"]
        what = item["array"] if "step" in item else f"{item['column']} {item['array']}".strip()
        lines.append(
            f"to blame: {where} ({item['framework']}{', ' + what if what else ''}), error {_number(item['error'])}"
        )
    return lines


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:.1e}" if math.isfinite(value) else "–"
