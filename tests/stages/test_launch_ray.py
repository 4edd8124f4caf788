"""Ray: a real cluster of local nodes, one of which is killed while it runs a stage."""

import time
from threading import Event, Thread

import pytest
from launch_repository import REPOSITORY, make_repository

pytest.importorskip("ray", reason="Ray is optional: pip install -r requirements-cluster.txt")
pytest.importorskip("ray.cluster_utils", reason="this build of Ray cannot start several nodes on one machine")

from pipeline.launch import head
from pipeline.launch.clones import Fleet, freeze
from pipeline.launch.plan import Durations, Task
from pipeline.launch.ray_cluster import RayEngine
from pipeline.launch.records import Records

pytestmark = pytest.mark.slow


class FromHere(RayEngine):
    """Runs the worker of this repository: the small one of the test has none."""

    def run(self, jobs, tree, stopping):
        return super().run(jobs, REPOSITORY, stopping)


def test_stage_of_a_killed_node_goes_on_elsewhere_from_its_checkpoint(tmp_path, monkeypatch):
    import ray
    from ray.cluster_utils import Cluster

    folder = tmp_path / "repository"
    make_repository(folder)
    monkeypatch.chdir(folder)
    settings = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}  # notices the killed node sooner
    head_node = {"num_cpus": 0, "include_dashboard": False, "_system_config": settings}
    cluster = Cluster(initialize_head=True, head_node_args=head_node)
    try:
        doomed = cluster.add_node(num_cpus=1)
        engine = FromHere(cluster.address, cpus=1, runs_per_gpu=1, retries=2)
        fleet = Fleet(engine, freeze(), head.cache_folder(), str(tmp_path / "clones"), Durations("test"), Records().flush)
        failures = {}
        running = Thread(target=lambda: failures.update(fleet.run([Task("train@slow", frozenset({"first"}))], Event())))
        running.start()
        while not (folder / ".scratch/runs/slow").exists():
            time.sleep(0.2)
        cluster.add_node(num_cpus=1)
        cluster.remove_node(doomed, allow_graceful=False)
        running.join(120)
        assert failures == {}
        assert (folder / "models/slow.txt").read_text() == "2\n"
    finally:
        ray.shutdown()
        cluster.shutdown()
