"""The small compressor: every option round-trips, and the presets are byte for byte what liblzma's are."""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.apps.programs import compressor, demo

DATA = demo.text(30_000)


def call(tmp_path: Path, data: bytes, method: str, *flags: str) -> bytes:
    """Pack and unpack; gives what was packed."""
    source, packed, back = (tmp_path / name for name in ("source", "packed", "back"))
    source.write_bytes(data)
    assert compressor.main([method, "pack", str(source), str(packed), *flags]) == 0
    assert compressor.main([method, "unpack", str(packed), str(back)]) == 0
    assert back.read_bytes() == data
    return packed.read_bytes()


@pytest.mark.parametrize("level", range(10))
@pytest.mark.parametrize("extreme", [False, True])
def test_presets_are_those_of_xz(tmp_path: Path, level: int, extreme: bool) -> None:
    name = f"xz-{level}" + ("e" if extreme else "")
    preset = demo.presets().get(name)
    if preset is None:
        pytest.skip(f"{name} is not among the demonstration's presets")
    flags = [f"--{key}={value}" for key, value in preset.items() if key != "method"]
    filters = [{"id": lzma.FILTER_LZMA2, "preset": level | (lzma.PRESET_EXTREME if extreme else 0)}]
    assert call(tmp_path, DATA, "lzma", *flags)[1:] == lzma.compress(DATA, lzma.FORMAT_RAW, filters=filters)


@settings(max_examples=25, deadline=None)
@given(
    data=st.binary(max_size=2000) | st.just(DATA[:5000]),
    lc=st.integers(0, 4),
    lp=st.integers(0, 4),
    pb=st.integers(0, 4),
    size=st.integers(12, 20),
    finder=st.sampled_from(["hc3", "hc4", "bt2", "bt3", "bt4"]),
    nice=st.integers(8, 273),
)
def test_lzma_round_trips(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, lc: int, lp: int, pb: int, size: int, finder: str, nice: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("lzma")
    flags = [f"--lc={lc}", f"--lp={lp}", f"--pb={pb}", f"--dict={size}", f"--mf={finder}", f"--nice={nice}"]
    if lc + lp <= 4:
        call(tmp_path, data, "lzma", *flags)
    else:
        (tmp_path / "source").write_bytes(data)
        assert compressor.main(["lzma", "pack", str(tmp_path / "source"), str(tmp_path / "packed"), *flags]) == 2


@pytest.mark.parametrize("order", [2, 6, 16, 64])
def test_ppmd_round_trips(tmp_path: Path, order: int) -> None:
    pytest.importorskip("pyppmd")
    packed = call(tmp_path, DATA, "ppmd", f"--order={order}", "--mem=22", "--variant=H")
    assert len(packed) < len(DATA) / 3


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--lz=3"], "unknown flag '--lz=3'"),
        (["--mf=bt9"], "mf is one of"),
        (["--lc=x"], "invalid literal"),
        (["--lc=4", "--lp=4"], "do not go together"),
    ],
)
def test_wrong_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str) -> None:
    (tmp_path / "source").write_bytes(DATA)
    assert compressor.main(["lzma", "pack", str(tmp_path / "source"), str(tmp_path / "packed"), *flags]) == 2
    assert said in capsys.readouterr().err
    assert compressor.main(["lzma"]) == 2
    assert "pack IN OUT" in capsys.readouterr().err


def test_it_runs_by_its_path_and_imports_nothing_of_ours(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = ['c', 'lzma', 'pack', sys.argv[1], sys.argv[2]]\n"
        f"try: runpy.run_path({compressor.__file__!r}, run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "wrong = [m for m in sys.modules if m.split('.')[0] in ('thalweg', 'numpy', 'pyppmd')]\n"
        "assert not wrong, wrong"
    )
    (tmp_path / "source").write_bytes(DATA)
    argv = [sys.executable, "-S", "-I", "-c", code, str(tmp_path / "source"), str(tmp_path / "packed")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < (tmp_path / "packed").stat().st_size < len(DATA)
