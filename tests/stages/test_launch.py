"""The launcher: what is stale, in which order, and what is left out after a failure."""

from pipeline import launch
from pipeline.launch import Task, next_batch, run_all, stale_tasks

CHAIN = [Task("raw", frozenset()), Task("a", frozenset({"raw"})), Task("b", frozenset({"raw"})), Task("c", frozenset({"a"}))]


def run_recorded(monkeypatch, tasks, failing=(), gpus=()):
    """Run tasks with a stand-in for DVC; return what was started, on which devices, and the number of stages not finished."""
    started, devices = [], set()

    def pretend(batch, device):
        started.extend(task.address for task in batch)
        devices.add(device)
        broken = [task.address for task in batch if task.address in failing]
        return len(broken), "broken"

    monkeypatch.setattr(launch, "run_stages", pretend)
    left = run_all(tasks, 2, gpus)
    return started, devices, left


def test_changed_stage_makes_all_behind_it_stale():
    assert [task.address for task in stale_tasks(CHAIN, {"a"})] == ["a", "c"]


def test_nothing_changed_means_nothing_stale():
    assert stale_tasks(CHAIN, set()) == []


def test_needs_run_first(monkeypatch):
    started, _, left = run_recorded(monkeypatch, CHAIN)
    assert left == 0
    assert started.index("raw") < started.index("a") < started.index("c")


def test_failure_leaves_out_what_depends_on_it_and_finishes_the_rest(monkeypatch):
    started, _, left = run_recorded(monkeypatch, CHAIN, failing={"a"})
    assert "b" in started
    assert "c" not in started
    assert left == 2


def test_failure_inside_a_batch_does_not_count_for_the_others(monkeypatch):
    many = [Task(f"t{number}", frozenset()) for number in range(20)]
    _, _, left = run_recorded(monkeypatch, many, failing={"t3"})
    assert left == 1


def test_many_ready_stages_share_a_process():
    many = {f"t{number}": Task(f"t{number}", frozenset()) for number in range(20)}
    assert len(next_batch(many, set(), jobs=2)) == 5
    assert len(next_batch(dict(list(many.items())[:3]), set(), jobs=2)) == 1


def test_stage_waits_for_a_need_that_is_running():
    assert next_batch({"a": CHAIN[1]}, {"raw"}, jobs=2) == []


def test_gpus_are_taken_in_turns(monkeypatch):
    many = [Task(f"t{number}", frozenset()) for number in range(20)]
    _, devices, _ = run_recorded(monkeypatch, many, gpus=["0", "1"])
    assert devices == {"0", "1"}
