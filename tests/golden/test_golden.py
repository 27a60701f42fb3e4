"""Files of an earlier version: read as before, the same ids, proposals, suites and initial weights. No framework."""

import hashlib
import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from search_paddle.config import DEFAULTS, read_config
from search_paddle.gp_nas import GPNAS
from search_paddle.search import run_search
from search_paddle.space import read_space
from shared.data.pack import Pack
from shared.families import build_graph, dual_graphs
from shared.identity import differences
from shared.network.cost import cost
from shared.network.initialization import initial_weights, random_weights
from shared.records.archive import Archive
from shared.records.suite import read_suite
from shared.records.weights import load_weights
from shared.space import SearchSpace
from shared.spec import parse

HERE = Path(__file__).parent
WORKER = (sys.executable, "-P", str(HERE / "recorded_worker.py"))


def read(name: str):
    return json.loads((HERE / name).read_text())


@pytest.mark.parametrize("row", read("spec_ids.json"), ids=lambda row: row["id"])
def test_specs_keep_their_id_their_fields_and_their_cost(row):
    spec = parse(row["architecture"])
    assert spec.id == row["id"]
    assert list(spec.architecture().items()) == list(row["all_fields"].items()), "in files the order stays, too"
    assert cost(spec).to_json() == row["cost"]


def digest(arrays: dict[str, np.ndarray]) -> str:
    sha256 = hashlib.sha256()
    for name in sorted(arrays):
        sha256.update(name.encode() + str(arrays[name].shape).encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return sha256.hexdigest()


@pytest.mark.parametrize("row", read("networks.json"), ids=lambda row: row["architecture"]["family"])
def test_networks_keep_their_nodes_and_initial_weights(row):
    spec = parse(row["architecture"])
    graph = build_graph(spec)
    assert [node.name for node in graph.nodes] == row["nodes"]
    assert digest(initial_weights(graph)) == row["initial"]
    assert digest(random_weights(graph, 5)) == row["random"]
    assert [digest(random_weights(dual, 5)) for dual in dual_graphs(spec)] == row["dual"]


# As recorded: choices of each space, and a score that is a formula of the point
SPACES = {
    "flat": SearchSpace.from_choices(
        {"features": [16, 32, 64, 128], "blocks": [1, 2, 4, 8], "kernel": [3, 5, 7], "op": ["a", "b", "c"]},
        categorical=("op",),
    ),
    "families": SearchSpace.from_families(
        {
            "drn": {"features": [16, 32, 48], "blocks": [1, 2, 3, 4], "stages": [1, 2, 3]},
            "rcan": {"features": [16, 32, 48], "groups": [1, 2, 3], "blocks": [1, 2, 4]},
        },
        {"scale": 4},
    ),
    "large": SearchSpace.from_choices({f"d{place}": list(range(9)) for place in range(7)}),
}


def letters(text: str) -> int:
    return sum(map(ord, text))


def score(space: SearchSpace, point: dict, seed: int) -> float:
    values = [
        (letters(name), float(value if not isinstance(value, str) else letters(value)))
        for name, value in sorted(point.items())
    ]
    total = sum((place + 1) * 0.37 * (name % 7) * value for place, (name, value) in enumerate(values))
    return 28 + math.sin(total / 11.0) + 0.01 * ((space.index(point) * 2654435761 + seed) % 97) / 97


@pytest.mark.parametrize("case", read("proposals.json"), ids=lambda case: f"{case['space']}-{case['seed']}")
def test_the_sampler_proposes_as_recorded(case):
    space, every = SPACES[case["space"]], case["feasible"]
    sampler = GPNAS(
        space, seed=case["seed"], feasible=(lambda point: space.index(point) % every != 0) if every else None
    )
    for number, expected in enumerate(case["log"]):
        points = sampler.ask(case["size"])
        indices = [space.index(point) for point in points]
        assert indices == expected["points"], f"round {number}"
        if number:
            means, stds = sampler.predict(points)
            assert means == pytest.approx(expected["mean"], rel=0, abs=1e-5)
            assert stds == pytest.approx(expected["std"], rel=0, abs=1e-5)
        fails = case["fails"]
        scores = [
            math.nan if fails and place % fails == 0 else score(space, point, case["seed"])
            for place, point in zip(indices, points, strict=True)
        ]
        if case["steps"]:
            twice = [point for point in points for _ in range(2)]
            both = [each for value in scores for each in (value - 0.6, value)]
            sampler.tell(twice, both, [250, 500] * len(points))
        else:
            sampler.tell(points, scores)


def journal(path: Path) -> tuple[dict, list[dict]]:
    header, *lines = map(json.loads, path.read_text().splitlines())
    return header, sorted(lines, key=lambda trial: trial["trial"])


def test_a_recorded_search_goes_the_same_way(tmp_path):
    """From nothing, with the recorded answers: the same proposals, predictions, stops and suite."""
    space = read_space(HERE / "space.toml", HERE / "pack.h5")
    result = run_search(
        HERE / "pack.h5", tmp_path, space=space, config=read_config(HERE / "search.toml", jobs=1), command=WORKER
    )
    (header, trials), (old_header, old_trials) = (
        journal(each / "journal.jsonl") for each in (tmp_path, HERE / "search")
    )
    assert differences(old_header, header, DEFAULTS) == []
    for trial, old in zip(trials, old_trials, strict=True):
        predicted, before = trial.pop("predicted"), old.pop("predicted")
        assert predicted == (None if before is None else pytest.approx(before, rel=0, abs=1e-5))
        assert trial.pop("bicubic") == pytest.approx(old.pop("bicubic"), abs=1e-9)
        del trial["elapsed"], old["elapsed"]
        assert trial == old
    assert {trial["status"] for trial in trials} == {"done", "stopped"}, "the record holds both kinds"
    assert (tmp_path / "suite.json").read_text() == (HERE / "search" / "suite.json").read_text()
    assert [trial.id for trial in result.members] == read("search.answer.json")["members"]


def test_a_finished_search_is_taken_up_and_trains_nothing(tmp_path):
    shutil.copytree(HERE / "search", tmp_path / "search")
    before = (tmp_path / "search" / "journal.jsonl").read_bytes()
    space = read_space(HERE / "space.toml", HERE / "pack.h5")
    run_search(
        HERE / "pack.h5",
        tmp_path / "search",
        space=space,
        config=read_config(HERE / "search.toml", jobs=1),
        command=("false",),
    )
    assert (tmp_path / "search" / "journal.jsonl").read_bytes() == before


def test_packs_suites_weights_and_archives_are_read():
    with Pack(HERE / "pack.h5") as pack:
        assert pack.sha256 == read("train/train.json")["data_sha256"]
        assert len(pack.pairs("validation")) == 1
    suite = read_suite(HERE / "train")
    assert [member.spec.id for member in suite.members] == read("train/train.json")["members"]
    for member in suite.members:
        assert member.weights_path is not None
        assert load_weights(member.weights_path).spec == member.spec
    assert Archive(HERE / "search" / "archive").verify() == []


def test_the_page_of_earlier_runs_is_made(tmp_path):
    from shared.cli import main

    out = tmp_path / "report.html"
    assert main.main(["report", str(HERE / "search"), str(HERE / "train"), "--out", str(out)]) == 0
    text = out.read_text()
    assert all(member in text for member in read("train/train.json")["members"])
