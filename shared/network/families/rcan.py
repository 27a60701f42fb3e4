"""RCAN (Zhang et al. 2018), node names as in its official repository yulunzhang/RCAN; rebuilt from its published shapes."""

from typing import Literal

from pydantic import Field

from shared.network.architecture import AttentionSpec, MeanShift
from shared.network.families.family import Family
from shared.network.families.layers import enter, image_skip, last_conv, leave, residual_attention_block, upsampler
from shared.network.graph import Graph, GraphBuilder


class RcanSpec(AttentionSpec):
    """Residual channel attention network; the paper's RCAN is 64/10/20, its searched RCAN* 128/5/10."""

    family: Literal["rcan"] = "rcan"
    groups: int = Field(ge=1, description="residual groups (G)")
    blocks: int = Field(ge=1, description="blocks in a group (B)")
    mean_shift: MeanShift = "div2k"
    value_range: Literal[1, 255] = 255


def build(spec: RcanSpec) -> Graph:
    """sub_mean → head → body (+ head) → upsampler → conv → add_mean."""
    g = GraphBuilder()
    skip = image_skip(g, spec)
    head = x = g.conv("head.0", enter(g, spec), spec.features)
    for group in range(spec.groups):
        start = x
        for block in range(spec.blocks):
            x = residual_attention_block(g, f"body.{group}.body.{block}", x, spec.features, spec.reduction)
        x = g.conv(f"body.{group}.body.{spec.blocks}", x, spec.features)
        x = g.add(f"body.{group}.add", x, start)
    x = g.conv(f"body.{spec.groups}", x, spec.features)
    x = g.add("body.add", x, head)
    x = upsampler(g, "tail.0", x, spec.features, spec.scale)
    x = last_conv(g, "tail.1", spec, x)
    return g.graph(leave(g, spec, x, skip=skip))


FAMILY = Family(
    spec=RcanSpec,
    build=build,
    title="RCAN",
    examples=({"features": 8, "groups": 2, "blocks": 1, "reduction": 4},),
    presets={
        "rcan-star": {"features": 128, "groups": 5, "blocks": 10},
        "rcan": {"features": 64, "groups": 10, "blocks": 20},
    },
)
