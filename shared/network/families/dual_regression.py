"""Dual regression network (Guo et al. 2020), node names as in guoyongcs/DRN; ×3 is ours: one octave of factor 3.

The network upscales the input first and is then a small U-Net at HR size. It returns one image per octave, LR size first; a dual
model per octave maps each image back down, for the dual regression loss of its training.
"""

from typing import Literal

from pydantic import Field

from shared.network.architecture import AttentionSpec, MeanShift
from shared.network.families.family import Family
from shared.network.families.layers import enter, image_skip, leave, residual_attention_block
from shared.network.graph import Graph, GraphBuilder
from shared.network.primitives import INPUT

NEGATIVE_SLOPE = 0.2  # guoyongcs/DRN


class DualRegressionSpec(AttentionSpec):
    """Dual regression network; published ×4 sizes are 16/30 (S) and 20/40 (L), features/blocks."""

    family: Literal["dual_regression"] = "dual_regression"
    blocks: int = Field(ge=1, description="residual attention blocks in each up step (B)")
    mean_shift: MeanShift = "div2k"
    value_range: Literal[1, 255] = 255


def octaves(scale: int) -> tuple[int, ...]:
    """Factors of the steps between LR and HR size."""
    return {2: (2,), 3: (3,), 4: (2, 2)}[scale]


def build(spec: DualRegressionSpec) -> Graph:
    """Upscale → sub_mean → head → down steps → (image, up step) per octave → image."""
    g = GraphBuilder()
    factors = octaves(spec.scale)
    skip = image_skip(g, spec)
    x = g.resize("upsample", INPUT, spec.scale, "cubic_torch")
    x = g.conv("head", enter(g, spec, x), spec.features)
    copies: list[str] = []
    for step, factor in enumerate(factors):
        copies.append(x)
        x = _down(g, f"down.{step}", x, spec.features * 2**step, factor)
    outputs = [_image(g, spec, 0, x, None)]
    for step, factor in enumerate(reversed(factors)):
        x = _up(g, spec, step, x, factor)
        x = g.concat(f"up_blocks.{step}.concat", x, copies[len(factors) - 1 - step])
        outputs.append(_image(g, spec, step + 1, x, skip if step + 1 == len(factors) else None))
    return g.graph(*outputs)


def dual_graphs(spec: DualRegressionSpec) -> tuple[Graph, ...]:
    """The dual models, one per octave: conv (stride = the octave's factor), leaky ReLU, conv; images in [0, 1] both ways.

    Model i maps output i + 1 of the network to the size of output i. They have no bias, so the range cancels out.
    """
    return tuple(_dual(spec, factor) for factor in reversed(octaves(spec.scale)))


def _dual(spec: DualRegressionSpec, factor: int) -> Graph:
    g = GraphBuilder()
    x = _strided(g, "dual_module.0", INPUT, spec.features, factor)
    return g.graph(g.conv("dual_module.1", x, 3, bias=False))


def _down(g: GraphBuilder, name: str, x: str, channels: int, factor: int) -> str:
    x = _strided(g, f"{name}.dual_module.0", x, channels, factor)
    return g.conv(f"{name}.dual_module.1", x, 2 * channels, bias=False)


def _strided(g: GraphBuilder, name: str, x: str, channels: int, factor: int) -> str:
    """Strided convolution and leaky ReLU. Factor 3 takes no padding: that keeps pixel centres where they are."""
    x = g.conv(f"{name}.0", x, channels, stride=factor, padding=0 if factor == 3 else 1, bias=False)
    return g.leaky_relu(f"{name}.1", x, NEGATIVE_SLOPE)


def _up(g: GraphBuilder, spec: DualRegressionSpec, step: int, x: str, factor: int) -> str:
    """Blocks, upsampler, 1x1 convolution to the channels of the copy that joins next."""
    channels, target = _up_channels(spec, step)
    for block in range(spec.blocks):
        x = residual_attention_block(g, f"up_blocks.{step}.{block}", x, channels, spec.reduction)
    x = g.conv(f"up_blocks.{step}.{spec.blocks}.0", x, channels * factor * factor)
    x = g.pixel_shuffle(f"up_blocks.{step}.{spec.blocks}.1", x, factor)
    return g.conv(f"up_blocks.{step}.{spec.blocks + 1}", x, target, 1)


def _up_channels(spec: DualRegressionSpec, step: int) -> tuple[int, int]:
    """Channels into up step `step`, and of the copy that joins after it (sr_toolboxes: C_0 = c_n, C_i = c_{n-i+1})."""
    octave_count = len(octaves(spec.scale))
    exponent = octave_count if step == 0 else octave_count - step + 1
    return spec.features * 2**exponent, spec.features * 2 ** (octave_count - 1 - step)


def _image(g: GraphBuilder, spec: DualRegressionSpec, index: int, x: str, skip: str | None) -> str:
    is_last = index == len(octaves(spec.scale))
    x = g.conv(f"tail.{index}", x, 3, initial="uniform" if skip is None else "zero")
    return leave(g, spec, x, skip=skip, suffix="" if is_last else f"_{index}")


FAMILY = Family(
    spec=DualRegressionSpec,
    build=build,
    title="Dual regression",
    examples=({"features": 8, "blocks": 1, "reduction": 4},),
    presets={"dual-regression-s": {"features": 16, "blocks": 30}, "dual-regression-l": {"features": 20, "blocks": 40}},
    dual_graphs=dual_graphs,
)
