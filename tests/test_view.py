"""Pictures of reconstructions: `bart-pogmdm view` and `Result.plot`."""

import io as memory
import subprocess
import sys

import numpy as np
import pytest

from bart_pogmdm import Result, recon
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.commands.main import main
from bart_pogmdm.files.cfl import read, write
from bart_pogmdm.toolbox.find_bart import find

pytest.importorskip("matplotlib")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from bart_pogmdm.commands.view import roles
from bart_pogmdm.plot.montage import draw_montage
from bart_pogmdm.plot.panels import png
from bart_pogmdm.plot.reconstruction_picture import draw_reconstruction

SHAPE = (30, 44)


def results(rng, coils=3, slices=1, plane=(*SHAPE, 1)):
    """image, sens, std (READ, PHS1, PHS2, COIL, …) with 1 % of the pixels at the maximum, which is then the window."""
    def array(*shape):
        return rng.standard_normal(shape).astype("f4") + 1j * rng.standard_normal(shape).astype("f4")

    image = array(*plane, 1, slices)
    image /= np.abs(image).max()
    image[5:8, 10:16] = 1
    return {"image": image, "sens": array(*plane, coils, slices), "std": np.abs(array(*plane, 1, slices)) + 0j}


@pytest.fixture
def folder(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(results(rng))
    return tmp_path


def pixels(picture):
    """The figure as it is saved: 8-bit grey values (y, x) of its red channel."""
    return (255 * imread(memory.BytesIO(png(picture)))[..., 0]).round().astype(int)


def panel(picture, number):
    """The pixels of one panel of the saved figure."""
    shown = pixels(picture)
    box = [axes for axes in picture.axes if axes.images][number].get_position()
    height, width = shown.shape
    left, right = (round(x * width) for x in (box.x0, box.x1))
    top, bottom = (round((1 - y) * height) for y in (box.y1, box.y0))
    return shown[top:bottom, left:right]


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])  # READ x PHS1, PHS1 x PHS2, READ x PHS2
def test_the_image_is_that_of_toimg_pixel_by_pixel(bart, rng, tmp_path, monkeypatch, axes):
    monkeypatch.chdir(tmp_path)
    write({"image": results(rng)["image"].transpose(*axes, 3, 4)})
    subprocess.run([find(), "toimg", "image", "toimg.png"], check=True, capture_output=True)
    expected = (255 * imread("toimg.png")[..., 0]).round().astype(int)
    assert expected.shape == SHAPE
    picture = draw_reconstruction(read("image"))
    drawn = panel(picture, 0)
    zoom = drawn.shape[0] // SHAPE[0]
    assert drawn.shape == (zoom * SHAPE[0], zoom * SHAPE[1]) and zoom > 1
    assert np.abs(drawn - expected.repeat(zoom, 0).repeat(zoom, 1)).max() <= 1


def test_a_row_for_each_slice_with_one_scale(rng):
    arrays = results(rng, slices=2)
    arrays["image"][..., 1] *= 0.5
    picture = draw_reconstruction(**arrays)
    shown = [axes.images[0] for axes in picture.axes if axes.images]
    assert len(shown) == 10
    assert [axes.get_title("left") for axes in picture.axes if axes.images][5] == "magnitude, slice 1"
    for number in range(2):
        np.testing.assert_allclose(shown[5 * number].get_array(), np.abs(arrays["image"][:, :, 0, 0, number]))
        np.testing.assert_allclose(shown[5 * number + 1].get_array(), np.angle(arrays["image"][:, :, 0, 0, number]))
        np.testing.assert_allclose(shown[5 * number + 3].get_array(), arrays["std"][:, :, 0, 0, number].real)
        assert shown[5 * number].get_clim() == (0, 1) and shown[5 * number + 1].get_clim() == (-np.pi, np.pi)
        mosaic = shown[5 * number + 2].get_array()
        magnitude, std, part = (shown[5 * number + place].get_array() for place in (0, 3, 4))
        seen = magnitude > 1.645 * std
        assert (part.mask == ~seen).all() and part[seen].max() < 1 / 1.645
        ny, nx = SHAPE
        assert mosaic.shape == (2 * ny + 1, 2 * nx + 1) and mosaic.mask[ny:, nx:].all()
        assert mosaic.mask[ny].all() and mosaic.mask[:, nx].all()
        for coil in range(3):
            tile = mosaic[coil // 2 * (ny + 1):, coil % 2 * (nx + 1):][:ny, :nx]
            np.testing.assert_allclose(tile, np.abs(arrays["sens"][:, :, 0, coil, number]))


def test_the_scale_ends_at_the_quantile(rng):
    image = rng.random((40, 50)) + 0j
    image[3, 4] = 100
    assert draw_reconstruction(image).axes[0].images[0].get_clim()[1] == np.quantile(image.real, 0.995)
    assert draw_reconstruction(0 * image).axes[0].images[0].get_clim() == (0, 1)
    lonely = np.zeros((40, 50)) + 0j
    lonely[3, 4] = 100
    assert draw_reconstruction(lonely).axes[0].images[0].get_clim() == (0, 100)


def test_a_magnitude_has_no_panel_of_its_phase(rng):
    assert titles(draw_reconstruction(rng.random(SHAPE))) == ["magnitude"]


def test_small_montages_stay_small(rng):
    width, height = draw_montage(rng.random((64, 64))).get_size_inches() * 100
    assert width < 500 and height < 450


def test_files_are_told_apart_by_their_coils(rng):
    several, single = results(rng), results(rng, coils=1)
    arrays = {name: to_bart(array[:, :, 0, :, 0].transpose(2, 0, 1)) for name, array in several.items()}
    one = {name: to_bart(array[:, :, 0, :, 0].transpose(2, 0, 1)) for name, array in single.items()}
    assert list(roles({"a": arrays["image"]})) == ["image"]
    assert list(roles({"a": arrays["sens"]})) == ["sens"]
    found = roles({"c": arrays["sens"], "a": arrays["image"], "b": arrays["std"]})
    assert found["image"] is arrays["image"] and found["sens"] is arrays["sens"] and found["std"] is arrays["std"]
    found = roles({"a": one["image"], "b": one["std"]})
    assert found["image"] is one["image"] and found["std"] is one["std"]
    found = roles(one)
    assert found["sens"] is one["sens"] and found["std"] is one["std"]


def test_command_writes_the_same_bytes_each_time(folder, capsys):
    assert main(["view", "image", "sens.hdr", "std"]) == 0
    assert capsys.readouterr().out == "picture: image.png\n"
    first = (folder / "image.png").read_bytes()
    assert main(["view", "sens", "image", "std.cfl", "-o", "again.png"]) == 0
    assert (folder / "again.png").read_bytes() == first
    assert b"Software" not in first and b"tIME" not in first
    assert sorted(path.name for path in folder.iterdir() if path.suffix not in (".cfl", ".hdr")) == [
        "again.png", "image.png"]
    shown = imread("image.png")
    assert shown.shape[2] == 4 and shown[..., 3].min() == 1


def test_command_refuses_what_it_cannot_draw(folder, capsys, rng):
    (folder / "trap.png").symlink_to("image.cfl")
    nan = results(rng)["image"]
    nan[0, 0] = np.nan
    write({"nan": nan, "line": np.ones((1, 5), "c8"), "small": np.ones((20, 20), "c8"),
              "many": np.ones((4, 5, 1, 1, 40), "c8"), "volume": np.ones((4, 5, 6), "c8"),
              "volumes": np.ones((4, 5, 6, 1, 11), "c8")})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for words, said in ((["none"], "none.hdr: no such file"),
                        (["image", "-o", "image.cfl"], "output image.cfl: expected a name that ends in .png"),
                        (["image", "-o", "trap.png"], "output trap.png would overwrite the input image"),
                        (["image", "-o", "nowhere/x.png"], "output nowhere/x.png: the folder nowhere does not exist"),
                        (["sens", "image", "sens.hdr"], "several coils (the sensitivities), got sens, sens.hdr"),
                        (["image", "std", "nan", "sens"], "at most one standard deviation, got image, std, nan"),
                        (["image", "image"], "expected each file once, got image, image"),
                        (["image", "small"], "std: expected as many slices or volumes, of the same size, as in image"),
                        (["image", "volume"], "of the same size, as in image, (1, 30, 44), got (1, 4, 5, 6)"),
                        (["line"], "line: expected at least two of READ, PHS1, PHS2 longer than 1, got 1 x 5 x 1"),
                        (["volumes"], "image: expected at most 10 volumes, got 11: take some with `bart extract`"),
                        (["volumes", "--montage"], "image: expected one volume for a montage, got 11: take one with"),
                        (["--montage", "image", "sens"], "--montage: expected an image and at most one standard "
                                                         "deviation, got sensitivities in sens"),
                        (["many"], "image: expected at most 32 slices, got 40: take some with `bart extract`"),
                        (["nan"], "image: expected finite values, got NaN or infinite ones"),
                        ([], "the following arguments are required: RESULT")):
        assert main(["view", *words]) == 1
        message = capsys.readouterr().err
        assert said in message and message.startswith("ERROR: ") and message.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def titles(picture):
    """The titles of the panels of the figure, row by row."""
    return [axes.get_title("left") for axes in picture.axes if axes.images]


def drawn(picture):
    """The arrays in the panels of the figure, row by row."""
    return [axes.images[0].get_array() for axes in picture.axes if axes.images]


def test_a_volume_has_three_planes_through_the_centre_of_its_energy(rng):
    arrays = {name: array[..., 0] for name, array in results(rng, coils=4, plane=(6, 15, 10)).items()}
    arrays["image"] *= 1e-3
    arrays["image"][2, 11, 7] = 1
    picture = draw_reconstruction(**arrays)
    planes = ["PHS1-PHS2 at READ 2", "READ-PHS2 at PHS1 11", "READ-PHS1 at PHS2 7"]
    names = ["magnitude", "phase", "|sensitivities|", "standard deviation", "std / magnitude"]
    assert titles(picture) == [f"{name}, {plane}" for plane in planes for name in names]
    shown = drawn(picture)
    for row, place in enumerate(((2,), (slice(None), 11), (slice(None), slice(None), 7))):
        image, sens, std = (array[place] for array in arrays.values())
        ny, nx = image.shape[:2]
        np.testing.assert_allclose(shown[5 * row], np.abs(image[..., 0]))
        np.testing.assert_allclose(shown[5 * row + 1], np.angle(image[..., 0]))
        np.testing.assert_allclose(shown[5 * row + 2][:ny, :nx], np.abs(sens[..., 0]))
        np.testing.assert_allclose(shown[5 * row + 3], std[..., 0].real)
    magnitudes = np.concatenate([np.ravel(array.data) for array in shown[::5]])
    clims = {axes.images[0].get_clim() for axes in picture.axes if axes.images}
    assert len(clims) == 4 and (0, np.quantile(magnitudes, 0.995)) in clims


def test_voxels_are_squares_of_one_size_and_nothing_overlaps(rng):
    for shape in ((5, 40, 24), (40, 24, 5), (24, 5, 40)):
        picture = draw_reconstruction(**results(rng, coils=5, plane=shape))
        width, height = picture.get_size_inches() * picture.dpi
        boxes = [axes.get_position().transformed(axes.figure.transFigure) for axes in picture.axes]
        for axes, box in zip(picture.axes, boxes):
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            if axes.images and not axes.get_title("left").startswith("|sens"):
                np.testing.assert_allclose((box.height, box.width),
                                           np.multiply(6, axes.images[0].get_array().shape), atol=1e-6)
        for number, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:number])
        renderer = FigureCanvasAgg(picture).get_renderer()
        texts = [text.get_window_extent(renderer) for text in picture.findobj(Text)
                 if text.get_text() in titles(picture)]
        assert len(texts) == 15 and all(box.x0 >= 0 and box.x1 <= width and box.y1 <= height for box in texts)
        assert not any(box.overlaps(other) for n, box in enumerate(texts) for other in [*texts[:n], *boxes])


def test_a_series_of_volumes_has_the_same_planes_in_each(rng):
    image = results(rng, slices=3, plane=(6, 8, 7))["image"]
    image[..., 2] *= 1e-30
    image[3, 5, 2] = 1e3
    picture = draw_reconstruction(image[:, :, :, :, None])
    assert len(titles(picture)) == 18
    assert titles(picture)[6] == "magnitude, volume 1, PHS1-PHS2 at READ 3"
    assert [title.split(", ")[2] for title in titles(picture)[:6]] == [t.split(", ")[2] for t in titles(picture)[12:]]
    np.testing.assert_allclose(drawn(picture)[6], np.abs(image[3, :, :, 0, 1]))
    nothing = draw_reconstruction(0 * image[..., :1])
    assert titles(nothing) == ["magnitude, PHS1-PHS2 at READ 3", "magnitude, READ-PHS2 at PHS1 4",
                                    "magnitude, READ-PHS1 at PHS2 3"]


def test_a_montage_has_a_tile_for_each_slice_on_one_scale(rng):
    arrays = results(rng, plane=(7, 20, 9))
    picture = draw_montage(arrays["image"], arrays["std"])
    assert titles(picture) == ["magnitude, PHS1-PHS2 at READ 0 to 6", "standard deviation, PHS1-PHS2 at READ 0 to 6"]
    for panel, array in zip(drawn(picture), (np.abs(arrays["image"]), arrays["std"].real)):
        assert panel.shape == (41, 39) and panel.mask[21:, 30:].all()
        for number in range(7):
            tile = panel[number // 4 * 21:, number % 4 * 10:][:20, :9]
            np.testing.assert_allclose(tile, array[number, :, :, 0, 0])
    assert picture.axes[2].images[0].get_clim()[1] == pytest.approx(np.quantile(arrays["std"].real, 0.995))


def test_a_montage_of_many_slices_skips_evenly_and_says_so(rng):
    volume = rng.random((300, 290, 170)).astype("f4")[..., None]
    picture = draw_montage(volume)
    [panel] = drawn(picture)
    assert titles(picture) == ["magnitude, PHS1-PHS2 at READ 2 to 297, one in 5"]
    assert panel.shape == (6 * 291 - 1, 10 * 171 - 1)
    np.testing.assert_array_equal(panel[:290, 171:341], volume[7, ..., 0])
    assert panel.count() == 60 * 290 * 170


def test_a_montage_of_a_series_shows_its_slices(folder, rng, capsys):
    image = rng.random((12, 10, 1, 1, 40)).astype("c8")
    write({"series": image})
    assert main(["view", "--montage", "series"]) == 0 and capsys.readouterr().out == "picture: series.png\n"
    picture = draw_montage(image)
    assert titles(picture) == ["magnitude, slice 0 to 39"] and png(picture) == (folder / "series.png").read_bytes()


@pytest.mark.parametrize("coils", [None, 1, 4])
def test_a_result_draws_itself(phantom, coils):
    kspace, mask, _ = phantom
    kspace = kspace[0] if coils is None else kspace[:coils]
    result = recon(kspace, mask, iterations=2, samples=1)
    picture = result.plot()
    assert isinstance(picture, Figure)
    drawn = [axes.images[0].get_array() for axes in picture.axes if axes.images]
    assert len(drawn) == 5
    np.testing.assert_allclose(drawn[0], np.abs(result.image))
    np.testing.assert_allclose(drawn[3], result.std)
    assert picture._repr_png_() == png(picture)


def test_plot_and_command_draw_the_same(folder):
    arrays = {name: read(name) for name in ("image", "sens", "std")}
    main(["view", "image", "sens", "std"])
    assert png(Result(**arrays, info={}).plot()) == (folder / "image.png").read_bytes()


def test_without_matplotlib_it_says_what_to_install(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["view", "image"]) == 1
    assert capsys.readouterr().err == "ERROR: pictures need matplotlib: pip install 'bart_pogmdm[plot]'\n"
    with pytest.raises(ImportError, match="pip install"):
        Result(read("image"), read("sens"), None, {}).plot()
    assert not list(folder.glob("*.png"))


@pytest.mark.filterwarnings("ignore::bart_pogmdm.arrays.doubts.ReconstructionWarning")  # two iterations, 16 voxels
def test_a_volume_is_reconstructed_and_drawn(bart, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subprocess.run([find(), "phantom", "-3", "-x", "16", "-s", "2", "-k", "full"], check=True, capture_output=True)
    result = recon(read("full"), iterations=2)
    picture = result.plot()
    assert len(titles(picture)) == 9 and titles(picture)[0].startswith("magnitude, PHS1-PHS2 at READ ")
    write({"image": result.image, "sens": result.sens})
    assert main(["view", "image", "sens"]) == 0
    assert (tmp_path / "image.png").read_bytes() == png(picture)
