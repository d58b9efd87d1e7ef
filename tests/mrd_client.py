"""A client of the MRD streaming protocol, and the server that it talks to, as a process of its own.

Acquisitions and images are written and read by the reference library of ISMRMRD.
"""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import ismrmrd

CONFIG_FILE, CONFIG_TEXT, HEADER, CLOSE, TEXT, ACQUISITION, IMAGE, WAVEFORM = 1, 2, 3, 4, 5, 1008, 1022, 1026


@contextlib.contextmanager
def server(*words, level="2"):
    """A running server, with its `port`.  At the end it gets SIGTERM, on which it ends cleanly."""
    words = [sys.executable, "-m", "bart_pogmdm", "serve", "--port", "0", *map(str, words)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=os.environ | {"BART_DEBUG_LEVEL": level})
    try:
        process.port = int(process.stdout.readline().rsplit(":", 1)[-1])
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in log and "Error" not in log, log


class Client:
    """A connection to a server."""

    def __init__(self, port, timeout=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, kind, content=b""):
        self.socket.sendall(struct.pack("<H", kind) + content)

    def send_text(self, kind, text):
        content = text.encode() + b"\0"
        self.send(kind, struct.pack("<I", len(content)) + content)

    def send_config(self, name="pogmdm"):
        self.send(CONFIG_FILE, name.encode().ljust(1024, b"\0"))

    def send_lines(self, acquisitions):
        for one in acquisitions:
            content = bytearray()
            one.serialize_into(content.extend)
            self.send(ACQUISITION, content)

    def read(self, count):
        content = b""
        while len(content) < count:
            part = self.socket.recv(count - len(content))
            if not part:
                raise EOFError(f"{len(content)} of {count} bytes")
            content += part
        return content

    def answers(self):
        """(images, texts) until the server ends."""
        images, texts = [], []
        while (kind := struct.unpack("<H", self.read(2))[0]) != CLOSE:
            if kind == IMAGE:
                images.append(ismrmrd.Image.deserialize_from(self.read))
            else:
                assert kind == TEXT
                texts.append(self.read(struct.unpack("<I", self.read(4))[0]).rstrip(b"\0").decode())
        assert self.socket.recv(1) == b""
        return images, texts


def session(port, header, acquisitions, name="pogmdm", config=None, options=None):
    """(images, texts) of a whole scan.  config: text instead of the name of a file; options: JSON after the header."""
    with Client(port) as client:
        client.send_config(name) if config is None else client.send_text(CONFIG_TEXT, config)
        client.send_text(HEADER, header)
        if options is not None:
            client.send_text(TEXT, options)
        client.send_lines(acquisitions)
        client.send(CLOSE)
        return client.answers()


def wait_until(is_true, seconds=10):
    """True as soon as a condition holds, or False after some seconds."""
    end = time.monotonic() + seconds
    while not (found := is_true()) and time.monotonic() < end:
        time.sleep(0.02)
    return bool(found)
