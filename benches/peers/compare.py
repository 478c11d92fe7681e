#!/usr/bin/env python3
"""Speed of the sample's ResNet-50 beside other engines: alternating runs on the same cores, inputs ready.

    benches/peers/compare.py                     # batch 16, 2 threads, static int8 against OpenVINO int8
    benches/peers/compare.py --batch 1 --threads 1 --rounds 7
    benches/peers/compare.py --peers openvino,onnxruntime,torch --mode static,fp32,dynamic

Sets up a virtual environment beside itself (.venv, from PyPI) with what the chosen peers need, quantizes the same ONNX file with
each (OpenVINO by NNCF, onnxruntime by its QDQ static quantization, both from the sample's calibration images; torch runs
fp32; `ipex` is Intel's extension with its default static qconfig), and runs each in a process of its own, one after the other: A B C, A B C,
... Each process measures itself: warm-up, then the time of N batches and of 2N; the difference gives the steady state, so start-up
and measuring overhead cancel. Every input is f32 [n, 3, 224, 224], ready in memory. Prints img/s (median, min, max over rounds) and
the median of the round-by-round ratios.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ASSETS = ROOT / "cpp_tests" / "resnet50_cifar10" / "assets"
MODEL = ASSETS / "resnet50_cifar10.onnx"
HARNESS = ROOT / "build" / "cpp_tests" / "resnet50_cifar10" / "resnet50_cifar10"
WORK = HERE / ".work"
PACKAGES = {
    "openvino": ["openvino", "nncf", "onnx", "numpy", "pillow"],
    "onnxruntime": ["onnxruntime", "onnx", "numpy", "pillow"],
    "torch": ["torch==2.8.0", "onnx", "numpy", "pillow"],
    "ipex": ["torch==2.8.0", "intel_extension_for_pytorch==2.8.0", "onnx", "numpy", "pillow"],
}
CALIBRATION_IMAGES = 128


def images(count, split="data_batch_1.bin"):
    """The first images as f32 [n, 3, 224, 224], resized and normalized as the sample does."""
    import numpy as np
    from PIL import Image

    raw = np.fromfile(next(ASSETS.rglob(split)), np.uint8).reshape(-1, 3073)
    out = np.empty((count, 3, 224, 224), np.float32)
    for i in range(count):
        pixels = raw[i % len(raw), 1:].reshape(3, 32, 32).transpose(1, 2, 0)
        resized = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.BILINEAR), np.float32)
        out[i] = ((resized / 255 - 0.5) / 0.5).transpose(2, 0, 1)
    return out


def torch_model():
    """The network as a torch module, made from the ONNX file's own weights."""
    import numpy as np
    import onnx
    import torch
    from onnx import numpy_helper

    model = onnx.load(str(MODEL))
    constants = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = []
            values = dict(constants)
            for node in model.graph.node:
                attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
                get = lambda i: values[node.input[i]]  # noqa: E731
                if node.op_type in ("Cast", "Identity") and node.input[0] in values:
                    values[node.output[0]] = get(0).float()
                    continue
                module, data = None, [node.input[0]]
                if node.op_type == "Conv":
                    w = get(1).float()
                    pads = attributes.get("pads", [0, 0, 0, 0])
                    module = torch.nn.Conv2d(w.shape[1], w.shape[0], tuple(w.shape[2:]), tuple(attributes.get("strides", [1, 1])),
                                             tuple(pads[:2]), bias=len(node.input) > 2)
                    module.weight.data = w
                    if len(node.input) > 2:
                        module.bias.data = get(2).float()
                elif node.op_type == "BatchNormalization":
                    s, b, m, v = (get(i).float() for i in range(1, 5))
                    module = torch.nn.BatchNorm2d(len(s), eps=attributes.get("epsilon", 1e-5))
                    module.weight.data, module.bias.data, module.running_mean, module.running_var = s, b, m, v
                elif node.op_type == "Gemm":
                    module = torch.nn.Linear(get(1).shape[1], get(1).shape[0])
                    module.weight.data, module.bias.data = get(1).float(), get(2).float()
                elif node.op_type == "Relu":
                    module = torch.nn.ReLU()
                elif node.op_type == "MaxPool":
                    module = torch.nn.MaxPool2d(attributes["kernel_shape"][0], attributes["strides"][0], attributes["pads"][0])
                elif node.op_type == "Add":
                    data = list(node.input)
                elif node.op_type == "GlobalAveragePool":
                    module = torch.nn.AdaptiveAvgPool2d(1)
                elif node.op_type == "Flatten":
                    module = torch.nn.Flatten()
                elif node.op_type == "Identity":
                    module = torch.nn.Identity()
                else:
                    raise SystemExit(f"compare.py does not know {node.op_type}")
                if module is not None:
                    self.add_module(f"m{len(self.steps)}", module)
                self.steps.append((module is not None, data, node.output[0]))

        def forward(self, x):
            values = {model.graph.input[0].name: x}
            for index, (has_module, data, output) in enumerate(self.steps):
                if has_module:
                    values[output] = getattr(self, f"m{index}")(values[data[0]])
                else:
                    values[output] = values[data[0]] + values[data[1]]
            return values[model.graph.output[0].name]

    return torch.fx.symbolic_trace(Net().eval())


def prepare_openvino():
    target = WORK / "openvino_int8.xml"
    if target.exists():
        return
    import nncf
    import openvino as ov

    model = ov.Core().read_model(str(MODEL))
    data = images(CALIBRATION_IMAGES)
    dataset = nncf.Dataset([data[i : i + 1] for i in range(len(data))])
    ov.save_model(nncf.quantize(model, dataset, subset_size=CALIBRATION_IMAGES), str(target))


def prepare_onnxruntime():
    target = WORK / "onnxruntime_int8.onnx"
    if target.exists():
        return
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.data = iter(images(CALIBRATION_IMAGES))

        def get_next(self):
            image = next(self.data, None)
            return None if image is None else {"image": image[None]}

    folded = WORK / "folded.onnx"
    quant_pre_process(str(MODEL), str(folded))
    quantize_static(str(folded), str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)


def runner_openvino(mode, batch, threads, hint):
    import openvino as ov

    core = ov.Core()
    model = core.read_model(str(MODEL if mode == "fp32" else WORK / "openvino_int8.xml"))
    model.reshape([batch, 3, 224, 224])
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": hint}
    if mode == "fp32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = core.compile_model(model, "CPU", settings)
    data = images(min(batch, 16))
    import numpy as np

    data = np.concatenate([data] * ((batch + len(data) - 1) // len(data)))[:batch]
    streams = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    if hint == "LATENCY" or streams == 1:
        request = compiled.create_infer_request()
        tensor = ov.Tensor(np.ascontiguousarray(data))
        request.set_input_tensor(tensor)
        return lambda: request.infer()
    # Throughput: as many requests in flight as the plugin wants; a call is one batch in the steady state.
    queue = ov.AsyncInferQueue(compiled, streams)
    for request in queue:
        request.set_input_tensor(ov.Tensor(np.ascontiguousarray(data)))

    def call(count=1):
        for _ in range(count):
            queue.start_async()
        queue.wait_all()

    call.counted = True
    return call


def runner_onnxruntime(mode, batch, threads, _):
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(MODEL if mode == "fp32" else WORK / "onnxruntime_int8.onnx"), options)
    data = {"image": np.ascontiguousarray(np.resize(images(min(batch, 16)), (batch, 3, 224, 224)))}
    return lambda: session.run(None, data)


def runner_torch(mode, batch, threads, _):
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    data = torch.from_numpy(np.resize(images(min(batch, 16)), (batch, 3, 224, 224)).copy())
    module = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(torch_model(), data)))

    def call():
        with torch.inference_mode():
            module(data)

    return call


def runner_ipex(mode, batch, threads, _):
    import intel_extension_for_pytorch as ipex
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    data = torch.from_numpy(np.resize(images(min(batch, 16)), (batch, 3, 224, 224)).copy())
    prepared = ipex.quantization.prepare(torch_model(), ipex.quantization.default_static_qconfig_mapping, example_inputs=data, inplace=False)
    calibration = torch.from_numpy(images(32))
    with torch.no_grad():
        prepared(calibration)
        module = torch.jit.freeze(torch.jit.trace(ipex.quantization.convert(prepared), data))
        module(data), module(data)

    def call():
        with torch.no_grad():
            module(data)

    return call


def measure(call, seconds):
    """Seconds of one batch: the time of 2N batches less that of N, over N."""
    counted = getattr(call, "counted", False)
    many = (lambda n: call(n)) if counted else (lambda n: [call() for _ in range(n)])
    many(3)
    start = time.perf_counter()
    many(4)
    n = max(4, round(seconds / 3 / ((time.perf_counter() - start) / 4)))
    times = []
    for count in (n, 2 * n):
        start = time.perf_counter()
        many(count)
        times.append(time.perf_counter() - start)
    return (times[1] - times[0]) / n


def child(arguments):
    name, mode, batch, threads, hint, seconds = arguments
    batch, threads = int(batch), int(threads)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    call = globals()[f"runner_{name}"](mode, batch, threads, hint)
    print(json.dumps({"img_per_s": batch / measure(call, float(seconds))}))


def environment(peers):
    """Python of a virtual environment that has the peers."""
    venv = Path(os.environ.get("RSQUANT_PEERS_VENV", HERE / ".venv"))
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    wanted = sorted({package for peer in peers for package in PACKAGES[peer]})
    have = subprocess.run([str(python), "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True).stdout.lower()
    missing = [p for p in wanted if p.split("==")[0].lower().replace("_", "-") + "==" not in have.replace("_", "-")]
    if missing:
        print(f"installing {', '.join(missing)}", file=sys.stderr)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *missing], check=True)
    return python


def rsquant_run(mode, batch, threads, env):
    cpus = ",".join(str(c) for c in sorted(os.sched_getaffinity(0))[:threads])
    done = subprocess.run(["taskset", "-c", cpus, str(HARNESS), "--bench", "--mode", mode, "--batch", str(batch), "--threads", str(threads)],
                          capture_output=True, text=True, check=True, env=env)
    return json.loads(done.stdout)["img_per_s"]


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="openvino", help="of openvino, onnxruntime, torch, ipex (openvino)")
    parser.add_argument("--mode", default="static", help="of static, dynamic, fp32; peers run int8 beside static and dynamic (static)")
    parser.add_argument("--batch", default="16", help="batches, by commas (16)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement of a peer (5)")
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--child", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.child)
    if not HARNESS.exists():
        raise SystemExit("build the harness first: scripts/demo.sh --images 1")
    peers = [peer for peer in options.peers.split(",") if peer]
    python = environment(peers)
    WORK.mkdir(exist_ok=True)
    for peer in peers:
        if f"prepare_{peer}" in globals():
            subprocess.run([str(python), "-c", f"import sys; sys.path.insert(0, {str(HERE)!r}); import compare; compare.prepare_{peer}()"],
                           check=True, stdout=subprocess.DEVNULL)
    print(f"{cpu_name()}, {options.threads} threads, {options.rounds} rounds")
    results = []
    for mode in options.mode.split(","):
        for batch in map(int, options.batch.split(",")):
            results += compare(python, peers, mode, batch, options)
    if options.json:
        Path(options.json).write_text(json.dumps({"cpu": cpu_name(), "threads": options.threads, "results": results}, indent=1) + "\n")


def compare(python, peers, mode, batch, options):
    contestants = []
    for peer in peers:
        if peer == "torch" and mode != "fp32" or peer == "ipex" and mode == "fp32":
            continue
        hints = ["LATENCY", "THROUGHPUT"] if peer == "openvino" else [""]
        contestants += [(peer, hint) for hint in hints]
    env = dict(os.environ)
    figures = {("rsquant", ""): []} | {contestant: [] for contestant in contestants}
    for _ in range(options.rounds):
        figures["rsquant", ""].append(rsquant_run(mode, batch, options.threads, env))
        for name, hint in contestants:
            done = subprocess.run([str(python), str(Path(__file__)), "--child", name, "fp32" if mode == "fp32" else "int8", str(batch),
                                   str(options.threads), hint, str(options.seconds)], capture_output=True, text=True, env=env)
            if done.returncode:
                raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
            figures[name, hint].append(json.loads(done.stdout.splitlines()[-1])["img_per_s"])
    ours = figures["rsquant", ""]
    rows = []
    for (name, hint), values in figures.items():
        ratios = [mine / theirs for mine, theirs in zip(ours, values)]
        row = {"engine": name, "hint": hint, "mode": mode, "batch": batch, "img_per_s": statistics.median(values), "min": min(values),
               "max": max(values), "rsquant_over_it": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
        rows.append(row)
        print(f"{mode:8} batch {batch:4}  {name + ' ' + hint:24} {row['img_per_s']:8.1f} img/s ({row['min']:.1f} to {row['max']:.1f})   "
              f"rsquant is {row['rsquant_over_it']:.2f} x ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})", flush=True)
    return rows


if __name__ == "__main__":
    main()
