"""Evaluations on a Ray cluster: long-lived actors that hold the objective, arrays in, arrays out."""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ...core.errors import EvaluatorError, MissingExtra
from ...core.evaluator import Evaluator, Job, Outcomes
from ...core.limits import Limits, limits_of
from ...core.target import Target
from ._chunks import MOST, ChunkSize
from ._ray_fleet import Cluster, Fleet, Lost, Slot
from ._ray_flight import Flight
from ._ray_host import DIED, READY, Host
from ._ray_report import NAME, ClusterReport
from ._ray_request import Node, Request
from ._ray_settings import authentication, environment, handlers
from ._rows import check_workers, opened, refuse
from ._tree import require_linux
from .process import _by_value, _dumps, _modules

_AIM_S = 0.3
"""Work per call, which costs 1 to 3 ms of CPU time on all sides together."""
_STORE_BYTES = 256 << 20
_AHEAD_S = 1.0
"""Evaluations shorter than this have the next job wait at their actor: a call takes 1 to 6 ms of waiting."""


class RayEvaluator(Evaluator):
    """Actors on a Ray cluster, one evaluation each at a time, in a worker process below the actor.

    The objective travels once to each actor, by import path where it has one, else by value; after that only arrays do.
    A crash or a deadline costs the worker process of an actor, and the row it was in. The rows of a node that is lost
    run again on another one, and have not failed. As nodes join and leave, there are more and fewer actors. Where
    evaluations take less than a second, each actor holds its next job while it works, and gives it back when another
    one is idle.

    workers: most actors; None: as many as the cluster can hold.
    address: "auto", "HOST:PORT" or "ray://HOST:PORT" joins that cluster. None joins the one this process is connected
    to, or RAY_ADDRESS names; else one is started on this machine (loopback only, with a token of its own) and ended
    with the evaluator.
    num_cpus, num_gpus, memory (bytes), resources ({name: amount}): what each evaluation needs: Ray reserves that,
    `limits` (see the process evaluator) ends what takes more. With num_gpus the objective finds its GPUs in
    CUDA_VISIBLE_DEVICES.
    runtime_env, actor_options: handed to Ray for each actor (packages; label_selector, scheduling_strategy ...).
    max_rows, preload: see the process evaluator.  blas_threads: None takes num_cpus.
    autoscaled: an autoscaler may add nodes that can hold what no node can now: wait for them instead of refusing.
    grace_s: how long no node may be able to hold an evaluation before the run ends (it can be resumed).
    start_s: how long to wait for a first place on a busy cluster.
    """

    killable = True

    def __init__(
        self,
        workers: int | None = None,
        address: str | None = None,
        num_cpus: float = 1.0,
        num_gpus: float = 0.0,
        memory: int | None = None,
        resources: Mapping[str, float] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        actor_options: Mapping[str, Any] | None = None,
        max_rows: int = MOST,
        blas_threads: int | None = None,
        preload: Sequence[str] = (),
        autoscaled: bool = False,
        grace_s: float = 60.0,
        start_s: float = 120.0,
        limits: Limits | Mapping[str, Any] | None = None,
    ) -> None:
        self._most = None if workers is None else check_workers(workers, "ray")
        self._address = address
        self._request = Request(num_cpus, num_gpus, memory, {} if resources is None else resources)
        if not self._request.needs and workers is None:
            raise EvaluatorError("evaluator 'ray': an evaluation that asks for nothing needs workers=")
        self._options = _actor_options(self._request, runtime_env, actor_options or {})
        self._chunks = ChunkSize(aim_s=_AIM_S, most=max_rows)
        if blas_threads is not None:
            check_workers(blas_threads, "ray (blas_threads)")
        self._threads = blas_threads or max(1, int(num_cpus))
        self._preload = [preload] if isinstance(preload, str) else list(preload)
        self._autoscaled, self._grace_s, self._start_s = autoscaled, grace_s, start_s
        self._limits = limits_of(limits)
        self._seen = 1
        self._target: Target | None = None
        self._cluster: _RayCluster | None = None
        self._fleet: Fleet | None = None

    @property
    def slots(self) -> int:
        """Jobs that run: one per actor that the cluster can hold now (or could when it was left), at least 1."""
        return max(1, self._fleet.wanted) if self._fleet is not None else self._most or self._seen

    @property
    def ahead(self) -> int:
        """One job more per actor where evaluations are shorter than a second, none while times are unknown."""
        return self.slots if self._short else 0

    @property
    def _short(self) -> bool:
        mean = self._chunks.mean_s
        return mean is not None and mean < _AHEAD_S

    @property
    def width(self) -> int:
        """The number of workers, where it was given.

        Raises:
            EvaluatorError: it was not: only the cluster knows, and the next time it may be another one.
        """
        if self._most is None:
            raise EvaluatorError(
                "ordered=True takes the number of workers as its width, and on Ray that is as many as the cluster can "
                "hold: give workers=, or the width itself (ordered=8)"
            )
        return self._most

    @property
    def rows(self) -> int:
        """Rows per job: about 0.3 s of work, one while times are unknown."""
        mean = self._chunks.mean_s
        return 1 if mean is None else max(1, min(self._chunks.most, round(_AIM_S / max(mean, 1e-7))))

    def open(self, target: Target) -> None:
        """Connect, and start a first actor, which shows that the objective arrives.

        Raises:
            MissingExtra: Ray is not installed.
            EvaluatorError: no cluster, no node that can hold an evaluation, or an objective that cannot be sent.
        """
        refuse(target, "ray", asynchronous=True)
        require_linux("evaluator 'ray'")
        payload = _dumps(target)
        cluster = _RayCluster(self._options)
        try:
            cluster.connect(self._address, self._request, self._most)
            nodes = cluster.nodes()
            if self._request.capacity(nodes) == 0 and not self._autoscaled:
                raise EvaluatorError(self._request.explain(nodes, "no node of the Ray cluster can run this"))
            self._cluster, self._target = cluster, target
            self._fleet = Fleet(cluster, self._request, self._most, nodes, self._grace_s, self._start_s)
            self._fleet.grown = self._tell
            self._fleet.add(self._first(cluster, target, payload))
        except BaseException:
            self._cluster = self._fleet = self._target = None
            cluster.close()
            raise

    def _tell(self) -> None:
        if self.changed is not None:
            self.changed()

    def _first(self, cluster: _RayCluster, target: Target, payload: bytes) -> Slot:
        """An actor that has loaded the objective; by value, where it cannot be imported there."""
        slot, kind, told = self._launch(cluster, target, payload)
        if kind == READY:
            return slot
        cluster.kill(slot.handle)
        if kind == DIED:
            raise EvaluatorError(
                f"a worker process on the cluster ended while it loaded the objective {target.name}: {told}; does "
                "importing its module start something?"
            )
        importing, text = told
        if not importing:
            raise EvaluatorError(f"a worker process on the cluster cannot load the objective {target.name}: {text}")
        with _by_value(_modules(target)):
            payload = _dumps(target)
        slot, kind, told = self._launch(cluster, target, payload)
        if kind == READY:
            return slot
        cluster.kill(slot.handle)
        raise EvaluatorError(
            f"a worker process on the cluster cannot import the objective {target.name}: {text}\nNor does sending its "
            f"code work: {told}\nInstall its module on every node, or give runtime_env={{'working_dir': ...}}"
        )

    def _launch(self, cluster: _RayCluster, target: Target, payload: bytes) -> tuple[Slot, str, Any]:
        problem = target.problem
        width, constrained = len(problem.objectives), bool(problem.constraints)
        cluster.host(payload, target.name, width, constrained, self._threads, self._preload, self._limits)
        slot = Slot(cluster.start())
        told = cluster.wait(slot.handle, "load", self._start_s)
        if told is None:
            cluster.kill(slot.handle)
            waited = f"for {self._start_s:.0f} s the Ray cluster had no free place for an evaluation"
            raise EvaluatorError(self._request.explain(cluster.nodes(), waited))
        kind, facts = told
        if kind == READY:
            slot.facts = facts
        return slot, kind, facts

    def prepare(self, job: Job) -> Flight:
        """Nothing is packed before an actor is there."""
        objectives = len(opened(self._target).problem.objectives)
        assert self._cluster is not None and self._fleet is not None
        return Flight(self._cluster, self._fleet, job, objectives)

    async def ready(self, prepared: Any) -> None:
        """Have an actor that has loaded the objective: what comes after is the evaluation, and may have a deadline."""
        await prepared.board()

    async def evaluate(self, prepared: Any) -> Outcomes:
        """Run the job on the cluster.

        Raises:
            EvaluatorError: no node can hold an evaluation any more, or workers cannot start there.
        """
        flight: Flight = prepared
        outcomes = await flight.fly()
        self._chunks.observe(outcomes)
        if self._fleet is not None:
            self._fleet.depth = 2 if self._short else 1
        return outcomes

    def running_s(self, prepared: Any) -> float:
        """Seconds the row a job is in has been running, as far as is known here."""
        flight: Flight = prepared
        return flight.running_s()

    def finished(self, prepared: Any) -> Outcomes:
        """The rows of a cancelled job that were complete."""
        flight: Flight = prepared
        return flight.kept

    async def aclose(self) -> None:
        """End the actors; leave the cluster, or end it where it was started here."""
        self._seen, self.changed = self.slots, None
        fleet, self._fleet, cluster, self._cluster = self._fleet, None, self._cluster, None
        self._target = None
        try:
            if fleet is not None:
                await fleet.aclose()
        finally:
            if cluster is not None:
                cluster.close()


def cluster_report(address: str | None = None) -> ClusterReport:
    """The nodes of a Ray cluster, what they have and what is free, and thalweg's actors on it.

    address: as for `RayEvaluator`; None: the cluster this process is connected to, RAY_ADDRESS, or the one on this
    machine. None is ever started.

    Raises:
        MissingExtra: Ray is not installed.  EvaluatorError: there is no such cluster.
    """
    cluster = _RayCluster({})
    try:
        cluster.join(address or os.environ.get("RAY_ADDRESS") or "auto")
        return ClusterReport(cluster.address, cluster.nodes(), cluster.actors())
    finally:
        cluster.close()


def _actor_options(
    request: Request, runtime_env: Mapping[str, Any] | None, further: Mapping[str, Any]
) -> dict[str, Any]:
    """Ray's own words for an actor."""
    ours = {"num_cpus", "num_gpus", "memory", "resources", "runtime_env", "name", "max_restarts", "max_concurrency"}
    taken = sorted(ours & set(further))
    if taken:
        raise EvaluatorError(f"actor_options: {', '.join(taken)} cannot be given there; some are options of their own")
    made: dict[str, Any] = {
        "num_cpus": request.num_cpus,
        "num_gpus": request.num_gpus,
        "resources": dict(request.resources),
        "max_restarts": 0,
        "max_task_retries": 0,
    }
    if request.memory is not None:
        made["memory"] = request.memory
    if runtime_env is not None:
        made["runtime_env"] = dict(runtime_env)
    return {**made, **further}


class _RayCluster(Cluster):
    """Everything that is asked of Ray itself."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._ray: Any = None
        self._ours = False
        self._arguments: tuple[Any, ...] = ()
        self._count = 0
        self._family = secrets.token_hex(4)

    # --- connecting -----------------------------------------------------------------------------------------------

    def connect(self, address: str | None, request: Request, workers: int | None) -> None:
        """Join the cluster that is meant, or start one here."""
        address = address or os.environ.get("RAY_ADDRESS")
        if address or ("ray" in sys.modules and self._load().is_initialized()):
            self.join(address or "auto")
        else:
            self._start_here(request, workers)

    def join(self, address: str) -> None:
        """Connect to a running cluster, or stay with the one this process is connected to."""
        ray = self._load()
        if ray.is_initialized():
            return
        try:
            with handlers():
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise EvaluatorError(
                f"no Ray cluster at address={address!r}: {error}\nIs it running (ray status), is the port open, and is "
                "the token of the cluster here (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN)?"
            ) from error
        self._ours = True

    def _start_here(self, request: Request, workers: int | None) -> None:
        """A cluster for this evaluator alone: reachable from this machine only, and only with its token."""
        cores = len(os.sched_getaffinity(0))
        cpus = max(cores, math.ceil((workers or 0) * request.num_cpus), math.ceil(request.num_cpus))
        fresh = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", **authentication()}
        with environment(fresh):
            self._init_here(cpus)

    def _init_here(self, cpus: int) -> None:
        ray = self._load()
        from ray._private import ray_constants

        ray_constants.ENABLE_RAY_CLUSTER = False  # Ray's own switch for "listen on loopback only", also when loaded
        try:
            with handlers():
                ray.init(
                    address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False,
                    logging_level="ERROR", object_store_memory=_STORE_BYTES,
                )  # fmt: skip
        except Exception as error:
            raise EvaluatorError(
                f"a Ray cluster cannot be started on this machine: {type(error).__name__}: {error}\nRay gives a node "
                "30 s to start: is the machine very busy, or memory short? See the logs in /tmp/ray/session_latest/logs"
            ) from error
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = True
        self._ours = True

    def _load(self) -> Any:
        if self._ray is None:
            try:
                import ray
                import ray.exceptions
            except ImportError as error:
                raise MissingExtra("ray", "ray", "evaluator 'ray'") from error
            self._ray = ray
        return self._ray

    def close(self) -> None:
        """Leave the cluster where it was joined here (a local one then ends)."""
        if self._ours:
            self._ours = False
            self._ray.shutdown()

    @property
    def address(self) -> str:
        """HOST:PORT of the cluster's head."""
        return str(self._ray.get_runtime_context().gcs_address)

    # --- actors ---------------------------------------------------------------------------------------------------

    def host(self, payload: bytes, *arguments: Any) -> None:
        """Say what actors are made with. The payload is kept in the cluster's memory, once per node."""
        self._arguments = (self._ray.put(payload), *arguments, _node_id)

    def start(self) -> Any:
        """A new actor."""
        name = f"{NAME}-{self._family}-{self._count}"
        self._count += 1
        return self._ray.remote(Host).options(name=name, **self._options).remote(*self._arguments)

    def wait(self, handle: Any, method: str, seconds: float) -> Any:
        """What a method of an actor gives; None when it takes longer. Blocks."""
        try:
            return self._ray.get(getattr(handle, method).remote(), timeout=seconds)
        except self._ray.exceptions.GetTimeoutError:
            return None
        except self._ray.exceptions.RayError as error:
            raise self._meaning(error) from error

    def call(self, handle: Any, method: str, *arguments: Any) -> asyncio.Future[Any]:
        """The same, awaited."""
        return asyncio.ensure_future(self._call(handle, method, arguments))

    async def _call(self, handle: Any, method: str, arguments: tuple[Any, ...]) -> Any:
        try:
            return await getattr(handle, method).remote(*arguments)
        except self._ray.exceptions.RayError as error:
            raise self._meaning(error) from error

    def kill(self, handle: Any) -> None:
        """End an actor and all below it."""
        with suppress(Exception):  # it has ended, or the cluster has
            self._ray.kill(handle, no_restart=True)

    def _meaning(self, error: Exception) -> Exception:
        """What an error of Ray means for the rows under way."""
        kinds, text = self._ray.exceptions, str(error).strip()
        if isinstance(error, kinds.RuntimeEnvSetupError):
            return EvaluatorError(f"Ray cannot set up runtime_env on a node: {text}")
        if isinstance(error, kinds.RayTaskError) or getattr(error, "_actor_init_failed", False):
            lacks = "ModuleNotFoundError: No module named 'thalweg'" in text
            advice = "; install the same thalweg on every node, or give runtime_env={'pip': ['thalweg']}"
            return EvaluatorError(f"an evaluator actor failed: {text}{advice if lacks else ''}")
        if isinstance(error, kinds.ActorDiedError):
            # anything else (unavailable, unschedulable, a lost object or owner) is the cluster's own fault
            return Lost("node" in text and "worker process has died" not in text, text)
        return Lost(True, text)

    # --- looking --------------------------------------------------------------------------------------------------

    def nodes(self) -> list[Node]:
        """All machines; what is free where Ray tells it."""
        free = self._free()
        return [
            Node(
                ident=item["NodeID"],
                address=item.get("NodeManagerAddress", ""),
                host=item.get("NodeManagerHostname", ""),
                alive=bool(item["Alive"]),
                total=dict(item.get("Resources", {})),
                free=free.get(item["NodeID"]) if item["Alive"] else None,
                why=str(item.get("DeathReasonMessage") or ""),
            )
            for item in self._ray.nodes()
        ]

    def _free(self) -> dict[str, dict[str, float]]:
        try:
            from ray._private.state import available_resources_per_node

            return {str(ident): dict(amounts) for ident, amounts in available_resources_per_node().items()}
        except Exception:  # not public, and not there through ray://: then free amounts are not known
            return {}

    def actors(self, seconds: float = 5.0) -> list[dict[str, Any]]:
        """What each evaluator actor of any study tells of itself; {"name": ..., "starting": True} before it can, and
        {"name": ..., "error": ...} where it does not.
        """
        ray, told, states = self._ray, [], self._states()
        calls: dict[Any, str] = {}
        for item in ray.util.list_named_actors(all_namespaces=True):
            if not item["name"].startswith(f"{NAME}-"):
                continue
            if states.get(item["name"], "ALIVE") in ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "RESTARTING"):
                told.append({"name": item["name"], "starting": True})
                continue
            try:
                handle = ray.get_actor(item["name"], item["namespace"])
                calls[handle.health.remote()] = item["name"]
            except (ValueError, ray.exceptions.RayError) as error:
                told.append({"name": item["name"], "error": _first_line(error)})
        ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=seconds) if calls else ([], [])
        for call, name in calls.items():
            try:
                told.append({"name": name, **ray.get(call)} if call in ready else {"name": name, "error": "no answer"})
            except ray.exceptions.RayError as error:
                told.append({"name": name, "error": _first_line(error)})
        return sorted(told, key=lambda item: str(item["name"]))

    def _states(self) -> dict[str, str]:
        try:
            from ray._private.state import actors

            return {str(item["Name"]): str(item["State"]) for item in actors().values()}
        except Exception:  # not public, and not there through ray://: then who starts is not known
            return {}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _node_id() -> str:
    """In an actor: the node it is on."""
    import ray

    return str(ray.get_runtime_context().get_node_id())
