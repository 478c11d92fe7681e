#!/usr/bin/env python3
"""Write small recurrent networks as ONNX files with inputs, float outputs and, for some, torch's dynamic int8 outputs.

Run:  python make_recurrent.py [--out DIR]        (needs: pip install numpy onnx onnxruntime torch, an x86 CPU)
Out:  recurrent/<name>/model.onnx                 the graph
      recurrent/<name>/input<i>.f32               little-endian float32, C order; lengths are written as floats
      recurrent/<name>/output<i>.f32              float outputs: torch's for its modules, else onnxruntime's, graph
                                                  optimizations off (it has no layout = 1: there with the tensors turned)
      recurrent/<name>/torch<i>.f32               the same outputs of torch.ao.quantization.quantize_dynamic(model, qint8)
      recurrent/index.json                        a list, one network a line: {name, opset, note, inputs [{name, shape}],
                                                  outputs [{name, shape}], torch (whether torch<i>.f32 are there)}

Networks named onnx_* are one node made with onnx.helper, to have what torch does not export; torch_* are exported from
torch modules as they come (its TorchScript exporter). Each has its own random stream, seeded by its name.
"""
import argparse
import io
import json
import pathlib
import warnings
import zlib

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def stream(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def run_onnxruntime(model, feeds):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


class Writer:
    def __init__(self, out):
        self.out, self.index = out, []

    def write(self, name, model, note, inputs, outputs, torch_outputs=None):
        folder = self.out / name
        folder.mkdir(parents=True, exist_ok=True)
        onnx.checker.check_model(model)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        for kind, tensors in [("input", inputs), ("output", outputs), ("torch", torch_outputs or [])]:
            for index, array in enumerate(tensors):
                np.ascontiguousarray(array, dtype="<f4").tofile(folder / f"{kind}{index}.f32")

        def described(values, arrays):
            return [{"name": value.name, "shape": list(array.shape)} for value, array in zip(values, arrays)]

        self.index.append({
            "name": name,
            "opset": model.opset_import[0].version,
            "note": note,
            "inputs": described(model.graph.input, inputs),
            "outputs": described(model.graph.output, outputs),
            "torch": torch_outputs is not None,
        })

    def finish(self):
        lines = ",\n".join(json.dumps(entry) for entry in self.index)
        (self.out / "index.json").write_text(f"[\n{lines}\n]\n")


def one_node(writer, name, note, op, time=7, batch=3, size=5, hidden=6, direction="forward", outputs="Y Y_h Y_c", lengths=None,
             lengths_are_input=False, initial=False, initial_are_inputs=False, bias=True, layout=0, opset=14, lengths_type=TensorProto.INT32, **attributes):
    """A model of one recurrent node, every optional part of which may be there or not."""
    random = stream(name)
    directions = 2 if direction == "bidirectional" else 1
    rows = GATES[op] * hidden
    weights = {
        "W": random.normal(size=(directions, rows, size)) * 0.5,
        "R": random.normal(size=(directions, rows, hidden)) * 0.5,
        "B": random.normal(size=(directions, 2 * rows)) * 0.3,
    }
    # A spread over rows, so that scales of channels differ.
    for key in "WR":
        weights[key] *= random.uniform(0.3, 1.5, size=(directions, rows, 1))
    states = [batch, directions, hidden] if layout else [directions, batch, hidden]
    x_shape = [batch, time, size] if layout else [time, batch, size]
    x = random.normal(size=x_shape).astype(np.float32)
    initializers = [numpy_helper.from_array(array.astype(np.float32), key) for key, array in weights.items() if key != "B" or bias]
    graph_inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None, size])]
    feeds, order = {"x": x}, [x]
    node_inputs = ["x", "W", "R", "B" if bias else "", "", "", ""]
    cast = []
    if lengths is not None:
        node_inputs[4] = "lengths"
        numbers = np.array(lengths, dtype=np.int32)
        if lengths_are_input:
            graph_inputs.append(helper.make_tensor_value_info("lengths", lengths_type, [None]))
            feeds["lengths"] = numbers.astype(np.int64 if lengths_type == TensorProto.INT64 else np.int32)
            order.append(numbers.astype(np.float32))
            if lengths_type == TensorProto.INT64:
                node_inputs[4] = "lengths32"
                cast = [helper.make_node("Cast", ["lengths"], ["lengths32"], to=TensorProto.INT32)]
        else:
            initializers.append(numpy_helper.from_array(numbers, "lengths"))
    if initial:
        for place, key in [(5, "initial_h"), (6, "initial_c")][: 2 if op == "LSTM" else 1]:
            node_inputs[place] = key
            state = (random.normal(size=states) * 0.8).astype(np.float32)
            if initial_are_inputs:
                graph_inputs.append(helper.make_tensor_value_info(key, TensorProto.FLOAT, [None, None, hidden]))
                feeds[key] = state
                order.append(state)
            else:
                initializers.append(numpy_helper.from_array(state, key))
    while node_inputs[-1] == "":
        node_inputs.pop()
    names = outputs.split()
    names = [output for output in names if output != "Y_c" or op == "LSTM"]
    if direction != "forward":
        attributes["direction"] = direction
    if layout:
        attributes["layout"] = 1
    node = helper.make_node(op, node_inputs, ["" if output == "_" else output for output in names], name="layer", hidden_size=hidden, **attributes)
    ranks = {"Y": 4, "Y_h": 3, "Y_c": 3}
    made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None] * ranks[output]) for output in names if output != "_"]
    graph = helper.make_graph(cast + [node], name, graph_inputs, made, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if layout:
        # onnxruntime has no kernel for it: the same layer with layout 0, its tensors turned.
        swap = lambda array: np.ascontiguousarray(np.swapaxes(array, 0, 1))
        plain = onnx.ModelProto()
        plain.CopyFrom(model)
        attribute = [a for a in plain.graph.node[-1].attribute if a.name == "layout"]
        plain.graph.node[-1].attribute.remove(attribute[0])
        turned = {key: swap(array) if array.ndim == 3 else array for key, array in feeds.items()}
        for tensor in plain.graph.initializer:
            if tensor.name.startswith("initial_"):
                tensor.CopyFrom(numpy_helper.from_array(swap(numpy_helper.to_array(tensor)), tensor.name))
        results = run_onnxruntime(plain, turned)
        results = [np.transpose(result, (2, 0, 1, 3)) if result.ndim == 4 else swap(result) for result in results]
    else:
        results = run_onnxruntime(model, feeds)
    writer.write(name, model, note, order, results)


class Tagger(nn.Module):
    """A recurrent network as users write it: layers, then a linear layer on every step or on the last."""

    def __init__(self, kind, size=10, hidden=12, classes=5, last=False, states=False, **options):
        super().__init__()
        self.recurrent = kind(size, hidden, **options)
        self.head = nn.Linear(hidden * (2 if options.get("bidirectional") else 1), classes)
        self.last, self.states, self.batch_first = last, states, options.get("batch_first", False)

    def forward(self, x):
        y, state = self.recurrent(x)
        if self.last:
            y = y[:, -1] if self.batch_first else y[-1]
        y = self.head(y)
        if not self.states:
            return y
        return (y, *state) if isinstance(state, tuple) else (y, state)


def exported(writer, name, note, module, x, dynamic=True, quantized=True, opset=17):
    """Exports a torch module; its float and dynamic int8 outputs are torch's."""
    torch.manual_seed(zlib.crc32(name.encode()))
    random = stream(name)
    with torch.no_grad():
        for parameter in module.parameters():
            scale = random.uniform(0.4, 1.6, size=(parameter.shape[0],) + (1,) * (parameter.dim() - 1))
            parameter.copy_(torch.tensor(random.normal(size=tuple(parameter.shape)) * scale * 0.35, dtype=torch.float32))
    module.eval()
    x = torch.tensor(random.normal(size=x) * 1.3 + 0.2, dtype=torch.float32)
    buffer = io.BytesIO()
    axes = {"x": {0: "a", 1: "b"}} if dynamic and x.dim() == 3 else {"x": {0: "a"}} if dynamic else None
    torch.onnx.export(module, x, buffer, input_names=["x"], dynamic_axes=axes, opset_version=opset, dynamo=False)
    model = onnx.load_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.doc_string = ""  # source lines of the machine that exports
    with torch.no_grad():
        tensors = lambda result: [r.numpy() for r in (result if isinstance(result, tuple) else (result,))]
        outputs = tensors(module(x))
        int8 = None
        if quantized:
            torch.backends.quantized.engine = "x86"
            int8 = tensors(torch.ao.quantization.quantize_dynamic(module, {nn.Linear, nn.LSTM, nn.GRU}, dtype=torch.qint8)(x))
    for result, expected in zip(run_onnxruntime(model, {"x": x.numpy()}), outputs):
        assert np.abs(result - expected).max() < 1e-5 * max(1, np.abs(expected).max()), name
    writer.write(name, model, note, [x.numpy()], outputs, int8)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "recurrent")
    writer = Writer(parser.parse_args().out)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)

    one_node(writer, "onnx_lstm", "all outputs, first states", "LSTM", initial=True)
    one_node(writer, "onnx_lstm_last", "Y_h and Y_c alone, no bias", "LSTM", outputs="_ Y_h Y_c", bias=False, opset=7)
    one_node(writer, "onnx_lstm_cell", "Y_c alone", "LSTM", outputs="_ _ Y_c")
    one_node(writer, "onnx_lstm_reverse", "reverse, lengths in the file", "LSTM", direction="reverse", lengths=[7, 1, 4])
    one_node(writer, "onnx_lstm_lengths", "bidirectional, lengths and first states are inputs", "LSTM", direction="bidirectional",
             lengths=[3, 7, 5], lengths_are_input=True, initial=True, initial_are_inputs=True)
    one_node(writer, "onnx_lstm_long", "40 sequences of 33 steps: several groups and blocks; gates that are no multiple of 16", "LSTM", time=33, batch=40,
             size=7, hidden=9, direction="bidirectional", outputs="Y Y_h", lengths=[1 + 7 * i % 33 for i in range(40)], lengths_are_input=True,
             lengths_type=TensorProto.INT64)
    one_node(writer, "onnx_lstm_batch_first", "layout 1", "LSTM", direction="bidirectional", layout=1, initial=True, initial_are_inputs=True)
    one_node(writer, "onnx_gru", "resets the state, bidirectional", "GRU", direction="bidirectional", initial=True)
    one_node(writer, "onnx_gru_linear", "resets the product, reverse, lengths", "GRU", direction="reverse", lengths=[2, 6, 7], lengths_are_input=True,
             linear_before_reset=1)
    one_node(writer, "onnx_gru_last", "resets the state, Y_h alone", "GRU", outputs="_ Y_h")
    one_node(writer, "onnx_rnn", "tanh, bidirectional", "RNN", direction="bidirectional", initial=True)
    one_node(writer, "onnx_rnn_relu", "ReLU", "RNN", activations=["Relu"], outputs="Y")

    exported(writer, "torch_lstm_layers", "two layers, batch first, linear on the last step", Tagger(nn.LSTM, num_layers=2, batch_first=True, last=True),
             (4, 9, 10))
    exported(writer, "torch_lstm_bidirectional", "two layers in two directions, states returned",
             Tagger(nn.LSTM, num_layers=2, bidirectional=True, states=True), (8, 3, 10))
    exported(writer, "torch_lstm_static", "a fixed shape, one layer, states returned", Tagger(nn.LSTM, states=True), (6, 2, 10), dynamic=False)
    exported(writer, "torch_gru_layers", "three layers, batch first, states returned", Tagger(nn.GRU, num_layers=3, batch_first=True, states=True),
             (3, 7, 10), opset=13)
    exported(writer, "torch_gru_bidirectional", "two directions, last step", Tagger(nn.GRU, bidirectional=True, last=True), (8, 4, 10))
    exported(writer, "torch_rnn", "nn.RNN with ReLU, two layers", Tagger(nn.RNN, num_layers=2, nonlinearity="relu"), (6, 3, 10), quantized=False)
    exported(writer, "torch_linear", "three linear layers on rows", nn.Sequential(nn.Linear(17, 40), nn.ReLU(), nn.Linear(40, 33), nn.ReLU(), nn.Linear(33, 6)),
             (9, 17))
    exported(writer, "torch_linear_tokens", "linear layers on [n, t, k]", nn.Sequential(nn.Linear(24, 20), nn.ReLU(), nn.Linear(20, 18)), (3, 5, 24))
    writer.finish()


if __name__ == "__main__":
    main()
