"""The commands of `archive`, by exit status, value and text."""

import json

from shared.cli.main import main
from shared.spec import make_spec_file, parse

SPEC = make_spec_file(parse({"family": "drn", "scale": 4, "features": 32, "blocks": 2, "stages": 3}))


def test_json_is_all_there_is_on_stdout(tmp_path, capsys):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC.to_json()))
    assert main(["archive", "add", str(tmp_path / "a"), str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"][0]["id"] == SPEC.id
    for words in (["list", "a"], ["show", "a", SPEC.id], ["verify", "a"]):
        words[1] = str(tmp_path / words[1])
        assert main(["archive", *words, "--json"]) == 0
        json.loads(capsys.readouterr().out)
        assert main(["archive", *words]) == 0
        assert capsys.readouterr().out
    assert main(["archive", "add", str(tmp_path / "a"), "nothing.json"]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main(["archive", "diff", str(path), str(path)]) == 0
    assert "no difference" in capsys.readouterr().out


def test_a_broken_archive_ends_with_status_1_and_wrong_input_with_2(tmp_path, capsys):
    (tmp_path / "x.json").write_text("{")
    assert main(["archive", "verify", str(tmp_path)]) == 1
    assert "problems: 1" in capsys.readouterr().out
    assert main(["archive", "list", str(tmp_path / "none")]) == 2
    assert "expected an archive" in capsys.readouterr().err
