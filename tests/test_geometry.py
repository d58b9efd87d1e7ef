"""The place of an image in the patient: affine matrices in LPS, from the headers of raw data."""

import h5py
import numpy as np
import pytest
from properties import random_complex

from bart_pogmdm import ReconstructionWarning
from bart_pogmdm.files.geometry import Geometry, geometry_of, stacked
from bart_pogmdm.files.kspace import open_kspace

pytest.importorskip("ismrmrd", reason="ismrmrd is not installed")
from raw_data import encoding, lines, partitions, write_raw

NX, NY, NZ, FOV = 8, 6, 5, (160, 150, 40)
OBLIQUE = np.linalg.qr(np.array([[3.0, 1, 0.5], [-1, 2, 0.3], [0.2, -0.7, 2]]))[0].T  # read, phase, slice as rows


def placed(acquisitions, position, directions=OBLIQUE):
    for one in acquisitions:
        one.position[:] = position
        one.read_dir[:], one.phase_dir[:], one.slice_dir[:] = directions
    return acquisitions


@pytest.fixture
def kspace(rng):
    """k-space (coil, x, y, z)."""
    return random_complex(rng, (2, NX, NY, NZ), np.complex64)


def test_a_slice_has_the_place_of_its_lines(tmp_path, kspace):
    path = write_raw(tmp_path / "a.mrd", encoding((2 * NX, NY), (320, 150, 4), (NX, NY), (160, 150)),
                     [*placed(lines(np.repeat(kspace[..., 0], 2, axis=1), slice=1), (5, -6, 7.5)),
                      *placed(lines(np.repeat(kspace[..., 0], 2, axis=1), slice=0), (5, -6, 0))])
    found = open_kspace(path)
    assert [one.position for one in found.geometry] == [(5, -6, 0), (5, -6, 7.5)] and found.voxel is None
    one = found.geometry[1]
    np.testing.assert_allclose(one.directions, OBLIQUE, atol=1e-7)
    assert one.voxel == (20, 25, 4) and one.field_of_view((NX, NY, 1)) == (160, 150, 4)
    centre = one.affine((NX, NY, 1)) @ [NX // 2, NY // 2, 0, 1]
    np.testing.assert_allclose(centre, [5, -6, 7.5, 1], atol=1e-12)
    np.testing.assert_allclose(one.affine((NX, NY, 1))[:3, 1], 25 * OBLIQUE[1], atol=1e-5)


def test_a_volume_has_one_place(tmp_path, kspace):
    path = write_raw(tmp_path / "a.mrd", encoding((NX, NY, NZ), FOV, partitions=(0, NZ - 1, NZ // 2)),
                     placed(partitions(kspace), (1, 2, 3)))
    found = open_kspace(path)
    assert found.voxel == (20, 25, 8) == found.geometry[0].voxel and len(found.geometry) == 1
    np.testing.assert_allclose(found.geometry[0].affine((NX, NY, NZ)) @ [NX // 2, NY // 2, NZ // 2, 1], [1, 2, 3, 1])


@pytest.mark.parametrize("directions, is_doubt", [(np.zeros((3, 3)), False), (np.ones((3, 3)), True),
                                                  (OBLIQUE * 2, True), (OBLIQUE * np.nan, True)])
def test_directions_that_are_no_axes_are_no_place(tmp_path, kspace, directions, is_doubt):
    """Programs leave zeros where they do not know the directions; anything else gives a warning."""
    path = write_raw(tmp_path / "a.mrd", encoding((NX, NY), FOV), placed(lines(kspace[..., 0]), (1, 2, 3), directions))
    if is_doubt:
        with pytest.warns(ReconstructionWarning, match="the directions of slice 0 are none"):
            assert open_kspace(path).geometry is None
    else:
        assert open_kspace(path).geometry is None


def test_without_a_field_of_view_or_vectors_there_is_no_place(tmp_path, kspace):
    path = write_raw(tmp_path / "a.mrd", encoding((NX, NY), (160, 0)), placed(lines(kspace[..., 0]), (1, 2, 3)))
    assert open_kspace(path).geometry is None
    path = write_raw(tmp_path / "b.mrd", encoding((NX, NY), (160, "none")), placed(lines(kspace[..., 0]), (1, 2, 3)))
    assert open_kspace(path).geometry is None
    path = write_raw(tmp_path / "c.mrd", encoding((NX, NY), FOV), placed(lines(kspace[..., 0]), (1, 2, 3)))
    with h5py.File(path, "a") as file:  # a program that leaves out the vectors
        records = file["dataset/data"][()]
        kind = np.dtype([(name, records.dtype["head"][name]) for name in records.dtype["head"].names
                         if name != "position"])
        short = np.empty(len(records), [("head", kind), *((name, records.dtype[name]) for name in ("traj", "data"))])
        for name in kind.names:
            short["head"][name] = records["head"][name]
        short["traj"], short["data"] = records["traj"], records["data"]
        del file["dataset/data"]
        file["dataset/data"] = short
    assert open_kspace(path).geometry is None


def stack(*positions, directions=OBLIQUE):
    return [geometry_of(place, directions, (1, 1, 4)) for place in positions]


def test_slices_are_a_stack_in_any_order():
    slices = stack(*(np.array([1, 2, 3]) + place * OBLIQUE[2] for place in (10, 0, 15, 5)))
    affine, order = stacked(slices, (8, 6, 1))
    assert order == [1, 3, 0, 2]
    for place, number in enumerate(order):
        np.testing.assert_allclose((affine @ [4, 3, place, 1])[:3], slices[number].position)
    assert stacked(slices[:1], (8, 6, 1))[1] == [0]


def test_slices_that_are_no_stack_are_told():
    turned = Geometry((0, 0, 9), tuple(map(tuple, np.eye(3))), (1, 1, 4))
    assert stacked([*stack((0, 0, 0), 5 * OBLIQUE[2]), turned], (8, 6, 1)) is None
    assert stacked(stack((0, 0, 0), 5 * OBLIQUE[2], 11 * OBLIQUE[2]), (8, 6, 1)) is None
    assert stacked(stack((0, 0, 0), (0, 0, 0)), (8, 6, 1)) is None
    assert stacked(stack((0, 0, 0), 5 * OBLIQUE[0]), (8, 6, 1)) is None


def test_a_normal_that_is_missing_follows_from_the_others():
    assert geometry_of((0, 0, 0), [*np.eye(3)[:2], np.zeros(3)], (1, 1, 1)).directions[2] == (0, 0, 1)
