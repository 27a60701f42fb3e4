"""Checkpoints as others publish them: names and shapes written down from their documentation, not from our families."""

import itertools
import math
import os
import pickle

import numpy as np
import pytest

from shared.network.families import FAMILIES

DIV2K = (0.4488, 0.4371, 0.4040)


def conv(name, outputs, inputs, kernel, bias=True):
    return {f"{name}.weight": (outputs, inputs, kernel, kernel)} | ({f"{name}.bias": (outputs,)} if bias else {})


def rcan_shapes(features, groups, blocks, scale, reduction=16):
    """yulunzhang/RCAN: registration order sub_mean, add_mean, head, body, tail."""
    f, hidden = features, features // reduction
    shapes = conv("sub_mean", 3, 3, 1) | conv("add_mean", 3, 3, 1) | conv("head.0", f, 3, 3)
    for group in range(groups):
        for block in range(blocks):
            stem = f"body.{group}.body.{block}.body"
            shapes |= conv(f"{stem}.0", f, f, 3) | conv(f"{stem}.2", f, f, 3)
            shapes |= conv(f"{stem}.3.conv_du.0", hidden, f, 1) | conv(f"{stem}.3.conv_du.2", f, hidden, 1)
        shapes |= conv(f"body.{group}.body.{blocks}", f, f, 3)
    shapes |= conv(f"body.{groups}", f, f, 3)
    steps = {2: [4], 3: [9], 4: [4, 4], 8: [4, 4, 4]}[scale]
    for index, factor in enumerate(steps):
        shapes |= conv(f"tail.0.{2 * index}", factor * f, f, 3)
    return shapes | conv("tail.1", 3, f, 3)


def basicsr_shapes(features, groups, blocks, scale):
    """XPixelGroup/BasicSR."""
    f = features
    shapes = conv("conv_first", f, 3, 3)
    for group in range(groups):
        for block in range(blocks):
            stem = f"body.{group}.residual_group.{block}.rcab"
            shapes |= conv(f"{stem}.0", f, f, 3) | conv(f"{stem}.2", f, f, 3)
            shapes |= conv(f"{stem}.3.attention.1", f // 16, f, 1) | conv(f"{stem}.3.attention.3", f, f // 16, 1)
        shapes |= conv(f"body.{group}.conv", f, f, 3)
    shapes |= conv("conv_after_body", f, f, 3)
    for index, factor in enumerate({2: [4], 3: [9], 4: [4, 4]}[scale]):
        shapes |= conv(f"upsample.{2 * index}", factor * f, f, 3)
    return shapes | conv("conv_last", 3, f, 3)


def dual_regression_shapes(features, blocks, octaves):
    """guoyongcs/DRN: c_p = F·2^p; C_0 = c_n, C_i = c_{n-i+1}."""
    f, n = features, octaves
    shapes = conv("sub_mean", 3, 3, 1) | conv("head", f, 3, 3)
    for p in range(n):
        shapes |= conv(f"down.{p}.dual_module.0.0", f * 2**p, f * 2**p, 3, bias=False)
        shapes |= conv(f"down.{p}.dual_module.1", f * 2 ** (p + 1), f * 2**p, 3, bias=False)
    for i in range(n):
        c = f * 2**n if i == 0 else f * 2 ** (n - i + 1)
        for block in range(blocks):
            stem = f"up_blocks.{i}.{block}.body"
            shapes |= conv(f"{stem}.0", c, c, 3) | conv(f"{stem}.2", c, c, 3)
            shapes |= conv(f"{stem}.3.conv_du.0", c // 16, c, 1) | conv(f"{stem}.3.conv_du.2", c, c // 16, 1)
        shapes |= conv(f"up_blocks.{i}.{blocks}.0", 4 * c, c, 3)
        shapes |= conv(f"up_blocks.{i}.{blocks + 1}", f * 2 ** (n - 1 - i), c, 1)
    shapes |= conv("tail.0", 3, f * 2**n, 3)
    for k in range(1, n + 1):
        shapes |= conv(f"tail.{k}", 3, f * 2 ** (n - k + 1), 3)
    return shapes | conv("add_mean", 3, 3, 1)


def dual_model_shapes(features):
    return conv("dual_module.0.0", features, 3, 3, bias=False) | conv("dual_module.1", 3, features, 3, bias=False)


def filled(shapes, seed=0, value_range=255, mean=DIV2K):
    """Random numbers of PyTorch's first size; mean shifts as training leaves them: off the identity by a little."""
    generator = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes.items():
        bound = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.05
        arrays[name] = generator.uniform(-bound, bound, shape).astype(np.float32)
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        if f"{name}.weight" in arrays:
            near = np.eye(3).reshape(3, 3, 1, 1) + generator.normal(0, 1e-3, (3, 3, 1, 1))
            arrays[f"{name}.weight"] = near.astype(np.float32)
            arrays[f"{name}.bias"] = (sign * value_range * np.asarray(mean)).astype(np.float32)
    return arrays


def parameters(shapes, means=True):
    return sum(math.prod(shape) for name, shape in shapes.items() if means or "_mean" not in name)


@pytest.fixture
def published():
    """The builders above, by name."""
    return {
        "rcan": rcan_shapes,
        "basicsr": basicsr_shapes,
        "dual_regression": dual_regression_shapes,
        "dual_model": dual_model_shapes,
        "filled": filled,
        "parameters": parameters,
    }


class Marker:
    """A pickle of this makes a file when it is run."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.open, (self.path, os.O_CREAT | os.O_WRONLY)


@pytest.fixture
def marker(tmp_path):
    """An object whose pickle, run, makes `marker.path`."""
    return Marker(tmp_path / "marker")


@pytest.fixture
def dump():
    """State dict -> a `.pdparams` file as paddle.save writes it."""

    def write(path, arrays, protocol=4):
        table = {name: f"conv2d_{index}.w_0" for index, name in enumerate(arrays)}
        path.write_bytes(pickle.dumps({**arrays, "StructuredToParameterName@@": table}, protocol=protocol))
        return path

    return write


def pytest_generate_tests(metafunc):
    if "family_scale" in metafunc.fixturenames:
        cases = list(itertools.product([family.name for family in FAMILIES], (2, 3, 4)))
        metafunc.parametrize("family_scale", cases, ids=lambda case: f"{case[0]}-x{case[1]}")
