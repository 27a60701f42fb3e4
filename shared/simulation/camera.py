"""A camera model: it photographs a clean photograph from further away, which gives the LR image of a simulated pair.

    LR = ISP(mosaic((scene * k)↓s / gains) + n)      the paper's Eq. 1 (k, ↓s, n) inside the camera of Eq. 3-6

The steps, each a function below: scene light from the photograph (inverse tone curve), optics, reduction to the LR grid, inverse
white balance, Bayer mosaic, shot and read noise, analogue-digital converter; then the image signal processor (ISP): demosaicing,
white balance, tone curve, sharpening, 8 bits, JPEG. It is simplified: no colour matrix (sensor RGB is sRGB divided by the gains),
no lens shading, no denoiser, bilinear demosaicing, Gaussian shot noise with the variance of photon counts. The steps follow the
paper's equations; every range is ours.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.resize import Floats, resize

Bytes = NDArray[np.uint8]
Range = tuple[float, float]

SUBSAMPLING: Mapping[str, int] = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}  # Pillow's numbers
# Bilinear demosaicing as a convolution of the plane with zeros at the other colours' sites
_GREEN = np.array([[0.0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
_RED_BLUE = np.array([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4


def _within(low: float, high: float) -> AfterValidator:
    def check(value: Range) -> Range:
        if not low <= value[0] <= value[1] <= high:
            raise ValueError(
                f"got range {list(value)}, expected [lower, upper] within {low:g} to {high:g}, the lower one first"
            )
        return value

    return AfterValidator(check)


class CameraConfig(BaseModel):
    """One camera: ranges, from which the values of each pair are drawn uniformly, and choices that all pairs share.

    The default ranges are narrow, like those of one camera, so that a network trained on some photographs also fits others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    blur_sigma: Annotated[Range, _within(0, 4)] = (0.6, 0.7)
    """Optics (k in Eq. 1): standard deviation of the Gaussian kernel along its long axis, LR px."""
    blur_ratio: Annotated[Range, _within(0.1, 1)] = (0.8, 1.0)
    """Optics: short axis of the kernel / long axis."""
    blur_angle: Annotated[Range, _within(0, 180)] = (0.0, 180.0)
    """Optics: direction of the long axis, degrees from the rows towards the columns."""
    downsample: Literal["area", "cubic"] = "area"
    """Reduction (↓s in Eq. 1): mean over the pixel's square, as a sensor does, or MATLAB's antialiased bicubic."""
    red_gain: Annotated[Range, _within(1, 8)] = (1.8, 2.1)
    """White balance: gain of red over green; daylight is near 2."""
    blue_gain: Annotated[Range, _within(1, 8)] = (1.4, 1.7)
    """White balance: gain of blue over green."""
    mosaic: bool = False
    """Bayer RGGB mosaic and bilinear demosaicing. False: three full planes, which is nearer to real cameras: their demosaicing is
    better than bilinear (bilinear loses 1.4 dB on the builtin photographs)."""
    shot_noise: Annotated[Range, _within(0, 0.1)] = (2e-4, 4e-4)
    """Noise (n in Eq. 1): variance per unit of raw signal, the sensor's white being 1 (1 / full-well electrons)."""
    read_noise: Annotated[Range, _within(0, 0.1)] = (5e-4, 1e-3)
    """Noise: standard deviation at black, the sensor's white being 1."""
    raw_bits: Annotated[int, Field(ge=8, le=16)] = 12
    """Bits of the analogue-digital converter."""
    tone_curve: Literal["srgb", "gamma"] = "srgb"
    """Curve from linear light to pixel values, and inverted at the start: IEC 61966-2-1 (sRGB), or a power."""
    gamma: Annotated[float, Field(ge=1, le=4)] = 2.2
    """Exponent where `tone_curve` is gamma."""
    sharpen_amount: Annotated[Range, _within(0, 4)] = (0.3, 0.5)
    """Unsharp mask on pixel values: factor of (image - blurred image), which is added."""
    sharpen_sigma: Annotated[Range, _within(0.1, 10)] = (0.8, 1.0)
    """Unsharp mask: standard deviation of its Gaussian, LR px."""
    jpeg: bool = True
    """Whether the camera writes JPEG; False: 8-bit pixels without loss."""
    jpeg_quality: Annotated[Range, _within(1, 100)] = (92.0, 96.0)
    """JPEG quality on the scale of libjpeg, rounded to a whole number."""
    jpeg_subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:4:4"
    """JPEG chroma subsampling."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """The values of one shot; units as in `CameraConfig`."""

    blur_sigma: float
    blur_ratio: float
    blur_angle: float
    downsample: Literal["area", "cubic"]
    red_gain: float
    blue_gain: float
    mosaic: bool
    shot_noise: float
    read_noise: float
    raw_bits: int
    tone_curve: Literal["srgb", "gamma"]
    gamma: float
    sharpen_amount: float
    sharpen_sigma: float
    jpeg: bool
    jpeg_quality: float
    jpeg_subsampling: Literal["4:4:4", "4:2:2", "4:2:0"]

    @property
    def gains(self) -> Floats:
        """White-balance gains of R, G, B."""
        return np.array([self.red_gain, 1.0, self.blue_gain])


def draw(config: CameraConfig, generator: np.random.Generator) -> Camera:
    """Values from the ranges. Each range takes one number of the generator, in the order of the fields."""
    values: dict[str, Any] = config.model_dump()
    for name, value in values.items():
        if isinstance(value, tuple):
            values[name] = float(value[0] + (value[1] - value[0]) * generator.random())
    values["jpeg_quality"] = float(round(values["jpeg_quality"]))
    return Camera(**values)


def take(scene: Floats, camera: Camera, *, scale: int, generator: np.random.Generator) -> Bytes:
    """The LR image that `camera` makes of a scene.

    Args:
        scene: (s·h, s·w, 3) linear light in [0, 1], from `to_light`.
        camera: its values.
        scale: s.
        generator: random numbers of the noise.

    Returns:
        (h, w, 3) uint8, aligned with the scene: its pixels lie where the s x s blocks of HR lie.
    """
    light = reduce(optics(scene, camera, scale), scale, camera.downsample)
    return develop(expose(light, camera, generator), camera)


def to_light(pixels: Floats, tone_curve: str, gamma: float) -> Floats:
    """Pixel values to linear light (inverse tone curve).

    Args:
        pixels: any shape, in [0, 1].
        tone_curve: "srgb" or "gamma".
        gamma: exponent of "gamma".
    """
    if tone_curve == "gamma":
        return pixels**gamma
    return np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)


def from_light(light: Floats, tone_curve: str, gamma: float) -> Floats:
    """Linear light to pixel values (tone curve).

    Args:
        light: any shape, in [0, 1].
        tone_curve: "srgb" or "gamma".
        gamma: exponent of "gamma".
    """
    if tone_curve == "gamma":
        return light ** (1 / gamma)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def kernel(sigma: float, ratio: float, angle: float) -> Floats:
    """Anisotropic Gaussian, cut at four standard deviations.

    Args:
        sigma: standard deviation of the long axis, px.
        ratio: short axis / long axis.
        angle: of the long axis, degrees from the x axis (to the right) towards the y axis (down).

    Returns:
        float64, square with an odd side, sum 1, unchanged by half a turn.
    """
    if sigma == 0:
        return np.ones((1, 1))
    radius = int(np.ceil(4 * sigma))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    turn = np.deg2rad(angle)
    along = x * np.cos(turn) + y * np.sin(turn)
    across = y * np.cos(turn) - x * np.sin(turn)
    weights = np.exp(-(along**2 + (across / ratio) ** 2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum())


def optics(scene: Floats, camera: Camera, scale: int) -> Floats:
    """Scene light behind the lens: `scene` * k, on the HR grid, mirrored at the border.

    Args:
        scene: (h, w, 3) linear light in [0, 1].
        camera: its values.
        scale: HR px per LR px: the kernel is given in LR px.
    """
    return _filter(scene, kernel(camera.blur_sigma * scale, camera.blur_ratio, camera.blur_angle))


def reduce(light: Floats, scale: int, how: Literal["area", "cubic"]) -> Floats:
    """Light on the LR grid, clipped to [0, 1] because the cubic overshoots.

    Args:
        light: (s·h, s·w, 3).
        scale: s.
        how: "area" or "cubic".
    """
    return np.clip(resize(light, Fraction(1, scale), kernel=how, antialias=True), 0, 1)


def expose(light: Floats, camera: Camera, generator: np.random.Generator) -> Floats:
    """What the sensor reads, in [0, 1], rounded to the steps of the converter.

    Args:
        light: (h, w, 3) in [0, 1].
        camera: its values.
        generator: random numbers of the noise.

    Returns:
        (h, w) under a Bayer mosaic, else (h, w, 3).
    """
    planes = light / camera.gains
    raw = mosaic(planes) if camera.mosaic else planes
    levels = 2**camera.raw_bits - 1
    return np.asarray(np.rint(np.clip(add_noise(raw, camera, generator), 0, 1) * levels) / levels)


def add_noise(raw: Floats, camera: Camera, generator: np.random.Generator) -> Floats:
    """Raw signal with noise of variance shot_noise · signal + read_noise²; not clipped.

    Args:
        raw: signal in [0, 1].
        camera: its values.
        generator: random numbers.
    """
    deviation = np.sqrt(camera.shot_noise * raw + camera.read_noise**2)
    return raw + deviation * generator.standard_normal(raw.shape)


def develop(raw: Floats, camera: Camera) -> Bytes:
    """The image signal processor: from the reading of `expose` to (h, w, 3) uint8."""
    planes = demosaic(raw) if camera.mosaic else raw
    light = np.clip(planes * camera.gains, 0, 1)
    pixels = from_light(light, camera.tone_curve, camera.gamma)
    levels = np.rint(sharpen(pixels, camera.sharpen_amount, camera.sharpen_sigma) * 255).astype(np.uint8)
    return compress(levels, round(camera.jpeg_quality), camera.jpeg_subsampling) if camera.jpeg else levels


def mosaic(planes: Floats) -> Floats:
    """One colour per pixel, RGGB: red at even rows and columns, blue at odd ones. (h, w, 3) to (h, w)."""
    raw = planes[..., 1].copy()
    raw[0::2, 0::2] = planes[0::2, 0::2, 0]
    raw[1::2, 1::2] = planes[1::2, 1::2, 2]
    return raw


def demosaic(raw: Floats) -> Floats:
    """Bilinear: each missing colour is the mean of its two or four nearest. (h, w) to (h, w, 3)."""
    red, blue = np.zeros_like(raw), np.zeros_like(raw)
    red[0::2, 0::2] = raw[0::2, 0::2]
    blue[1::2, 1::2] = raw[1::2, 1::2]
    green = raw - red - blue
    return np.stack([_filter(red, _RED_BLUE), _filter(green, _GREEN), _filter(blue, _RED_BLUE)], axis=-1)


def sharpen(pixels: Floats, amount: float, sigma: float) -> Floats:
    """Unsharp mask, clipped to [0, 1]: pixels + amount · (pixels - blurred pixels).

    Args:
        pixels: (h, w, 3) in [0, 1].
        amount: strength, >= 0.
        sigma: standard deviation of the blur, px.
    """
    return np.clip(pixels + amount * (pixels - _filter(pixels, kernel(sigma, 1.0, 0.0))), 0, 1)


def compress(levels: Bytes, quality: int, subsampling: str) -> Bytes:
    """Levels after JPEG compression and decompression.

    Args:
        levels: (h, w, 3) uint8.
        quality: 1 to 100.
        subsampling: of chroma, a key of SUBSAMPLING.
    """
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality, subsampling=SUBSAMPLING[subsampling])
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def _filter(image: Floats, weights: Floats) -> Floats:
    # mirrored without repeating the edge: keeps the Bayer pattern's parity
    return np.asarray(cv2.filter2D(image, cv2.CV_64F, weights, borderType=cv2.BORDER_REFLECT_101), dtype=np.float64)
