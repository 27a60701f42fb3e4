"""DRN, the dense residual network of the paper (section 4.1, figure 2). Its figure is not in the text: each reading is a field.

Block i (1 .. D), input x_i:
    stage 1 input: x_i (+ x_{i-1}, inter-block skip)          stage l input: stage l-1 output (+ x_{i-1} for l = 2)
    stage:         conv 3x3, ReLU, conv 3x3
    block output:  x_i + attention(conv(concat(all stage outputs)))
"""

from typing import Literal

from pydantic import Field

from shared.network.architecture import AttentionSpec
from shared.network.families.family import Family
from shared.network.families.layers import channel_attention, enter, image_skip, last_conv, leave, upsampler
from shared.network.graph import Graph, GraphBuilder


class DrnSpec(AttentionSpec):
    """Dense residual network; the paper's searched DRN* is 128/18/3. Defaults are our reading of the paper (docs/paper.md)."""

    family: Literal["drn"] = "drn"
    blocks: int = Field(ge=1, description="dense residual blocks (D)")
    stages: int = Field(ge=1, description="stages of two convolutions in a block (L)")
    fusion_kernel: Literal[1, 3] = Field(default=1, description="kernel of the convolution that fuses the stages, px")
    ibsc_stages: Literal["none", "first_two", "all"] = Field(
        default="first_two", description="stages whose input receives the input of the block before (inter-block skip)"
    )
    ibsc_mode: Literal["add", "concat"] = Field(default="add", description="how that skip joins the stage's input")
    stage_chain: Literal["chained", "parallel"] = Field(
        default="chained", description="a stage reads the stage before, or every stage reads the block's input"
    )
    stage_activations: Literal[1, 2] = Field(default=1, description="ReLU after the first convolution, or after both")
    long_skip: bool = Field(default=False, description="head output added to the body's output, as in RCAN")
    pre_upsample_conv: bool = Field(default=False, description="3x3 convolution between body and upsampler, as in RCAN")


def build(spec: DrnSpec) -> Graph:
    """Head → D blocks → upsampler → conv."""
    g = GraphBuilder()
    skip = image_skip(g, spec)
    head = x = g.conv("head", enter(g, spec), spec.features)
    before: str | None = None
    for block in range(spec.blocks):
        before, x = x, _block(g, spec, f"body.{block}", x, before)
    if spec.pre_upsample_conv:
        x = g.conv(f"body.{spec.blocks}", x, spec.features)
    if spec.long_skip:
        x = g.add("body.add", x, head)
    x = upsampler(g, "tail.0", x, spec.features, spec.scale)
    x = last_conv(g, "tail.1", spec, x)
    return g.graph(leave(g, spec, x, skip=skip))


def _block(g: GraphBuilder, spec: DrnSpec, name: str, start: str, before: str | None) -> str:
    """One block; `before` is the input of the block before, None for the first block."""
    outputs: list[str] = []
    for stage in range(spec.stages):
        x = outputs[-1] if outputs and spec.stage_chain == "chained" else start
        skip = before if _has_inter_block_skip(spec, stage) else None
        outputs.append(_stage(g, spec, f"{name}.stages.{stage}", x, skip))
    x = g.concat(f"{name}.concat", *outputs) if len(outputs) > 1 else outputs[0]
    x = g.conv(f"{name}.fusion", x, spec.features, spec.fusion_kernel)
    x = channel_attention(g, f"{name}.attention", x, spec.features, spec.reduction)
    return g.add(f"{name}.add", x, start)


def _has_inter_block_skip(spec: DrnSpec, stage: int) -> bool:
    return {"none": False, "first_two": stage < 2, "all": True}[spec.ibsc_stages]


def _stage(g: GraphBuilder, spec: DrnSpec, name: str, x: str, skip: str | None) -> str:
    if skip is not None:
        x = g.add(f"{name}.ibsc", x, skip) if spec.ibsc_mode == "add" else g.concat(f"{name}.ibsc", x, skip)
    x = g.conv(f"{name}.0", x, spec.features)
    x = g.relu(f"{name}.1", x)
    x = g.conv(f"{name}.2", x, spec.features)
    return g.relu(f"{name}.3", x) if spec.stage_activations == 2 else x


FAMILY = Family(
    spec=DrnSpec,
    build=build,
    title="DRN",
    examples=(
        {"features": 8, "blocks": 2, "stages": 3, "reduction": 4},
        {
            "features": 8,
            "blocks": 2,
            "stages": 2,
            "reduction": 4,
            "ibsc_mode": "concat",
            "stage_activations": 2,
            "long_skip": True,
            "pre_upsample_conv": True,
            "mean_shift": "df2k",
            "value_range": 255,
        },
    ),
    presets={"drn-star": {"features": 128, "blocks": 18, "stages": 3}},
)
