"""k-space files of other makers read back to the right array, orientation and scale; coils are combined."""

import contextlib
import shutil

import h5py
import numpy as np
import pytest
from conftest import FUZZ_EXAMPLES, psnr, simulate
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import random_complex

from bart_pogmdm import ReconstructionWarning
from bart_pogmdm.arrays.bart_dims import COIL, pad_dims, to_bart
from bart_pogmdm.commands.main import main
from bart_pogmdm.evaluate.simulate import kspace as simulate_kspace
from bart_pogmdm.evaluate.simulate import phantom
from bart_pogmdm.files.cfl import read, write
from bart_pogmdm.files.kspace import load, open_kspace
from bart_pogmdm.physics.coil_compression import by_coil, compression, lost_part, mix, whitening
from bart_pogmdm.physics.fourier import fft2c, ifft2c

ismrmrd = pytest.importorskip("ismrmrd", reason="ismrmrd is not installed")


@pytest.fixture
def kspace(rng):
    return random_complex(rng, (3, 12, 10), np.complex64)


def test_npz_and_npy(tmp_path, kspace):
    mask = np.arange(10) % 2 == 0
    np.savez_compressed(tmp_path / "a.npz", kspace=kspace, mask=mask)
    np.savez(tmp_path / "b.npz", kspace=to_bart(kspace), note=np.array({"TE": 1}, object))
    np.savez(tmp_path / "e.npz", kspace=kspace, mask=np.tile(mask, (1, 12, 1)))
    assert load(tmp_path / "e.npz")[1].shape == (12, 10, 1, 1)
    np.save(tmp_path / "c.npy", np.asfortranarray(kspace.astype(complex)))
    expected = to_bart(kspace).reshape(pad_dims((12, 10, 1, 3)))
    for name in ("a.npz", "b.npz", "c.npy"):
        found, pattern = load(tmp_path / name)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.complex64 and (pattern is not None) == (name == "a.npz")
    np.testing.assert_array_equal(load(tmp_path / "a.npz")[1], mask[None])
    write({tmp_path / "d": to_bart(kspace)})
    np.testing.assert_array_equal(load(tmp_path / "d")[0], expected)


def test_fastmri(tmp_path, rng):
    volume = random_complex(rng, (2, 3, 12, 10), np.complex64)
    with h5py.File(tmp_path / "multi.h5", "w") as file:
        file["kspace"] = volume
        file["mask"] = (np.arange(10) < 4).astype(np.float32)
    check_fastmri_masks(tmp_path / "masks.h5", volume)
    found, pattern = load(tmp_path / "multi.h5")
    assert found.shape == pad_dims((12, 10, 1, 3) + 9 * (1,) + (2,)) and pattern.shape == (1, 10)
    for number, kspace in enumerate(volume):
        np.testing.assert_array_equal(found[..., number, 0, 0].reshape(12, 10, 3), np.moveaxis(kspace, 0, -1))
    with h5py.File(tmp_path / "single.h5", "w") as file:
        file["kspace"] = volume[:, 0]
    np.testing.assert_array_equal(load(tmp_path / "single.h5")[0].ravel("F"), found[:, :, :, :1].ravel("F"))


def check_fastmri_masks(path, volume):
    """Columns or samples, with rounding errors; an array that fits neither is refused."""
    columns, samples = np.arange(10) < 4, np.add.outer(np.arange(12), np.arange(10)) % 3 == 0
    for mask, expected in ((columns, columns), (columns[None], columns), (columns[None, None, :, None], columns),
                           (samples, samples), (samples * (0.9999999 + 1e-8j) + 1e-9, samples),
                           (samples[:, :1], samples[:, :1])):
        with h5py.File(path, "w") as file:
            file["kspace"], file["mask"] = volume, mask
        found = load(path)[1]
        assert found.dtype == bool
        np.testing.assert_array_equal(np.broadcast_to(found, (12, 10)), np.broadcast_to(expected, (12, 10)))
    for mask, message in ((columns[:9], r"expected a mask \(x,\) or \(y, x\)"), (samples.T, "got \\(10, 12\\)"),
                          (0.5 * columns, "masks.h5: mask: expected boolean or 0/1 values")):
        with h5py.File(path, "w") as file:
            file["kspace"], file["mask"] = volume, mask
        with pytest.raises(ValueError, match=message):
            load(path)


def test_the_content_decides_the_kind_and_bart_keeps_its_names(tmp_path, kspace):
    expected = to_bart(kspace).reshape(pad_dims((12, 10, 1, 3)))
    write({tmp_path / "a": to_bart(kspace)})
    np.savez(tmp_path / "a.npz", kspace=2 * kspace)
    np.save(tmp_path / "b.npy", 3 * kspace)
    with h5py.File(tmp_path / "a.bin", "w", userblock_size=1024) as file:
        file["kspace"] = 4 * kspace[None]
    for source, copy in (("a.npz", "a.NPZ"), ("a.npz", "x.h5"), ("a.npz", "plain"), ("b.npy", "b.NPY"),
                         ("a.bin", "a.mrd"), ("b.npy", "a")):
        shutil.copy(tmp_path / source, tmp_path / copy)
    write({tmp_path / name: 5 * to_bart(kspace) for name in ("bart.h5", "bart.mrd", "a.bin.h5", "a.mrd", "b.npy")})
    factors = {"a": 1, "a.cfl": 1, "a.hdr": 1, "a.npz": 2, "a.NPZ": 2, "x.h5": 2, "plain": 2, "b.npy": 3, "b.NPY": 3,
               "a.bin": 4, "a.mrd": 4, "bart.h5": 5, "bart.mrd": 5, "a.bin.h5": 5}
    for name, factor in factors.items():
        np.testing.assert_allclose(load(tmp_path / name)[0], factor * expected, rtol=1e-6)
    (tmp_path / "other.dat").write_bytes(b"something else" * 100)
    with pytest.raises(ValueError, match=r"other.dat: expected HDF5, npz, npy, TWIX or BART's files, got another kind"):
        load(tmp_path / "other.dat")


def test_a_slice_is_that_of_the_whole(tmp_path, rng):
    """Of every kind of file; a compressed array has been unpacked, and a stored one has the right checksum."""
    volume = random_complex(rng, (12, 10, 1, 3, *6 * (1,), 2, 1, 1, 2), np.complex64)
    np.savez(tmp_path / "stored.npz", note=np.ones(5), kspace=volume)
    np.savez_compressed(tmp_path / "packed.npz", kspace=np.asfortranarray(volume))
    np.save(tmp_path / "array.npy", volume.astype(">c16"))
    write({tmp_path / "bart": volume, tmp_path / "bart.ra": volume})
    with h5py.File(tmp_path / "fastmri.h5", "w") as file:
        file["kspace"] = np.moveaxis(volume[:, :, 0, :, 0, 0, 0, 0, 0, 0, 1, 0, 0], (3, 2), (0, 1))
    write_raw(tmp_path / "raw.h5", np.moveaxis(volume[:, :, 0, :, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], -1, 0), slices=2)
    for name in ("stored.npz", "packed.npz", "array.npy", "bart", "bart.ra", "fastmri.h5", "raw.h5"):
        source, (whole, _) = open_kspace(tmp_path / name), load(tmp_path / name)
        assert source.shape == whole.shape
        for place in np.ndindex(whole.shape[4:]):
            np.testing.assert_array_equal(source.slice(place), whole[(..., *place)])
        if name not in ("raw.h5", "fastmri.h5"):
            np.testing.assert_array_equal(whole.reshape(volume.shape), volume)
    content = bytearray((tmp_path / "stored.npz").read_bytes())
    content[-1000] ^= 1
    (tmp_path / "stored.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"stored.npz: not a readable npz file"):
        open_kspace(tmp_path / "stored.npz")


def write_raw(path, kspace, *, rows=None, oversampling=2, noise=None, averages=1, slices=1, encoding="cartesian",
              missing=0, spikes=()):
    """k-space (J, ny, nx) as raw data, line by line, the readout oversampled; spikes: places (row, sample)."""
    count, ny, nx = kspace.shape
    image = ifft2c(kspace)
    wide = np.zeros((count, ny, round(oversampling * nx)), np.complex64)
    first = round(oversampling * nx) // 2 - nx // 2
    wide[:, :, first:first + nx] = image
    lines = fft2c(wide)
    for place in spikes:
        lines[(slice(None), *place)] += 2
    header = ismrmrd.xsd.ismrmrdHeader(
        experimentalConditions=ismrmrd.xsd.experimentalConditionsType(H1resonanceFrequency_Hz=123000000),
        encoding=[ismrmrd.xsd.encodingType(
            encodedSpace=space(round(oversampling * nx), ny, oversampling), reconSpace=space(nx, ny),
            trajectory=ismrmrd.xsd.trajectoryType(encoding),
            encodingLimits=ismrmrd.xsd.encodingLimitsType(kspace_encoding_step_1=ismrmrd.xsd.limitType(
                minimum=0, maximum=ny - 1, center=ny // 2)))])
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    dataset.write_xml_header(header.toXML())
    if noise is not None:
        scan = ismrmrd.Acquisition.from_array(noise.astype(np.complex64))
        scan.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        dataset.append_acquisition(scan)
    for number in range(slices):
        for _ in range(averages):
            for row in range(ny) if rows is None else rows:
                line = ismrmrd.Acquisition.from_array(np.ascontiguousarray((number + 1) * lines[:, row, missing:]))
                line.center_sample = round(oversampling * nx) // 2 - missing
                line.idx.kspace_encode_step_1, line.idx.slice = row, number
                dataset.append_acquisition(line)
    dataset.close()


@pytest.mark.parametrize("oversampling", [2, 1.25])
def test_spikes_of_oversampled_readouts_are_replaced(tmp_path, oversampling):
    """Wherever they are between the samples that remain."""
    kspace = simulate_kspace(phantom((72, 64)), 4, 0.002, 0)
    places = [(10, 31), (40, 30), (40, 31), (50, 71)]
    write_raw(tmp_path / "clean.h5", kspace, oversampling=oversampling)
    write_raw(tmp_path / "spikes.h5", kspace, oversampling=oversampling, spikes=places)
    with pytest.warns(ReconstructionWarning, match="replaced by what the others of their readout tell"):
        found = load(tmp_path / "spikes.h5")[0]
    expected = load(tmp_path / "clean.h5")[0]
    errors = abs(found - expected).max((0, 2, 3)).squeeze()
    assert set(np.flatnonzero(errors > 1e-6)) == {row for row, _ in places}
    assert errors.max() < {2: 0.02, 1.25: 0.3}[oversampling] * abs(expected[:, 40]).max()  # two beside each other
    assert errors[10] < {2: 1e-4, 1.25: 0.05}[oversampling] * abs(expected[:, 10]).max()


def space(nx, ny, oversampling=1):
    fov = ismrmrd.xsd.fieldOfViewMm(x=200.0 * oversampling, y=200.0, z=5.0)
    return ismrmrd.xsd.encodingSpaceType(matrixSize=ismrmrd.xsd.matrixSizeType(x=nx, y=ny, z=1), fieldOfView_mm=fov)


def test_ismrmrd(tmp_path, kspace):
    write_raw(tmp_path / "raw.h5", kspace, averages=2, slices=3)
    found, pattern = load(tmp_path / "raw.h5")
    assert pattern.all() and found.shape == pad_dims((10, 12, 1, 3) + 9 * (1,) + (3,))
    # half of the oversampled readout holds the image: unitary transforms keep its scale
    np.testing.assert_allclose(found[:, :, 0, :, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], 2 * np.moveaxis(kspace, 0, -1)
                               .swapaxes(0, 1), atol=1e-5)
    write_raw(tmp_path / "part.h5", kspace, rows=[1, 4, 6, 7], oversampling=1)
    found, pattern = load(tmp_path / "part.h5")
    assert sorted(np.unique(np.nonzero(found)[1])) == [1, 4, 6, 7] == sorted(np.unique(np.nonzero(pattern)[1]))
    write_raw(tmp_path / "echo.h5", kspace, missing=8)  # the first 8 of 20 samples of each readout, 4 of 10
    found, pattern = load(tmp_path / "echo.h5")
    for array in (found, pattern):
        np.testing.assert_array_equal((array != 0).any(tuple(range(1, 16))), np.arange(10) >= 4)


def test_ismrmrd_is_prewhitened(tmp_path, rng, kspace):
    mixing = np.eye(3) + 0.4 * random_complex(rng, (3, 3))
    noise = mixing @ random_complex(rng, (3, 4000))
    write_raw(tmp_path / "raw.h5", kspace, noise=noise)
    found, _ = load(tmp_path / "raw.h5")
    expected = mix(whitening(noise.astype(np.complex64)), to_bart(kspace.swapaxes(1, 2)))
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-5)


def test_ismrmrd_of_other_kinds_is_refused(tmp_path, kspace):
    write_raw(tmp_path / "radial.h5", kspace, encoding="radial")
    with pytest.raises(ValueError, match="expected a Cartesian acquisition, got radial"):
        load(tmp_path / "radial.h5")
    write_raw(tmp_path / "empty.h5", kspace, rows=[], noise=kspace[:, 0])
    with pytest.raises(ValueError, match="no line of an image among 1 acquisitions"):
        load(tmp_path / "empty.h5")


@pytest.mark.parametrize("name, content, message", [
    ("a.npz", b"no zip", "not a readable npz file"), ("a.npy", b"no array", "not a readable npy file"),
    ("a.h5", b"no hdf5", "not a readable h5 file"), ("a.npz", {"other": 1}, "expected an array kspace, got other"),
    ("a.npy", np.ones((3, 4)), "expected complex k-space of 2 to 16 dimensions, got float64"),
    ("a.npz", {"kspace": np.ones(3, complex)}, r"got complex128 \(3,\)"),
])
def test_bad_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    with pytest.raises(ValueError, match=message):
        load(path)
    for missing in ("b.npz", "b.npy", "b.h5", "b"):
        with pytest.raises(FileNotFoundError, match="no such file"):
            load(tmp_path / missing)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["image"] = np.ones(3)
    with pytest.raises(ValueError, match="expected `kspace`"):
        load(tmp_path / "other.h5")


@pytest.mark.parametrize("suffix", ["npz", "npy", "ra", "hdr"])
def test_any_bytes_end_in_an_array_or_one_error(tmp_path_factory, suffix):
    folder = tmp_path_factory.mktemp("fuzz")
    array = np.ones((2, 3, 4), np.complex64)
    np.savez_compressed(folder / "a.npz", kspace=array)
    np.save(folder / "a.npy", array)
    write({folder / "a.ra": array, folder / "a": array})
    path = folder / f"a.{suffix}"
    whole = path.read_bytes()

    @given(st.binary(max_size=40), st.integers(0, len(whole)), st.sampled_from(["flip", "insert", "cut", "noise"]))
    @settings(max_examples=FUZZ_EXAMPLES, deadline=None)
    def check(noise, place, kind):
        path.write_bytes({"flip": whole[:place] + noise[:8] + whole[place + len(noise[:8]):], "cut": whole[:place],
                          "insert": whole[:place] + noise + whole[place:], "noise": noise}[kind])
        with contextlib.suppress(ValueError, OSError):
            found, _ = load(path)
            assert found.nbytes <= 1100 * max(path.stat().st_size, (folder / "a.cfl").stat().st_size)

    check()


def test_a_header_that_promises_too_much_allocates_nothing(tmp_path):
    header = b"{'descr': '<c8', 'fortran_order': False, 'shape': (100000, 100000, 100), }"
    start = np.lib.format.magic(1, 0) + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
    (tmp_path / "a.npy").write_bytes(start + bytes(64))
    with pytest.raises(ValueError, match="does not fit the file"):
        load(tmp_path / "a.npy")


def test_whitening(rng):
    mixing = np.eye(4) + 0.5 * random_complex(rng, (4, 4))
    noise = 0.01 * mixing @ random_complex(rng, (4, 20000))
    matrix = whitening(noise)
    white = matrix @ noise
    covariance = white @ white.conj().T / noise.shape[1]
    np.testing.assert_allclose(covariance, covariance[0, 0].real * np.eye(4), atol=1e-3 * covariance[0, 0].real)
    assert np.isclose(abs(np.linalg.det(matrix)), 1)
    assert np.isclose(np.linalg.norm(whitening(100 * noise) - matrix), 0, atol=1e-9)
    for bad in (noise[:, :5], noise * [[1], [0], [1], [1]]):
        with pytest.raises(ValueError, match="noise_scan: "):
            whitening(bad)


def test_compression(rng):
    sources, mixing = random_complex(rng, (2, 50)), random_complex(rng, (5, 2))
    kspace = to_bart((mixing @ sources).reshape(5, 10, 5))
    matrix = compression(by_coil(kspace), 2)
    np.testing.assert_allclose(matrix @ matrix.conj().T, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(mix(np.linalg.pinv(matrix), mix(matrix, kspace)), kspace, atol=1e-4)
    large = compression(by_coil((1e30 * kspace).astype(np.complex64)), 2)  # the square is beyond single precision
    np.testing.assert_allclose(large.conj().T @ large, matrix.conj().T @ matrix, atol=1e-6)
    for count in (0, 6):
        with pytest.raises(ValueError, match=f"virtual_coils: expected 1 to 5, got {count}"):
            compression(by_coil(kspace), count)


def test_the_part_that_compression_loses_is_that_beyond_the_noise(rng):
    mixing, noise = np.linalg.qr(random_complex(rng, (5, 5)))[0], random_complex(rng, (5, 4000))
    sources = np.array([10, 5, 0, 0, 0])[:, None] * random_complex(rng, (5, 4000))
    samples = mixing @ (sources + noise)
    assert lost_part(samples, 1) == pytest.approx(0.2, abs=0.01)  # 25 / 125
    assert lost_part(samples, 2) < 0.01 and lost_part(samples, 5) == lost_part(0 * samples, 1) == 0


def test_a_loss_of_signal_by_virtual_coils_is_said(folder, capsys):
    assert run("--cc", "1", "kspace", "image") == 0
    assert "WARNING: --cc: 1 virtual coils leave out a part of the signal" in capsys.readouterr().err
    assert run("--cc", "5", "kspace", "image") == 0 and "--cc" not in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path, monkeypatch, rng):
    kspace, mask, _ = simulate((40, 36), coils=6)
    noise = random_complex(rng, (1, 500, 1, 6))
    write({tmp_path / "kspace": to_bart(kspace), tmp_path / "noise": noise, tmp_path / "other": noise[..., :2]})
    np.savez(tmp_path / "kspace.npz", kspace=kspace, mask=mask)
    monkeypatch.chdir(tmp_path)
    return kspace


def run(*words):
    return main(["-i12", *words])


@pytest.mark.slow
def test_coils_in_the_command(folder):
    assert run("kspace", "plain", "sens") == 0
    plain, coil_images = read("plain"), read("plain") * read("sens")
    for words in (["--whiten", "noise"], ["--cc", "5"], ["--whiten", "noise", "--cc", "5"]):
        assert run(*words, "kspace", "image", "maps") == 0
        image, sens = read("image"), read("maps")
        assert psnr(image[:, :, 0, 0], plain[:, :, 0, 0]) > 30 and sens.shape == (40, 36, 1, 6) + 12 * (1,)
        assert np.linalg.norm(image * sens - coil_images) < 0.1 * np.linalg.norm(coil_images)
        assert np.allclose(np.linalg.norm(sens, axis=COIL), 1, atol=1e-3)
    assert run("-N", "--whiten", "noise", "kspace", "image", "maps") == 0
    assert np.linalg.norm(read("image") * read("maps") - coil_images) < 0.1 * np.linalg.norm(coil_images)


def test_virtual_coils_are_those_of_the_sampled_places(tmp_path, monkeypatch, rng):
    """What lies outside the pattern does not change them, however large."""
    kspace, mask, _ = simulate((40, 36), coils=6)
    outside = 1e3 * random_complex(rng, kspace.shape) * ~mask
    write({tmp_path / "kspace": to_bart(kspace * mask), tmp_path / "mask": mask[:, :, None, None],
           tmp_path / "more": to_bart(kspace * mask + outside)})
    monkeypatch.chdir(tmp_path)
    for name in ("kspace", "more"):
        assert main(["-i2", "--cc", "2", "-p", "mask", name, f"{name}-image"]) == 0
    np.testing.assert_array_equal(read("more-image"), read("kspace-image"))


def test_other_files_in_the_command(folder):
    assert run("kspace", "one") == 0 and run("kspace.npz", "two") == 0
    np.testing.assert_array_equal(read("one"), read("two"))


@pytest.mark.parametrize("words, message", [
    (["--whiten", "other"], "--whiten: expected noise of 6 coils, got 2"),
    (["--cc", "7"], "--cc: expected 1 to 6, got 7"),
])
def test_bad_coils_are_named(folder, words, message, capsys):
    assert run(*words, "kspace", "image") == 1
    assert message in capsys.readouterr().err
