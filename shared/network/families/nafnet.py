"""NAFNet (Chen et al. 2022, "Simple Baselines for Image Restoration") for super-resolution: no activation function at all.

As NAFNetSR in its official repository megvii-research/NAFNet (NAFSSR_arch.py, for one view), node names as there without the
wrappers `module.blk`. Its image skip is bilinear; ours is the bicubic one of the other families.
"""

from typing import Literal

from pydantic import Field

from shared.network.architecture import ArchSpec, ImageSkip
from shared.network.families.family import Family
from shared.network.families.layers import enter, image_skip, last_conv, leave
from shared.network.graph import Graph, GraphBuilder

EPS = 1e-6  # of the layer norms, as published


class NafnetSpec(ArchSpec):
    """Nonlinear-activation-free network; published sizes are 48/16 (T), 64/32 (S), 96/64 (B), features/blocks."""

    family: Literal["nafnet"] = "nafnet"
    blocks: int = Field(ge=1, description="NAF blocks (B)")
    image_skip: ImageSkip = "bicubic"


def build(spec: NafnetSpec) -> Graph:
    """Intro → blocks → conv to 3·scale² channels → pixel shuffle, + image skip."""
    g = GraphBuilder()
    skip = image_skip(g, spec)
    x = g.conv("intro", enter(g, spec), spec.features)
    for block in range(spec.blocks):
        x = _block(g, f"body.{block}", x, spec.features)
    x = last_conv(g, "up.0", spec, x, 3 * spec.scale**2)
    x = g.pixel_shuffle("up.1", x, spec.scale)
    return g.graph(leave(g, spec, x, skip=skip))


def _block(g: GraphBuilder, name: str, x: str, features: int) -> str:
    """Two residual steps, each scaled by learned factors that start at 0.

    y = x + beta · conv(attention(gate(depthwise(conv(norm(x))))))          out = y + gamma · conv(gate(conv(norm(y))))
    """
    y = g.layer_norm(f"{name}.norm1", x, EPS)
    y = g.conv(f"{name}.conv1", y, 2 * features, 1)
    y = g.conv(f"{name}.conv2", y, 2 * features, groups=2 * features)
    y = _gate(g, f"{name}.sg1", y, features)
    mean = g.global_mean(f"{name}.sca.0", y)
    y = g.multiply(f"{name}.sca.multiply", y, g.conv(f"{name}.sca.1", mean, features, 1))
    y = g.channel_scale(f"{name}.beta", g.conv(f"{name}.conv3", y, features, 1))
    x = g.add(f"{name}.add1", x, y)
    y = g.layer_norm(f"{name}.norm2", x, EPS)
    y = _gate(g, f"{name}.sg2", g.conv(f"{name}.conv4", y, 2 * features, 1), features)
    y = g.channel_scale(f"{name}.gamma", g.conv(f"{name}.conv5", y, features, 1))
    return g.add(f"{name}.add2", x, y)


def _gate(g: GraphBuilder, name: str, x: str, features: int) -> str:
    """SimpleGate: the first half of the channels times the second."""
    a = g.crop(f"{name}.a", x, maps=(0, features))
    b = g.crop(f"{name}.b", x, maps=(features, None))
    return g.multiply(f"{name}.multiply", a, b)


FAMILY = Family(
    spec=NafnetSpec,
    build=build,
    title="NAFNet",
    examples=({"features": 6, "blocks": 2}, {"features": 5, "blocks": 1, "mean_shift": "div2k", "value_range": 255}),
    presets={
        "nafnet-t": {"features": 48, "blocks": 16},
        "nafnet-s": {"features": 64, "blocks": 32},
        "nafnet-b": {"features": 96, "blocks": 64},
    },
)
