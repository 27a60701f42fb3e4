"""The tables of results.md, from the summary of the searches, predictions and timings."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.nas.searches import METHODS
from shared.errors import UsageError
from shared.files import write_bytes

BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"
NAMES = {"nas_bench_macro": "macro", "nats_sss": "nats", "channel_bench_resnet": "channel_bench"}

Summary = Mapping[str, Any]


def write_tables(page: Path, summary: Summary) -> None:
    """Put the tables between the two marks of a page.

    Raises:
        UsageError: the page lacks a mark.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise UsageError(f"{page}: got no place for the tables, expected the lines {BEGIN} and {END}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    write_bytes(page, f"{before}{BEGIN}\n{markdown(summary)}\n{END}{after}".encode())


def markdown(summary: Summary) -> str:
    """All tables."""
    parts = [
        _rank_table(summary["searches"]),
        _regret_table(summary["searches"]),
        _effort_table(summary["searches"]),
        _tau_table(summary["predictions"]),
        _coverage_table(summary["predictions"]),
    ]
    if summary.get("speed"):
        parts.append(_speed_table(summary["speed"]))
    return "\n\n".join(parts)


def case_name(case: str) -> str:
    """Short: "macro noisy" for "nas_bench_macro noisy", "nats" for "nats_sss plain"."""
    table, variant = case.split(maxsplit=1)
    return NAMES[table] + ("" if variant == "plain" else f" {variant}")


def table(title: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join([title, "", *lines, *(f"| {' | '.join(cells)} |" for cells in rows)])


def _methods(searches: Summary) -> list[str]:
    return [name for name in METHODS if any(name in methods for methods in searches.values())]


def _rank_table(searches: Summary) -> str:
    title = (
        "**Mean true rank of the best network of 50 trainings** (noisy ones: of the recommended one), ± standard error "
        "(median; p: signed-rank test against ours on paired log ranks, ↓ worse than ours, ↑ better; seeds where not 50)."
    )
    rows = [
        [name, *(_rank(methods[name]) if name in methods else "–" for methods in searches.values())]
        for name in _methods(searches)
    ]
    return table(title, ["method", *map(case_name, searches)], rows)


def _rank(figures: Summary) -> str:
    error = "" if figures["rank_error"] is None else f" ± {figures['rank_error']:.2g}"
    facts = [f"{figures['rank_median']:g}"]
    test = figures["against_ours"]
    if test:
        better = "↓" if test["log_ratio"] < 0 else "↑" if test["log_ratio"] > 0 else "="
        facts.append(f"p {test['p']:.1g} {better}")
    if figures["seeds"] != 50:
        facts.append(f"{figures['seeds']} seeds")
    return f"{figures['rank']:.3g}{error} ({'; '.join(facts)})"


def _regret_table(searches: Summary) -> str:
    title = "**Mean regret**, points of accuracy below the best network, ± standard error."
    rows = []
    for name in _methods(searches):
        cells = []
        for methods in searches.values():
            figures = methods.get(name)
            error = "" if not figures or figures["regret_error"] is None else f" ± {figures['regret_error']:.3f}"
            cells.append(f"{figures['regret']:.3f}{error}" if figures else "–")
        rows.append([name, *cells])
    return table(title, ["method", *map(case_name, searches)], rows)


def _effort_table(searches: Summary) -> str:
    title = (
        "**Trainings needed** to reach what GPSampler reaches in 50 with the same seed (median; > 50: by fewer than half of the "
        "seeds) / **repeats** + **infeasible proposals** in % of all / processor seconds of a search."
    )
    rows = []
    for name in _methods(searches):
        cells = []
        for methods in searches.values():
            cells.append(_effort(methods[name]) if name in methods else "–")
        rows.append([name, *cells])
    return table(title, ["method", *map(case_name, searches)], rows)


def _effort(figures: Summary) -> str:
    needed = figures["trainings_to_reach_reference"]
    reached = "–" if needed is None else "> 50" if needed["median"] is None else f"{needed['median']:g}"
    proposals = 50 * figures["seeds"] / 100
    wasted = f"{figures['repeats'] / proposals:.3g} + {figures['infeasible'] / proposals:.3g}"
    return f"{reached} / {wasted} / {figures['cpu_s']:.2g}"


def _tau_table(predictions: Iterable[Summary]) -> str:
    rows = list(predictions)
    names = list(rows[0]["models"]) if rows else []
    title = (
        "**Kendall τ** on 1,000 unseen architectures (100 of the last table) from n random trainings, means of paired draws; the "
        "last column: ours less the best of the others, ± standard error of the paired difference."
    )
    return table(
        title,
        ["table, metric", "n", "draws", *names, "ours − best other"],
        [
            [
                f"{row['table']} {row['metric']}",
                str(row["size"]),
                str(row["draws"]),
                *(f"{row['models'][name]['tau']:.3f}" for name in names),
                f"{row['gain']:+.3f} ± {row['gain_error']:.3f}" if "gain" in row and row["gain_error"] else "–",
            ]
            for row in rows
        ],
    )


def _coverage_table(predictions: Iterable[Summary]) -> str:
    rows = list(predictions)
    cases = list(dict.fromkeys((row["table"], row["metric"]) for row in rows))
    sizes = sorted({row["size"] for row in rows})
    cells = {(row["table"], row["metric"], row["size"]): row["models"] for row in rows}
    names = [name for name in (rows[0]["models"] if rows else ()) if rows[0]["models"][name]["coverage"] is not None]

    def covered(case: tuple[str, str], name: str) -> str:
        values = [cells[(*case, size)][name]["coverage"] for size in sizes if (*case, size) in cells]
        return " / ".join(f"{value:.2f}" for value in values)

    title = f"**Coverage of 95 % intervals** at n = {', '.join(map(str, sizes))}; ExtraTrees: spread of its trees."
    return table(
        title, ["table, metric", *names], [[" ".join(case), *(covered(case, name) for name in names)] for case in cases]
    )


def _speed_table(rows: Iterable[Summary]) -> str:
    title = (
        "**Processor time**, one thread, ours and the peer in turn: medians of 3 rounds; smallest and largest ratio."
    )
    return table(
        title,
        ["what", "ours", "peer", "ratio"],
        [
            [
                row["what"],
                f"{1e3 * row['ours_s']:.3g} ms",
                f"{1e3 * row['peer_s']:.4g} ms ({row['peer']})" if "peer" in row else "–",
                f"{row['ratio']:.3g} ({row['ratio_range'][0]:.3g}–{row['ratio_range'][1]:.3g})"
                if "ratio" in row
                else "–",
            ]
            for row in rows
        ],
    )
