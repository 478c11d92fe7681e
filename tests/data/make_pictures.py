#!/usr/bin/env python3
"""Writes tests/data/pictures: JPEGs, and as PNG what Pillow decodes of each. Needs Pillow and numpy."""
import pathlib

import numpy
from PIL import Image

FOLDER = pathlib.Path(__file__).parent / "pictures"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    y, x = numpy.mgrid[0:40, 0:56]
    colours = numpy.stack([4 * x, 6 * y, 128 + 60 * numpy.sin(0.2 * (x + y))], axis=-1).clip(0, 255).astype(numpy.uint8)
    pictures = {
        "colours": (Image.fromarray(colours), {"subsampling": 0}),
        "subsampled": (Image.fromarray(colours), {"subsampling": 2}),
        "progressive": (Image.fromarray(colours), {"progressive": True}),
        "grey": (Image.fromarray(colours[:, :, 2]), {}),
    }
    for name, (picture, options) in pictures.items():
        jpeg = FOLDER / f"{name}.jpg"
        picture.save(jpeg, quality=92, **options)
        Image.open(jpeg).save(FOLDER / f"{name}.png")


main()
