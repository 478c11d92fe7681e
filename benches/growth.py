#!/usr/bin/env python3
"""How the sample's speed grows with batch, threads and image size: one SVG chart, docs/growth.svg.

    benches/growth.py

Needs the built harness (scripts/demo.sh --images 1), and for image sizes other than 224 the package `onnx`, which is installed in the
virtual environment of benches/peers.
"""
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
import compare  # noqa: E402

CHART = compare.ROOT / "docs" / "growth.svg"
MODES = {"static": "#2463eb", "dynamic": "#0e9384", "fp32": "#8a94a6"}
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128]
SIDES = [32, 64, 112, 160, 224, 320, 448]
SIZE_BATCH = 8

RESIZE = """
import sys, onnx
model = onnx.load(sys.argv[1])
for axis in (2, 3):
    model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = int(sys.argv[3])
del model.graph.value_info[:]
onnx.save(model, sys.argv[2])
"""


def bench(mode, batch, threads, model):
    done = subprocess.run([str(compare.HARNESS), "--bench", "--mode", mode, "--batch", str(batch), "--threads", str(threads), "--model", str(model)],
                          capture_output=True, text=True, check=True)
    value = json.loads(done.stdout)["img_per_s"]
    print(f"{mode:8} batch {batch:4} {threads} threads {Path(model).stem:24} {value:9.1f} img/s", flush=True)
    return value


def resized(python, side):
    if side == 224:
        return compare.MODEL
    compare.WORK.mkdir(exist_ok=True)
    target = compare.WORK / f"resnet50_{side}.onnx"
    if not target.exists():
        subprocess.run([str(python), "-c", RESIZE, str(compare.MODEL), str(target), str(side)], check=True)
    return target


class Panel:
    """A chart of lines over a logarithmic x axis."""

    WIDTH, HEIGHT, LEFT, TOP = 420, 260, 55, 40

    def __init__(self, x, title, unit, ticks, log_y=False):
        self.x, self.title, self.unit, self.ticks, self.log_y, self.lines = x, title, unit, ticks, log_y, []

    def add(self, label, colour, dashed, points):
        self.lines.append((label, colour, dashed, points))

    def svg(self):
        from math import log10, log2

        most = max(value for *_, points in self.lines for value in points.values())
        least = min(value for *_, points in self.lines for value in points.values())
        low, high = log2(self.ticks[0]), log2(self.ticks[-1])
        px = lambda t: self.x + self.LEFT + (log2(t) - low) / (high - low) * (self.WIDTH - self.LEFT - 90)  # noqa: E731
        if self.log_y:
            bottom, top = int(log10(least)), int(log10(most)) + 1
            marks = [10**e for e in range(bottom, top + 1)]
            py = lambda v: self.TOP + self.HEIGHT * (1 - (log10(v) - bottom) / (top - bottom))  # noqa: E731
        else:
            step = 10 ** int(log10(most)) / (1 if most >= 3 * 10 ** int(log10(most)) else 2)
            marks = [step * i for i in range(int(most / step) + 2)]
            py = lambda v: self.TOP + self.HEIGHT * (1 - v / marks[-1])  # noqa: E731
        out = [f'<text x="{self.x + self.LEFT}" y="20" font-weight="600">{self.title}</text>']
        for mark in marks:
            out.append(f'<line x1="{px(self.ticks[0])}" x2="{px(self.ticks[-1])}" y1="{py(mark):.1f}" y2="{py(mark):.1f}" stroke="#ddd"/>'
                       f'<text x="{self.x + self.LEFT - 6}" y="{py(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>')
        for tick in self.ticks:
            out.append(f'<text x="{px(tick):.1f}" y="{self.TOP + self.HEIGHT + 18}" text-anchor="middle">{tick}</text>')
        out.append(f'<text x="{self.x + self.LEFT}" y="{self.TOP + self.HEIGHT + 36}">{self.unit}</text>')
        for label, colour, dashed, points in self.lines:
            path = " ".join(f"{px(t):.1f},{py(v):.1f}" for t, v in points.items())
            dash = ' stroke-dasharray="5 4"' if dashed else ""
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
            last = list(points.items())[-1]
            out.append(f'<text x="{px(last[0]) + 6:.1f}" y="{py(last[1]) + 4:.1f}" fill="{colour}">{label}</text>')
        return "\n".join(out)


def main():
    python = compare.environment(["onnxruntime"])
    batches = Panel(0, "Images a second, 224 x 224", "images a run", BATCHES)
    for mode, colour in MODES.items():
        for threads in (2, 1):
            points = {batch: bench(mode, batch, threads, compare.MODEL) for batch in (BATCHES if mode != "fp32" else BATCHES[::2])}
            batches.add(f"{mode}, {threads} thread{'s' if threads > 1 else ''}", colour, threads == 1, points)
    sizes = Panel(480, f"Images a second, batch {SIZE_BATCH}, 2 threads", "pixels a side", SIDES, log_y=True)
    for mode, colour in MODES.items():
        sizes.add(mode, colour, False, {side: bench(mode, SIZE_BATCH, 2, resized(python, side)) for side in SIDES})
    CHART.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="980" height="372" font-family="system-ui,sans-serif" font-size="12">\n'
                     '<rect width="980" height="372" fill="white"/>\n' + batches.svg() + "\n" + sizes.svg() +
                     f'\n<text x="55" y="364" fill="#666">ResNet-50, {compare.cpu_name()}; made by benches/growth.py</text>\n</svg>\n')
    print(f"wrote {CHART}")


if __name__ == "__main__":
    main()
