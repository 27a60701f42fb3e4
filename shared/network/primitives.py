"""The primitives that networks are made of, and what each says of itself: its weights, its size, its cost.

A node is data. It knows the shapes and initial values of its weight arrays, how large its output is, how many
multiply-accumulates it takes and how far it sees. What it computes is written three times, on purpose: in float64 NumPy
(`reference.py`), for Paddle (`search_paddle/network.py`) and for Torch (`train_torch/network.py`). Tensors are (n, c, h, w).
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

INPUT = "input"

ResizeKernel = Literal["cubic", "cubic_torch"]
Axis = Literal[1, 2, 3]  # channels, height, width
Span = tuple[int, int | None]  # start and stop of a Python slice
EVERYTHING: Span = (0, None)
Size = tuple[int, int]  # height, width


@dataclass(frozen=True, slots=True)
class Affine:
    """Fixed initial weights of a 1x1 convolution with as many inputs as outputs: y_c = x_c + offset_c."""

    offset: tuple[float, ...]


Initial = Literal["uniform", "zero"] | Affine


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """What every primitive has. The methods describe a node without weights that keeps the size and sees one pixel.

    Attributes:
        name: unique in its graph; dots nest, as in state dicts.
        inputs: names of earlier nodes, or `input`.
        channels: channels of the output.
    """

    name: str
    inputs: tuple[str, ...]
    channels: int

    @property
    def owner(self) -> str:
        """Name under which the weight arrays stand: `<owner>.weight` and so on."""
        return self.name

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Last part of the name, and shape, of every weight array."""
        return {}

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight array."""
        return {f"{self.owner}.{part}": shape for part, shape in self.parts().items()}

    @property
    def radius(self) -> int:
        """Input pixels that an output pixel sees to one side."""
        return 0

    @property
    def macs(self) -> Fraction:
        """Multiply-accumulates for each pixel of the output."""
        return Fraction(0)

    def output_size(self, *sizes: Size) -> Size:
        """Height and width of the output for inputs of these sizes."""
        return sizes[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighted(Node):
    """A node with weights.

    Attributes:
        trainable: whether a training changes them.
        weights: the node whose arrays are used where several nodes share them; empty: its own.
    """

    trainable: bool = True
    weights: str = ""

    @property
    def owner(self) -> str:
        """Name under which the arrays stand."""
        return self.weights or self.name

    @property
    def fan_in(self) -> int:
        """Products that are summed for a number of the output; random weights are uniform in ±1/√fan_in."""
        return 1

    @property
    def starts_silent(self) -> bool:
        """Whether the output of the untrained node is 0."""
        weight = self.initial_value("weight")
        return weight is not None and not weight.any()

    def initial_value(self, part: str) -> NDArray[np.float32] | None:
        """The array before training, float32; None: random, uniform in ±1/√fan_in."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class Conv(Weighted):
    """Square convolution (cross-correlation) with zero padding.

    Weight (channels, in_channels / groups, kernel, kernel), bias (channels). With `groups` the channels are cut into as many
    parts, in order, and each part of the output sees its part of the input alone; groups = in_channels is a depthwise
    convolution. `initial` says where the initial weights come from: "uniform" is PyTorch's default (weight and bias uniform in
    ±1/√fan_in), "zero" starts the layer silent, an `Affine` is fixed.
    """

    in_channels: int
    kernel: int
    stride: int = 1
    padding: int
    groups: int = 1
    bias: bool = True
    initial: Initial = "uniform"

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Weight and bias."""
        weight = (self.channels, self.in_channels // self.groups, self.kernel, self.kernel)
        return {"weight": weight, "bias": (self.channels,)} if self.bias else {"weight": weight}

    @property
    def fan_in(self) -> int:
        """Of one group."""
        return self.in_channels // self.groups * self.kernel**2

    def initial_value(self, part: str) -> NDArray[np.float32] | None:
        """As `initial` says."""
        if isinstance(self.initial, Affine):
            eye = np.eye(self.channels, dtype=np.float32).reshape(self.channels, self.channels, 1, 1)
            return eye if part == "weight" else np.asarray(self.initial.offset, dtype=np.float32)
        return np.zeros(self.parts()[part], dtype=np.float32) if self.initial == "zero" else None

    @property
    def radius(self) -> int:
        """Half a kernel."""
        return self.kernel // 2

    @property
    def macs(self) -> Fraction:
        """One for each weight."""
        return Fraction(self.channels * self.fan_in)

    def output_size(self, *sizes: Size) -> Size:
        """Places of the kernel within the padded input."""
        height, width = ((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in sizes[0])
        return height, width


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerNorm(Weighted):
    """Each pixel normalised over its channels: y_c = weight_c · (x_c - m) / √(v + eps) + bias_c   (Ba et al. 2016).

    m is the mean over the channels, v the mean of (x - m)². Weight and bias (channels, 1, 1); they start at 1 and 0.
    """

    eps: float

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Weight and bias."""
        return {"weight": (self.channels, 1, 1), "bias": (self.channels, 1, 1)}

    def initial_value(self, part: str) -> NDArray[np.float32]:
        """Weight 1, bias 0."""
        return np.full((self.channels, 1, 1), part == "weight", dtype=np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelScale(Weighted):
    """A learned factor for each channel: y_c = weight_c · x_c. Weight (channels, 1, 1), starts at 0."""

    def parts(self) -> dict[str, tuple[int, ...]]:
        """The weight."""
        return {"weight": (self.channels, 1, 1)}

    def initial_value(self, part: str) -> NDArray[np.float32]:
        """0."""
        return np.zeros((self.channels, 1, 1), dtype=np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Add(Node):
    """Sum of two tensors of one shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Multiply(Node):
    """Product of two tensors; the second may be (n, c, 1, 1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Concat(Node):
    """Concatenation along channels; along height or width in rewritten networks (shared/network/rewrites.py)."""

    axis: Axis = 1

    def output_size(self, *sizes: Size) -> Size:
        """The sum along the axis."""
        (height, width), sides = sizes[0], list(zip(*sizes, strict=True))
        return sum(sides[0]) if self.axis == 2 else height, sum(sides[1]) if self.axis == 3 else width


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop(Node):
    """Channels, rows and columns start:stop, as Python slices; negative ones count from the far border."""

    maps: Span = EVERYTHING
    rows: Span = EVERYTHING
    columns: Span = EVERYTHING

    def output_size(self, *sizes: Size) -> Size:
        """What the slices leave."""
        height, width = sizes[0]
        return len(range(height)[slice(*self.rows)]), len(range(width)[slice(*self.columns)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale(Node):
    """Multiplication by a constant."""

    factor: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Relu(Node):
    """max(x, 0)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeakyRelu(Node):
    """x where x > 0, slope·x elsewhere."""

    slope: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sigmoid(Node):
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GlobalMean(Node):
    """Mean over the width, then over the height: (n, c, 1, 1). The order of the two means keeps float32 exact enough."""

    def output_size(self, *sizes: Size) -> Size:
        """One pixel."""
        return 1, 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Upscaling(Node):
    """A node whose output is `factor` times as high and wide."""

    factor: int

    def output_size(self, *sizes: Size) -> Size:
        """Larger."""
        height, width = sizes[0]
        return height * self.factor, width * self.factor


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelShuffle(Upscaling):
    """Channel c·r²+i·r+j becomes pixel (i, j) of an r×r cell of channel c."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resize(Upscaling):
    """Upscaling by an integer factor, as two products with the matrices of `shared.resize.resize_matrix`.

    `cubic` is a = -0.5 with mirrored edges (MATLAB's), `cubic_torch` a = -0.75 with repeated edges (torch's and Paddle's).
    """

    kernel: ResizeKernel

    @property
    def radius(self) -> int:
        """Of a cubic."""
        return 2

    @property
    def macs(self) -> Fraction:
        """Four taps along the height, then four along the width."""
        return Fraction(self.channels * 4 * (self.factor + self.factor**2), self.factor**2)


Layer = Conv | LayerNorm | ChannelScale  # those with weights
Primitive = (
    Layer | Add | Multiply | Concat | Crop | Scale | Relu | LeakyRelu | Sigmoid | GlobalMean | PixelShuffle | Resize
)
