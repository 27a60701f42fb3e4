"""Pieces that several families share, as functions that add nodes to a builder and return the name of the last one.

g         the builder                                      x         name of the node that is read
name      of the node, or the first part of its names      features  channels of x
spec      the architecture                                 skip      name of the node of the image skip; None: none
"""

from shared.network.architecture import MEANS, ArchSpec
from shared.network.graph import GraphBuilder
from shared.network.primitives import INPUT, Affine


def enter(g: GraphBuilder, spec: ArchSpec, x: str = INPUT) -> str:
    """From [0, 1] to the network's own range and mean: `x · value_range`, then `sub_mean`."""
    if spec.value_range != 1:
        x = g.scale("to_range", x, float(spec.value_range))
    return mean_shift(g, "sub_mean", spec, x, sign=-1)


def leave(g: GraphBuilder, spec: ArchSpec, x: str, *, skip: str | None = None, suffix: str = "") -> str:
    """Back to [0, 1]: `add_mean`, then `x / value_range`; behind an image skip the skip brings the mean instead (ours).

    `suffix` tells the nodes of several outputs apart; all of them use the weights of the one `add_mean`.
    """
    if skip is None:
        x = mean_shift(g, f"add_mean{suffix}", spec, x, sign=1, weights="add_mean")
    if spec.value_range != 1:
        x = g.scale(f"from_range{suffix}", x, 1 / spec.value_range)
    return x if skip is None else g.add("image_skip.add", x, skip)


def image_skip(g: GraphBuilder, spec: ArchSpec) -> str | None:
    """The upscaled input, or None."""
    return None if spec.image_skip == "none" else g.resize("image_skip", INPUT, spec.scale, "cubic")


def mean_shift(g: GraphBuilder, name: str, spec: ArchSpec, x: str, *, sign: int, weights: str = "") -> str:
    """A frozen 1x1 convolution that shifts RGB by ±mean; published files may hold slightly trained ones."""
    if spec.mean_shift == "none":
        return x
    offset = tuple(sign * spec.value_range * mean for mean in MEANS[spec.mean_shift])
    return g.conv(name, x, 3, 1, trainable=False, initial=Affine(offset), weights=weights)


def channel_attention(g: GraphBuilder, name: str, x: str, features: int, reduction: int) -> str:
    """X · sigmoid(conv(relu(conv(mean(x))))), hidden layer of features // reduction channels (RCAN, eq. 8)."""
    gate = g.global_mean(f"{name}.avg_pool", x)
    gate = g.conv(f"{name}.conv_du.0", gate, features // reduction, 1)
    gate = g.relu(f"{name}.conv_du.1", gate)
    gate = g.conv(f"{name}.conv_du.2", gate, features, 1)
    gate = g.sigmoid(f"{name}.conv_du.3", gate)
    return g.multiply(f"{name}.multiply", x, gate)


def residual_attention_block(g: GraphBuilder, name: str, x: str, features: int, reduction: int) -> str:
    """RCAN's RCAB: x + attention(conv(relu(conv(x))))."""
    y = g.conv(f"{name}.body.0", x, features)
    y = g.relu(f"{name}.body.1", y)
    y = g.conv(f"{name}.body.2", y, features)
    y = channel_attention(g, f"{name}.body.3", y, features, reduction)
    return g.add(f"{name}.add", y, x)


def upsampler(g: GraphBuilder, name: str, x: str, features: int, scale: int) -> str:
    """Convolution and pixel shuffle: once at ×2 and ×3, twice by 2 at ×4; no activation between."""
    for step, factor in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
        x = g.conv(f"{name}.{2 * step}", x, features * factor * factor)
        x = g.pixel_shuffle(f"{name}.{2 * step + 1}", x, factor)
    return x


def last_conv(g: GraphBuilder, name: str, spec: ArchSpec, x: str, channels: int = 3) -> str:
    """Features to RGB. Behind an image skip it starts at 0, so that a training starts exactly at the upscaled input (ours)."""
    return g.conv(name, x, channels, initial="uniform" if spec.image_skip == "none" else "zero")
