"""Slurm through submitit, with stand-ins for sbatch, srun and sacct that run jobs on this machine."""

import re
import sys
import threading
import time
from threading import Event

import pytest

pytest.importorskip("submitit", reason="submitit is optional: pip install -r requirements-cluster.txt")

from pipeline.launch.slurm_cluster import SlurmEngine

SBATCH = """#!/bin/sh
number=$$  # submitit remembers the numbers of finished jobs, also between tests
cp "$1" {folder}/ran/$number.sh
export SLURM_JOB_ID=$number SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0
nohup sh -c "sh {folder}/ran/$number.sh; echo COMPLETED > {folder}/state" > {folder}/printed 2>&1 &
echo "Submitted batch job $number"
"""
SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do case "$1" in *=*|--unbuffered) shift;; *) shift 2;; esac; done
exec "$@"
"""
SACCT = """#!/bin/sh
echo "JobID|State|NodeList"
for script in {folder}/ran/*.sh; do
  echo "$(basename $script .sh)|$(cat {folder}/state 2>/dev/null || echo RUNNING)|node1"
done
"""
WORKER = """import pathlib, sys, time
for name in sys.argv[1:]:
    path = pathlib.Path(name)
    while path.with_suffix(".hold").exists():
        time.sleep(0.1)
    path.with_suffix(".outcome").write_text("{}")
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Put the stand-ins on the path; return a folder with a worker that only writes outcomes and may be held back."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "ran").mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        program = tmp_path / "bin" / name
        program.write_text(text.replace("{folder}", str(tmp_path)))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{sys.exec_prefix}/bin:/usr/bin:/bin")
    worker = tmp_path / "pipeline/launch/worker.py"
    worker.parent.mkdir(parents=True)
    worker.write_text(WORKER)
    return tmp_path


def make_engine(folder, **options):
    return SlurmEngine(folder / "slurm", options)


def submitted(folder):
    return sorted((folder / "ran").iterdir())


def test_batch_script_asks_for_what_the_options_say(slurm):
    make_engine(slurm, slurm_partition="gpu", timeout_min=600, mem_gb=48).run([slurm / "a.json"], slurm, Event())
    (script,) = submitted(slurm)
    text = script.read_text()
    for line in ("--partition=gpu", "--time=600", "--gpus-per-node=1", "--cpus-per-task=8", "--mem=48GB", "--signal=USR2@90"):
        assert f"#SBATCH {line}\n" in text, text


def test_jobs_of_a_batch_share_one_submission(slurm):
    make_engine(slurm).run([slurm / "a.json", slurm / "b.json"], slurm, Event())
    assert len(submitted(slurm)) == 1
    assert (slurm / "a.outcome").exists()
    assert (slurm / "b.outcome").exists()


def test_next_launch_waits_for_the_job_of_one_that_ended(slurm):
    job, stopping = slurm / "a.json", Event()
    (slurm / "a.hold").touch()
    first = threading.Thread(target=make_engine(slurm).run, args=([job], slurm, stopping))
    first.start()
    while not job.with_suffix(".slurm").exists():
        time.sleep(0.1)
    stopping.set()
    first.join()
    second = make_engine(slurm)
    assert second.alive(job)
    (slurm / "a.hold").unlink()
    said = second.run([job], slurm, Event())
    assert re.match(r"Slurm job \d+ ended as COMPLETED", said)
    assert len(submitted(slurm)) == 1


def test_rehearsal_needs_no_slurm(slurm, monkeypatch):
    monkeypatch.setenv("PATH", f"{sys.exec_prefix}/bin:/usr/bin:/bin")
    SlurmEngine(slurm / "slurm", {"timeout_min": 1, "gpus_per_node": 0}, "local").run([slurm / "a.json"], slurm, Event())
    assert (slurm / "a.outcome").exists()


def test_missing_slurm_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="no srun on this machine"):
        make_engine(tmp_path)


def test_unknown_parameter_is_refused(slurm):
    with pytest.raises((NameError, ValueError), match="colour"):
        make_engine(slurm, slurm_colour="red")
