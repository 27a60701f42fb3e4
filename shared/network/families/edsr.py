"""EDSR (Lim et al. 2017), node names as in its official repository thstkdgus35/EDSR-PyTorch (src/model/edsr.py)."""

from typing import Literal

from pydantic import Field

from shared.network.architecture import ArchSpec, MeanShift
from shared.network.families.family import Family
from shared.network.families.layers import enter, image_skip, last_conv, leave, upsampler
from shared.network.graph import Graph, GraphBuilder


class EdsrSpec(ArchSpec):
    """Enhanced deep residual network; published are the baseline 64/16/1.0 and the full 256/32/0.1, features/blocks/res_scale."""

    family: Literal["edsr"] = "edsr"
    blocks: int = Field(ge=1, description="residual blocks (B)")
    res_scale: float = Field(
        default=1.0, gt=0, description="factor of each block's residual, for stable training when wide"
    )
    mean_shift: MeanShift = "div2k"
    value_range: Literal[1, 255] = 255


def build(spec: EdsrSpec) -> Graph:
    """sub_mean → head → body (+ head) → upsampler → conv → add_mean; a block adds res_scale · conv(relu(conv(x)))."""
    g = GraphBuilder()
    skip = image_skip(g, spec)
    head = x = g.conv("head.0", enter(g, spec), spec.features)
    for block in range(spec.blocks):
        x = _block(g, spec, f"body.{block}", x)
    x = g.conv(f"body.{spec.blocks}", x, spec.features)
    x = g.add("body.add", x, head)
    x = upsampler(g, "tail.0", x, spec.features, spec.scale)
    x = last_conv(g, "tail.1", spec, x)
    return g.graph(leave(g, spec, x, skip=skip))


def _block(g: GraphBuilder, spec: EdsrSpec, name: str, x: str) -> str:
    y = g.conv(f"{name}.body.0", x, spec.features)
    y = g.relu(f"{name}.body.1", y)
    y = g.conv(f"{name}.body.2", y, spec.features)
    if spec.res_scale != 1:
        y = g.scale(f"{name}.res_scale", y, spec.res_scale)
    return g.add(f"{name}.add", y, x)


FAMILY = Family(
    spec=EdsrSpec,
    build=build,
    title="EDSR",
    examples=({"features": 6, "blocks": 2}, {"features": 6, "blocks": 1, "res_scale": 0.1, "mean_shift": "none"}),
    presets={
        "edsr-baseline": {"features": 64, "blocks": 16},
        "edsr": {"features": 256, "blocks": 32, "res_scale": 0.1},
    },
)
