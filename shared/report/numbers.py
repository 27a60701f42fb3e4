"""Numbers as the page shows them: one form for each quantity, a dash for what is not there."""

import math

MISSING = "–"
MINUS = "−"
PSNR_DIGITS = 3
SSIM_DIGITS = 4


def psnr(value: float | None) -> str:
    """Three decimals, for dB; ∞ for equal images."""
    return _fixed(value, PSNR_DIGITS)


def ssim(value: float | None) -> str:
    """Four decimals."""
    return _fixed(value, SSIM_DIGITS)


def gain(value: float | None) -> str:
    """A difference of dB, with its sign."""
    if value is None:
        return MISSING
    text = _fixed(value, PSNR_DIGITS)
    return text if text.startswith(MINUS) else f"+{text}"


def count(value: int | None) -> str:
    """A whole number in groups of three."""
    return MISSING if value is None else f"{value:,}"


def count_of(value: int, noun: str) -> str:
    """A number of things.

    Example:
        >>> count_of(1, "image"), count_of(35, "image")
        ('1 image', '35 images')
    """
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def quantity(value: float | None) -> str:
    """Three significant digits and k, M, G or T: 1.23 M.

    Example:
        >>> quantity(999_999), quantity(17_462_803), quantity(12.0)
        ('1.00 M', '17.5 M', '12.0')
    """
    if value is None:
        return MISSING
    for suffix in ("", " k", " M", " G"):
        digits = f"{value:.{_decimals(value)}f}"
        if float(digits) < 1000:
            return digits + suffix
        value /= 1000
    return f"{value:.{_decimals(value)}f} T"


def duration(seconds: float) -> str:
    """Hours, minutes, seconds: the two largest that are needed.

    Example:
        >>> duration(3.2), duration(75), duration(7325)
        ('3 s', '1 min 15 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def percent(value: float | None) -> str:
    """A part in [0, 1] as whole percent."""
    return MISSING if value is None else f"{100 * value:.0f}\u00a0%"  # no line ends between the two


def _fixed(value: float | None, digits: int) -> str:
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", MINUS)


def _decimals(value: float) -> int:
    return max(0, 2 - max(0, math.floor(math.log10(abs(value))))) if value else 0
