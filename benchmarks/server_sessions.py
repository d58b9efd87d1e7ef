"""The server of the MRD protocol under many, dying and damaged clients: equal bytes, and no growth.

usage: server_sessions.py [SESSIONS] [DAMAGED] [SEED]

SESSIONS scans (100) one after the other, then four at once, whose answers must have the bytes of `recon` of the same
data from a file.  The clients at once have different data, and each must get its own.  Then clients are killed by
SIGKILL at random moments, and DAMAGED sessions (1000) are sent whose bytes are changed at random: bits, lengths, left
out, repeated and exchanged parts, numbers of messages, ends, foreign protocols; between them healthy ones.  A fault is
another answer, an answer of several lines, a session that does not end, or growth of memory, descriptors, processes or
temporary files of the server.  Needs `ismrmrd` and `psutil`.  The exit code is 1 if there are faults.
"""

import json
import os
import random
import resource
import signal
import socket
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from conftest import simulate
from mrd_client import CLOSE, HEADER, IMAGE, TEXT, Client, server, wait_until
from raw_data import HEADER as XML
from raw_data import encoding, lines, write_raw

from bart_pogmdm import recon
from bart_pogmdm.files.ismrmrd_images import IMAGE_HEADER, PIXELS
from bart_pogmdm.files.kspace import load

NX, NY, COILS = 32, 28, 3
OPTIONS = {"iterations": 2}
MATRIX = encoding((NX, NY))
KINDS = [struct.pack("<H", kind) for kind in (1, 2, 3, 4, 5, 1008, 1022, 1026, 0, 6, 999, 65535)]
FOREIGN = (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-x\r\n",
           b"\x00" * 4096, b"")
PATIENCE = 20.0         # seconds after which a client with damaged data gives up
LONGEST = 60.0          # seconds without an answer after which a session counts as hanging
RSS_GROWTH = 4 << 20    # bytes: of the parent, which holds no data of clients
TEMPORARY = Path(tempfile.mkdtemp(prefix="pogmdm-server-"))


class Recorder(Client):
    """A client that only records what it would send, part by part."""

    def __init__(self):
        self.parts = []

    def send(self, kind, content=b""):
        self.parts.append(struct.pack("<H", kind) + bytes(content))


def scan(seed):
    """(the messages of a session, the bytes of its images by `recon` from a file)."""
    kspace, mask, _ = simulate((NX, NY), coils=COILS, seed=seed)
    acquisitions = lines(kspace, np.flatnonzero(mask.any(0)), measurement_uid=seed + 1)
    recorder = Recorder()
    recorder.send_config()
    recorder.send_text(HEADER, XML.format(MATRIX))
    recorder.send_text(TEXT, json.dumps(OPTIONS))
    recorder.send_lines(acquisitions)
    recorder.send(CLOSE)
    path = TEMPORARY / f"{seed}.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kspace, pattern = load(write_raw(path, MATRIX, acquisitions))
        result = recon(kspace, pattern, **OPTIONS)
    path.unlink()
    return recorder.parts, [np.ascontiguousarray(abs(result.image).squeeze().T).tobytes()]


def ask(port, content, patience=LONGEST):
    """(images as bytes, texts, whether the server sent the end) for the bytes of a whole session.

    The client ends its direction, and gives up after some seconds.  Raises ValueError for an answer that is none.
    """
    answer, end = b"", time.monotonic() + patience
    with socket.create_connection(("127.0.0.1", port), patience) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        except (ConnectionError, TimeoutError):
            pass  # It has refused already; what it said may still be read.
        try:
            while part := connection.recv(1 << 16):
                answer += part
                connection.settimeout(max(end - time.monotonic(), 0.01))
        except ConnectionError:
            pass
        except TimeoutError:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return [], ["given up"], False
    return parsed(answer)


def parsed(answer):
    images, texts = [], []
    while len(answer) >= 2:
        kind, answer = struct.unpack("<H", answer[:2])[0], answer[2:]
        if kind == CLOSE:
            if answer:
                raise ValueError("something after the end")
            return images, texts, True
        if kind == TEXT:
            length = struct.unpack("<I", answer[:4])[0]
            text, answer = answer[4:4 + length].rstrip(b"\0").decode(), answer[4 + length:]
            if "\n" in text or not text.startswith(("ERR ", "WRN ", "DBG ")):
                raise ValueError(f"a text {text!r}")
            texts.append(text)
        elif kind == IMAGE:
            head = np.frombuffer(answer[:198], IMAGE_HEADER)[0]
            start = 206 + struct.unpack("<Q", answer[198:206])[0]
            size = PIXELS[int(head["data_type"])].itemsize * int(head["channels"]) * int(np.prod(head["matrix_size"],
                                                                                                dtype=int))
            images.append(answer[start:start + size])
            answer = answer[start + size:]
        else:
            raise ValueError(f"a message {kind}")
    return images, texts, False


def damaged(parts, rng):
    """The bytes of a session with some damage."""
    parts = list(parts)
    kind = rng.choice(("bits", "number", "length", "left out", "repeated", "exchanged", "kind", "end", "foreign",
                       "noise", "text"))
    position = rng.randrange(len(parts))
    part = bytearray(parts[position])
    if kind == "bits":
        for _ in range(rng.choice((1, 8, 64))):
            part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
    elif kind == "number":  # a number of the header of an acquisition, or of a text
        start = rng.randrange(2, min(len(part), 342)) if len(part) > 2 else 0
        part[start:start + 2] = struct.pack("<H", rng.choice((0, 1, 255, 256, 32767, 65535)))
    elif kind == "length":
        del part[rng.randrange(len(part)):]
    elif kind == "noise":
        start = rng.randrange(len(part))
        part[start:start] = rng.randbytes(rng.choice((1, 2, 100, 5000)))
    elif kind == "kind":
        part[:2] = rng.choice(KINDS)
    elif kind == "text":
        value = rng.choice(('{"iterations": 1000000000}', '{"samples": 1000000}', "[" * 5000, '{"voxel": [0]}', "\x00",
                            '{"maps": 3}', '{"method": "diffusion"}', '{"scale": "max:99999"}', '{"seed": -1}'))
        part = bytearray(struct.pack("<HI", TEXT, len(value)) + value.encode())
        position = 2
    parts[position] = bytes(part)
    if kind == "left out":
        del parts[position]
    elif kind == "repeated":
        parts.insert(rng.randrange(len(parts)), parts[position])
    elif kind == "exchanged":
        other = rng.randrange(len(parts))
        parts[position], parts[other] = parts[other], parts[position]
    content = b"".join(parts)
    if kind == "end":
        content = content[:rng.randrange(len(content))]
    return kind, rng.choice(FOREIGN) if kind == "foreign" else content


def killed_client(port, content, seconds):
    """Start a client process that sends a session in small pieces, and kill it after some time."""
    child = os.fork()
    if child == 0:
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                for start in range(0, len(content), 2000):
                    connection.sendall(content[start:start + 2000])
                    time.sleep(0.005)
                while connection.recv(1 << 16):
                    pass
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def state(process):
    """Memory, open descriptors, threads and children of the server, and its temporary files."""
    watched = psutil.Process(process.pid)
    return {"rss": watched.memory_info().rss, "descriptors": watched.num_fds(), "threads": watched.num_threads(),
            "children": len(watched.children(recursive=True)), "files": len(list(TEMPORARY.iterdir()))}


def main(sessions=100, damages=1000, seed=0):
    os.environ["TMPDIR"] = str(TEMPORARY)
    rng, faults, began = random.Random(seed), [], time.monotonic()
    scans = [scan(number) for number in range(4)]
    contents = [b"".join(parts) for parts, _ in scans]

    def healthy(number):
        images, texts, is_whole = ask(process.port, contents[number])
        if images != scans[number][1] or not is_whole:
            faults.append(f"scan {number}: {len(images)} images, {texts}")

    def note(what):
        print(f"{time.monotonic() - began:6.0f} s  {what}: {state(process)}, {len(faults)} faults", flush=True)

    with server("--memory", "512", "--message", "1", "--timeout", "5", level="1") as process:
        healthy(0)
        wait_until(lambda: state(process)["children"] == 0)
        before = state(process)
        note("at the start")
        for number in range(sessions):
            healthy(number % 4)
        note(f"{sessions} sessions in a row")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(healthy, [number % 4 for number in range(sessions)]))
        note(f"{sessions} sessions, four at once")
        with ThreadPoolExecutor(2) as pool:  # the clients that are killed, beside healthy ones
            others = pool.submit(lambda: [healthy(number % 4) for number in range(sessions // 4)])
            for _ in range(sessions):
                killed_client(process.port, contents[0], rng.random() * 0.6)
            others.result()
        note(f"{sessions} clients killed")
        answers = Counter()

        def hurt(number):
            own = random.Random(seed * 1000003 + number)
            kind, content = damaged(scans[number % 4][0], own)
            try:
                images, texts, is_whole = ask(process.port, content, PATIENCE)
            except (ValueError, OSError) as error:
                faults.append(f"damage {number} ({kind}): {error}")
                return
            if sum(text.startswith("ERR") for text in texts) > 1:
                faults.append(f"damage {number} ({kind}): {len(images)} images, {texts}")
            if images and any(images == expected for _, expected in scans[:number % 4] + scans[number % 4 + 1:]):
                faults.append(f"damage {number} ({kind}): the image of another client")
            outcome = "image" if images else "given up" if texts == ["given up"] else "one sentence" if texts else \
                "the end" if is_whole else "nothing"
            answers[f"{kind}: {outcome}"] += 1
            if number % 20 == 0:
                healthy(number // 20 % 4)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(hurt, range(damages)))
        note(f"{damages} damaged sessions")
        print(*(f"    {answer}: {count}" for answer, count in sorted(answers.items())), sep="\n")
        wait_until(lambda: state(process)["children"] == 0, 30)
        after = state(process)
        for name, value in after.items():
            if value > before[name] + (RSS_GROWTH if name == "rss" else 0):
                faults.append(f"{name} grew from {before[name]} to {value}")
        healthy(0)
        pid = process.pid
    if psutil.pid_exists(pid):
        faults.append("the server did not end")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"before {before}\nafter  {after}\nlargest process: {peak / 1024:.0f} MiB")
    print(*faults, f"{3 * sessions + sessions // 4 + damages} tried, {len(faults)} faults", sep="\n")
    TEMPORARY.rmdir()
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
