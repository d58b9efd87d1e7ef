"""A volume comes out the same however its slices are shared, and whatever is killed on the way."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import hear
from conftest import simulate
from deadly_prior import DeadlyPrior
from properties import random_complex

from bart_pogmdm import Gibbs, load_prior, recon, recon_volume
from bart_pogmdm.arrays.bart_dims import COIL, to_bart
from bart_pogmdm.commands.main import main
from bart_pogmdm.files import cfl
from bart_pogmdm.physics.fourier import fft2c
from bart_pogmdm.reconstruction.inputs import Inputs
from bart_pogmdm.reconstruction.options import options_of
from bart_pogmdm.reconstruction.recon import reconstruct
from bart_pogmdm.volume import workers
from bart_pogmdm.volume.manifest import Manifest
from bart_pogmdm.volume.plan import make_plan
from bart_pogmdm.volume.run import Report, carry_out, on_workers
from bart_pogmdm.volume.slices import reconstruct_block

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
SHAPE, COILS, SLICES, ITERATIONS = (48, 40), 4, 5, 3


def in_barts_order(stack):
    """(slice, coil, y, x) with the slices along SLICE."""
    return np.stack([to_bart(kspace) for kspace in stack], -1).reshape(*SHAPE, 1, COILS, *9 * (1,), len(stack))


@pytest.fixture(scope="module")
def stack():
    """k-space (slice, coil, y, x)."""
    return np.stack([simulate(SHAPE, COILS, seed=seed)[0] for seed in range(SLICES)])


@pytest.fixture(scope="module")
def expected(stack):
    """The result of `recon` for the whole volume."""
    return recon(in_barts_order(stack), iterations=ITERATIONS)


@pytest.fixture
def folder(tmp_path, monkeypatch, stack):
    """The working directory, with the volume `ksp`."""
    cfl.write({tmp_path / "ksp": in_barts_order(stack)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


class InThisProcess:
    """Reconstructs volumes without workers, for tests that are not about them; `done` lists the slices."""

    def __init__(self):
        self.done = []

    def volume(self, out, source="ksp", *, restart=False, callback=None, **keywords):
        plan = make_plan(source, **{"iterations": ITERATIONS, **keywords})
        return carry_out(plan, out, self._reconstruct, restart=restart, callback=callback)

    def _reconstruct(self, job, blocks, count):
        for block in blocks:
            self.done.extend(task.number for task in block)
            yield reconstruct_block(job, block)


@pytest.fixture
def here():
    return InThisProcess()


def volume(out, **keywords):
    return recon_volume("ksp", out, **{"iterations": ITERATIONS, **keywords})


def command(*words, **keywords):
    return subprocess.Popen([sys.executable, "-m", "bart_pogmdm", "volume", f"-i{ITERATIONS}", *map(str, words)],
                            env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True, **keywords)


def images(result):
    """The image (slice, y, x) of a result of `recon`, and its sens (slice, coil, y, x)."""
    return (np.moveaxis(result.image.reshape(*SHAPE, -1), -1, 0),
            result.sens.reshape(*SHAPE, COILS, -1).transpose(3, 2, 0, 1))


def read(path):
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_slices_are_those_of_the_whole(folder, expected, here):
    calls = []
    report = here.volume("out.h5", callback=lambda *counts: calls.append(counts))
    assert report == Report(SLICES, {}) and calls == [(n, SLICES) for n in range(SLICES + 1)]
    found = read("out.h5")
    assert list(found) == ["image", "sens"] and found["image"].dtype == np.complex64
    for array, wanted in zip(found.values(), images(expected)):
        np.testing.assert_array_equal(array, wanted)
    here.volume("out")
    for name, wanted in (("out", expected.image), ("out_sens", expected.sens)):
        np.testing.assert_array_equal(cfl.read(name).reshape(wanted.shape), wanted)
    header, *records = lines("out.h5.manifest")
    assert header["source"] == "ksp" and [record["slice"] for record in records] == list(range(SLICES))
    np.testing.assert_array_equal([record["scale"] for record in records], expected.info["scale"])
    assert sorted(os.listdir()) == ["ksp.cfl", "ksp.hdr", "out.cfl", "out.cfl.manifest", "out.h5", "out.h5.manifest",
                                    "out.hdr", "out_sens.cfl", "out_sens.hdr"]


def test_samples_masks_and_two_loops(folder, stack, here):
    """Draws count slices as `recon` does, cfl stores them column-major, and a mask may have several."""
    kspace = stack[:4].reshape(2, 2, COILS, *SHAPE).transpose(3, 4, 2, 0, 1)
    kspace = kspace.reshape(*SHAPE, 1, COILS, *6 * (1,), 2, 1, 1, 2)
    mask = (kspace != 0).any(COIL, keepdims=True)
    mask[::3] &= np.arange(2) == 0  # the slices differ
    cfl.write({"ksp": kspace})
    options = {"iterations": 2, "method": Gibbs(chains=1, burn_in=1, thin=1), "samples": 2, "seed": 3}
    wanted = recon(kspace, mask, **options)
    for out in ("out.h5", "out"):
        here.volume(out, mask=mask, **options)
    found = read("out.h5")
    assert {name: array.shape for name, array in found.items()} == {
        "image": (2, 2, *SHAPE), "sens": (2, 2, COILS, *SHAPE), "std": (2, 2, *SHAPE)}
    for name in ("image", "std"):
        array = cfl.read("out" if name == "image" else "out_std")
        np.testing.assert_array_equal(array.reshape(getattr(wanted, name).shape), getattr(wanted, name))
        array = getattr(wanted, name).reshape(*SHAPE, 2, 2).transpose(2, 3, 0, 1)
        np.testing.assert_array_equal(found[name], array)


def test_volumes_of_a_3d_scan_are_those_of_the_whole(folder, here):
    """From BART's and raw data, into HDF5 and BART's files, with a mask, a warm start, and after a loss."""
    pytest.importorskip("ismrmrd", reason="ismrmrd is not installed")
    from raw_data import encoding, write_raw
    from raw_data import lines as lines_of
    shape, coils, iterations = (16, 14, 12), 2, 2
    z, y, x = (np.linspace(-1, 1, n).reshape([-1 if i == axis else 1 for i in range(3)])
               for axis, n in enumerate(shape))
    sens = np.stack([np.exp(-(x - 1) ** 2 - y**2 / 2 + 0.5j * z), np.exp(-(x + 1) ** 2 - (z - y) ** 2 / 2)], -1)
    images = np.stack([z**2 + y**2 + x**2 < size for size in (0.5, 0.6)], -1)
    kspace = fft2c(sens[..., None] * images[..., None, :], axes=(0, 1, 2))
    kspace += 0.01 * random_complex(np.random.default_rng(0), kspace.shape)
    is_near = (abs(y) < 0.3) & (abs(x) < 0.3)
    mask = is_near | (np.random.default_rng(1).random((1, *shape[1:])) < 0.5)
    kspace = (kspace * mask[..., None, None]).astype(np.complex64).reshape(*shape, coils, *7 * (1,), 2)
    cfl.write({"ksp": kspace})
    wanted = recon(kspace, mask, iterations=iterations)
    here.volume("out.h5", mask=mask[0], iterations=iterations)
    found, whole = read("out.h5"), Path("out.h5").read_bytes()
    assert found["image"].shape == (2, *shape) and found["sens"].shape == (2, coils, *shape)
    np.testing.assert_array_equal(np.moveaxis(found["image"], 0, -1), wanted.image.squeeze())
    np.testing.assert_array_equal(np.moveaxis(found["sens"], (0, 1), (-1, -2)), wanted.sens.squeeze())
    here.volume("out", mask=np.broadcast_to(mask, shape), iterations=iterations)
    for name, array in (("out", wanted.image), ("out_sens", wanted.sens)):
        np.testing.assert_array_equal(cfl.read(name).squeeze(), array.squeeze())
    header, first, _ = Path("out.h5.manifest").read_text().splitlines(keepends=True)
    Path("out.h5.manifest").write_text(header + first)
    here.done.clear()
    here.volume("out.h5", mask=mask[0], iterations=iterations)
    assert here.done == [1] and Path("out.h5").read_bytes() == whole
    here.volume("warm.h5", mask=mask[0], warm_start=2, iterations=iterations)
    cold, warm = found["image"], read("warm.h5")["image"]
    assert np.array_equal(warm[0], cold[0]) and 0 < np.linalg.norm(warm[1] - cold[1]) < 0.1 * np.linalg.norm(cold[1])
    measured = np.moveaxis(kspace.squeeze(), 3, 0)
    write_raw("raw.mrd", encoding(shape, shape, partitions=(0, 11, 6)), [
        one for number in range(2) for partition in range(12) for one in lines_of(
            measured[..., partition, number], np.flatnonzero(mask[0, :, partition]), kspace_encode_step_2=partition,
            repetition=number)])
    recon_volume("raw.mrd", "raw.h5", iterations=iterations)
    assert Path("raw.h5").read_bytes() == whole


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, stack):
    """The bytes of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    cfl.write({folder / "ksp": in_barts_order(stack)})
    recon_volume(folder / "ksp", folder / "out.h5", iterations=ITERATIONS, jobs=1)
    return (folder / "out.h5").read_bytes()


def test_the_bytes_do_not_depend_on_the_number_of_processes(folder, undisturbed, expected):
    volume("out.h5", jobs=2)
    assert Path("out.h5").read_bytes() == undisturbed
    np.testing.assert_array_equal(read("out.h5")["image"], images(expected)[0])


@pytest.mark.parametrize("send", [False, True])
def test_nor_on_dask(folder, undisturbed, send):
    pytest.importorskip("distributed")
    volume("out.h5", scheduler="local", jobs=2, send=send)
    assert Path("out.h5").read_bytes() == undisturbed


def test_what_is_damaged_is_done_again(folder, undisturbed, here):
    for place, again in ((len(undisturbed) - 1000, [4]), (None, []), (10, []), (900, [])):
        here.volume("out.h5")
        here.done.clear()
        damaged = bytearray(undisturbed)
        if place is not None:
            damaged[place] ^= 1
            Path("out.h5").write_bytes(damaged)
        assert here.volume("out.h5").failed == {}
        assert here.done == again and Path("out.h5").read_bytes() == undisturbed
    Path("out.h5").write_bytes(undisturbed[:-500])
    here.volume("out.h5")
    assert here.done == list(range(SLICES)) and Path("out.h5").read_bytes() == undisturbed


def test_cfl_is_finished_where_the_run_ended_between_its_files(folder, here):
    here.volume("out")
    whole = {name: Path(name).read_bytes() for name in ("out.cfl", "out_sens.cfl", "out.hdr", "out_sens.hdr")}
    os.rename("out_sens.cfl", "out_sens.cfl.partial")
    os.unlink("out_sens.hdr")
    here.done.clear()
    here.volume("out")
    assert here.done == [] and {name: Path(name).read_bytes() for name in whole} == whole
    assert not Path("out_sens.cfl.partial").exists()


def test_warm_starts_do_not_depend_on_who_does_them(folder, stack, here, expected):
    """The numbers of the slices decide about the blocks, so that a block comes out the same when it is done again."""
    here.volume("out.h5", warm_start=2)
    whole, found = Path("out.h5").read_bytes(), read("out.h5")
    assert here.done == list(range(SLICES))
    wanted = images(expected)[0]
    for number, (image, cold) in enumerate(zip(found["image"], wanted)):
        assert np.array_equal(image, cold) == (number % 2 == 0)
        assert np.linalg.norm(image - cold) < 0.1 * np.linalg.norm(cold)
    options = options_of(iterations=ITERATIONS)
    _, neighbour = reconstruct(Inputs(stack[2], first=2), load_prior(), options)
    second, _ = reconstruct(Inputs(stack[3], first=3, neighbour=neighbour), load_prior(), options)
    np.testing.assert_array_equal(found["image"][3], second.image)
    manifest = Path("out.h5.manifest").read_text().splitlines(keepends=True)
    Path("out.h5.manifest").write_text("".join(line for line in manifest if not line.startswith('{"slice": 3')))
    here.done.clear()
    here.volume("out.h5", warm_start=2)
    assert here.done == [2, 3] and Path("out.h5").read_bytes() == whole
    assert sorted(record["slice"] for record in lines("out.h5.manifest")[1:]) == list(range(SLICES))
    with pytest.raises(ValueError, match="with `warm_start` 2 instead of 3"):
        here.volume("out.h5", warm_start=3)


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.99])
def test_a_torn_manifest_costs_what_it_no_longer_says(folder, undisturbed, here, keep):
    here.volume("out.h5")
    manifest = Path("out.h5.manifest")
    whole = manifest.read_bytes()
    header = whole.index(b"\n") + 1
    manifest.write_bytes(whole[:header + int(keep * (len(whole) - header))])
    left = manifest.read_bytes().count(b"\n") - 1
    here.done.clear()
    here.volume("out.h5")
    assert here.done == list(range(left, SLICES)) and Path("out.h5").read_bytes() == undisturbed
    assert [record["slice"] for record in lines(manifest)[1:]] == list(range(SLICES))
    manifest.write_bytes(whole[:20])  # not even the header: all anew
    here.done.clear()
    here.volume("out.h5")
    assert here.done == list(range(SLICES))


def test_a_bad_slice_is_reported_and_tried_again(folder, undisturbed, stack, here, capsys):
    bad = stack.copy()
    bad[1, 2, 20, 20], bad[3] = np.nan, 0
    cfl.write({"ksp": in_barts_order(bad)})
    assert main(["volume", f"-i{ITERATIONS}", "ksp", "out.h5"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ERROR: out.h5: 2 of 5 slices failed and are NaN; slice 1: kspace: expected finite samples")
    assert error.count("\n") == 1
    found = read("out.h5")["image"]
    assert [bool(np.isnan(image).all()) for image in found] == [False, True, False, True, False]
    errors = {record["slice"]: record.get("error", "")[:28] for record in lines("out.h5.manifest")[1:]}
    assert [errors[number] for number in range(SLICES)] == [
        "", "kspace: expected finite samp", "", "kspace: all samples are zero", ""]
    here.done.clear()
    assert list(here.volume("out.h5").failed) == [1, 3] == here.done
    cfl.write({"ksp": in_barts_order(stack)})
    assert here.volume("out.h5") == Report(SLICES, {}) and Path("out.h5").read_bytes() == undisturbed


def test_a_chunk_that_cannot_be_read_is_a_bad_slice(folder, stack, here, undisturbed):
    with h5py.File("ksp.h5", "w") as file:
        file.create_dataset("kspace", data=stack, chunks=(1, *stack.shape[1:]), fletcher32=True)
        offset = file["kspace"].id.get_chunk_info(2).byte_offset
    here.volume("out.h5", "ksp.h5")
    assert Path("out.h5").read_bytes() == undisturbed
    with open("ksp.h5", "r+b") as file:
        file.seek(offset)
        file.write(b"damage")
    report = here.volume("other.h5", "ksp.h5")
    assert list(report.failed) == [2] and "ksp.h5: not a readable h5 file" in report.failed[2]


@pytest.mark.filterwarnings("ignore:kspace. image and sens:bart_pogmdm.ReconstructionWarning")  # of the changed k-space
def test_another_run_is_refused(folder, stack, here):
    here.volume("out.h5")
    other = cfl.read("ksp").copy()
    other[20, 20] += 1
    replace(load_prior(), name="other").save("other.npz")
    for keywords, message in (({"iterations": 4}, "`iterations` 3 instead of 4"),
                              ({"mask": np.ones(SHAPE)}, "with `mask` none instead of [0-9a-f]{8}…;"),
                              ({"prior": "other.npz"}, "with `prior` brain-mr .* instead of other")):
        with pytest.raises(ValueError, match=f"{message}.*restart=True"):
            here.volume("out.h5", **keywords)
    cfl.write({"ksp": other})
    with pytest.raises(ValueError, match=r"ksp: the k-space of slice 0 has changed since .*restart=True"):
        here.volume("out.h5")
    here.done.clear()
    here.volume("out.h5", restart=True)
    assert here.done == list(range(SLICES))


def test_two_runs_at_once_are_refused(folder, here):
    here.volume("out.h5")
    with Manifest("out.h5.manifest", lines("out.h5.manifest")[0], ("image", "sens"), False), \
            pytest.raises(ValueError, match=r"out.h5.manifest: another run is writing this output"):
        here.volume("out.h5")


@pytest.mark.parametrize("scheduler", [None, "local"])
def test_workers_of_another_version_are_refused(folder, scheduler):
    if scheduler:
        pytest.importorskip("distributed")
    plan = make_plan("ksp", iterations=ITERATIONS)
    plan = replace(plan, job=replace(plan.job, versions=plan.job.versions | {"numpy": "0.1"}))
    with pytest.raises(ValueError, match=r"worker: expected numpy 0.1 as the client has, got [12]"):
        carry_out(plan, "out.h5", partial(on_workers, jobs=1, scheduler=scheduler))


def test_workers_need_no_file_of_the_prior(folder, undisturbed):
    load_prior().save("prior.npz")
    volume("out.h5", prior="prior.npz", jobs=1, callback=lambda *_: Path("prior.npz").unlink(missing_ok=True))
    assert Path("out.h5").read_bytes() == undisturbed
    with pytest.raises(FileNotFoundError, match=r"prior prior.npz: no such file"):
        volume("out.h5", prior="prior.npz")


def test_workers_that_do_not_see_the_input_end_the_run(folder):
    with pytest.raises(ValueError, match=r"worker: cannot read the input \(.*ksp.hdr: no such file"):
        volume("out.h5", jobs=1, callback=lambda *_: [shutil.move(f"ksp.{end}", "gone") for end in ("hdr", "cfl")])


@pytest.mark.parametrize("out", ["out.h5", "out"])
def test_a_disk_that_is_full_is_noticed_first(folder, out):
    process = command("ksp", out, "--jobs", 1, preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (70_000, 70_000)))
    error = process.communicate()[1]
    assert error.startswith(f"ERROR: output {out}: cannot write (") and "File too large" in error
    assert process.returncode == 1
    assert sorted(os.listdir()) == ["ksp.cfl", "ksp.hdr"]


def test_a_disk_that_fills_up_ends_the_run_and_the_next_goes_on(folder, undisturbed, here, monkeypatch):
    write, calls = os.write, []

    def full(descriptor, data):
        calls.append(data)
        if len(calls) == 4:
            write(descriptor, data[:30])
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=r"out.h5.manifest: cannot write \(No space left on device\)"):
        here.volume("out.h5")
    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset, pwrite=os.pwrite: pwrite(
        descriptor, data[:1000], offset))  # the system may write less than it is asked to
    here.done.clear()
    here.volume("out.h5")
    assert here.done == [2, 3, 4] and Path("out.h5").read_bytes() == undisturbed


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="no folder in which nobody can write")
def test_an_output_that_cannot_be_written_is_named(folder):
    with pytest.raises(OSError, match=r"output /sys/out.h5: cannot write there"):
        volume("/sys/out.h5")


@pytest.mark.parametrize("keywords, message", [
    ({"jobs": 0}, "jobs: expected a positive integer, got 0"),
    ({"warm_start": 0}, "warm_start: expected a positive integer, got 0"),
    ({"warm_start": 2, "maps": 2}, "warm_start: goes with one set of maps, got 2"),
    ({"send": True}, "send: goes with `scheduler`"),
    ({"iterations": 0}, "iterations: expected a positive integer, got 0"),
    ({"method": "none"}, "method: expected map"),
    ({"samples": 2, "method": "map"}, "samples: method map draws none"),
    ({"mask": np.ones((3, 3))}, "mask: expected a shape that broadcasts"),
    ({"maps": 2, "normalize": False}, "`maps=2` does not go with `normalize=False`"),
    ({"out": "ksp"}, "output ksp would overwrite the input"),
    ({"out": "out.ra"}, "output out.ra: expected a name that ends in .h5, or that of BART's cfl"),
    ({"out": "none/out.h5"}, "output none/out.h5: the folder none does not exist"),
    ({"device": "gpu"}, "no CUDA device"),
])
def test_bad_arguments_are_named(folder, keywords, message):
    if "device" in keywords:
        pytest.importorskip("numpy")
        if shutil.which("nvidia-smi"):
            pytest.skip("there is a GPU")
    with pytest.raises((ValueError, OSError), match=message):
        volume(**{"out": "out.h5", **keywords})


def test_help_is_quick():
    code = "import sys; from bart_pogmdm.commands.main import main; main(['volume', '-h'])"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert "--scheduler ADDRESS" in done.stdout and "numpy" not in done.stderr and done.returncode == 0


def children(process):
    """The processes that a process has started."""
    return [int(word) for task in Path(f"/proc/{process}/task").iterdir() for word in
            (task / "children").read_text().split()]


def wait_for(manifest, count, process):
    """Until so many lines are in a manifest."""
    for _ in range(3000):
        if (manifest.exists() and manifest.read_bytes().count(b"\n") >= count) or process.poll() is not None:
            return
        time.sleep(0.01)
    raise AssertionError("no slice in 30 seconds")


@pytest.mark.parametrize("victim", ["worker", "client", "all"])
def test_kills(folder, undisturbed, victim):
    """kill -9 at a random moment (`benchmarks/kills.py` does more of them)."""
    seed = random.randrange(1000)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(5):  # a run may be over before it is killed
        for path in Path().glob("out.h5*"):
            path.unlink()
        process = command("ksp", "out.h5", "--jobs", 2, start_new_session=True)
        wait_for(Path("out.h5.manifest"), rng.randrange(1, SLICES - 1), process)
        time.sleep(0.03 * rng.random())
        if victim == "all":
            os.killpg(process.pid, signal.SIGKILL)
        elif victim == "client":
            process.kill()
        elif workers_left := children(process.pid):
            os.kill(rng.choice(workers_left), signal.SIGKILL)
        error = process.communicate()[1]
        if victim == "worker" or process.returncode:
            break
    assert process.returncode == (0 if victim == "worker" else -9), error
    volume("out.h5", jobs=2)
    assert Path("out.h5").read_bytes() == undisturbed
    assert sorted(record["slice"] for record in lines("out.h5.manifest")[1:]) == list(range(SLICES))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_run_with_a_sentence(folder, undisturbed, signum):
    process = command("ksp", "out.h5", "--jobs", 1, preexec_fn=hear)
    wait_for(Path("out.h5.manifest"), 1, process)
    found = children(process.pid)
    process.send_signal(signum)
    error = process.communicate()[1]
    began = time.monotonic()
    while any(Path("/proc", str(worker)).exists() for worker in found):  # One that just starts ends by itself.
        assert time.monotonic() - began < 20
        time.sleep(0.02)
    assert process.returncode == -signum and error.count("\n") == 1
    assert error.startswith("ERROR: volume: interrupted after ") and "the same command goes on" in error
    volume("out.h5", jobs=1)
    assert Path("out.h5").read_bytes() == undisturbed


def test_a_slice_that_kills_its_worker_fails(folder, stack):
    """It is tried three times, and the other slices are done."""
    kspace, point = stack.copy(), np.zeros(SHAPE)
    point[20, 14] = 1
    kspace[2] = fft2c(point)
    cfl.write({"ksp": in_barts_order(kspace)})
    report = volume("out.h5", jobs=2, prior=DeadlyPrior())
    assert report.failed == {2: "3 processes that reconstructed it were killed (not enough memory?)"}
    assert Path("deaths").read_text() == "xxx"


SHARES = """
from bart_pogmdm.volume import workers
from bart_pogmdm.volume.plan import make_plan
job = make_plan("ksp").job
print(len(workers.environments(job, None, 1000)),
      *(one["OMP_NUM_THREADS"] for jobs in (None, 7) for one in workers.environments(job, jobs, 1)))
"""


def test_workers_share_the_cores_and_fit_into_the_memory(folder):
    """In a process with all cores, of which this one may have a part."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", SHARES], env=environment | {"PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, check=True)
    assert done.stdout.split() == 3 * [str(len(os.sched_getaffinity(0)))]
    job = make_plan("ksp").job
    large = replace(job, shape=(4096, 4096, 4096, 64, *job.shape[COIL + 1:]))
    assert len(workers.environments(large, None, 1000)) == 1 and len(workers.environments(large, 3, 1000)) == 3


def test_workers_that_do_not_start_end_the_run(folder):
    def on_nothing(job, blocks, count):
        yield from workers.on_processes(job, blocks, workers.environments(job, 2, count), executable="/bin/false")

    with pytest.raises(ValueError, match="workers: 3 processes ended before they were ready"):
        carry_out(make_plan("ksp", iterations=ITERATIONS), "out.h5", on_nothing)


def test_memory_of_a_worker_is_flat(folder, stack):
    """The file is much larger than the memory of the worker."""
    kspace = np.concatenate([stack] * 4)
    cfl.write({"ksp": in_barts_order(kspace)})
    found = []

    def look(done, count):
        for child in map(Path, (f"/proc/{number}" for number in children(os.getpid()))):
            if "volume.workers" in (child / "cmdline").read_text():
                found.append(int((child / "status").read_text().split("VmRSS:")[1].split()[0]) / 1024)

    volume("out.h5", jobs=1, callback=look)
    assert len(found) > 15 and found[-1] < found[5] + 5


@pytest.mark.parametrize("seconds", (0, 2))  # After a while the client no longer waits but connects anew.
def test_a_lost_scheduler_ends_the_run_and_the_next_goes_on(folder, undisturbed, seconds):
    pytest.importorskip("distributed")
    import dask
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = []

    def start(*words):
        started.append(subprocess.Popen([sys.executable, "-m", *words], env=environment, stderr=subprocess.DEVNULL))

    try:
        start("distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file", "file.json",
              "--no-dashboard")
        start("distributed.cli.dask_worker", "--scheduler-file", "file.json", "--nworkers", "1", "--nthreads", "1",
              "--no-dashboard")
        while not Path("file.json").exists():
            time.sleep(0.05)
        address = json.loads(Path("file.json").read_text())["address"]

        def lose_scheduler(done, _):
            if done == 2:
                started[0].kill()
                started[0].wait()
                time.sleep(seconds)

        with dask.config.set({"distributed.comm.timeouts.connect": "3s"}), \
                pytest.raises(ConnectionError, match=f"scheduler: the connection to {address} was lost"):
            volume("out.h5", scheduler=address, callback=lose_scheduler)
    finally:
        for process in started:
            process.kill()
            process.wait()
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), \
            pytest.raises(ConnectionError, match=f"scheduler: cannot connect to {address}"):
        volume("out.h5", scheduler=address)
    volume("out.h5", jobs=1)
    assert Path("out.h5").read_bytes() == undisturbed
