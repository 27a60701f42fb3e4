"""Progress on a stream that is not a terminal: plain lines."""

from shared.progress import tracked


def test_every_item_comes_once_and_the_last_line_counts_them(capsys):
    assert list(tracked(["a", "b", "c"], "checking", unit="pair")) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines()[-1] == "checking: 3/3 pairs, 0 s left"


def test_an_item_counts_when_the_work_on_it_is_done(capsys):
    items = tracked([1, 2], "checking", unit="pair")
    assert [next(items), next(items)] == [1, 2]
    items.close()
    assert "2/2" not in capsys.readouterr().err
