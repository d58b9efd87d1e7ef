"""The server of the MRD streaming protocol, as a process that real clients talk to."""

import contextlib
import json
import os
import signal
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import simulate
from properties import random_complex

from bart_pogmdm import recon
from bart_pogmdm.arrays.bart_dims import BEYOND, DIMS, SLICE
from bart_pogmdm.commands.serve import PORT
from bart_pogmdm.files.ismrmrd_acquisitions import ACQUISITION_HEADER
from bart_pogmdm.files.ismrmrd_images import IMAGE_HEADER, IMAGE_TYPES, PIXELS, IsmrmrdImage
from bart_pogmdm.files.kspace import load
from bart_pogmdm.reconstruction.inputs import Inputs
from bart_pogmdm.reconstruction.options import Options, options_of
from bart_pogmdm.reconstruction.recon import reconstruct
from bart_pogmdm.serve.limits import Limits
from bart_pogmdm.serve.request import request_of
from bart_pogmdm.version import __version__

ismrmrd = pytest.importorskip("ismrmrd", reason="ismrmrd is not installed")
from mrd_client import (  # noqa: E402
    ACQUISITION,
    CLOSE,
    CONFIG_TEXT,
    HEADER,
    IMAGE,
    TEXT,
    WAVEFORM,
    Client,
    server,
    session,
    wait_until,
)
from raw_data import HEADER as XML  # noqa: E402
from raw_data import encoding, lines, write_raw  # noqa: E402

NX, NY, SLICES = 24, 20, 2
MATRIX = encoding((NX, NY), (120, 100))
HEAD = XML.format(MATRIX)
QUICK = json.dumps({"iterations": 1})
OBLIQUE = {"read_dir": (0.6, 0.8, 0), "phase_dir": (-0.8, 0.6, 0), "slice_dir": (0, 0, 1), "measurement_uid": 7,
           "patient_table_position": (0, 0, -9), "acquisition_time_stamp": 11}
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")]


@pytest.fixture(scope="module")
def scan():
    """The acquisitions of two slices, numbers 4 and 6, with a noise scan."""
    rng = np.random.default_rng(0)
    found = lines(random_complex(rng, (3, 64, 1), np.complex64), None, ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    for number in range(SLICES):
        kspace, mask, _ = simulate((NX, NY), coils=3, seed=number)
        rows = np.flatnonzero(mask.any(0))
        found += lines(kspace, rows, slice=4 + 2 * number, position=(1, 2, 10 * number), **OBLIQUE)
    return found


@pytest.fixture(scope="module")
def running():
    with server("--memory", "512", "--message", "1", "--connections", "3") as process:
        yield process


@pytest.fixture(scope="module")
def expected(scan, tmp_path_factory):
    """The images of both slices by `recon`, from the same data as a file."""
    kspace, pattern = load(write_raw(tmp_path_factory.mktemp("raw") / "scan.h5", MATRIX, scan))
    with pytest.warns(match="mask"):
        return recon(kspace, pattern, iterations=2, samples=2)


def planes(array):
    """[(y, x) of each slice] of an array in BART's dimensions."""
    assert all(n == 1 for axis, n in enumerate(array.shape) if axis not in (0, 1, SLICE)) and array.ndim == len(DIMS)
    return list(array.squeeze().transpose(2, 1, 0))


def resources(process):
    """(open descriptors, children) of a process."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return len(os.listdir(f"/proc/{process.pid}/fd")), len(children)


@pytest.fixture
def unharmed(running, scan):
    """After the test the server has as many descriptors and processes as before, and serves the next client."""
    assert wait_until(lambda: resources(running)[1] == 0)
    before = resources(running)
    yield running
    assert wait_until(lambda: resources(running) == before)
    assert len(session(running.port, HEAD, scan, options=QUICK)[0]) == SLICES


def test_structures_are_those_of_the_reference():
    from ismrmrd.hdf5 import acquisition_header_dtype, image_header_dtype
    assert acquisition_header_dtype == ACQUISITION_HEADER and ACQUISITION_HEADER.itemsize == 340
    assert image_header_dtype == IMAGE_HEADER and IMAGE_HEADER.itemsize == 198
    for number, kind in PIXELS.items():
        if kind != np.int32:  # The library reads them as int64.
            assert ismrmrd.image.get_dtype_from_data_type(number) == kind
    for name, number in IMAGE_TYPES.items():
        assert getattr(ismrmrd, f"IMTYPE_{'IMAG' if name == 'imaginary' else name.upper()}") == number


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.complex64])
def test_an_encoded_image_is_read_by_the_reference(rng, kind):
    pixels = (100 * random_complex(rng, (2, 3, 4, 5), np.complex64)).real.clip(0).astype(kind)
    image = IsmrmrdImage(pixels, "magnitude", {"slice": 3, "position": (1, 2, 3)}, {"A": ["1", "<&>"], "B": 2.5})
    found = ismrmrd.Image.from_bytes(image.encoded())
    assert found.data.dtype == kind and (found.data == pixels).all() and found.matrix_size == (5, 4, 3)
    assert (found.slice, found.image_type, found.channels, tuple(found.position)) == (3, 1, 2, (1, 2, 3))
    assert found.meta == {"A": ["1", "<&>"], "B": "2.5"} and found.getHead().version == 1
    for wrong in (pixels[0], pixels.astype(np.complex256)):
        with pytest.raises(ValueError, match="image: expected pixels"):
            IsmrmrdImage(wrong, "magnitude").encoded()


def test_images_and_std_equal_those_of_a_file(running, scan, expected):
    images, texts = session(running.port, HEAD, scan, options=json.dumps({"iterations": 2, "samples": 2}))
    assert [text[:9] for text in texts] == ["WRN mask:"]
    series = [[image for image in images if image.image_series_index == number] for number in (1, 2)]
    for found, array in zip(series, (abs(expected.image), expected.std)):
        assert len(found) == SLICES
        for number, (image, plane) in enumerate(zip(found, planes(array))):
            head = image.getHead()
            assert image.data.tobytes() == plane.tobytes() and image.data.shape == (1, 1, NY, NX)
            assert tuple(head.position) == (1, 2, 10 * number) and head.slice == 4 + 2 * number
            assert tuple(head.field_of_view) == (120, 100, 5) and head.image_index == number + 1
            for name, value in OBLIQUE.items():
                assert np.array_equal(np.float32(getattr(head, name)), np.float32(value)), name
    assert series[0][0].meta["DataRole"] == "Image" and series[1][0].meta["SeriesDescription"] == ["pogmdm", "std"]
    assert series[0][0].meta["ImageComment"][1:] == ["gibbs", f"{expected.info['prior']} {expected.info['prior_hash']}"]


def test_answers_may_be_complex_or_whole_numbers(running, scan, expected):
    options = {"iterations": 2, "samples": "2"}  # Some scanners write numbers as texts.
    images, _ = session(running.port, HEAD, scan, config=json.dumps({"parameters": {**options, "complex": True}}))
    assert images[0].data.dtype == np.complex64 and images[0].data.tobytes() == planes(expected.image)[0].tobytes()
    images, _ = session(running.port, HEAD, scan, "openrecon", options=json.dumps(
        {"version": "1.1.0", "parameters": {"config": "pogmdm", "options": "", "scale": "max:4095", **options}}))
    assert {image.data.dtype for image in images} == {np.dtype(np.uint16)}
    assert max(image.data.max() for image in images) == 4095
    for found, array in zip((images[::2], images[1::2]), (abs(expected.image), expected.std)):
        for image, plane in zip(found, planes(array)):
            slope = float(image.meta["RescaleSlope"])
            assert abs(slope * image.data[0, 0] - plane).max() <= 0.51 * slope


def test_waveforms_and_trajectories_are_passed_over(running, scan):
    with Client(running.port) as client:
        client.send_text(CONFIG_TEXT, "pogmdm")
        client.send_text(HEADER, HEAD)
        client.send_text(TEXT, QUICK)
        for one in scan:
            waveform = ismrmrd.Waveform.from_array(np.ones((2, 5), np.uint32))
            content = bytearray()
            waveform.serialize_into(content.extend)
            client.send(WAVEFORM, content)
            made = ismrmrd.Acquisition.from_array(one.data, np.zeros((one.data.shape[1], 3), np.float32))
            head = one.getHead()
            head.trajectory_dimensions = 3
            made.setHead(head)
            client.send_lines([made])
        client.send(CLOSE)
        client.socket.shutdown(socket.SHUT_WR)  # The client may end its direction.
        images, texts = client.answers()
    plain, _ = session(running.port, HEAD, scan, options=QUICK)
    assert [one.data.tobytes() for one in images] == [one.data.tobytes() for one in plain] and len(images) == SLICES
    assert set(texts) <= {"DBG the reconstruction goes on", *[text for text in texts if text.startswith("WRN")]}


def test_clients_at_once_get_their_own_images(running, scan):
    """The clients are more than the server takes at once: the last ones wait."""
    def images(iterations):
        options = json.dumps({"iterations": iterations})
        return [one.data.tobytes() for one in session(running.port, HEAD, scan, options=options)[0]]

    alone = [images(1), images(2)]
    assert len({*alone[0], *alone[1]}) == 2 * SLICES
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(images, (1, 2, 1, 2))) == 2 * alone


@pytest.mark.parametrize(("name", "text", "error"), [
    ("simplefft", QUICK, "config: expected pogmdm, got 'simplefft'"),
    ("pogmdm", '{"config": "simplefft"}', "config: expected pogmdm, got 'simplefft'"),
    ("pogmdm", "<gadgetronStreamConfiguration/>", "config: expected pogmdm, or options in JSON, got"),
    ("pogmdm", '{"iter": 3}', "'iter': no such option"),
    ("pogmdm", '{"prior": "/etc/passwd"}', "'prior': no such option"),
    ("pogmdm", '{"iterations": 0}', "iterations: expected a positive integer, got 0")])
def test_a_wrong_request_gets_one_sentence_before_the_scan_ends(running, scan, name, text, error):
    with Client(running.port) as client:
        client.send_config(name)
        client.send_text(HEADER, HEAD)
        client.send_text(TEXT, text)
        client.send_lines(scan[:2])
        images, texts = client.answers()
    assert not images and len(texts) == 1 and texts[0].startswith(f"ERR {error}") and "\n" not in texts[0]


def test_slices_are_handed_on_as_they_are_done(prior, rng):
    kspace, events = random_complex(rng, (8, 8, 1, 2, *9 * (1,), 2, 1, 1), np.complex64), []
    reconstruct(Inputs(kspace), prior, options_of(iterations=2), callback=lambda state: events.append("step"),
                finished=lambda outputs, indices: events.append([index[SLICE - BEYOND + 1] for index in indices]))
    assert events == ["step", "step", [0], "step", "step", [1]]


def test_the_label_of_the_container_names_options_of_the_server():
    folder = Path(__file__).resolve().parents[1] / "examples" / "server"
    label, container = json.loads((folder / "OpenRecon.json").read_text()), (folder / "Containerfile").read_text()
    assert label["general"]["version"] == __version__ and label["reconstruction"]["port"] == PORT
    assert label["reconstruction"]["emitter"] == "raw" and f'"--port", "{PORT}"' in container
    assert container.count(__version__) == 2 and "openrecon.metadata:1.1.0" in container
    assert container.index("useradd") < container.index("USER pogmdm") < container.index("CMD")
    defaults = {parameter["id"]: parameter["default"] for parameter in label["parameters"]}
    assert defaults["iterations"] == Options.iterations and defaults["method"] == Options.method.name
    for parameter in label["parameters"]:
        assert parameter["id"].isalnum()  # OpenRecon takes no other names.
        choices = [one["id"] for one in parameter.get("values", [])] or [parameter["default"]]
        assert parameter["default"] in choices
        for value in choices:
            request_of(b"openrecon", [json.dumps({"parameters": {parameter["id"]: value}}).encode()])


def test_options_have_the_checks_of_recon():
    def refusal(**values):
        with pytest.raises((ValueError, TypeError)) as caught:
            request_of(b"pogmdm", [json.dumps(values).encode()])
        return str(caught.value)

    assert "samples: expected a positive integer" in refusal(samples=0)
    assert "seed: expected an integer" in refusal(seed=1.5)
    assert "noise_std: expected no truth value" in refusal(noise_std=True)
    assert "sms: expected true or false" in refusal(sms=1)
    assert "num_levels: goes with method diffusion" in refusal(num_levels=3)
    assert "num_levels: expected" in refusal(method="diffusion", num_levels=0)
    assert "rules" in refusal(rules={}) and "voxel: expected" in refusal(voxel=[1, 2])
    for scale in ("max:0", "max:65536", "max:x", "99", 5):
        assert "scale: expected max:N" in refusal(scale=scale)
    assert "scale: goes with magnitudes" in refusal(scale="max:9", complex=True)
    for text in (b"[1]", b'{"parameters": 3}', b"{" * 99999, b'{"iterations": 1e999}', b"\xff\xfe"):
        with pytest.raises((ValueError, TypeError), match=r"config|iterations"):
            request_of(b"", [text])
    request = request_of(b"pogmdm\n", [b'{"samples": "", "voxel": [1, 1, 2], "normalize": "False", "seed": null}'])
    assert request.options.voxel == (1, 1, 2) and not request.options.normalize and request.options.samples is None
    assert request_of(b"", [b'{"seed": 1}', b'{"seed": 2}'], (1, 2, 3)).options.seed == 2
    for value in (0, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match="memory: expected a number > 0, got"):
            Limits(memory=value)


def test_a_query_without_data_is_answered_by_the_end(unharmed):
    with Client(unharmed.port) as client:
        client.send_config()
        client.send(CLOSE)
        assert client.answers() == ([], [])


def test_damaged_sessions_cost_nobody_else_anything(unharmed, scan):
    """Each of the clients gets one sentence, or nothing if it does not speak the protocol, and the next is served."""
    def answer(*parts, header=HEAD):
        with Client(unharmed.port) as client:
            client.send_config()
            if header:
                client.send_text(HEADER, header)
            for kind, content in parts:
                client.send(kind, content)
            images, texts = client.answers()
        assert not images and len(texts) == 1
        return texts[0]

    line = bytearray()
    scan[1].serialize_into(line.extend)
    nan, huge, packed = bytearray(line), bytearray(line), bytearray(line)
    nan[-4:], huge[34:36], packed[2:10] = b"\xff" * 4, b"\xff\xff", struct.pack("<Q", 1 << 52)
    huge[38:40] = b"\xff\xff"
    assert answer((CLOSE, b"")) == "ERR raw data: expected acquisitions before the end, got none"
    assert answer((ACQUISITION, nan)) == "ERR raw data: acquisition 0 holds NaN or infinite samples"
    assert answer((ACQUISITION, huge)).startswith("ERR expected messages of at most 1 MiB, got an acquisition of 3.")
    assert "got compressed ones (COMPRESSION1)" in answer((ACQUISITION, packed))
    assert answer((TEXT, struct.pack("<I", 1 << 31))).endswith("got a text of 2048 MiB")
    assert "got an image: images are not reconstructed" in answer((IMAGE, b""))
    assert "got 999" in answer((999, b""))
    assert "got config_file (1)" in answer((1, bytes(1024)))
    assert "got acquisition (1008)" in answer((ACQUISITION, line), header="")
    assert "got text (5)" in answer((ACQUISITION, line), (TEXT, struct.pack("<I", 2) + b"{}"))
    assert "expected a header in XML" in answer(header="<nothing")
    for stranger in (b"GET / HTTP/1.1\r\n\r\n", b"\x04\x00", b"\x01"):
        with Client(unharmed.port) as client:
            client.socket.sendall(stranger)
            client.socket.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert client.socket.recv(1) == b""
    Client(unharmed.port).socket.close()
    with Client(unharmed.port) as client:  # half a message
        client.send_config()
        client.socket.sendall(struct.pack("<H", HEADER) + b"\0")


def test_a_client_that_dies_ends_its_reconstruction(unharmed, scan):
    """It is gone at once, although thousands of iterations are to be done."""
    with Client(unharmed.port) as client:
        client.send_config()
        client.send_text(HEADER, HEAD)
        client.send_text(TEXT, '{"iterations": 1000000}')
        client.send_lines(scan)
        client.send(CLOSE)
        assert wait_until(lambda: resources(unharmed)[1] == 1)
        time.sleep(0.2)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    assert wait_until(lambda: resources(unharmed)[1] == 0, 5)


def test_memory_and_time_are_limited_and_a_signal_ends_all_connections(scan):
    with server("--memory", "0.05", "--timeout", "0.5") as process:
        assert session(process.port, HEAD, scan)[1][0].startswith("ERR raw data: it")
        with Client(process.port) as client:
            client.send_config()
            assert client.answers()[1] == ["ERR expected the next message within 0.5 s"]
        assert wait_until(lambda: resources(process)[1] == 0)
        with Client(process.port) as client:
            assert wait_until(lambda: resources(process)[1] == 1)
            (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0 and not Path(f"/proc/{child}").exists()
            assert client.socket.recv(1) == b""


def test_an_address_that_is_taken_is_refused(running, capsys):
    from bart_pogmdm.commands.main import main
    assert main(["serve", "--port", str(running.port)]) == 1
    assert capsys.readouterr().err == (f"ERROR: 127.0.0.1, port {running.port}: cannot listen there"
                                       " (Address already in use)\n")
    assert main(["serve", "--timeout", "0"]) == 1
    assert capsys.readouterr().err == "ERROR: --timeout: expected a number > 0, got 0.0\n"
