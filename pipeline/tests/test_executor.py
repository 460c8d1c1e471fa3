"""Own processes and dask: the same results, in order, a few at a time, and a killed worker is said."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from specola_pipeline.cli import app
from specola_pipeline.errors import PipelineError
from specola_pipeline.executor import executor, in_order
from specola_pipeline.redshift.run import measure_all
from specola_pipeline.redshift.spectrum import Spectrum
from specola_pipeline.redshift.templates import load_library


def square(number: int) -> int:
    return number**2


def killed(_number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stars(number: int) -> list[Spectrum]:
    """M stars with noise."""
    library = load_library()
    flux = next(one.flux for one in library.templates if one.name == "M3")
    wave = np.arange(5500.0, 9500.0, 4.0)
    light = np.interp(np.log(wave), (library.first + np.arange(flux.size)) * library.step, flux)
    rng = np.random.default_rng(5)
    err = np.full(wave.size, 0.1 * np.median(light))
    return [Spectrum(f"s{i}", wave, light + err * rng.standard_normal(wave.size), err, 600.0) for i in range(number)]


def test_results_come_in_order_and_few_items_are_read_ahead() -> None:
    read = []

    def items():
        for number in range(50):
            read.append(number)
            yield number

    with executor(2, None) as pool:
        results = in_order(pool, square, items(), 4)
        assert next(results) == 0
        assert len(read) <= 5
        assert list(results) == [number**2 for number in range(1, 50)]


def test_a_killed_worker_is_said() -> None:
    with pytest.raises(PipelineError, match="a worker was killed"), executor(1, None) as pool:
        list(in_order(pool, killed, [1], 2))


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_workers_end_with_a_killed_parent(method: str) -> None:
    """Killed, the parent can tell nobody anything; its workers held some hundred MB each for ever."""
    program = (
        "import multiprocessing, os, sys, time\n"
        "from specola_pipeline.executor import executor\n"
        "if __name__ == '__main__':\n"
        f"    with executor(2, None, multiprocessing.get_context('{method}')) as pool:\n"
        "        print(*{pool.submit(os.getpid).result() for _ in range(40)}, flush=True)\n"
        "        time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(one) for one in parent.stdout.readline().split()]
        assert workers
        assert all(_runs(one) for one in workers)
        parent.kill()
    end = time.monotonic() + 15
    while any(_runs(one) for one in workers) and time.monotonic() < end:
        time.sleep(0.2)
    left = [one for one in workers if _runs(one)]
    for one in left:
        os.kill(one, signal.SIGKILL)
    assert left == []


def _runs(pid: int) -> bool:
    """Whether a process is there and not only waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_dask_measures_the_same_redshifts() -> None:
    distributed = pytest.importorskip("distributed")
    spectra = stars(20)
    own = list(measure_all(spectra, 1, classes=("STAR",)))
    assert all(abs(row["z"]) < 0.001 for row in own)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        assert list(measure_all(spectra, classes=("STAR",), scheduler=cluster.scheduler_address)) == own


def test_no_scheduler_there_is_said_and_not_a_traceback(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    one = stars(1)[0]
    np.savetxt(tmp_path / "s.dat", np.column_stack([one.wave, one.flux, one.err]))
    # 9 is the port of the discard service, on which nothing listens
    said = CliRunner().invoke(app, ["redshift", str(tmp_path / "s.dat"), "--json", "--scheduler", "tcp://127.0.0.1:9"])
    assert said.exit_code == 1
    assert "no dask scheduler at tcp://127.0.0.1:9" in said.output.replace("\n", " ")
