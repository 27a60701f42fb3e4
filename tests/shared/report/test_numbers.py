import pytest

from shared.report import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [(27.0, "27.000"), (27.00049, "27.000"), (-1.2345, "−1.234"), (None, "–"), (float("inf"), "∞"), (-0.0001, "0.000")],
)
def test_psnr(value, text):
    assert numbers.psnr(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.1234, "+0.123"), (-0.5, "−0.500"), (0.0, "+0.000"), (None, "–")])
def test_gain_always_has_a_sign(value, text):
    assert numbers.gain(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.50"), (999, "999"), (999.9, "1.00 k"), (15_592_379, "15.6 M"), (2e12, "2.00 T")],
)
def test_quantity_has_three_digits(value, text):
    assert numbers.quantity(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(59.4, "59 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"), (7325, "2 h 2 min")]
)
def test_duration(value, text):
    assert numbers.duration(value) == text


def test_ssim_percent_and_count():
    assert (numbers.ssim(0.81239), numbers.percent(0.945), numbers.count(1234567)) == (
        "0.8124",
        "94\u00a0%",
        "1,234,567",
    )


@pytest.mark.parametrize(("value", "text"), [(0, "0 images"), (1, "1 image"), (2000, "2,000 images")])
def test_things_are_counted_in_the_plural(value, text):
    assert numbers.count_of(value, "image") == text
