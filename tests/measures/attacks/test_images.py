"""Copies of images are seen through shift, mirror, brightness and noise; innocent images are not accused."""

import numpy as np
import pytest

from wardgate.measures.attacks import images as looks
from wardgate.records.errors import Invalid

SIDE = 24


def bodies(count: int, rng: np.random.Generator, *, side: int = SIDE) -> np.ndarray:
    """Images of a common shape with fifteen soft spots of each patient's own."""
    down, across = np.mgrid[:side, :side] / side
    found = np.repeat(80 * np.exp(-8 * ((down - 0.5) ** 2 + (across - 0.5) ** 2))[None], count, axis=0)
    for _ in range(15):
        y, x, width = rng.random((3, count, 1, 1))
        found += (
            60
            * rng.normal(size=(count, 1, 1))
            * np.exp(-((down - y) ** 2 + (across - x) ** 2) / (0.004 + 0.02 * width))
        )
    return np.clip(found + 100, 0, 255).astype(np.uint8)


def changed(images: np.ndarray, how: str, rng: np.random.Generator) -> np.ndarray:
    found = images.astype(np.float64)
    if how == "shifted":
        found = np.roll(found, (1, -2), axis=(1, 2))
    elif how == "mirrored":
        found = found[:, :, ::-1]
    elif how == "brighter":
        found = np.clip(0.7 * found + 30, 0, 255)
    elif how == "noisy":
        found = found + rng.normal(0, 8, found.shape)
    elif how == "mirrored and shifted":
        found = np.roll(found[:, :, ::-1], 1, axis=1)
    return found


def matched(real: np.ndarray, candidate: np.ndarray, reference: np.ndarray) -> dict[str, looks.Matches]:
    seen = [looks.pictures(part, name="some") for part in (real, candidate, reference)]
    eyes = looks.Eyes.of(np.concatenate(seen[1:]))
    return looks.matches(eyes, seen[0], eyes.spaces(seen[0]), np.arange(len(real)), seen[1])


@pytest.mark.parametrize("how", ["whole", "shifted", "mirrored", "brighter", "noisy", "mirrored and shifted"])
def test_the_original_of_a_copy_is_found(how: str) -> None:
    rng = np.random.default_rng(0)
    real, others, reference = (bodies(count, rng) for count in (300, 100, 200))
    candidate = np.concatenate((changed(real[:40], how, rng), others))
    found = matched(real, candidate, reference)["copies"]
    assert np.mean(found.owner[:40] == np.arange(40)) > 0.9
    assert np.median(found.away[:40]) < 0.7 * np.median(found.away[40:])


def test_innocent_images_give_chances_that_are_uniform_or_larger() -> None:
    chances = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        found = matched(bodies(240, rng, side=16), bodies(150, rng, side=16), bodies(80, rng, side=16))
        chances.append([looks.tail_p(one, np.arange(240), np.arange(240) < 160) for one in found.values()])
    assert np.all(np.mean(np.array(chances) <= 0.05, axis=0) <= 0.2)
    assert np.mean(np.array(chances) <= 0.05) <= 0.06


def test_images_of_one_patient_count_once() -> None:
    away, owner = np.linspace(0, 1, 100), np.zeros(100, dtype=np.int64)
    found = looks.Matches(away=away.astype(np.float32), owner=owner)
    assert looks.tail_p(found, np.arange(50) // 5, np.arange(10) < 5) == 1.0


def test_an_image_equally_near_to_two_patients_accuses_neither() -> None:
    rng = np.random.default_rng(1)
    real = bodies(60, rng)
    real[30:] = real[:30]
    found = matched(real, real[:20], bodies(100, rng))
    assert all(np.all(one.owner == -1) for one in found.values())


def test_colour_depth_size_and_odd_widths_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    grey = bodies(30, rng, side=26)
    small = looks.pictures(grey, name="some")
    colour = looks.pictures(np.repeat(grey[..., None], 3, axis=3), name="some")
    assert np.allclose(small, colour)
    assert np.allclose(looks.levelled(small), looks.levelled(looks.pictures(grey / 255.0, name="some")), atol=1e-5)
    large = np.kron(grey, np.ones((1, 4, 4), dtype=np.uint8))
    assert np.allclose(looks.pictures(large, name="some"), small)
    assert looks.pictures(grey[:, :, :25], name="some").shape == (30, 26, 24)


def test_levelled_waves_have_the_length_of_one_image() -> None:
    rng = np.random.default_rng(3)
    seen = looks.pictures(bodies(50, rng), name="some")
    eyes = looks.Eyes.of(seen)
    images = np.fft.irfft2(eyes.waves(seen), s=seen.shape[1:])
    assert np.allclose(np.sum(images**2, axis=(1, 2)), 1.0, atol=1e-4)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 20)), "shape"),
        (np.zeros((5, 20, 20, 2)), "shape"),
        (np.zeros((0, 20, 20)), "at least one"),
        (np.full((5, 20, 20), "a"), "numbers"),
        (np.zeros((5, 20, 20), dtype=complex), "numbers"),
        (np.ones((5, 4, 20)), "are needed"),
        (np.ones((5, 12, 400)), "narrow"),
        (np.full((5, 20, 20), np.nan), "not finite"),
        (np.full((5, 20, 20), np.inf), "not finite"),
        (np.zeros((5, 20, 20), dtype=np.uint8), "one brightness"),
        (np.full((5, 20, 20), 255, dtype=np.uint8), "one brightness"),
    ],
)
def test_what_is_no_image_is_refused_by_name(images: np.ndarray, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        looks.pictures(images, name="holdout")
