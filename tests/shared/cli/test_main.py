import json
import shlex
import subprocess
import sys

import pytest

from shared.cli.main import COMMANDS, main, make_parser, part
from shared.spec import make_spec_file, parse

SPEC = make_spec_file(parse({"family": "drn", "scale": 4, "features": 32, "blocks": 2, "stages": 3}))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "example:" in text
    assert f"gpnas-sr {' '.join(command)}" in text.split("example:")[1]
    assert "--json" in text


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_example_parses(command):
    for line in part(command, "EXAMPLE").strip().splitlines():
        words = shlex.split(line)
        assert tuple(words[1 : 1 + len(command)]) == command
        make_parser(command).parse_args(words[1 + len(command) :])


@pytest.mark.parametrize("words", [[], ["serach"], ["data"], ["data", "simulat"]])
def test_what_is_no_command_ends_with_status_2_and_the_list(words, capsys):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "commands:" in captured.err


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(" ".join(command) in text for command in COMMANDS)


HEAVY = {"torch", "paddle", "numpy", "scipy", "cv2", "h5py", "pydantic", "PIL"}


@pytest.mark.parametrize("command", [(), *COMMANDS], ids=" ".join)
def test_help_imports_nothing_heavy(command):
    code = "import sys; from shared.cli.main import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "print('MODULES', *(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.rsplit("MODULES", 1)[1].split())


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
