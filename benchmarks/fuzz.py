"""Damaged files for every reader: each must be read, or refused with one sentence that names it.

usage: fuzz.py [FILES] [SEED] [FOLDER]

Good files are changed at random: bits, runs of bytes, numbers in headers, declared sizes, single samples, the content
of archives with right checksums, truncations, and files in the place of others.  Each is read in a process of its own.
A fault is any other error, an error of several lines, a warning, a crash, more than 20 s, more memory than 1 GiB and
four times the file, or an image that is not finite.  Of the k-space that is accepted, a part is reconstructed.  Files
with faults are kept in FOLDER.  The exit code is 1 if there are faults.
"""

import gc
import io
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import h5py
import ismrmrd
import numpy as np

from bart_pogmdm import load_prior, recon
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.arrays.doubts import ReconstructionWarning
from bart_pogmdm.evaluate import masks, simulate
from bart_pogmdm.evaluate.cases import cases, load_scans
from bart_pogmdm.files import streams
from bart_pogmdm.files.cfl import read, write
from bart_pogmdm.files.kspace import load
from bart_pogmdm.train.checkpoint import read_checkpoint
from bart_pogmdm.train.images import Series, load_series
from bart_pogmdm.train.loop import TrainingRun, train_prior
from bart_pogmdm.train.recipe import Config
from bart_pogmdm.volume.manifest import Manifest

SHAPE, COILS = (24, 20), 4
LONGEST = 20            # seconds
LEAST_MEMORY = 1 << 30  # bytes, or four times the file
SAFETY = 8 << 30        # bytes; no process may take more from this machine
PART = 0.2              # of the accepted files, to be reconstructed
SWOLLEN = 700           # MiB that a swollen member of an archive unpacks to
CONFIG = Config(steps=1, batch=2, patch=65)
NUMBERS = (b"0", b"-1", b"1", b"2147483648", b"9223372036854775807", b"99999999999999999999", b"4000000000", b"nan",
           b"1e999", b"-0.5", b"65536")
WORDS = [value.to_bytes(width, "little", signed=value < 0) for width in (2, 4, 8) for value in (
    0, 1, -1, 2, 255, 1 << 8 * width - 2, (1 << 8 * width - 1) - 1, 1 << 8 * width - 5)]
SAMPLES = [np.float32(value).tobytes() for value in (np.nan, np.inf, 1e38, -1e38, 1e30, 1e-38, 1e-45, 0, -32768)]


def make_files(folder):
    """Write good files of each kind; return {reader: files, of which the first are changed}."""
    kspace, mask = simulate.kspace(simulate.phantom(SHAPE), COILS, 0.005, 0), masks.named("gaussian2", SHAPE, 0)
    kspace = (kspace * mask).astype(np.complex64)
    large = np.random.default_rng(0).random((2, 70, 72)).astype(np.float32) + 0.1
    at, found = folder.joinpath, {}
    for name, array in (("k", to_bart(kspace)), ("pattern", mask), ("start", np.ones(SHAPE)),
                        ("sens", to_bart(np.ones_like(kspace)))):
        write({at(name): array})
    write({at("k.ra"): to_bart(kspace)})
    np.savez(at("stored.npz"), kspace=kspace, mask=mask)
    np.savez_compressed(at("packed.npz"), kspace=kspace, mask=mask)
    np.save(at("k.npy"), kspace)
    for name, options in (("plain.h5", {}), ("chunked.h5", {"compression": "gzip", "chunks": (1, COILS, *SHAPE)})):
        with h5py.File(at(name), "w") as file:
            file.create_dataset("kspace", data=kspace[None], **options)
            file["mask"] = np.ones(SHAPE[1], np.float32)
    write_raw(at("raw.h5"), kspace)
    angles = np.pi * np.arange(24) / 24
    spokes = np.stack([np.cos(angles), np.sin(angles), 0 * angles])[:, None] * np.linspace(-10, 10, 40)[None, :, None]
    samples = np.exp(1j * np.random.default_rng(1).standard_normal((1, 40, 24, COILS)))
    write({at("traj"): spokes, at("radial"): samples})
    load_prior().save(at("prior.npz"))
    train_prior(CONFIG, *2 * [[Series((large[0],), "noise", "CC0")]], at("run.ckpt"))
    np.save(at("images.npy"), large)
    np.savez_compressed(at("images.npz"), images=large)
    with h5py.File(at("images.h5"), "w") as file:
        file.create_dataset("a/b", data=large, compression="gzip")
    np.savez(at("reference.npz"), kspace=kspace, reference=np.abs(simulate.phantom(SHAPE)).astype(np.float32))
    np.savez_compressed(at("masks.npz"), reference__lines__0=mask)
    with Manifest(at("m.manifest"), HEADER, ("image",), False) as manifest:
        manifest.begin()
        for number in range(3):
            manifest.add({"slice": number, "input": 64 * "a", "image": 64 * "b", "noise_std": 0.1})
    with open(at("stream"), "wb") as file:
        streams.write_stream(file, to_bart(kspace), "pogmdm", messages=True)
    for name in ("k", "stored.npz", "packed.npz", "k.npy", "plain.h5", "chunked.h5", "raw.h5", "k.ra"):
        found[f"k-space {name}"] = [f"{name}{ending}" for ending in (("", ".hdr", ".cfl") if name == "k" else ("",))
                                    if at(f"{name}{ending}").exists()]
    found |= {name: [f"{name}.hdr", f"{name}.cfl"] for name in ("pattern", "start", "sens", "traj")}
    return found | {name: [name] for name in ("prior.npz", "run.ckpt", "images.npy", "images.npz", "images.h5",
                                              "reference.npz", "masks.npz", "m.manifest", "stream")}


HEADER = {"source": "a.npz", "shape": [24, 20, 1, 4]}


def write_raw(path, kspace):
    space = ismrmrd.xsd.encodingSpaceType(matrixSize=ismrmrd.xsd.matrixSizeType(x=SHAPE[1], y=SHAPE[0], z=1),
                                          fieldOfView_mm=ismrmrd.xsd.fieldOfViewMm(x=200.0, y=200.0, z=5.0))
    header = ismrmrd.xsd.ismrmrdHeader(
        experimentalConditions=ismrmrd.xsd.experimentalConditionsType(H1resonanceFrequency_Hz=63500000),
        encoding=[ismrmrd.xsd.encodingType(
            encodedSpace=space, reconSpace=space, trajectory=ismrmrd.xsd.trajectoryType.CARTESIAN,
            encodingLimits=ismrmrd.xsd.encodingLimitsType(kspace_encoding_step_1=ismrmrd.xsd.limitType(
                minimum=0, maximum=SHAPE[0] - 1, center=SHAPE[0] // 2)))])
    dataset = ismrmrd.Dataset(path, "dataset", create_if_needed=True)
    dataset.write_xml_header(header.toXML())
    for row in range(SHAPE[0]):
        line = ismrmrd.Acquisition.from_array(np.ascontiguousarray(kspace[:, row]), center_sample=SHAPE[1] // 2)
        line.idx.kspace_encode_step_1 = row
        dataset.append_acquisition(line)
    dataset.close()


def mutate(rng, content, others):
    """Return damaged content and the name of the damage."""
    data, kind = bytearray(content), rng.choice(["bits", "run", "text", "word", "word", "sample", "cut", "insert",
                                                 "remove", "append", "swap", "inside", "inside"])
    if kind == "inside" and not content.startswith(b"PK"):
        kind = "word"
    near = 600 if rng.random() < 0.5 else len(data)
    place = rng.randrange(max(1, min(near, len(data))))
    if kind == "bits":
        for _ in range(rng.choice((1, 1, 2, 8))):
            where = rng.randrange(max(1, min(near, len(data))))
            data[where:where + 1] = bytes(byte ^ 1 << rng.randrange(8) for byte in data[where:where + 1])
    elif kind == "run":
        size = rng.choice((1, 4, 8, 64, 512))
        data[place:place + size] = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))
    elif kind == "text" and (numbers := list(re.finditer(rb"-?\d+", content[:1 << 16]))):
        one = rng.choice(numbers)
        data[one.start():one.end()] = rng.choice(NUMBERS)
    elif kind in ("word", "text"):
        word = rng.choice(WORDS)
        place -= place % rng.choice((1, len(word)))
        data[place:place + len(word)] = word
    elif kind == "sample":
        place = len(data) - 4 - 4 * rng.randrange(max(1, len(data) // 4 - 1))
        data[max(0, place):max(0, place) + 4] = rng.choice(SAMPLES)
    elif kind == "cut":
        del data[rng.choice((0, place, len(data) - 1)):]
    elif kind == "insert":
        data[place:place] = rng.randbytes(rng.choice((1, 8, 100)))
    elif kind == "remove":
        del data[place:place + rng.choice((1, 8, 100))]
    elif kind == "append":
        data += rng.choice((b"\0", rng.randbytes(1000), content))
    elif kind == "swap":
        data[:] = rng.choice(others)
    else:
        return repack(rng, content, others), kind
    return bytes(data), kind


def repack(rng, content, others):
    """Return an archive with one member damaged and all checksums right."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        names = old.namelist()
        chosen = rng.choice(names)
        for name in names:
            inside, one = old.read(name), zipfile.ZipInfo(name)
            swells = name == chosen and rng.random() < 0.01
            if name == chosen and not swells:
                inside = mutate(rng, inside, others)[0]
            one.compress_type = zipfile.ZIP_DEFLATED if swells else old.getinfo(name).compress_type
            with new.open(one, "w") as member:
                member.write(inside)
                for _ in range(SWOLLEN if swells else 0):
                    member.write(bytes(1 << 20))
            if swells and rng.random() < 0.5:  # The directory of the archive states the size of before.
                one.file_size, one.CRC = len(inside), zlib.crc32(inside)
    return packed.getvalue()


def use(reader, folder, is_chosen):
    """Read the file as the package does; if it is chosen, go on to the image."""
    at = folder.joinpath
    if reader.startswith("k-space "):
        kspace, pattern = load(at(reader[8:]))
        return is_chosen and image_of(kspace, pattern)
    if reader in ("pattern", "start", "sens", "traj"):
        array = read(at(reader))
        if reader == "traj":
            return is_chosen and image_of(read(at("radial")), traj=array)
        return is_chosen and image_of(read(at("k")), **{{"pattern": "mask"}.get(reader, reader): array})
    if reader == "prior.npz":
        prior = load_prior(at(reader))
        return is_chosen and image_of(read(at("k")), prior=prior)
    if reader == "run.ckpt":
        read_checkpoint(at(reader))
        return TrainingRun(CONFIG).load(at(reader))
    if reader.startswith("images"):
        return all(np.isfinite(image).all() for one in load_series([at(reader)], 66)[0] for image in one.images)
    if reader in ("reference.npz", "masks.npz"):
        return [case for case in cases(load_scans([at("reference.npz")]), [str(at("masks.npz"))], 1)
                if check_finite(case.kspace, case.reference)]
    if reader == "m.manifest":
        with Manifest(at(reader), HEADER, ("image",), False) as manifest:
            return json.dumps(manifest.records)
    with open(at(reader), "rb") as file:
        return streams.read_stream(file).array.shape


def image_of(kspace, *mask, **options):
    result = recon(kspace, *mask, iterations=2, **options)
    return check_finite(result.image, result.sens)


def check_finite(*arrays):
    if not all(np.isfinite(array).all() for array in arrays):
        raise AssertionError("not finite")
    return True


def attempt(reader, folder, names, is_chosen, pipe):
    """Read in this process, send [outcome, text], and end."""
    outcome = ["fault", "no outcome"]
    try:
        resource.setrlimit(resource.RLIMIT_AS, (SAFETY, SAFETY))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                use(reader, folder, is_chosen)
                outcome = ["accepted", ""]
            except (ValueError, OSError, TypeError, MemoryError) as error:
                text = str(error)
                named = is_chosen or any(name in text for name in (*names, reader.split()[-1], "'-'"))
                is_fault = "\n" in text or not text or not named
                outcome = ["fault" if is_fault else "refused", f"{type(error).__name__}: {text}"]
        strange = [str(one.message) for one in caught if not issubclass(one.category, ReconstructionWarning)]
        if strange:
            outcome = ["fault", f"warning: {strange[0]}"]
    except BaseException as error:
        outcome = ["fault", f"{type(error).__name__}: {error}"]
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    os.write(pipe, json.dumps([*outcome, children])[:60000].encode())
    os._exit(0)


def apart(call):
    """Return the result of a call in another process, so that this one stays small: it is copied for every file."""
    receiving, sending = os.pipe()
    if os.fork() == 0:
        os.write(sending, json.dumps(call()).encode())
        os._exit(0)
    os.close(sending)
    with open(receiving, "rb") as results:
        return json.load(results)


def watch(reader, folder, names, is_chosen):
    """Return (outcome, text) of a file, read in a process of its own."""
    size, baseline = max(path.stat().st_size for path in folder.iterdir()), resource.getrusage(
        resource.RUSAGE_SELF).ru_maxrss
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        attempt(reader, folder, names, is_chosen, sending)
    os.close(sending)
    hangs = not select.select([receiving], [], [], LONGEST)[0]
    text = b"" if hangs else os.read(receiving, 1 << 16)
    os.close(receiving)
    if hangs:
        os.killpg(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    if hangs or not text:
        return "fault", f"no end in {LONGEST} s" if hangs else f"died of {os.WTERMSIG(status)}"
    outcome, text, children = json.loads(text)
    memory = 1024 * (max(usage.ru_maxrss, children) - baseline)
    if memory > max(LEAST_MEMORY, 4 * size):
        return "fault", f"{memory / 2**20:.0f} MiB of memory for {size} bytes ({text})"
    return outcome, text


def main(files=10000, seed=0, keep="faults"):
    os.environ["OMP_NUM_THREADS"] = "1"
    counts, began, shown = Counter(), time.perf_counter(), set()
    with tempfile.TemporaryDirectory() as name:
        good, work = Path(name, "good"), Path(name, "work")
        good.mkdir()
        readers = apart(lambda: make_files(good))
        contents = {path.name: path.read_bytes() for path in good.iterdir() if path.stat().st_size < 1 << 20}
        gc.freeze()
        image_of(read(good / "k"))  # What is compiled here, the processes need not compile.
        for number in range(int(files)):
            rng = random.Random(f"{seed} {number}")
            reader = list(readers)[number % len(readers)]
            names = [name for name in readers[reader] if name in contents]
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(good, work)
            chosen = rng.choice(names)
            content, kind = mutate(rng, contents[chosen], list(contents.values()))
            (work / chosen).write_bytes(content)
            outcome, text = watch(reader, work, names, rng.random() < PART)
            counts[reader, outcome] += 1
            if number % 1000 == 999:
                print(f"{number + 1} files, {time.perf_counter() - began:.0f} s", flush=True)
            if outcome == "fault":
                Path(keep).mkdir(parents=True, exist_ok=True)
                (Path(keep) / f"{seed}-{number}-{chosen}").write_bytes(content)
                if (reader, text[:40]) not in shown:
                    shown.add((reader, text[:40]))
                    print(f"{number} {reader} ({kind} in {chosen}): {text[:300]}", flush=True)
    print(f"{'reader':22}{'files':>8}{'accepted':>10}{'refused':>9}{'faults':>8}")
    for reader in [*readers, "all"]:
        row = [sum(n for (one, outcome), n in counts.items() if reader in (one, "all") and outcome in wanted)
               for wanted in (("accepted", "refused", "fault"), ("accepted",), ("refused",), ("fault",))]
        print(f"{reader:22}{row[0]:8}{row[1]:10}{row[2]:9}{row[3]:8}")
    print(f"{row[0]} tried, {row[3]} faults")
    return row[3] > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
