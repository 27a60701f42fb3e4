import base64
import hashlib
import io
import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from shared.report.crops import read_example
from shared.report.page import render
from shared.report.read import read_runs

VOID = {"meta", "img", "br", "input", "hr", "link", "col", "wbr", "source"}
FETCHING = ("src", "srcset", "href", "action", "data", "poster", "formaction", "xlink:href", "background")
SECTIONS = (
    "results", "pictures", "crops", "table", "search", "predictions", "training", "architectures", "provenance"
)  # fmt: skip
METRICS = ("psnr_rgb", "psnr_y", "ssim_rgb", "ssim_y")


class Outline(HTMLParser):
    """The elements of a page, and whether every tag is closed where it must be."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def page(*paths, most_examples=4):
    return render(read_runs(paths), most_examples=most_examples)


@pytest.fixture(scope="module")
def whole(finished):
    return page(finished)


def section(html, name):
    return re.search(rf'<section id="{name}".*?</section>', html, flags=re.DOTALL)[0]


def check_self_contained(html):
    for tag, attrs in Outline(html).elements:
        for name in FETCHING:
            url = attrs.get(name)
            assert url is None or url.startswith(("#", "data:")), f"<{tag} {name}={url[:60]}>"
        assert tag not in ("link", "iframe", "object", "embed", "base")
    styles = "".join(re.findall(r"<style.*?</style>|style=\"[^\"]*\"", html, flags=re.DOTALL))
    assert "@import" not in styles
    assert all(target.startswith(("#", "data:")) for target in re.findall(r"url\(['\"]?([^)]*)", styles))
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|new Image|sendBeacon", html)


def test_every_section_is_there_and_nothing_is_missing(whole):
    assert whole.missing == ()
    ids = [attrs["id"] for tag, attrs in Outline(whole.html).elements if tag == "section"]
    assert sorted(whole.sections) == sorted(ids) == sorted(SECTIONS)
    links = [attrs["href"][1:] for attrs in Outline(whole.html).all("a")]
    assert set(links) == set(SECTIONS)


def test_no_request_leaves_the_page(whole):
    check_self_contained(whole.html)


@pytest.mark.parametrize("added", ['<img src="https://example.org/x.png">', "<style>a{background:url(//b.c)}</style>"])
def test_the_check_for_requests_finds_one(whole, added):
    with pytest.raises(AssertionError):
        check_self_contained(whole.html.replace("</main>", f"{added}</main>"))


def test_the_policy_lets_only_our_script_run(whole):
    policy = next(attrs for attrs in Outline(whole.html).all("meta") if "http-equiv" in attrs)["content"]
    assert "default-src 'none'" in policy
    (script,) = re.findall(r"<script>(.*?)</script>", whole.html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert not re.search(r"\son[a-z]+=", whole.html)


def test_ids_are_unique_and_every_reference_has_its_target(whole):
    elements = Outline(whole.html).elements
    ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [attrs["href"][1:] for _, attrs in elements if attrs.get("href", "").startswith("#")]
    targets += [each for _, attrs in elements for each in attrs.get("aria-labelledby", "").split()]
    targets += [attrs["for"] for tag, attrs in elements if tag == "label" and "for" in attrs]
    targets += re.findall(r"url\(#([^)]+)\)", whole.html)
    assert targets
    assert set(targets) <= set(ids)


def test_it_is_a_page_for_everyone(whole):
    outline = Outline(whole.html)
    assert whole.html.lower().startswith("<!doctype html>")
    assert outline.all("html") == [{"lang": "en"}]
    assert any(attrs.get("name") == "viewport" for attrs in outline.all("meta"))
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(attrs.get("alt") for attrs in outline.all("img"))
    sliders = [attrs for attrs in outline.all("input") if attrs.get("type") == "range"]
    assert len(sliders) == 2
    assert all(attrs.get("aria-label") or attrs.get("aria-labelledby") for attrs in sliders)
    assert all(attrs.get("scope") in ("col", "row", "colgroup") for attrs in outline.all("th"))
    assert all(attrs.get("aria-label") for attrs in outline.all("figure") if attrs.get("role") == "img")


def test_every_number_of_the_tables_is_the_ablations(finished, whole):
    file = json.loads((finished / "ablation" / "ablation.json").read_text())
    cells = [
        re.findall(r'<data value="([^"]*)">([^<]*)<', row)
        for row in re.findall(r"<tr.*?</tr>", section(whole.html, "table"), re.DOTALL)
    ]
    shown = [tuple(float(value) for value, _ in row) for row in cells if len(row) == len(METRICS)]
    expected = [tuple(row[name] for name in METRICS) for row in (file["bicubic"], *file["rows"])]
    assert set(shown) == set(expected)
    assert len(set(expected)) == len(file["rows"]) + 1  # else equal rows would hide a missing one
    for row in cells:
        for value, text in row:
            digits = len(text.partition(".")[2])
            assert digits >= 3
            assert f"{float(value):+.{digits}f}".replace("-", "−").lstrip("+") == text.lstrip("+")


def test_the_headline_has_the_gains_with_their_intervals(finished, whole):
    file = json.loads((finished / "ablation" / "ablation.json").read_text())
    text = Outline(section(whole.html, "results")).text
    over_bicubic, over_best = (
        each for each in file["comparisons"] if each["metric"] == "psnr_rgb" and len(each["b"]["members"]) < 2
    )
    for each in (over_bicubic, over_best):
        for number in (each["gain"], each["low"], each["high"]):
            assert f"{number:+.3f}".replace("-", "−") in text
    assert "95 % interval" in text
    assert "Intervals: paired over images." in text
    best = max(row["psnr_rgb"] for row in file["rows"] if len(row["members"]) == 1)
    assert f"{best:.3f}" in text


def test_failed_trials_and_their_reason_are_named(whole):
    assert "loss is NaN at step 31" in Outline(section(whole.html, "search")).text


def test_stopped_trials_are_shown_as_stopped_with_their_reason(demo):
    path = demo / "search" / "journal.jsonl"
    why = "stopped after 50 of 100 steps: 26.1 dB, below 26.4"
    path.write_text(path.read_text().replace('"failed"', '"stopped"').replace("loss is NaN at step 31", why))
    text = Outline(section(page(demo).html, "search")).text
    assert "Why 1 trial stopped early" in text
    assert why in text
    assert "1 stopped early. The best" in text
    assert "failed" not in text
    header, *lines, _ = path.read_text().split("\n")
    path.write_text("\n".join([header, *(line for line in lines if '"stopped"' in line), ""]))
    assert "None of 1 trial is done: 0 failed, 1 stopped early." in Outline(page(demo).html).text


def test_folders_of_the_machine_are_not_published(finished, whole):
    assert "pack.h5" in whole.html
    assert "/somewhere/private" not in whole.html
    assert str(finished.parent) not in whole.html


def test_crops_are_shown_without_loss(finished, whole):
    (ablation,) = read_runs([finished]).ablations
    members = [row.members[0] for row in ablation.table.rows if len(row.members) == 1]
    shown = [attrs["src"] for attrs in Outline(whole.html).all("img") if attrs["src"].startswith("data:image/png")]
    found = [np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))) for uri in shown]
    for files in ablation.examples:
        example = read_example(files, members=dict.fromkeys(members), scale=4, crop=4)
        for crop in example.crops:
            assert any(np.array_equal(pixels, crop.pixels) for pixels in found), crop.name
        assert not any(np.array_equal(pixels, example.crops[1].pixels + 1) for pixels in found)  # the control


def test_a_pair_named_as_a_script_is_harmless(tmp_path, runs):
    name = "<script>alert('1 & \"2\"')<"
    runs.ablation(tmp_path / "ablation", {name: runs.pair(runs.image(1))})
    html = page(tmp_path).html
    outline = Outline(html)
    assert name in outline.text
    assert len(outline.all("script")) == 1
    assert "<script>alert" not in html


def test_a_reason_or_a_field_with_markup_is_harmless(demo):
    path = demo / "search" / "journal.jsonl"
    bad = "</script><img src=x onerror=alert(1)>"
    path.write_text(path.read_text().replace("loss is NaN at step 31", bad).replace('"drn"', f'"{bad}"'))
    run = demo / "search" / "run.json"
    run.write_text(run.read_text().replace('"3.3.1"', f'"{bad}"'))
    html = page(demo).html
    assert Outline(html).text.count(bad) >= 2
    assert "<img src=x" not in html


def test_same_runs_give_the_same_bytes(demo, whole):
    assert page(demo).html == whole.html
    path = demo / "ablation" / "ablation.json"
    path.write_text(path.read_text().replace('"stride": 60', '"stride": 61'))
    assert page(demo).html != whole.html


@pytest.mark.parametrize(
    ("kind", "filled", "lacking"),
    [
        ("search", ["search", "predictions", "architectures"], ["results", "pictures", "crops", "table", "training"]),
        ("train", ["training", "architectures"], ["results", "pictures", "crops", "table", "search", "predictions"]),
        ("ablation", ["results", "pictures", "crops", "table"], ["search", "predictions", "training", "architectures"]),
    ],
)
def test_what_is_missing_is_said_with_the_command_that_makes_it(demo, kind, filled, lacking):
    made = page(demo / kind)
    assert {each.section for each in made.missing} == set(lacking)
    assert set(made.sections) >= set(filled)
    assert not set(made.sections) & set(lacking)
    for each in made.missing:
        assert each.command.startswith("gpnas-sr ")
        text = Outline(section(made.html, each.section)).text
        assert each.text in text
        assert each.command in text
    for name in filled:
        assert not re.search('class="notice"', section(made.html, name))
    check_self_contained(made.html)


def test_two_ablations_stand_under_their_labels(demo, runs):
    runs.ablation(demo / "reverse", {"other": runs.pair(runs.image(7), runs.ids)}, runs.ids)
    html = page(demo).html
    headings = re.findall(r"<h3>([^<]*)</h3>", section(html, "table"))
    assert headings == ["ablation", "reverse"]
    assert len(Outline(html).all("select")) == 2
    ids = [attrs["id"] for _, attrs in Outline(html).elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_a_search_that_only_failed_and_pictures_equal_to_hr(demo):
    journal = demo / "search" / "journal.jsonl"
    header, *lines, _ = journal.read_text().split("\n")
    journal.write_text("\n".join([header, *(line for line in lines if '"failed"' in line), ""]))
    images = demo / "ablation" / "images" / "pair_0"
    for path in images.glob("*.png"):
        if path.stem != "lr":
            path.write_bytes((images / "hr.png").read_bytes())
    text = Outline(page(demo).html).text
    assert "∞" in text
    assert "loss is NaN at step 31" in text


def test_metrics_that_json_cannot_hold_are_dashes(demo):
    path = demo / "ablation" / "ablation.json"
    file = json.loads(path.read_text())
    for row in file["rows"]:
        row["ssim_y"] = None
    path.write_text(json.dumps(file))
    assert '<data value="">–</data>' in section(page(demo).html, "table")


def test_no_more_pictures_than_wanted(demo):
    one = page(demo, most_examples=1)
    assert len([each for each in Outline(one.html).all("input") if each.get("type") == "range"]) == 1
    assert "--examples 2" in Outline(one.html).text
    none = Outline(page(demo, most_examples=0).html)
    assert none.all("img") == []


def test_four_pictures_of_512_px_stay_under_ten_megabytes(tmp_path, runs):
    names = [f"pair_{seed}" for seed in range(4)]
    runs.ablation(tmp_path, {name: runs.pair(runs.image(0), runs.ids) for name in names}, runs.ids)
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3)).astype(np.uint8)  # no photograph is larger
    for name, image in itertools.product(names, runs.pair(noise, runs.ids).items()):
        Image.fromarray(image[1]).save(tmp_path / "images" / name / f"{image[0]}.png")
    assert len(page(tmp_path).html) < 10_000_000
