"""The examination of the machine, on made-up machines."""

from __future__ import annotations

import os

import pytest

from thalweg.watch import machine


def put(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_this_machine_is_fit():
    found = machine.examine()
    assert not [finding for finding in found if finding.level == "problem" and finding.topic != "memory"]
    topics = {finding.topic for finding in found}
    assert {"python", "libraries", "blas", "extras", "cores", "memory", "limits", "shared memory"} <= topics
    assert all(finding.text and finding.topic for finding in found)


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({}, None, None),
        ({"sys/fs/cgroup/cpu.max": "max 100000", "sys/fs/cgroup/memory.max": "max"}, None, None),
        ({"sys/fs/cgroup/cpu.max": "150000 100000", "sys/fs/cgroup/memory.max": "1048576"}, 1.5, 1048576),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "50000 100000"}, 0.5, None),
        (
            {
                "proc/self/cgroup": "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n",
                "sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "4096",
            },
            2.0,
            4096,
        ),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, None, None),
    ],
)
def test_limits_of_containers(tmp_path, files, cores, memory):
    for path, text in files.items():
        put(tmp_path, path, text)
    assert machine.cpu_share(tmp_path) == cores
    assert machine.memory_limit(tmp_path) == memory


def test_what_a_container_lacks_is_said(tmp_path):
    put(tmp_path, "sys/fs/cgroup/cpu.max", "50000 100000")
    put(tmp_path, "sys/fs/cgroup/memory.max", str(64 * 2**20))
    found = {finding.topic: finding for finding in machine.examine(tmp_path)}
    assert found["cores"].level == "note" and "0.5" in found["cores"].text and "workers=1" in found["cores"].cure
    assert found["memory"].level == "problem" and "0.1 GiB" in found["memory"].text
    assert found["shared memory"].level == "note" and found["shared memory"].cure


def test_few_files_and_a_busy_machine(monkeypatch):
    import resource

    monkeypatch.setattr(os, "getloadavg", lambda: (999.0, 0.0, 0.0))
    real = resource.getrlimit
    monkeypatch.setattr(
        resource, "getrlimit", lambda which: (256, 4096) if which == resource.RLIMIT_NOFILE else real(which)
    )
    found = [finding for finding in machine.examine() if finding.level == "note"]
    told = {finding.topic: finding for finding in found}
    assert "999.0" in told["load"].text
    assert "256" in told["limits"].text and "ulimit -n" in told["limits"].cure


def test_a_missing_library_is_a_problem(monkeypatch):
    real = machine._version
    monkeypatch.setattr(machine, "_version", lambda name: "" if name in ("apsw", "matplotlib") else real(name))
    found = machine.examine()
    problem = next(finding for finding in found if finding.level == "problem")
    assert problem.topic == "libraries" and "apsw" in problem.text and "pip install" in problem.cure
    extra = next(finding for finding in found if "matplotlib" in finding.text)
    assert "thalweg[plots]" in extra.cure
