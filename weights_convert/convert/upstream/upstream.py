"""What an upstream is, and what its maps share: reading a spec off names and shapes, mean shifts."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from shared.errors import WeightsError
from shared.network.architecture import MEANS, ArchSpec, MeanShift

Arrays = Mapping[str, np.ndarray]
MEAN_TOLERANCE = 0.05  # of the range; the two published means are 0.02 apart, and training moves them by far less


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A state dict that was read.

    Attributes:
        arrays: name -> array.
        key: the entry of the file that it stood under.
        file_format: of the file.
    """

    arrays: Arrays
    key: str
    file_format: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """State dicts as a file holds them.

    Attributes:
        form: "flat": the file is the one state dict; "keyed": a dict of state dicts; "list": a list of them.
        states: key -> name -> array; one entry of any key for "flat".
    """

    form: Literal["flat", "keyed", "list"]
    states: Mapping[str, Arrays]


@dataclass(frozen=True, kw_only=True, slots=True)
class Upstream:
    """A project's names.

    Attributes:
        name: for people and provenance.
        source: repository, file and commit that the names come from; empty for our own.
        keys: the value of `--keys` that writes them.
        families: of ours that the names fit.
        recognises: whether a state dict has these names.
        infer: the spec of a state dict, from names, shapes and mean shifts.
        to_own: a state dict -> ours; `dual.{i}.` before the names of dual models.
        parcels: our weights -> files: suffix to put before the file's own ("" for the first) -> content.
        convention: what the published network takes and gives; `{range}` is the spec's value range.
    """

    name: str
    source: str
    keys: str
    families: tuple[str, ...]
    recognises: Callable[[Source], bool]
    infer: Callable[[Arrays], ArchSpec]
    parcels: Callable[[Arrays, ArchSpec], Mapping[str, Parcel]]
    convention: str
    to_own: Callable[[Arrays, ArchSpec], dict[str, np.ndarray]] = field(default=lambda arrays, spec: dict(arrays))


def count(names: Arrays, pattern: str) -> int:
    """How many consecutive numbers from 0 fill `{}` so that some name begins with the pattern; gaps are refused.

    Example:
        >>> count({"body.0.x": np.zeros(1), "body.1.x": np.zeros(1)}, "body.{}.")
        2
    """
    expression = re.compile(re.escape(pattern).replace(r"\{\}", r"(\d{1,4})"))
    found = {int(match[1]) for name in names if (match := expression.match(name))}
    if found != set(range(len(found))):
        missing = min(set(range(max(found) + 1)) - found)
        raise WeightsError(f"{pattern.format(missing)}… is missing, though higher numbers are there; was the file cut?")
    return len(found)


def shape(arrays: Arrays, name: str, axes: int = 4) -> tuple[int, ...]:
    """The shape of an array that a spec is read from.

    Args:
        arrays: name -> array.
        name: of the array.
        axes: how many it must have.
    """
    if name not in arrays:
        raise WeightsError(f"{name} is missing, so the network cannot be told from the file; is it whole?")
    found = arrays[name].shape
    if len(found) != axes or 0 in found:
        raise WeightsError(f"{name} has shape {found}, expected {axes} sides of 1 or more")
    return found


def scale_of(arrays: Arrays, features: int, upsampler: str) -> int:
    """×2, ×3 or ×4 from the upsampler's convolutions.

    Args:
        arrays: name -> array.
        features: channels of the trunk.
        upsampler: what the names of the upsampler's convolutions begin with.
    """
    steps = [index for index in range(0, 10, 2) if f"{upsampler}.{index}.weight" in arrays]
    factor = shape(arrays, f"{upsampler}.0.weight")[0] / features
    known = {((0,), 4): 2, ((0,), 9): 3, ((0, 2), 4): 4}
    scale = known.get((tuple(steps), int(factor) if factor == int(factor) else -1))
    if scale is None:
        raise WeightsError(
            f"an upsampler of {len(steps)} convolutions, the first of which multiplies channels by {factor:g}; expected ×2 "
            "(one, by 4), ×3 (one, by 9) or ×4 (two, by 4): other scales have no family here"
        )
    return scale


def reduction(features: int, hidden: int, name: str) -> int:
    """Channels / hidden channels of channel attention; 16, as published, wherever that gives the same network.

    Args:
        features: channels before the attention.
        hidden: channels of its hidden layer.
        name: of the array, for the message.
    """
    if not 1 <= hidden <= features:
        raise WeightsError(f"{name} has {hidden} outputs of {features} inputs, expected fewer and at least 1")
    return 16 if features // 16 == hidden else features // hidden


def mean_shift(arrays: Arrays) -> tuple[MeanShift, Literal[1, 255]]:
    """The published mean and the range that `sub_mean.bias` stands for.

    Raises:
        WeightsError: it is near to none of them, or not there: then the range cannot be told.
    """
    if "sub_mean.bias" not in arrays or arrays["sub_mean.bias"].shape != (3,):
        raise WeightsError(
            "without sub_mean the range of the network (1 or 255) cannot be told from the file; say it with --spec"
        )
    bias = np.asarray(arrays["sub_mean.bias"], dtype=np.float64)
    ranges: tuple[Literal[1, 255], ...] = (1, 255)
    tags: tuple[MeanShift, ...] = ("div2k", "df2k")
    errors = {
        (tag, value_range): float(np.abs(bias / value_range + np.asarray(MEANS[tag])).max())
        for tag in tags
        for value_range in ranges
    }
    best = min(errors, key=lambda choice: errors[choice])
    if not errors[best] <= MEAN_TOLERANCE:
        raise WeightsError(
            f"sub_mean.bias is {bias.tolist()}, near to no published mean times -1 or -255 ({dict(MEANS)}); "
            "say what it is with --spec"
        )
    return best


def constant_mean(spec: ArchSpec) -> dict[str, np.ndarray]:
    """The arrays of an untrained mean shift, for files that leave it out."""
    if spec.mean_shift == "none":
        return {}
    means = np.asarray(MEANS[spec.mean_shift])
    eye = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    arrays: dict[str, np.ndarray] = {}
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        offset = tuple(sign * spec.value_range * mean for mean in means.tolist())
        arrays |= {f"{name}.weight": eye, f"{name}.bias": np.asarray(offset, dtype=np.float32)}
    return arrays


def refuse_unlike(spec: ArchSpec, what: str) -> None:
    """Refuse to write under an upstream's names what its code would compute otherwise."""
    if spec.image_skip != "none" or spec.value_range != 255 or spec.mean_shift == "none":
        has = f"image_skip {spec.image_skip}, value_range {spec.value_range}, mean_shift {spec.mean_shift}"
        raise WeightsError(
            f"{spec.id}: has {has}; the {what} has no image skip, range 255 and a mean shift, and would compute something else. "
            "Write --keys own"
        )


def flat(arrays: Arrays) -> Mapping[str, Parcel]:
    """One file that is the state dict."""
    return {"": Parcel(form="flat", states={"": arrays})}


def without_dual(arrays: Arrays) -> dict[str, np.ndarray]:
    """The network's arrays alone."""
    return {name: array for name, array in arrays.items() if not name.startswith("dual.")}


def dual_models(arrays: Arrays) -> list[dict[str, np.ndarray]]:
    """The state dicts of the dual models of our weights."""
    models: list[dict[str, np.ndarray]] = [{} for _ in range(count(arrays, "dual.{}."))]
    for name, array in arrays.items():
        if name.startswith("dual."):
            _, index, rest = name.split(".", 2)
            models[int(index)][rest] = array
    return models
