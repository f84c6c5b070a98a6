"""The evaluator on real Ray clusters: `pytest -m ray`, with the extra [ray] installed. One cluster at a time.

A node gets 30 s to start from Ray, whatever the machine does besides; a cluster is tried twice, then its tests are
skipped and say so.
"""

import asyncio
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from collections import Counter
from pathlib import Path

import pytest
from test_ray_logic import statuses

import thalweg as tw
from thalweg.core.batch import Status
from thalweg.core.errors import EvaluatorError
from thalweg.parts.evaluators.ray import RayEvaluator, cluster_report
from thalweg.testing import _behaviours as behaviours
from thalweg.testing.evaluator_suite import CHECKS, Inapplicable, Suite, job_of

if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:  # Ray reads it once, when it is loaded
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]  # Ray's own warnings are Ray's
ray = pytest.importorskip("ray", reason="NOT TESTED: Ray is not installed (pip install 'thalweg[ray]')")

STORE = 80 << 20
SPACE = {"x": (-5.0, 5.0)}


def twice(start, what):
    """Ray's 30 s are short on a busy machine."""
    for left in (1, 0):
        try:
            return start()
        except Exception as error:
            if not left:
                pytest.skip(f"NOT TESTED: {what} does not start here: {type(error).__name__}: {str(error)[:200]}")
            warnings.warn(f"{what} did not start, once more: {type(error).__name__}", stacklevel=1)
            ray.shutdown()
    return None


def pids_end(pids, seconds=20.0):
    """Which of the processes are still there, after waiting for their end."""
    until = time.monotonic() + seconds
    alive = set(pids)
    while alive and time.monotonic() < until:
        alive = {pid for pid in alive if running(pid)}
        time.sleep(0.05)
    return alive


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:
        return False


# --- one machine ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one():
    """This process connected to a cluster that is not its child (checks count children): `ray start`."""
    file = Path("/tmp/ray/ray_current_cluster")

    def start():
        before = file.read_text() if file.exists() else ""
        pid = detached(
            "start --block --head --port=0 --num-cpus=4 --num-gpus=2 --include-dashboard=false --disable-usage-stats",
            f"--object-store-memory={STORE}",
            '--resources={"licence": 1}',
        )
        try:
            until = time.monotonic() + 60
            while not file.exists() or file.read_text() == before:
                assert time.monotonic() < until and running(pid), "ray start gave nothing"
                time.sleep(0.2)
            ray.init(address=file.read_text(), log_to_driver=False, logging_level="ERROR")
        except BaseException:
            stop(pid)
            raise
        return pid

    pid = twice(start, "a node")
    yield file.read_text()
    ray.shutdown()
    stop(pid)


def detached(words, *more):
    """Run `ray` as nobody's child; gives its pid."""
    code = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], start_new_session=True, **dict.fromkeys(\
['stdin', 'stdout', 'stderr'], subprocess.DEVNULL)).pid)"
    words = [str(Path(sys.executable).parent / "ray"), *words.split(), *more]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, *words], capture_output=True, check=True)
    return int(done.stdout)


def stop(pid):
    os.kill(pid, signal.SIGTERM)
    if pids_end([pid], 30.0):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("check", CHECKS)
def test_contract(check, one):
    suite = Suite(lambda: RayEvaluator(workers=2), crashes=True, hangs=("hang", "spin", "brood"))
    try:
        CHECKS[check](suite)
    except Inapplicable as reason:
        pytest.skip(str(reason))


def test_the_face(one):
    def objective(params):
        time.sleep(0.005)
        return params["x"] ** 2

    result = tw.minimize(objective, SPACE, evaluator="ray", workers=4, max_evals=300, seed=0, progress=False)
    assert result.evaluations == 300 and result.value < 1e-2 and not result.failures
    assert sorted(trial.number for trial in result.trials) == list(range(300))


def test_deadlines_and_crashes_cost_their_trial_only(one):
    def objective(params):
        if params["n"] == 3:
            time.sleep(600)
        if params["n"] == 5:
            os._exit(9)
        return params["n"]

    space = {"n": tw.Integer(1, 9)}
    result = tw.minimize(
        objective, space, strategy="grid", evaluator="ray", workers=2, max_evals=9, eval_timeout=2.0, progress=False
    )
    found = {trial.params["n"]: trial for trial in result.trials}
    assert {n for n, trial in found.items() if trial.status is not tw.Status.DONE} == {3, 5}
    assert found[3].status is tw.Status.TIMEOUT and "code 9" in found[5].error


def test_a_cluster_report(one):
    evaluator = RayEvaluator(workers=2, resources={"licence": 0.5})

    async def body():
        evaluator.open(suite_target())
        try:
            await asyncio.gather(
                *(evaluator.evaluate(evaluator.prepare(job_of(["good"] * 3, 9 * i))) for i in range(8))
            )
            return await asyncio.to_thread(cluster_report)
        finally:
            await evaluator.aclose()

    report = asyncio.run(body())
    mine = [actor for actor in report.actors if "rows" in actor]
    assert 1 <= len(mine) <= 2 and sum(actor["rows"] for actor in mine) == 24
    assert report.capability("CPU")[0] == 4.0 and report.living[0].total["licence"] == 1.0
    free = report.living[0].free
    assert free is not None and free["CPU"] <= 3.0 and free.get("licence", 0.0) <= 0.5
    assert "1 of 1 nodes alive" in report.text() and json.dumps(report.to_dict())
    assert not pids_end(actor["pid"] for actor in mine), "actors are left"


def suite_target():
    from thalweg.core.target import Target

    return Target(behaviours.behave, behaviours.problem())


def test_what_the_cluster_does_not_have_is_refused(one):
    with pytest.raises(EvaluatorError, match=r"asks for 1 CPU, 3 GPU(.|\n)*has 4 CPU, 2 GPU, .*1 licence.*; lacks GPU"):
        RayEvaluator(workers=1, num_gpus=3).open(suite_target())


def test_evaluations_never_share_a_gpu(one, tmp_path):
    """Each sees one of the two (pretended) GPUs, and no other one at the same time, also with work ahead."""
    notes = str(tmp_path / "notes")

    def objective(params):
        began = time.monotonic()
        time.sleep(0.03)
        with open(notes, "a") as file:
            file.write(f"{os.environ['CUDA_VISIBLE_DEVICES']} {began} {time.monotonic()}\n")
        return params["x"] ** 2

    evaluator = RayEvaluator(num_gpus=1)
    result = tw.minimize(objective, SPACE, strategy="random", evaluator=evaluator, max_evals=200, progress=False)
    assert result.evaluations == 200 and not result.failures
    rows = [line.split() for line in Path(notes).read_text().splitlines()]
    assert {row[0] for row in rows} <= {"0", "1"} and len(rows) == 200
    for gpu in ("0", "1"):
        spans = sorted((float(began), float(ended)) for name, began, ended in rows if name == gpu)
        assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(spans)), f"two at once on GPU {gpu}"


def test_limits_are_kept_on_actors(one):
    def objective(params):
        held = []
        while params["n"] == 2:
            held.append(bytearray(b"x") * 4_000_000)
        return params["n"]

    space = {"n": tw.Integer(1, 3)}
    evaluator = RayEvaluator(workers=1, limits=tw.Limits(memory="200MB"))
    result = tw.minimize(objective, space, strategy="grid", evaluator=evaluator, max_evals=3, progress=False)
    found = {trial.params["n"]: trial for trial in result.trials}
    assert found[2].error.startswith("LimitReached: memory 200 MB") and result.evaluations == 3
    assert all(found[n].status is tw.Status.DONE for n in (1, 3))


def test_a_busy_cluster_is_told_of(one):
    @ray.remote(num_cpus=4)
    class Hog:
        def there(self):
            return True

    hog = Hog.remote()
    assert ray.get(hog.there.remote(), timeout=60)
    try:
        with pytest.raises(EvaluatorError, match=r"no free place(.|\n)*free now: 0 CPU"):
            RayEvaluator(workers=1, start_s=3.0).open(suite_target())
    finally:
        ray.kill(hog)


def test_an_actor_killed_from_outside_costs_its_trial(one):
    evaluator = RayEvaluator(workers=1)

    async def body():
        evaluator.open(suite_target())
        try:
            prepared = evaluator.prepare(job_of(["hang"]))
            task = asyncio.ensure_future(evaluator.evaluate(prepared))
            await asyncio.sleep(0.5)
            os.kill(prepared.slot.facts["pid"], signal.SIGKILL)
            first = await task
            worker = int(prepared.slot.facts["worker"].split()[1]) if prepared.slot else 0
            return first, await evaluator.evaluate(evaluator.prepare(job_of(["good"]))), worker
        finally:
            await evaluator.aclose()

    first, second, worker = asyncio.run(body())
    assert statuses(first) == [Status.FAILED] and first.errors[0].startswith("WorkerDied")
    assert statuses(second) == [Status.DONE]
    assert not worker or not pids_end([worker])


# --- a cluster of its own ---------------------------------------------------------------------------------------------

ALONE = """
import os, subprocess, sys, time
import thalweg as tw

def objective(params):
    return params["x"] ** 2 + 0 * len(os.environ.get("RAY_AUTH_TOKEN", ""))

if __name__ == "__main__":
    for _ in range(2):
        space = {"x": (-5.0, 5.0)}
        result = tw.minimize(objective, space, evaluator="ray", workers=2, max_evals=30, seed=0, progress=False)
        assert result.evaluations == 30 and not result.failures
    import ray
    assert not ray.is_initialized()
    print("fine")
"""

LISTENING = """
import os
from thalweg.parts.evaluators.ray import RayEvaluator
from thalweg.testing import _behaviours as behaviours
from thalweg.core.target import Target
import asyncio, psutil, subprocess, sys, signal

if __name__ == "__main__":
    before = signal.getsignal(signal.SIGTERM)
    evaluator = RayEvaluator(workers=1)
    evaluator.open(Target(behaviours.behave, behaviours.problem()))
    assert signal.getsignal(signal.SIGTERM) is before
    import ray
    address = ray.get_runtime_context().gcs_address
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    bound = {c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"RAY_AUTH_MODE": "disabled"}
    code = "from ray._raylet import GcsClient; GcsClient(address=%r); print('got in')" % address
    other = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=100)
    print(sorted(bound), "got in" in other.stdout, "token" in other.stderr)
    pids = [p.pid for p in family[1:]]
    asyncio.run(evaluator.aclose())
    print(pids)
"""


def alone(code, tmp_path, **more):
    file = tmp_path / "program.py"
    file.write_text(code)
    env = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run([sys.executable, str(file)], env=env, capture_output=True, text=True, timeout=280, **more)


def test_a_cluster_of_its_own_is_started_and_ended(tmp_path):
    done = alone(ALONE, tmp_path)
    if "cannot be started" in done.stderr:
        done = alone(ALONE, tmp_path)
    assert done.stdout.endswith("fine\n"), done.stderr
    assert done.stderr == ""


def test_a_cluster_of_its_own_is_closed_to_others(tmp_path):
    done = alone(LISTENING, tmp_path)
    if "cannot be started" in done.stderr:
        done = alone(LISTENING, tmp_path)
    assert done.returncode == 0, done.stderr
    told, pids = done.stdout.splitlines()[-2:]
    assert told == "['127.0.0.1', '::ffff:127.0.0.1'] False True", done.stdout + done.stderr
    assert not pids_end(json.loads(pids))


# --- three nodes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def three():
    """A head without CPUs and two nodes of one; the second has a (pretended) GPU."""
    from ray.cluster_utils import Cluster

    made = []

    def start():
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False},
        )
        made.append(cluster)
        try:
            cluster.nodes_of_ours = [
                cluster.add_node(num_cpus=1, object_store_memory=STORE),
                cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE),
            ]
            ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
        except BaseException:
            cluster.shutdown()
            raise
        return cluster

    cluster = twice(start, "a cluster of three nodes")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_node_killed_midway_costs_no_trial(three, tmp_path):
    """Every trial is finished, told once, and none has failed."""
    told, killed = Counter(), []

    def listen(event):
        if event.kind == "finished":
            told.update(
                event.data["numbers"] if isinstance(event.data["numbers"], list) else event.data["numbers"].tolist()
            )
            if sum(told.values()) >= 20 and not killed:
                killed.append(time.monotonic())
                three.remove_node(three.nodes_of_ours[0], allow_graceful=False)

    def objective(params):
        time.sleep(0.15)
        return params["x"] ** 2

    study = tw.Study(SPACE, store=f"sqlite:///{tmp_path}/s.db", name="loss", seed=1, strategy="de", listeners=[listen])
    result = study.run(objective, max_evals=80, evaluator=RayEvaluator(workers=2), progress=False)
    assert killed and result.evaluations == 80 and not result.failures
    assert told == Counter(range(80)), [number for number in range(80) if told[number] != 1]
    assert all(trial.status is tw.Status.DONE for trial in result.trials)
    hosts = Counter(trial.worker for trial in study.trials)
    assert len(hosts) >= 2, hosts


def test_gpus_are_handed_out_and_their_loss_leaves_a_study_that_goes_on(three, tmp_path):
    """num_gpus places the actor and sets CUDA_VISIBLE_DEVICES; without a GPU the run ends, and is resumed later."""

    def objective(params):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0", os.environ.get("CUDA_VISIBLE_DEVICES")
        time.sleep(0.1)
        return params["x"] ** 2

    killed = []

    def listen(event):
        if event.kind == "finished" and not killed:
            killed.append(three.remove_node(three.nodes_of_ours[1], allow_graceful=False))

    def study(*listeners):
        return tw.Study(
            SPACE, store=f"sqlite:///{tmp_path}/g.db", name="gpu", seed=1, strategy="random", listeners=listeners
        )

    with pytest.raises(EvaluatorError, match=r"no node of the cluster could run(.|\n)*1 CPU, 1 GPU"):
        study(listen).run(objective, max_evals=12, evaluator=RayEvaluator(num_gpus=1, grace_s=3.0), progress=False)
    three.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE)
    result = study().run(objective, max_evals=12, evaluator=RayEvaluator(num_gpus=1), progress=False)
    assert result.evaluations == 12 and not result.failures
    assert sorted(trial.number for trial in result.trials) == list(range(12))


# --- the driver -------------------------------------------------------------------------------------------------------

DRIVER = """
import sys, time
import thalweg as tw

def objective(params):
    time.sleep(0.05)
    return params["x"] ** 2

def tell(event):
    if event.kind == "finished":
        print("finished", flush=True)

if __name__ == "__main__":
    space = {"x": (-5.0, 5.0)}
    study = tw.Study(space, store=sys.argv[1], name="d", seed=4, strategy="de", ordered=4, listeners=[tell])
    result = study.run(objective, max_evals=60, evaluator=sys.argv[2], workers=2, progress=False)
    print([trial.params["x"] for trial in study.trials], flush=True)
"""


def test_a_driver_killed_and_started_again_resumes_exactly(tmp_path):
    file = tmp_path / "driver.py"
    file.write_text(textwrap.dedent(DRIVER))
    env = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
    wanted = finished(file, f"sqlite:///{tmp_path}/process.db", "process", env)
    store = f"sqlite:///{tmp_path}/ray.db"
    family = set()
    for after in (8, 25):
        process = subprocess.Popen(
            [sys.executable, str(file), store, "ray"], env=env, stdout=subprocess.PIPE, text=True
        )
        seen = 0
        for line in process.stdout:
            seen += line.startswith("finished")
            if seen >= after:
                break
        import psutil

        family |= {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
        process.kill()
        process.wait()
        process.stdout.close()
        if seen < after:
            pytest.skip(f"NOT TESTED: a cluster does not start here (exit code {process.returncode})")
    left = pids_end(ours(family), 40.0)
    assert not left, f"the killed driver left processes: {left}"
    assert finished(file, store, "ray", env) == wanted
    assert len(wanted) == 60


def ours(pids):
    """Without Ray's two agents, which take minutes to see that their node is gone."""
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids if running(pid)}
    return [
        pid for pid, line in lines.items() if not line.startswith((b"ray::DashboardAgent", b"ray::RuntimeEnvAgent"))
    ]


def finished(file, store, evaluator, env):
    done = subprocess.run(
        [sys.executable, str(file), store, evaluator], env=env, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
