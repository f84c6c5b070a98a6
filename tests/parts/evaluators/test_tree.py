import os
import signal
import subprocess
import sys
import time

import pytest

from thalweg.core.errors import EvaluatorError
from thalweg.parts.evaluators import _tree

LEAF = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"

ROOT = f"""
import os, subprocess, sys, time
leaf = {LEAF!r}
procs = [subprocess.Popen([sys.executable, "-ISc", leaf], stdout=subprocess.PIPE, start_new_session=new)
         for new in (False, True)]
for p in procs:
    p.stdout.readline()
pids = [p.pid for p in procs]
r, w = os.pipe()
os.set_inheritable(w, True)
if os.fork() == 0:                       # a daemon: new session, parent gone
    os.setsid()
    if os.fork() == 0:
        os.write(w, b"%d\\n" % os.getpid())
        time.sleep(300)
    os._exit(0)
os.wait()
pids.append(int(os.read(r, 20)))
print(*pids, flush=True)
time.sleep(300)
"""


def alive(pid):
    entry = _tree._entry(pid)
    return entry is not None and entry.alive


def start(marker):
    root = subprocess.Popen(
        [sys.executable, "-ISc", ROOT],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=_tree.environment(marker) if marker else None,
    )
    return root, [int(word) for word in root.stdout.readline().split()]


def finish(root):
    root.wait()
    root.stdout.close()


def test_ends_children_that_hide_and_spares_everybody_else():
    bystander = subprocess.Popen([sys.executable, "-ISc", LEAF], stdout=subprocess.PIPE, start_new_session=True)
    bystander.stdout.readline()
    root, pids = start(marker := _tree.new_marker())
    other, others = start(_tree.new_marker())
    try:
        assert set(pids[:2]) <= _tree.descendants(root.pid)
        assert pids[2] not in _tree.descendants(root.pid)  # only the marker can find the daemon
        assert _tree.kill_tree(root.pid, marker=marker) == []
        assert root.wait() == -signal.SIGKILL  # its status is left for its owner
        assert not any(map(alive, pids))
        assert alive(bystander.pid) and all(map(alive, [other.pid, *others]))
    finally:
        _tree.kill_tree(other.pid, marker=None)
        _tree._send(others[2], signal.SIGKILL)
        bystander.kill()
        bystander.wait()
        bystander.stdout.close()
        finish(other)
        finish(root)


def test_a_reaped_root_leaves_only_the_marker_as_proof():
    root, pids = start(marker := _tree.new_marker())
    root.kill()
    finish(root)
    assert _tree.kill_tree(root.pid) == [] and all(map(alive, pids))  # no proof, nobody touched
    assert _tree.kill_tree(root.pid, marker=marker) == [] and not any(map(alive, pids))


def test_root_may_stay():
    root, pids = start(marker := _tree.new_marker())
    assert _tree.kill_tree(root.pid, include_root=False, marker=marker) == []
    assert root.poll() is None and not any(map(alive, pids))
    _tree.kill_tree(root.pid)
    finish(root)


SUBREAPER = """
import os, subprocess, sys, time
from thalweg.parts.evaluators import _tree
_tree.become_subreaper(); _tree.become_subreaper()
kept = subprocess.Popen(["sleep", "300"], start_new_session=True)
r, w = os.pipe()
if (child := os.fork()) == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid(); os.write(w, b"%d" % os.getpid()); time.sleep(300)
    os._exit(0)
orphan = int(os.read(r, 20))
os.waitpid(child, 0)
assert _tree._entry(orphan).parent == os.getpid()
assert _tree.kill_tree(os.getpid(), include_root=False, keep=[kept.pid]) == []
assert _tree._entry(orphan) is None, "killed and reaped"
assert kept.poll() is None
kept.kill(); kept.wait()
print("fine")
"""


def test_a_subreaper_ends_its_adopted_orphans_and_keeps_its_own():
    done = subprocess.run([sys.executable, "-c", SUBREAPER], capture_output=True, text=True, timeout=60)
    assert done.stdout == "fine\n", done.stderr


def test_die_with_parent():
    body = (
        "import os, time; from thalweg.parts.evaluators import _tree\n"
        "if (p := os.fork()) == 0:\n _tree.die_with_parent(); os.write(1, b'x'); time.sleep(300)\n"
        "else:\n time.sleep(300)"
    )
    root = subprocess.Popen([sys.executable, "-c", body], stdout=subprocess.PIPE)
    root.stdout.read(1)
    (child,) = _tree.descendants(root.pid)
    root.kill()
    finish(root)
    until = time.monotonic() + 20
    while alive(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(child)


def test_refuses_to_end_itself_and_other_systems(monkeypatch):
    with pytest.raises(EvaluatorError, match="its own process"):
        _tree.kill_tree(os.getpid())
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(EvaluatorError, match="needs Linux"):
        _tree.become_subreaper()
