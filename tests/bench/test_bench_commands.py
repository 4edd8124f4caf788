"""The benchmark of DVC's commands times what it says, and a command that fails is shown."""

import pytest

from pipeline.bench.commands import UNIT, run, turn


def test_every_turn_runs_another_experiment():
    experiments = {command for number in range(3) for command in turn(number) if "exp run" in command}
    assert len(experiments) == 3


def test_the_unit_is_a_process_of_this_python(tmp_path):
    assert run(UNIT.replace("torch", "sys; print(sys.version)"), tmp_path) > 0


def test_a_command_that_fails_is_named_with_what_it_said(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)`ls nowhere` failed.*No such file"):
        run("ls nowhere", tmp_path)
