import shlex
import subprocess
import sys

import pytest

from shared.cli.main import COMMANDS, main, make_parser, part


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
