"""Reconstruction of a volume whose processes are killed at random moments: the output must have the same bytes.

usage: kills.py PART DATA [KILLS] [SEED]

PART: volume, cluster, compare, train, network.  DATA: complex_t2_images.npz, or another npz of
`images`.

A volume of 12 slices and 8 simulated coils is reconstructed by two processes, and by two workers of Dask.  Repeatedly a
worker, the client or the whole process group is killed with SIGKILL, and the same command is run again.  At the end the
bytes are compared with those of one undisturbed process.  Scheduler and workers of a Dask cluster, `compare` and
`train` are killed in the same way.  `network` needs root: it runs scheduler, workers and client in network namespaces
of their own, and restarts the scheduler during the run.
"""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from bart_pogmdm import load_prior, recon_volume
from bart_pogmdm.evaluate import masks, simulate

SLICES, COILS, NOISE, ITERATIONS = 12, 8, 0.005, 6
MASK = "cartesian4"
SIZE = 128  # Only the central part of an image is used; this is its side in pixels.
LONGEST = 600  # A run counts as hanging after this time in seconds.


def make_volume(images, path):
    """Write undersampled k-space of the images and of the mirrored images, as an HDF5 file like fastMRI's."""
    pictures = [image[::1 if number < len(images) else -1]
                for number, image in zip(range(SLICES), [*images, *images])]
    with h5py.File(path, "w") as file:
        file["mask"] = mask = masks.named(MASK, (SIZE, SIZE), 0)[0]
        file["kspace"] = np.stack([simulate.kspace(centre(image / abs(image).max()), COILS, NOISE, number) * mask
                                   for number, image in enumerate(pictures)])


def centre(image):
    first = [(n - SIZE) // 2 for n in image.shape]
    return image[first[0]:first[0] + SIZE, first[1]:first[1] + SIZE]


def command(folder, out, *words, prefix=()):
    return subprocess.Popen([*prefix, sys.executable, "-m", "bart_pogmdm", "volume", f"-i{ITERATIONS}", "volume.h5",
                             out, *words], cwd=folder, start_new_session=True, stderr=subprocess.PIPE, text=True)


def descendants(process):
    """Return the ids of all processes below one."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


def workers(process):
    """Return the ids of the workers below the client: ours, or Dask's, which are below their nannies.

    The processes in which workers read have the same words.
    """
    def words(number):
        try:
            return Path(f"/proc/{number}/cmdline").read_text()
        except OSError:
            return ""
    found = [number for number in descendants(process)
             if "volume.workers" in words(number) or "spawn_main" in words(number)]
    readers = {reader for number in found for reader in descendants(number)}
    return [number for number in found if number not in readers]


def lines(manifest):
    return [json.loads(line) for line in manifest.read_text().splitlines()] if manifest.exists() else []


def attack(folder, out, words, victim, rng):
    """Run the command and kill the victim at a random moment; return a description, and True if the run is complete."""
    manifest = folder / f"{out}.manifest"
    before = max(0, len(lines(manifest)) - 1)
    process, delay = command(folder, out, *words), rng.uniform(0.5, 20)
    time.sleep(delay)
    if victim == "worker":
        while process.poll() is None and not workers(process.pid):
            time.sleep(0.01)
    if process.poll() is not None:
        assert process.returncode == 0, process.communicate()[1]
        return None, True
    at = max(0, manifest.read_bytes().count(b"\n") - 1 if manifest.exists() else 0)
    if victim == "worker":
        os.kill(rng.choice(workers(process.pid)), signal.SIGKILL)
    elif victim == "client":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    error = process.communicate(timeout=LONGEST)[1]
    if victim != "worker":
        assert process.returncode == -signal.SIGKILL, error
    elif process.returncode:  # Dask does not replace a worker that has not started yet.
        assert process.returncode == 1 and error.startswith("ERROR: scheduler: the local cluster did not start"), error
    torn = ", last line torn" if manifest.exists() and not manifest.read_bytes().endswith(b"\n") else ""
    said = f": {error.strip()}" if process.returncode == 1 else torn
    return f"after {delay:4.1f} s, slices {before} -> {at}{said}", process.returncode == 0


def check(folder, out, wanted):
    """Assert that every slice is written once, with the wanted bytes, and that no other file is left."""
    records = [line["slice"] for line in lines(folder / f"{out}.manifest")[1:]]
    assert sorted(records) == list(range(SLICES)), records
    assert (folder / out).read_bytes() == wanted, "the bytes differ"
    left = [path.name for path in folder.iterdir() if path.name.startswith((f"{out}.", f".{out}"))]
    assert left == [f"{out}.manifest"], left


def finish(folder, out, words, prefix=()):
    process = command(folder, out, *words, prefix=prefix)
    error = process.communicate(timeout=LONGEST)[1]
    assert process.returncode == 0, error


def campaign(folder, wanted, kills, seed):
    rng, done, volumes = random.Random(seed), 0, 0
    print(f"seed {seed}")
    while done < kills:
        words = rng.choice([["--jobs", "2"], ["--scheduler", "local", "--jobs", "2"]])
        out, volumes = f"out{volumes}.h5", volumes + 1
        is_over = False
        while not is_over and done < kills:
            victim = rng.choice(["worker", "client", "group"])
            happened, is_over = attack(folder, out, words, victim, rng)
            if happened:
                done += 1
                print(f"{done:3} {'dask ' if len(words) > 2 else 'local'} {victim:6} {happened}", flush=True)
        finish(folder, out, words)
        check(folder, out, wanted)
        print(f"    {out}: whole, once, and the same bytes", flush=True)
    return done


def dask_campaign(folder, wanted, kills, seed):
    """Kill the scheduler or a worker of a cluster that others started; a lost worker costs nothing."""
    rng = random.Random(seed)
    for number in range(kills):
        victim, out, address = ("scheduler", "worker")[number % 2], f"cluster{number}.h5", folder / f"{number}.json"
        words = ["--scheduler-file", str(address), "--no-dashboard"]
        call = [sys.executable, "-m", "distributed.cli.dask_"]
        cluster = [subprocess.Popen([*call[:-1], f"{call[-1]}{kind}", *words, *more], stderr=subprocess.DEVNULL,
                                    start_new_session=True)
                   for kind, more in (("scheduler", ["--port", "0", "--host", "127.0.0.1"]),
                                      ("worker", ["--nworkers", "2", "--nthreads", "1"]))]
        try:
            while not address.exists():
                time.sleep(0.05)
            url, manifest = json.loads(address.read_text())["address"], folder / f"{out}.manifest"
            process, least = command(folder, out, "--scheduler", url), rng.randrange(1, SLICES - 1)
            while len(lines(manifest)) <= least and process.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.5))
            killed = cluster[0].pid if victim == "scheduler" else rng.choice(workers(cluster[1].pid))
            os.kill(killed, signal.SIGKILL)
            error = process.communicate(timeout=LONGEST)[1]
            print(f"{number + 1:3} {victim} after {least} slices: exit code {process.returncode} {error.strip()}")
            assert not process.returncode or (victim == "scheduler" and error.startswith("ERROR: scheduler: ")
                                              and error.count("\n") == 1), error
        finally:
            for process in cluster:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        finish(folder, out, ["--jobs", "2"])
        check(folder, out, wanted)
    return kills


def interrupted(call, folder, kills, longest, rng, is_whole, remove):
    """Kill a command at random moments of its first `longest` seconds; after each kill `is_whole()` must be true.

    Where it ends before, `remove()` removes its outputs, and it starts again.
    """
    done = 0
    while done < kills:
        process = subprocess.Popen(call(), cwd=folder, stderr=subprocess.PIPE, text=True)
        try:
            error = process.communicate(timeout=rng.uniform(1, longest))[1]
            assert process.returncode == 0, error
            remove()
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            is_whole()
            done += 1
    run = subprocess.run(call(), cwd=folder, capture_output=True, text=True, check=False, timeout=LONGEST)
    assert run.returncode == 0, run.stderr
    return kills


def load_all(*paths):
    """Read npz files, which fails if one is not complete."""
    for path in paths:
        with np.load(path) as file:
            dict(file)


def compare_campaign(folder, data, kills, seed):
    """Kill `compare`: every stored image is complete, and the scores are those of an undisturbed run."""
    def call(out):
        return [sys.executable, "-m", "bart_pogmdm", "compare", str(data), "--masks", "cartesian4", "gaussian8",
                "--methods", "zero-filled", "joint-tv", "pogmdm", "--coils", "4", "--out", out]

    def scores(out):
        with open(folder / out / "results.csv") as file:
            return [row | {"seconds": ""} for row in csv.DictReader(file)]

    began = time.perf_counter()
    subprocess.run(call("undisturbed"), cwd=folder, capture_output=True, check=True)
    longest = time.perf_counter() - began
    out = folder / "compared"
    done = interrupted(lambda: call(out.name), folder, kills, 0.8 * longest, random.Random(seed),
                       lambda: load_all(*out.glob("images/[!.]*")), lambda: shutil.rmtree(out))
    assert scores(out.name) == scores("undisturbed")
    hidden = len(list(out.glob("images/.*")))
    print(f"compare ({longest:.0f} s): the same scores; {hidden} hidden files left")
    return done


TRAIN = """
import sys
from bart_pogmdm.commands.train import train
from bart_pogmdm.train.recipe import Recipe, ValidationRules
train(sys.argv[1:], Recipe(validation=ValidationRules(interval=2)))
"""


def train_campaign(folder, images, kills, seed):
    """Kill `train`: checkpoint and log are complete, and the prior is that of an undisturbed run."""
    def call(out):
        resume = ["--resume"] if (folder / out).with_suffix(".ckpt").exists() else []
        return [sys.executable, "-c", TRAIN, "--images", images, "--out", out, "--steps", "60", "--batch", "2",
                "--patch", "65", "--keep-rules", *resume]

    np.save(folder / images, abs(np.load(folder / "pictures.npz")["images"]))
    began = time.perf_counter()
    subprocess.run(call("undisturbed.npz"), cwd=folder, capture_output=True, check=True)
    longest = time.perf_counter() - began
    done = interrupted(lambda: call("trained.npz"), folder, kills, 0.6 * longest, random.Random(seed),
                       lambda: load_all(*folder.glob("trained.npz")),
                       lambda: [path.unlink() for path in folder.glob("trained.*")])
    assert load_prior(folder / "trained.npz").digest == load_prior(folder / "undisturbed.npz").digest
    assert (folder / "trained.csv").read_bytes() == (folder / "undisturbed.csv").read_bytes()
    hidden = len(list(folder.glob(".trained*")))
    print(f"train ({longest:.0f} s): the same prior; {hidden} hidden files left")
    return done


def namespaces(folder, wanted):
    """Run scheduler, two workers and the client at four addresses of a bridge."""
    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    names, started = [f"pogmdm{i}" for i in range(4)], []

    def start(name, *words):
        log = open(folder / f"{words[0].rpartition('_')[2]}.log", "a")  # noqa: SIM115
        started.append(subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-m", *words], cwd=folder,
                                        stdout=log, stderr=log))
        return started[-1]

    def scheduler():
        return start(names[0], "distributed.cli.dask_scheduler", "--host", "10.77.0.1", "--port", "8786",
                     "--no-dashboard")

    def worker(number):
        return start(names[number], "distributed.cli.dask_worker", "tcp://10.77.0.1:8786", "--host",
                     f"10.77.0.{number + 1}", "--nworkers", "1", "--nthreads", "1", "--no-dashboard")

    ip("link", "add", "pogmdm", "type", "bridge")
    try:
        ip("link", "set", "pogmdm", "up")
        for number, name in enumerate(names):
            ip("netns", "add", name)
            ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b")
            ip("link", "set", f"{name}a", "master", "pogmdm", "up")
            ip("link", "set", f"{name}b", "netns", name)
            ip("-n", name, "addr", "add", f"10.77.0.{number + 1}/24", "dev", f"{name}b")
            ip("-n", name, "link", "set", f"{name}b", "up")
            ip("-n", name, "link", "set", "lo", "up")
        first = scheduler()
        time.sleep(2)
        worker(1), worker(2)
        prefix, words = ["ip", "netns", "exec", names[3]], ["--scheduler", "tcp://10.77.0.1:8786"]
        process, manifest = command(folder, "net.h5", *words, prefix=prefix), folder / "net.h5.manifest"
        while len(lines(manifest)) < 4:
            time.sleep(0.05)
        first.kill()
        first.wait()
        second = scheduler()
        error = process.communicate(timeout=LONGEST)[1]
        print(f"    scheduler restarted after {len(lines(manifest)) - 1} slices: exit code {process.returncode},"
              f" {error.strip()}")
        assert process.returncode == 1 and error.startswith("ERROR: scheduler: ") and error.count("\n") == 1, error
        for number in (1, 2):  # Dask's workers end with their scheduler.
            started[number].wait(timeout=60)
            worker(number)
        finish(folder, "net.h5", [*words, "--send"], prefix)
        check(folder, "net.h5", wanted)
        print("    the same command again: whole, once, and the same bytes")
        assert second.poll() is None
        return 1
    finally:
        for process in started:
            process.kill()
            process.wait()
        for name in names:
            ip("netns", "del", name)
        ip("link", "del", "pogmdm")


def main(part, data, kills=20, seed=0):
    kills, seed = int(kills), int(seed)
    with tempfile.TemporaryDirectory() as name, np.load(data) as file:
        folder, wanted = Path(name), b""
        if part in ("volume", "cluster", "network"):
            make_volume(file["images"], folder / "volume.h5")
            recon_volume(folder / "volume.h5", folder / "wanted.h5", iterations=ITERATIONS, jobs=1)
            wanted = (folder / "wanted.h5").read_bytes()
        np.savez(folder / "pictures.npz", images=[centre(image) for image in file["images"]])
        parts = {"volume": lambda: campaign(folder, wanted, kills, seed),
                 "cluster": lambda: dask_campaign(folder, wanted, kills, seed),
                 "compare": lambda: compare_campaign(folder, folder / "pictures.npz", kills, seed),
                 "train": lambda: train_campaign(folder, "images.npy", kills, seed),
                 "network": lambda: namespaces(folder, wanted)}
        print(f"{parts[part]()} tried, 0 faults")


if __name__ == "__main__":
    main(*sys.argv[1:])
