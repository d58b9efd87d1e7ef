"""Disks and folders that fail during a run: it works, or ends in one line of error and can be continued.

usage: mishaps.py PART DATA

PART: folders, full, filled, input.  DATA: complex_t2_images.npz, or another npz of complex `images`.  Needs root, to
mount.

`volume`, `pogmdm`, `compare` and `train` run with a home and a package folder that are read-only, without /dev/shm, and
on a disk that is full from the beginning or becomes full during the run.  The input of a volume is changed between two
runs.  No output may be incomplete, and the bytes at the end are those of an undisturbed run.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from kills import COILS, ITERATIONS, MASK, SIZE, centre, check, command, finish, lines, make_volume

import bart_pogmdm
from bart_pogmdm import recon_volume
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.evaluate import masks, simulate
from bart_pogmdm.files.cfl import write

COMMANDS = {
    "pogmdm": ["-i2", "--samples", "2", "--keep", "disk/all", "ksp", "disk/image", "disk/sens", "disk/std"],
    "compare": ["compare", "pictures.npz", "--masks", MASK, "--methods", "zero-filled", "--coils", "2",
                "--out", "disk/compared"],
    "train": ["train", "--images", "pictures.npz", "--out", "disk/prior.npz", "--steps", "2", "--batch", "2",
              "--patch", "65", "--keep-rules"],
    "volume": ["volume", f"-i{ITERATIONS}", "--jobs", "2", "volume.h5", "disk/volume.h5"]}


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def run(folder, words, **environment):
    return subprocess.run([sys.executable, "-m", "bart_pogmdm", *words], cwd=folder, capture_output=True, text=True,
                          check=False, env=os.environ | environment)


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def failing_folders(folder):
    """Run all commands with folders in which nothing can be written, then without /dev/shm as well."""
    home, package = folder / "home", Path(bart_pogmdm.__file__).parents[1]
    home.mkdir()
    mount("-t", "tmpfs", "-o", "ro", "none", str(home))
    mount("--bind", str(package), str(package))
    mount("-o", "remount,ro,bind", str(package))
    finish(folder, "dask.h5", ["--scheduler", "local", "--jobs", "2"])
    print("    volume on a local Dask cluster: exit code 0")
    mount("-t", "tmpfs", "-o", "ro", "none", "/dev/shm")
    for name, words in COMMANDS.items():
        done = run(folder, words, HOME=str(home))
        assert done.returncode == 0, done.stderr
        print(f"    {name}: exit code 0, {len(left(folder / 'disk'))} files")
        for path in (folder / "disk").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    process = command(folder, "dask2.h5", "--scheduler", "local", "--jobs", "2")
    error = process.communicate()[1]  # Its processes need semaphores, which are files in /dev/shm.
    print(f"    volume on a local Dask cluster without /dev/shm: exit code {process.returncode} {error.strip()}")
    assert not process.returncode or (error.startswith("ERROR: scheduler: ") and error.count("\n") == 1), error
    for path in (package, "/dev/shm", home):
        subprocess.run(["umount", str(path)], check=True)
    return len(COMMANDS) + 2


def full_from_the_beginning(folder):
    """Run all commands on disks of several sizes, up to one that suffices."""
    tried = 0
    for name, words in COMMANDS.items():
        for kilobytes in (8, 64, 256, 1024, 8192, 262144):
            mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder / "disk"))
            done, tried = run(folder, words), tried + 1
            errors = [line for line in done.stderr.splitlines() if line.startswith(("ERROR", "Traceback"))]
            files = left(folder / "disk")
            subprocess.run(["umount", str(folder / "disk")], check=True)
            hidden = [path for path in files if Path(path).name[0] == "." or path.endswith((".partial", ".layout"))]
            print(f"    {name}, {kilobytes} kB: exit code {done.returncode} {' '.join(errors)}; {len(files)} files")
            assert not hidden and (not errors if done.returncode == 0 else len(errors) == 1), (done.stderr, files)
            if done.returncode == 0:
                break
            assert name in ("compare", "train") or not files, files  # Complete images and checkpoints may stay.
        assert done.returncode == 0, done.stderr
    return tried


def full_during_the_run(folder):
    """Fill the disk after some slices; when there is space again, the same command continues."""
    recon_volume(folder / "volume.h5", folder / "wanted.h5", iterations=ITERATIONS, jobs=2)
    wanted = (folder / "wanted.h5").read_bytes()
    mount("-t", "tmpfs", "-o", f"size={len(wanted) + 100_000}", "none", str(folder / "disk"))
    out = "disk/volume.h5"
    process, manifest = command(folder, out, "--jobs", "2"), folder / f"{out}.manifest"
    while len(lines(manifest)) < 3 and process.poll() is None:
        time.sleep(0.01)
    with open(folder / "disk/filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            print(f"    full after {len(lines(manifest)) - 1} slices: ", end="")
    error = process.communicate()[1]
    print(f"exit code {process.returncode} {error.strip()}")
    assert process.returncode == 1 and error.startswith(f"ERROR: {out}") and error.count("\n") == 1, error
    (folder / "disk/filler").unlink()
    finish(folder, out, ["--jobs", "2"])
    check(folder / "disk", "volume.h5", wanted)
    subprocess.run(["umount", str(folder / "disk")], check=True)
    print("    the same command again: whole, once, and the same bytes")
    return 1


def changed_input(folder):
    """Change k-space or mask after some slices: the next run refuses to mix them."""
    for what in ("kspace", "mask"):
        out = f"{what}.h5"
        process, manifest = command(folder, out, "--jobs", "2"), folder / f"{out}.manifest"
        while len(lines(manifest)) < 4 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        shutil.copy(folder / "volume.h5", folder / "kept.h5")
        with h5py.File(folder / "volume.h5", "r+") as file:
            found = file[what][()]
            file[what][...] = found[::-1] if what == "kspace" else found | (np.arange(SIZE) % 2 == 0)
        process = command(folder, out, "--jobs", "2")
        error = process.communicate()[1]
        print(f"    {what} changed: exit code {process.returncode} {error.strip()}")
        assert process.returncode == 1 and "--restart" in error and error.count("\n") == 1, error
        os.replace(folder / "kept.h5", folder / "volume.h5")
        finish(folder, out, ["--jobs", "2"])
    return 2


def main(part, data):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, np.load(data) as file:
        folder = Path(name)
        make_volume(file["images"], folder / "volume.h5")
        images = [centre(image) for image in file["images"]]
        np.savez(folder / "pictures.npz", images=images)
        write({folder / "ksp": to_bart(simulate.kspace(images[0] / abs(images[0]).max(), COILS, 0.005, 0)
                                       * masks.named(MASK, (SIZE, SIZE), 0))})
        (folder / "disk").mkdir()
        tried = PARTS[part](folder)
    print(f"{tried} tried, 0 faults")


PARTS = {"folders": failing_folders, "full": full_from_the_beginning, "filled": full_during_the_run,
         "input": changed_input}

if __name__ == "__main__":
    if os.environ.get("MISHAPS") != "private":  # Mounts of a namespace of its own vanish with it.
        os.environ["MISHAPS"] = "private"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
    main(*sys.argv[1:])
