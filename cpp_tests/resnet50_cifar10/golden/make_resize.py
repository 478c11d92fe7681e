#!/usr/bin/env python3
"""Write bilinear resizes by PIL: Image.resize((width, height), Image.BILINEAR) of RGB bytes.

Run:  python make_resize.py [--out DIR] [--cifar FILE]     (needs: pip install numpy pillow)
Out:  resize_cases.bin    pixels, u8, rows of interleaved RGB [height, width, 3], back to back
      resize_cases.json   {"pillow": version, "cases": [one a line]}, a case being
        name              what the picture is, and the sizes
        src_width, src_height, src_offset          the source's size, and its first byte in resize_cases.bin
        dst_width, dst_height                      the size asked for
        crc32                                      of all dst_height * dst_width * 3 output bytes (zlib's, IEEE)
        dst_offset                                 first byte of the output in resize_cases.bin, or null: CRC only
      Cases that share a source share its offset.

PIL's bilinear is a triangle filter of two passes, width first, each rounding to a byte (22-bit fixed-point weights);
when it shrinks, the triangle widens by the ratio. PIL skips a pass whose size does not change.
"""
import argparse, json, pathlib, zlib
import numpy as np, PIL
from PIL import Image

CIFAR = pathlib.Path(__file__).resolve().parent.parent / "assets" / "test_batch.bin"
CIFAR_IMAGES, CIFAR_RECORD_BYTES = 6, 1 + 3 * 32 * 32
SIZE_LIMIT_BYTES = 1_500_000
FULL_OUTPUT_AT_224 = {"noise", "cifar0"}       # the others store their CRC only


def sources(cifar):
    """Name -> picture [height, width, 3] u8."""
    rng = np.random.default_rng(20261124)
    y, x = np.mgrid[0:32, 0:32]
    rgb = lambda r, g, b: np.stack([r, g, b], axis=-1).astype(np.uint8)
    cells = (x + y) % 2 * 255
    pictures = {
        "noise": rng.integers(0, 256, (32, 32, 3), dtype=np.uint8),
        "noise_0_255": rng.integers(0, 2, (32, 32, 3), dtype=np.uint8) * 255,
        "ramps": rgb(x * 8, y * 8, (x + y) * 4),
        "ramps_full": rgb(x * 255 // 31, 255 - y * 255 // 31, x * y * 255 // 961),
        "checkerboard": rgb(cells, 255 - cells, cells),
        "checkerboard_4": rgb(*[((x // 4 + y // 4) % 2) * 255] * 3),
        "all_0": np.zeros((32, 32, 3), np.uint8),
        "all_255": np.full((32, 32, 3), 255, np.uint8),
        "one_white_pixel": rgb(*[(x == 13) & (y == 17)] * 3) * 255,
        "corners": rgb(*[np.isin(x, (0, 31)) & np.isin(y, (0, 31))] * 3) * 255,
    }
    records = np.fromfile(cifar, np.uint8, CIFAR_IMAGES * CIFAR_RECORD_BYTES).reshape(-1, CIFAR_RECORD_BYTES)
    for i, r in enumerate(records):
        pictures[f"cifar{i}"] = r[1:].reshape(3, 32, 32).transpose(1, 2, 0)
    pictures["noise_20x30"] = rng.integers(0, 256, (30, 20, 3), dtype=np.uint8)      # width 20, height 30
    pictures["noise_1x1"] = rng.integers(0, 256, (1, 1, 3), dtype=np.uint8)
    return {k: np.ascontiguousarray(v) for k, v in pictures.items()}


def cases(pictures):
    """(picture, width, height) of every resize."""
    square = [n for n, p in pictures.items() if p.shape == (32, 32, 3)]
    yield from ((n, 224, 224) for n in square)
    for n in ("noise", "noise_0_255", "ramps", "checkerboard", "cifar1"):
        yield from ((n, s, s) for s in (48, 31))
    for n in ("noise", "ramps_full", "cifar2"):
        yield n, 100, 100
    yield from [("noise", 32, 32), ("noise", 32, 45), ("noise", 45, 32), ("noise", 11, 7), ("noise", 1, 1), ("cifar3", 16, 64),
                ("noise_20x30", 57, 41), ("noise_20x30", 13, 90), ("noise_20x30", 20, 15), ("noise_1x1", 5, 3)]


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent)
    args.add_argument("--cifar", default=CIFAR)
    args = args.parse_args()
    pictures, blob, index, offsets = sources(args.cifar), bytearray(), [], {}

    def append(a):
        at = len(blob)
        blob.extend(a.tobytes())
        return at

    for name, picture in pictures.items():
        offsets[name] = append(picture)
    for name, width, height in cases(pictures):
        src = pictures[name]
        dst = np.asarray(Image.fromarray(src).resize((width, height), Image.BILINEAR))
        full = (width, height) != (224, 224) or name in FULL_OUTPUT_AT_224
        index.append({"name": f"{name} {src.shape[1]}x{src.shape[0]} to {width}x{height}",
                      "src_width": src.shape[1], "src_height": src.shape[0], "src_offset": offsets[name],
                      "dst_width": width, "dst_height": height, "crc32": zlib.crc32(dst.tobytes()),
                      "dst_offset": append(dst) if full else None})
    assert len(blob) < SIZE_LIMIT_BYTES, len(blob)
    (args.out / "resize_cases.bin").write_bytes(blob)
    (args.out / "resize_cases.json").write_text(
        json.dumps({"pillow": PIL.__version__})[:-1] + ', "cases": [\n' + ",\n".join(map(json.dumps, index)) + "\n]}\n")
    print(f"{len(index)} cases, {len(blob)} bytes")

if __name__ == "__main__":
    main()
