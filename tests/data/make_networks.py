#!/usr/bin/env python3
"""Write small ONNX networks with a sample input and the float output of onnxruntime.

Run:  python make_networks.py [--out DIR] [--check]     (needs: pip install numpy onnx onnxruntime)
Out:  networks/<name>/model.onnx                the graph (and weights.bin where the weights are external)
      networks/<name>/input<i>.f32              little-endian float32, C order, i-th entry of "inputs"
      networks/<name>/output<i>.f32             the same for "outputs"; onnxruntime, CPU, every graph optimization off
      networks/index.json                       a list, one network a line: {name, opset, ir_version, note,
                                                symbolic_batch, inputs [{name, shape}], outputs [{name, shape}],
                                                operators}; shapes are those of the sample

Each network has its own random stream, seeded by its name: adding or changing one leaves its siblings' bytes alone.
Weights are He-scaled with a spread over output channels, so activations stay near one and per-channel scales differ.
The outputs are float sums in onnxruntime's order: compare with a tolerance (1e-4 of the largest magnitude is ample).
--check also runs the `onnx` package's reference evaluator on each network, prints the difference and fails on a large one.
"""
import argparse, itertools, json, pathlib, shutil, zlib
import numpy as np, onnx, onnxruntime
from onnx import TensorProto, helper, numpy_helper, shape_inference

SIZE_LIMIT_BYTES = 3_000_000
CHECK_TOLERANCE = 1e-5     # of the largest output; float sums in another order stay well inside
OPERATORS = """Add AveragePool BatchNormalization Cast Clip Concat Constant Conv Dropout Flatten Gemm GlobalAveragePool
HardSigmoid HardSwish Identity LeakyRelu MatMul MaxPool Mul Pad ReduceMean Relu Reshape Sigmoid Softmax Squeeze Sub
Transpose Unsqueeze""".split()
# The IR version that was current when an opset was released; below 4, initializers are graph inputs too.
IR_OF_OPSET = {7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}
SAME = object()   # "as many channels as the first input"


class Net:
    """A graph under construction. Every method that adds a node returns the name of its output."""

    def __init__(self, name, note, opset, batch=2, symbolic=True, storage="raw", value_info=False):
        self.name, self.note, self.opset, self.batch = name, note, opset, batch
        self.symbolic, self.storage, self.value_info = symbolic, storage, value_info
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.inputs, self.samples, self.outputs, self.nodes, self.initializers = [], [], [], [], []
        self.serial = itertools.count()
        self.channels = {}      # tensor name -> size of its axis 1, where a later layer needs it

    # ---- tensors
    def input(self, name, *shape):
        """A graph input [batch, *shape] with a normal sample."""
        first = "n" if self.symbolic else self.batch
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [first, *shape]))
        self.samples.append(self.rng.standard_normal((self.batch, *shape)).astype("<f4"))
        self.channels[name] = shape[0]
        return name

    def const(self, array, name=None, storage=None):
        """An initializer; a Python int list becomes int64, floats become float32."""
        a = np.asarray(array)
        a = a.astype({"f": np.float32, "i": np.int64, "b": np.bool_}[a.dtype.kind])
        name, storage = name or f"c{next(self.serial)}", storage or self.storage
        if storage == "fp16" and a.dtype == np.float32:
            self.initializers.append(numpy_helper.from_array(a.astype(np.float16), name + ".fp16"))
            return self.op("Cast", name + ".fp16", out=name, to=TensorProto.FLOAT)
        if storage == "fp16_typed":          # fp16 bit patterns in int32_data
            self.initializers.append(helper.make_tensor(name + ".fp16", TensorProto.FLOAT16, a.shape, a.ravel().tolist()))
            return self.op("Cast", name + ".fp16", out=name, to=TensorProto.FLOAT)
        if storage == "typed":               # float_data, int64_data
            kind = helper.np_dtype_to_tensor_dtype(a.dtype)
            self.initializers.append(helper.make_tensor(name, kind, a.shape, a.ravel().tolist()))
        elif storage == "constant":          # a Constant node instead of an initializer
            return self.op("Constant", out=name, value=numpy_helper.from_array(a, name + ".value"))
        else:
            self.initializers.append(numpy_helper.from_array(a, name))
        return name

    def normal(self, *shape, scale=1.0, **kw):
        return self.const(self.rng.standard_normal(shape) * scale, **kw)

    def weight_array(self, *shape, fan_in, axis=0):
        """Normal, He-scaled, times a factor 0.3..1.7 for each index of the output axis."""
        spread = self.rng.uniform(0.3, 1.7, shape[axis]).reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
        return self.rng.standard_normal(shape) * np.sqrt(2.0 / fan_in) * spread

    # ---- nodes
    def op(self, kind, *inputs, out=None, channels=SAME, also=(), **attributes):
        """One node; `also` names further outputs. Attributes that are None are left out."""
        out = out or f"{kind.lower()}{len(self.nodes)}"
        attributes = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(helper.make_node(kind, list(inputs), [out, *also], name=f"/{kind}_{len(self.nodes)}", **attributes))
        if channels is SAME:
            channels = next((self.channels[i] for i in inputs if self.channels.get(i)), None)
        self.channels[out] = channels
        return out

    def conv(self, x, cout, kernel, bias=True, group=1, kernel_shape=True, weight=None, **attributes):
        """kernel: int or (kh, kw). kernel_shape=False leaves that attribute to be read off the weight."""
        kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
        cin = self.channels[x] // group
        w = weight or self.const(self.weight_array(cout, cin, kh, kw, fan_in=cin * kh * kw))
        b = [self.normal(cout, scale=0.3)] if bias else []
        return self.op("Conv", x, w, *b, channels=cout, group=None if group == 1 else group,
                       kernel_shape=[kh, kw] if kernel_shape else None, **attributes)

    def bn(self, x, **attributes):
        c = self.channels[x]
        gamma = self.rng.uniform(0.5, 1.5, c) * np.where(self.rng.random(c) < 0.1, -1, 1)   # some are negative
        p = [self.const(v) for v in (gamma, self.rng.normal(0, 0.3, c), self.rng.normal(0, 0.3, c), self.rng.uniform(0.3, 1.6, c))]
        return self.op("BatchNormalization", x, *p, **attributes)

    def relu(self, x):
        return self.op("Relu", x)

    def conv_bn_relu(self, x, cout, kernel, **kw):
        return self.relu(self.bn(self.conv(x, cout, kernel, bias=False, **kw), epsilon=1e-5))

    def clip(self, x, low=None, high=None):
        """Attributes below opset 11, inputs (an empty name for an absent one) from there on."""
        if self.opset < 11:
            return self.op("Clip", x, min=low, max=high)
        names = ["" if v is None else self.const(float(v)) for v in (low, high)]
        while names and not names[-1]:
            names.pop()
        return self.op("Clip", x, *names)

    def gemm(self, x, cin, cout, trans_b=1, c="vector", **attributes):
        w = self.const(self.weight_array(*((cout, cin) if trans_b else (cin, cout)), fan_in=cin, axis=0 if trans_b else 1))
        bias = {"vector": lambda: [self.normal(cout, scale=0.3)], "row": lambda: [self.normal(1, cout, scale=0.3)],
                "scalar": lambda: [self.const(0.25)], None: lambda: []}[c]()
        return self.op("Gemm", x, w, *bias, channels=cout, transB=trans_b or None, **attributes)

    def matmul(self, x, cin, cout):
        return self.op("MatMul", x, self.const(self.weight_array(cin, cout, fan_in=cin, axis=1)), channels=None)

    def axes_op(self, kind, x, axes, since, **attributes):
        """An operator whose `axes` moved from an attribute to an input at opset `since`."""
        if self.opset < since:
            return self.op(kind, x, channels=None, axes=axes, **attributes)
        return self.op(kind, x, self.const(axes), channels=None, **attributes)

    def squeeze(self, x, axes): return self.axes_op("Squeeze", x, axes, 13)
    def unsqueeze(self, x, axes): return self.axes_op("Unsqueeze", x, axes, 13)
    def reduce_mean(self, x, axes, keepdims=None): return self.axes_op("ReduceMean", x, axes, 18, keepdims=keepdims)

    def reshape(self, x, shape, channels=None):
        return self.op("Reshape", x, self.const(shape), channels=channels)

    def flatten(self, x, axis=None):
        return self.op("Flatten", x, channels=None, axis=axis)

    def result(self, *names):
        """Name the graph's outputs."""
        self.outputs += names

    # ---- files
    def model(self):
        ir = IR_OF_OPSET[self.opset]
        inputs = list(self.inputs)
        if ir < 4:
            inputs += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in self.initializers]
        outputs = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in self.outputs]
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=ir,
                                  producer_name="rsquant-make_networks")
        model = shape_inference.infer_shapes(model, strict_mode=True)     # fills the output shapes
        if not self.value_info:
            del model.graph.value_info[:]
        onnx.checker.check_model(model)
        return model

    def write(self, folder):
        """Write the folder; return the index entry."""
        folder.mkdir(parents=True)
        path, model = folder / "model.onnx", self.model()
        if self.storage == "external":
            onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=64)
            (folder / "weights.bin").chmod(0o644)     # onnx makes it 0600
        else:
            onnx.save(model, path)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 3        # it warns of initializers that are inputs, as IR 3 wants them
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        results = session.run(self.outputs, {i.name: s for i, s in zip(self.inputs, self.samples)})
        for i, (o, r) in enumerate(zip(self.outputs, results)):
            assert r.dtype == np.float32 and np.isfinite(r).all() and np.ptp(r) > 0, (self.name, o, r.dtype)
        for stem, arrays in (("input", self.samples), ("output", results)):
            for i, a in enumerate(arrays):
                (folder / f"{stem}{i}.f32").write_bytes(np.ascontiguousarray(a, "<f4").tobytes())
        self.results = results
        return {"name": self.name, "opset": self.opset, "ir_version": model.ir_version, "note": self.note,
                "symbolic_batch": self.symbolic,
                "inputs": [{"name": i.name, "shape": list(s.shape)} for i, s in zip(self.inputs, self.samples)],
                "outputs": [{"name": o, "shape": list(r.shape)} for o, r in zip(self.outputs, results)],
                "operators": sorted({n.op_type for n in self.nodes})}


NETWORKS = []
def network(note, opset, **kw):
    """Register a function as a network: its name is the network's, its body adds the nodes."""
    def register(build):
        NETWORKS.append((build, dict(name=build.__name__, note=note, opset=opset, **kw)))
        return build
    return register


# ---------------------------------------------------------------- convolution

@network("3x3 with bias and ReLU, 13 then 30 channels", opset=13, batch=3)
def conv_3x3_bias_relu(g):
    x = g.input("x", 3, 11, 13)
    x = g.relu(g.conv(x, 13, 3, pads=[1, 1, 1, 1]))
    g.result(g.relu(g.conv(x, 30, 3, pads=[1, 1, 1, 1], strides=[2, 2])))

@network("no bias, BatchNormalization with the default and another epsilon; opset 7, IR 3: initializers are graph inputs too", opset=7)
def conv_bn_relu_opset7(g):
    x = g.input("x", 5, 9, 10)
    x = g.relu(g.bn(g.conv(x, 18, 3, bias=False, pads=[1, 1, 1, 1])))
    x = g.relu(g.bn(g.conv(x, 11, 1, bias=False), epsilon=1e-3, momentum=0.9))
    g.result(g.bn(g.conv(x, 7, 3)))            # BatchNormalization of a convolution that has a bias

@network("1x1, plain and with stride 2; channel counts off the tile sizes", opset=11)
def conv_1x1(g):
    x = g.input("x", 17, 13, 11)
    x = g.relu(g.conv(x, 40, 1))
    x = g.relu(g.conv(x, 33, 1, strides=[2, 2], bias=False))
    g.result(g.conv(x, 1, 1))                  # a single output channel

@network("5x5 with four different pads and unequal strides", opset=11, batch=3)
def conv_5x5_asymmetric_pads(g):
    x = g.input("x", 3, 12, 15)
    x = g.relu(g.conv(x, 10, 5, pads=[0, 1, 3, 2], strides=[2, 1]))
    g.result(g.conv(x, 14, 5, pads=[4, 0, 1, 2], strides=[1, 2]))

@network("7x7 stride 2 pad 3 on three channels", opset=12)
def conv_7x7_stride2(g):
    x = g.input("x", 3, 20, 19)
    g.result(g.relu(g.conv(x, 22, 7, pads=[3, 3, 3, 3], strides=[2, 2])))

@network("dilations, equal and unequal, with strides", opset=14)
def conv_dilated(g):
    x = g.input("x", 6, 17, 14)
    x = g.relu(g.conv(x, 15, 3, pads=[2, 2, 2, 2], dilations=[2, 2]))
    x = g.relu(g.conv(x, 9, 3, pads=[1, 3, 1, 3], dilations=[1, 3], strides=[2, 1]))
    g.result(g.conv(x, 8, (2, 3), dilations=[3, 2]))

@network("kernels 1x3, 3x1, 1x7 and 2x5", opset=15)
def conv_oblong_kernels(g):
    x = g.input("x", 4, 10, 13)
    x = g.relu(g.conv(x, 12, (1, 3), pads=[0, 1, 0, 1]))
    x = g.relu(g.conv(x, 13, (3, 1), pads=[1, 0, 1, 0]))
    x = g.relu(g.conv(x, 7, (1, 7), pads=[0, 3, 0, 3], bias=False))
    g.result(g.conv(x, 6, (2, 5), strides=[1, 3]))

@network("auto_pad SAME_UPPER: odd and even kernels, strides 1 to 3, odd and even sizes", opset=11)
def conv_same_upper(g):
    x = g.input("x", 3, 18, 13)
    x = g.relu(g.conv(x, 9, 3, auto_pad="SAME_UPPER", strides=[2, 2]))
    x = g.relu(g.conv(x, 10, 2, auto_pad="SAME_UPPER"))
    x = g.relu(g.conv(x, 11, (4, 5), auto_pad="SAME_UPPER"))
    g.result(g.conv(x, 12, (5, 2), auto_pad="SAME_UPPER", strides=[2, 3]))

@network("auto_pad SAME_LOWER: odd and even kernels, strides 1 to 3, odd and even sizes", opset=16)
def conv_same_lower(g):
    x = g.input("x", 3, 13, 18)
    x = g.relu(g.conv(x, 9, 3, auto_pad="SAME_LOWER", strides=[2, 2]))
    x = g.relu(g.conv(x, 10, 2, auto_pad="SAME_LOWER"))
    x = g.relu(g.conv(x, 11, (4, 5), auto_pad="SAME_LOWER"))
    g.result(g.conv(x, 12, (5, 2), auto_pad="SAME_LOWER", strides=[2, 3]))

@network("auto_pad VALID and NOTSET written out", opset=9)
def conv_valid(g):
    x = g.input("x", 3, 14, 12)
    x = g.relu(g.conv(x, 9, 3, auto_pad="VALID", strides=[2, 1]))
    g.result(g.conv(x, 10, 3, auto_pad="NOTSET", pads=[1, 0, 0, 1]))

@network("depthwise 3x3 and 5x5 stride 2, with and without bias", opset=17)
def conv_depthwise(g):
    x = g.input("x", 21, 13, 12)
    x = g.relu(g.conv(x, 21, 3, group=21, pads=[1, 1, 1, 1]))
    x = g.relu(g.bn(g.conv(x, 21, 5, group=21, bias=False, pads=[2, 2, 2, 2], strides=[2, 2])))
    g.result(g.conv(x, 21, 3, group=21, pads=[2, 2, 2, 2], dilations=[2, 2]))

@network("depthwise with channel multipliers 2 and 3", opset=13)
def conv_depthwise_multiplier(g):
    x = g.input("x", 6, 11, 11)
    x = g.relu(g.conv(x, 12, 3, group=6, pads=[1, 0, 0, 1]))
    g.result(g.conv(x, 36, 3, group=12, strides=[2, 2]))

@network("2, 3 and 4 groups, channels a group off the tile sizes", opset=18)
def conv_grouped(g):
    x = g.input("x", 10, 9, 11)
    x = g.relu(g.conv(x, 18, 3, group=2, pads=[1, 1, 1, 1]))
    x = g.relu(g.conv(x, 24, 1, group=3, bias=False))
    g.result(g.conv(x, 20, 3, group=4, pads=[1, 1, 1, 1], strides=[2, 2]))

@network("every optional attribute of Conv left out: the kernel is read off the weight", opset=19)
def conv_default_attributes(g):
    x = g.input("x", 4, 10, 9)
    x = g.relu(g.conv(x, 8, 3, kernel_shape=False))
    g.result(g.conv(x, 5, 2, kernel_shape=False, bias=False))

@network("one weight initializer read by two convolutions", opset=20)
def conv_shared_weight(g):
    x = g.input("x", 8, 9, 9)
    w = g.const(g.weight_array(8, 8, 3, 3, fan_in=72), "shared")
    x = g.relu(g.conv(x, 8, 3, weight=w, pads=[1, 1, 1, 1]))
    g.result(g.conv(x, 8, 3, weight=w, pads=[1, 1, 1, 1], bias=False))

@network("kernel as large as the padded image; batch fixed at 1 and no symbolic dimension", opset=21, batch=1, symbolic=False)
def conv_fixed_batch_one(g):
    x = g.input("x", 7, 8, 8)
    x = g.relu(g.conv(x, 19, 3, pads=[1, 1, 1, 1], strides=[3, 3]))     # 3 x 3
    g.result(g.conv(x, 23, 3))                                          # 1 x 1


# ---------------------------------------------------------------- normalization and activations

@network("BatchNormalization where no convolution precedes: on the input, after Add, on [n, c]; training_mode=0 written out", opset=15, batch=3)
def batchnorm_standalone(g):
    x = g.input("x", 9, 9, 8)
    a = g.relu(g.bn(x, training_mode=0, epsilon=1e-2))
    b = g.conv(a, 9, 3, pads=[1, 1, 1, 1])
    x = g.bn(g.op("Add", a, b))                                         # two readers of a
    v = g.relu(g.gemm(g.flatten(x), 9 * 9 * 8, 12))
    g.result(x, g.bn(v))

@network("LeakyRelu with the default and other slopes, Sigmoid", opset=16)
def activation_leaky_sigmoid(g):
    x = g.input("x", 3, 9, 10)
    x = g.op("LeakyRelu", g.conv(x, 8, 3), alpha=0.1)
    x = g.op("LeakyRelu", g.conv(x, 10, 1))
    x = g.op("Sigmoid", g.conv(x, 7, 3))
    g.result(g.op("LeakyRelu", g.conv(x, 6, 1), alpha=0.3))

@network("HardSigmoid with the default and MobileNetV3's slope, HardSwish", opset=14)
def activation_hard(g):
    x = g.input("x", 3, 9, 10)
    x = g.op("HardSwish", g.conv(x, 12, 3, pads=[1, 1, 1, 1]))
    x = g.op("HardSwish", g.bn(g.conv(x, 10, 3, bias=False)))
    y = g.op("HardSigmoid", g.conv(x, 6, 1))
    z = g.op("HardSigmoid", g.conv(x, 6, 1), alpha=1 / 6, beta=0.5)
    g.result(y, z)

@network("Clip by attributes: both, min only, max only, neither", opset=10)
def clip_attributes(g):
    x = g.input("x", 3, 9, 8)
    x = g.clip(g.conv(x, 8, 3, pads=[1, 1, 1, 1]), 0.0, 6.0)
    x = g.clip(g.conv(x, 9, 3), -0.5)
    x = g.clip(g.conv(x, 10, 1), None, 1.25)
    g.result(g.clip(g.conv(x, 6, 1)))

@network("Clip by inputs: both, min only, max only, neither", opset=12)
def clip_inputs(g):
    x = g.input("x", 3, 9, 8)
    x = g.clip(g.conv(x, 8, 3, pads=[1, 1, 1, 1]), 0.0, 6.0)
    x = g.clip(g.conv(x, 9, 3), -0.5)
    x = g.clip(g.conv(x, 10, 1), None, 1.25)
    g.result(g.clip(g.conv(x, 6, 1)))


# ---------------------------------------------------------------- elementwise arithmetic

@network("residual Add after a convolution, after ReLU, of a tensor with itself", opset=8, batch=3)
def add_residual(g):
    x = g.input("x", 10, 9, 9)
    y = g.conv(g.relu(g.conv(x, 10, 3, pads=[1, 1, 1, 1])), 10, 3, pads=[1, 1, 1, 1])
    x = g.relu(g.op("Add", x, y))
    y = g.op("Add", g.relu(g.conv(x, 10, 1)), x)        # ReLU on one side only, none after
    g.result(g.op("Add", y, y))

def broadcast_operands(g, kind):
    """Constants of every broadcastable shape, on both sides, then two computed tensors."""
    x = g.input("x", 7, 8, 9)
    x = g.conv(x, 11, 1)
    x = g.op(kind, x, g.normal(1, 11, 1, 1))
    x = g.op(kind, g.normal(11, 1, 1), x)
    x = g.op(kind, x, g.const(0.75))
    x = g.conv(g.relu(x), 6, 3)
    x = g.op(kind, g.const([1.5]), x)
    x = g.op(kind, x, g.normal(7))                      # along the width
    y = g.op("GlobalAveragePool", g.conv(x, 6, 1))      # [n, 6, 1, 1]
    g.result(g.op(kind, y, g.op(kind, x, y)))

@network("Add with constants [1,c,1,1], [c,1,1], scalar, [1], [w] on either side, and a computed [n,c,1,1]", opset=13)
def add_broadcast(g): broadcast_operands(g, "Add")

@network("Mul with constants [1,c,1,1], [c,1,1], scalar, [1], [w] on either side, and a computed [n,c,1,1]", opset=14)
def mul_broadcast(g): broadcast_operands(g, "Mul")

@network("Sub with constants [1,c,1,1], [c,1,1], scalar, [1], [w] on either side, and a computed [n,c,1,1]", opset=9)
def sub_broadcast(g): broadcast_operands(g, "Sub")

@network("squeeze-and-excite gating, the gate on the right, then on the left", opset=17)
def squeeze_excite(g):
    x = g.relu(g.conv(g.input("x", 3, 10, 11), 20, 3))
    for gate_first in (False, True):
        s = g.relu(g.conv(g.op("GlobalAveragePool", x), 5, 1))
        s = g.op("Sigmoid", g.conv(s, 20, 1))
        x = g.op("Mul", s, x) if gate_first else g.op("Mul", x, s)
    g.result(g.conv(x, 6, 1))


# ---------------------------------------------------------------- pooling and reduction

@network("MaxPool: kernels 2 and 3, strides 1 to 3, asymmetric pads, SAME_UPPER; negative values next to the padding", opset=8)
def maxpool(g):
    x = g.input("x", 5, 20, 17)
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = g.conv(x, 9, 1)
    x = g.op("MaxPool", x, kernel_shape=[2, 2])
    x = g.op("Sub", x, g.const(3.0))                    # all below zero: padding must not win
    x = g.op("MaxPool", x, kernel_shape=[3, 2], strides=[1, 3], pads=[0, 1, 2, 0])
    g.result(g.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER"))

@network("MaxPool with ceil_mode and with dilations", opset=10)
def maxpool_ceil_dilated(g):
    x = g.input("x", 6, 20, 18)
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    x = g.conv(x, 8, 1)
    x = g.op("MaxPool", x, kernel_shape=[2, 3], dilations=[2, 2], pads=[1, 2, 1, 2])
    g.result(g.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1))

@network("AveragePool: count_include_pad 0 and 1, asymmetric pads, SAME_UPPER, no attribute but the kernel", opset=7)
def avgpool(g):
    x = g.input("x", 5, 19, 16)
    x = g.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = g.conv(x, 9, 1)
    x = g.op("AveragePool", x, kernel_shape=[3, 2], pads=[1, 0, 2, 1], count_include_pad=1)
    x = g.op("AveragePool", x, kernel_shape=[2, 2])
    g.result(g.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"))

@network("AveragePool with ceil_mode: no pads; pads not counted; pads counted (the overhang past them never is)", opset=19)
def avgpool_ceil(g):
    x = g.input("x", 5, 12, 14)
    y0 = g.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    y1 = g.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=0)
    y2 = g.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=1)
    g.result(y0, y1, y2)

@network("ReduceMean with axes as attribute: spatial with and without keepdims, negative axes, channels", opset=13)
def reduce_mean_attribute(g): reduce_mean_variants(g)

@network("ReduceMean with axes as input: spatial with and without keepdims, negative axes, channels", opset=18)
def reduce_mean_input(g): reduce_mean_variants(g)

def reduce_mean_variants(g):
    x = g.relu(g.conv(g.input("x", 3, 9, 11), 14, 3))
    kept = g.reduce_mean(x, [2, 3], keepdims=1)
    dropped = g.reduce_mean(x, [-1, -2], keepdims=0)
    rows = g.reduce_mean(x, [3])                        # keepdims is 1 by default
    channels = g.reduce_mean(x, [1], keepdims=0)
    g.result(kept, g.gemm(dropped, 14, 6), rows, channels)


# ---------------------------------------------------------------- matrix products

@network("Gemm: transB 0 and 1, alpha, beta, C of [n], [1,n], a scalar and none", opset=13, batch=3)
def gemm(g):
    x = g.input("x", 19)
    x = g.relu(g.gemm(x, 19, 37, trans_b=1))
    x = g.relu(g.gemm(x, 37, 22, trans_b=0, c="row"))
    x = g.relu(g.gemm(x, 22, 17, trans_b=1, alpha=0.5, beta=2.0))
    x = g.relu(g.gemm(x, 17, 30, trans_b=0, c=None, alpha=1.5))
    g.result(g.gemm(x, 30, 5, c="scalar", transA=0, beta=0.5))

@network("MLP of three Gemm, ReLU between", opset=9, batch=3)
def mlp(g):
    x = g.input("x", 40)
    x = g.relu(g.gemm(x, 40, 64))
    x = g.relu(g.gemm(x, 64, 33))
    g.result(g.gemm(x, 33, 10))

@network("MatMul [n,c] by a constant, with a bias Add and without", opset=8, batch=3)
def matmul_2d(g):
    x = g.input("x", 21)
    x = g.relu(g.op("Add", g.matmul(x, 21, 34), g.normal(34)))
    x = g.relu(g.op("Add", g.normal(18), g.matmul(x, 34, 18)))
    g.result(g.matmul(x, 18, 7))

@network("MatMul [n,t,c] by a constant [c,d], and [n,h,t,c] by [c,d]", opset=13)
def matmul_3d(g):
    x = g.input("x", 5, 18)
    x = g.relu(g.op("Add", g.matmul(x, 18, 24), g.normal(24)))
    g.result(g.matmul(g.reshape(x, [0, 0, 3, 8]), 8, 11))

@network("MatMul of two computed tensors: [n,t,c] by [n,c,s], 4-D, and one that broadcasts over n", opset=12)
def matmul_batched(g):
    a, b = g.input("a", 6, 10), g.input("b", 10, 7)
    x = g.op("MatMul", g.matmul(a, 10, 10), g.relu(b), channels=None)                  # [n, 6, 7]
    h = g.reshape(x, [0, 2, 3, 7])
    y = g.op("MatMul", h, g.op("Transpose", h, perm=[0, 1, 3, 2]), channels=None)      # [n, 2, 3, 3]
    z = g.op("MatMul", g.normal(4, 6), x, channels=None)                               # constant on the left: [n, 4, 7]
    g.result(x, y, z)


# ---------------------------------------------------------------- shapes

@network("Flatten with axis 1 (default and written), 0, 2 and -1", opset=11)
def flatten_axes(g):
    x = g.relu(g.conv(g.input("x", 3, 5, 6), 4, 3))                                    # [n, 4, 3, 4]
    y = g.gemm(g.flatten(x), 48, 6)
    g.result(y, g.flatten(x, axis=1), g.flatten(x, axis=0), g.flatten(x, axis=2), g.flatten(x, axis=-1))

@network("Reshape by constants with 0 and -1, to fewer and more dimensions, into a Gemm and into a Conv", opset=14)
def reshape(g):
    x = g.relu(g.conv(g.input("x", 3, 6, 8), 12, 3))                                   # [n, 12, 4, 6]
    a = g.gemm(g.reshape(x, [0, -1]), 288, 9)
    b = g.reshape(x, [-1, 6])
    c = g.conv(g.reshape(x, [0, 6, 8, -1], channels=6), 5, 3)
    d = g.reshape(x, [0, 0, -1])
    g.result(a, b, c, d)

@network("Squeeze and Unsqueeze by attribute", opset=11)
def squeeze_unsqueeze_attribute(g): squeeze_variants(g)

@network("Squeeze and Unsqueeze by input", opset=13)
def squeeze_unsqueeze_input(g): squeeze_variants(g)

def squeeze_variants(g):
    x = g.relu(g.conv(g.input("x", 3, 7, 8), 16, 3))
    v = g.squeeze(g.op("GlobalAveragePool", x), [2, 3])                                # [n, 16]
    v = g.relu(g.gemm(v, 16, 16))
    gate = g.unsqueeze(g.unsqueeze(v, [2]), [-1])                                      # [n, 16, 1, 1]
    y = g.op("Mul", x, gate, channels=16)
    t = g.squeeze(g.unsqueeze(g.squeeze(g.conv(y, 1, 1), [-3]), [1, 2]), [2])          # [n, 1, 5, 6]
    g.result(y, t)

@network("Transpose: 4-D to NHWC and back, swapped axes, 3-D perms, no perm (reversal)", opset=13)
def transpose(g):
    x = g.relu(g.conv(g.input("x", 3, 6, 7), 5, 3))                                    # [n, 5, 4, 5]
    nhwc = g.op("Transpose", x, perm=[0, 2, 3, 1], channels=None)
    back = g.conv(g.op("Transpose", nhwc, perm=[0, 3, 1, 2], channels=5), 6, 1)
    swapped = g.op("Transpose", x, perm=[0, 1, 3, 2])
    flat = g.reshape(x, [0, 0, -1])                                                    # [n, 5, 20]
    tokens = g.matmul(g.op("Transpose", flat, perm=[0, 2, 1]), 5, 9)
    rolled = g.op("Transpose", flat, perm=[2, 0, 1], channels=None)
    g.result(nhwc, back, swapped, tokens, rolled, g.op("Transpose", flat, channels=None))

@network("Concat of convolutions of unlike ranges on axis 1, of a tensor with itself, on axes 2 and -1", opset=15)
def concat_axes(g):
    x = g.input("x", 3, 8, 9)
    a = g.relu(g.conv(x, 5, 3, pads=[1, 1, 1, 1]))
    b = g.op("Mul", g.conv(x, 10, 1), g.const(4.0))
    c = g.op("Sigmoid", g.conv(x, 3, 5, pads=[2, 2, 2, 2]))
    y = g.op("Concat", a, b, c, axis=1, channels=18)
    y = g.conv(y, 6, 3)                                                                # [n, 6, 6, 7]
    h = g.op("Concat", y, g.relu(y), axis=2)
    w = g.op("Concat", y, y, g.conv(y, 6, 1), axis=-1)
    g.result(y, h, w)

@network("Pad: zeros by default before a Conv without pads, a non-zero value, channels; after ReLU", opset=11)
def pad_constant(g):
    x = g.input("x", 3, 9, 8)
    x = g.op("Pad", x, g.const([0, 0, 1, 2, 0, 0, 2, 0]))
    x = g.relu(g.conv(x, 8, 3, strides=[2, 2]))
    x = g.op("Pad", x, g.const([0, 0, 1, 1, 0, 0, 1, 1]), g.const(-0.625), mode="constant")
    x = g.conv(x, 6, 3)
    g.result(g.op("Pad", x, g.const([0, 1, 0, 0, 0, 2, 0, 0]), g.const(0.5), channels=9))

@network("Pad with its axes input, the value left empty and given", opset=18)
def pad_axes(g):
    x = g.input("x", 3, 8, 9)
    x = g.op("Pad", x, g.const([1, 0, 1, 2]), "", g.const([2, 3]))
    x = g.conv(x, 7, 3)
    g.result(g.op("Pad", x, g.const([2, 1]), g.const(1.5), g.const([-1])))


# ---------------------------------------------------------------- softmax, no-ops, constants and storage

@network("Softmax before opset 13 works on a 2-D view: axis=1 of 4-D spans c*h*w; axis 3 and the default", opset=11)
def softmax_opset11(g): softmax_variants(g)

@network("Softmax from opset 13 works along one axis: 1 of 4-D, 3 and the default -1", opset=13)
def softmax_opset13(g): softmax_variants(g)

def softmax_variants(g):
    x = g.conv(g.input("x", 3, 5, 6), 7, 3)                                            # [n, 7, 3, 4]
    v = g.gemm(g.flatten(x), 84, 10)
    g.result(g.op("Softmax", x, axis=1), g.op("Softmax", x, axis=3), g.op("Softmax", x), g.op("Softmax", v))

@network("Identity, and Dropout with ratio as attribute", opset=10)
def identity_dropout_attribute(g):
    x = g.op("Identity", g.input("x", 3, 8, 8))
    x = g.op("Dropout", g.relu(g.conv(x, 9, 3)), ratio=0.3)
    x = g.op("Identity", g.conv(g.op("Dropout", x), 6, 1))
    g.result(x)

@network("Dropout with no input but x, with ratio, with ratio and training_mode=false, with an unread mask", opset=12)
def dropout_inputs(g):
    x = g.input("x", 3, 8, 8)
    x = g.op("Dropout", g.relu(g.conv(x, 9, 3)))
    x = g.op("Dropout", g.conv(x, 8, 1), g.const(0.4))
    x = g.op("Dropout", g.relu(g.conv(x, 7, 1)), g.const(0.25), g.const(False), also=["mask"])
    g.result(g.op("Identity", g.gemm(g.flatten(x), 252, 5)))

@network("weights, bounds and shapes from Constant nodes; value_float, value_floats and value_ints", opset=13, storage="constant")
def constant_nodes(g):
    x = g.input("x", 3, 8, 7)
    x = g.clip(g.bn(g.conv(x, 10, 3, bias=False)), 0.0, 6.0)                           # [n, 10, 6, 5]
    x = g.op("Mul", x, g.op("Constant", value_float=1.75))
    x = g.op("Add", x, g.op("Constant", value_floats=[0.5, -0.5, 0.25, 1.0, -1.0]))
    shape = g.op("Constant", value_ints=[0, -1])
    g.result(g.gemm(g.op("Reshape", x, shape), 300, 8))

@network("weights stored as fp16 and cast to float", opset=17, storage="fp16")
def fp16_weights(g):
    x = g.conv_bn_relu(g.input("x", 3, 9, 9), 14, 3, pads=[1, 1, 1, 1])
    x = g.relu(g.conv(x, 11, 3))
    g.result(g.gemm(g.flatten(x), 539, 6))

@network("tensors in float_data, int64_data and (fp16) int32_data instead of raw_data", opset=9, storage="typed")
def typed_tensor_fields(g):
    x = g.conv_bn_relu(g.input("x", 3, 9, 9), 14, 3, pads=[1, 1, 1, 1])
    x = g.relu(g.conv(x, 6, 3))
    x = g.reshape(x, [0, -1])
    bias = g.const(g.rng.standard_normal(5), storage="fp16_typed")
    g.result(g.op("Add", g.matmul(x, 294, 5), bias))

@network("tensors of 64 bytes and more in weights.bin beside the model", opset=16, storage="external")
def external_data(g):
    x = g.conv_bn_relu(g.input("x", 3, 9, 9), 18, 3, pads=[1, 1, 1, 1])
    x = g.relu(g.conv(x, 20, 3, strides=[2, 2]))
    g.result(g.gemm(g.op("Flatten", g.op("GlobalAveragePool", x)), 20, 10))


# ---------------------------------------------------------------- architectures in small

@network("ResNet: 7x7 stem, MaxPool, bottlenecks with and without downsample, fp16 weights, value_info kept", opset=17,
         storage="fp16", value_info=True)
def resnet_like(g):
    def bottleneck(x, mid, out, stride):
        skip = x
        y = g.conv_bn_relu(x, mid, 1)
        y = g.conv_bn_relu(y, mid, 3, pads=[1, 1, 1, 1], strides=[stride, stride])
        y = g.bn(g.conv(y, out, 1, bias=False), epsilon=1e-5)
        if stride > 1 or g.channels[x] != out:
            skip = g.bn(g.conv(x, out, 1, bias=False, strides=[stride, stride]), epsilon=1e-5)
        return g.relu(g.op("Add", y, skip))
    x = g.conv_bn_relu(g.input("image", 3, 20, 20), 16, 7, pads=[3, 3, 3, 3], strides=[2, 2])
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=0, dilations=[1, 1])
    x = bottleneck(x, 8, 32, 1)
    x = bottleneck(x, 8, 32, 1)
    x = bottleneck(x, 12, 40, 2)
    x = g.flatten(g.op("GlobalAveragePool", x), axis=1)
    g.result(g.gemm(x, 40, 10, alpha=1.0, beta=1.0))

@network("MobileNetV2: inverted residuals, ReLU6 as Clip, depthwise", opset=11, batch=3)
def mobilenet_v2_like(g):
    def relu6(x): return g.clip(x, 0.0, 6.0)
    def inverted_residual(x, out, expand, stride):
        cin = g.channels[x]
        y = relu6(g.bn(g.conv(x, cin * expand, 1, bias=False)))
        y = relu6(g.bn(g.conv(y, cin * expand, 3, bias=False, group=cin * expand, pads=[1, 1, 1, 1], strides=[stride, stride])))
        y = g.bn(g.conv(y, out, 1, bias=False))
        return g.op("Add", x, y) if stride == 1 and cin == out else y
    x = relu6(g.bn(g.conv(g.input("image", 3, 18, 18), 8, 3, bias=False, pads=[1, 1, 1, 1], strides=[2, 2])))
    x = inverted_residual(x, 6, 4, 2)
    x = inverted_residual(x, 6, 6, 1)
    x = relu6(g.conv(x, 30, 1))
    x = g.reshape(g.op("GlobalAveragePool", x), [0, -1])
    g.result(g.gemm(x, 30, 10))

@network("MobileNetV3: HardSwish, squeeze-and-excite with HardSigmoid", opset=14)
def mobilenet_v3_like(g):
    x = g.op("HardSwish", g.bn(g.conv(g.input("image", 3, 16, 17), 10, 3, bias=False, pads=[1, 1, 1, 1], strides=[2, 2])))
    skip = x
    y = g.op("HardSwish", g.bn(g.conv(x, 30, 1, bias=False)))
    y = g.op("HardSwish", g.bn(g.conv(y, 30, 5, bias=False, group=30, pads=[2, 2, 2, 2])))
    s = g.relu(g.conv(g.op("GlobalAveragePool", y), 8, 1))
    s = g.op("HardSigmoid", g.conv(s, 30, 1), alpha=1 / 6)
    y = g.bn(g.conv(g.op("Mul", s, y), 10, 1, bias=False))
    x = g.op("HardSwish", g.conv(g.op("Add", skip, y), 20, 1))
    x = g.flatten(g.op("GlobalAveragePool", x))
    g.result(g.gemm(g.op("HardSwish", g.gemm(x, 20, 26)), 26, 10))

@network("MobileNetV3 as opset-11 exporters write it: HardSwish is x * Clip(x + 3, 0, 6) * (1/6)", opset=12)
def hardswish_decomposed(g):
    def hardswish(x): return g.op("Mul", g.op("Mul", x, g.clip(g.op("Add", x, g.const(3.0)), 0.0, 6.0)), g.const(1 / 6))
    x = hardswish(g.conv(g.input("x", 3, 10, 9), 12, 3, pads=[1, 1, 1, 1]))
    g.result(hardswish(g.conv(x, 9, 3, strides=[2, 2])))

@network("Inception: four branches with oblong kernels and AveragePool, Concat, Softmax", opset=12)
def inception_like(g):
    x = g.conv_bn_relu(g.input("image", 3, 15, 15), 12, 3)
    a = g.conv_bn_relu(x, 6, 1)
    b = g.conv_bn_relu(g.conv_bn_relu(x, 5, 1), 9, 5, pads=[2, 2, 2, 2])
    c = g.conv_bn_relu(x, 7, 1)
    c = g.conv_bn_relu(g.conv_bn_relu(c, 7, (1, 3), pads=[0, 1, 0, 1]), 8, (3, 1), pads=[1, 0, 1, 0])
    d = g.op("AveragePool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    d = g.conv_bn_relu(d, 4, 1)
    y = g.op("Concat", a, b, c, d, axis=1, channels=27)
    y = g.op("Concat", g.conv_bn_relu(y, 10, 3, strides=[2, 2]), g.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2]),
             axis=1, channels=37)
    y = g.flatten(g.op("Dropout", g.op("GlobalAveragePool", y)))
    g.result(g.op("Softmax", g.gemm(y, 37, 10), axis=1))

@network("DenseNet: each layer reads the Concat of all before it; BatchNormalization and ReLU come before the Conv", opset=10)
def densenet_like(g):
    x = g.conv(g.input("image", 3, 12, 12), 10, 3, bias=False, pads=[1, 1, 1, 1])
    for _ in range(3):
        y = g.conv(g.relu(g.bn(x)), 6, 3, bias=False, pads=[1, 1, 1, 1])
        x = g.op("Concat", x, y, axis=1, channels=g.channels[x] + 6)
    x = g.op("AveragePool", g.conv(g.relu(g.bn(x)), 14, 1, bias=False), kernel_shape=[2, 2], strides=[2, 2])
    x = g.op("GlobalAveragePool", g.relu(g.bn(x)))
    g.result(g.gemm(g.flatten(x), 14, 10))

@network("LeNet at opset 8: Reshape before the Gemm layers", opset=8)
def lenet_like(g):
    x = g.input("image", 1, 20, 20)
    x = g.op("MaxPool", g.relu(g.conv(x, 6, 5)), kernel_shape=[2, 2], strides=[2, 2])
    x = g.op("MaxPool", g.relu(g.conv(x, 16, 5)), kernel_shape=[2, 2], strides=[2, 2])
    x = g.relu(g.gemm(g.reshape(x, [-1, 64]), 64, 40))
    g.result(g.gemm(x, 40, 10, trans_b=0))

@network("two inputs (image and vector) and two outputs, one of them read inside the graph too", opset=15, batch=3)
def two_inputs_two_outputs(g):
    image, vector = g.input("image", 3, 12, 10), g.input("vector", 9)
    features = g.relu(g.conv(image, 14, 3, pads=[1, 1, 1, 1], strides=[2, 2]))
    a = g.flatten(g.op("GlobalAveragePool", features))
    b = g.relu(g.gemm(vector, 9, 11))
    g.result(g.gemm(g.op("Concat", a, b, axis=1), 25, 10), features)

def attention_block(g, x, width, heads):
    """Self-attention and a two-layer MLP on tokens [n, t, width], both residual."""
    def linear(x, cin, cout): return g.op("Add", g.matmul(x, cin, cout), g.normal(cout, scale=0.1))
    def split(x, perm): return g.op("Transpose", g.reshape(x, [0, 0, heads, width // heads]), perm=perm, channels=None)
    q, k, v = split(linear(x, width, width), [0, 2, 1, 3]), split(linear(x, width, width), [0, 2, 3, 1]), split(linear(x, width, width), [0, 2, 1, 3])
    scores = g.op("Mul", g.op("MatMul", q, k), g.const((width // heads) ** -0.5))
    y = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
    y = g.reshape(g.op("Transpose", y, perm=[0, 2, 1, 3]), [0, 0, width])
    x = g.op("Add", x, linear(y, width, width))
    return g.op("Add", x, linear(g.relu(linear(x, width, 2 * width)), 2 * width, width))

@network("one transformer block of 4 heads on [n, 7, 24]", opset=13)
def attention(g):
    g.result(attention_block(g, g.input("tokens", 7, 24), 24, 4))

@network("vision transformer: patch Conv, Reshape, Transpose, position Add, attention, ReduceMean, Gemm", opset=21)
def vit_like(g):
    x = g.conv(g.input("image", 3, 12, 16), 20, 4, strides=[4, 4])                     # [n, 20, 3, 4]
    x = g.op("Transpose", g.reshape(x, [0, 20, -1]), perm=[0, 2, 1], channels=None)    # [n, 12, 20]
    x = g.op("Add", x, g.normal(1, 12, 20, scale=0.3))
    x = attention_block(g, x, 20, 2)
    g.result(g.gemm(g.reduce_mean(x, [1], keepdims=0), 20, 10))

@network("a mixed convolution net at opset 20: groups, squeeze-and-excite by ReduceMean, Sub, LeakyRelu", opset=20)
def regnet_like(g):
    x = g.op("LeakyRelu", g.conv(g.input("image", 3, 14, 14), 16, 3, pads=[1, 1, 1, 1], strides=[2, 2]), alpha=0.01)
    y = g.op("LeakyRelu", g.conv(x, 16, 3, group=4, pads=[1, 1, 1, 1]), alpha=0.01)
    s = g.relu(g.conv(g.op("ReduceMean", y, g.const([2, 3]), keepdims=1), 4, 1))
    y = g.op("Mul", y, g.op("Sigmoid", g.conv(s, 16, 1)))
    x = g.op("Sub", x, g.conv(y, 16, 1))
    g.result(g.gemm(g.squeeze(g.reduce_mean(x, [2, 3], keepdims=1), [2, 3]), 16, 10))


# ---------------------------------------------------------------- main

def disagreement(folder, net):
    """Largest difference to onnx's reference evaluator, relative to the largest output.

    The evaluator (onnx 1.23) is wrong on two older operators, replaced here: BatchNormalization below opset 14 (it uses
    the batch's statistics) and Softmax below 13 (it works along one axis; the text says on a 2-D view)."""
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class BatchNormalization(OpRun):
        op_domain = ""
        def _run(self, x, *parameters, epsilon=None, **_):
            gamma, beta, mean, var = (p.reshape(-1, *[1] * (x.ndim - 2)) for p in parameters)
            return ((gamma * (x - mean) / np.sqrt(var + np.float32(1e-5 if epsilon is None else epsilon)) + beta).astype(np.float32),)

    class Softmax(OpRun):
        op_domain = ""
        def _run(self, x, **_):
            axis = next((a.i for a in self.onnx_node.attribute), 1)      # the argument's default is opset 13's
            rows = x.reshape(int(np.prod(x.shape[:axis])), -1)
            e = np.exp(rows - rows.max(axis=1, keepdims=True))
            return ((e / e.sum(axis=1, keepdims=True)).reshape(x.shape),)

    fixes = ([BatchNormalization] if net.opset < 14 else []) + ([Softmax] if net.opset < 13 else [])
    evaluator = ReferenceEvaluator(str(folder / "model.onnx"), new_ops=fixes)
    expected = evaluator.run(net.outputs, {i.name: s for i, s in zip(net.inputs, net.samples)})
    return max(float(np.abs(e - r).max() / np.abs(r).max()) for e, r in zip(expected, net.results))

def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent)
    args.add_argument("--check", action="store_true")
    args = args.parse_args()
    root = args.out / "networks"
    shutil.rmtree(root, ignore_errors=True)
    index = []
    for build, properties in NETWORKS:
        net = Net(**properties)
        build(net)
        index.append(net.write(root / net.name))
        if args.check:
            d = disagreement(root / net.name, net)
            print(f"{net.name:32} {d:.1e}")
            assert d < CHECK_TOLERANCE, net.name
    (root / "index.json").write_text("[\n" + ",\n".join(json.dumps(e) for e in index) + "\n]\n")

    covered = {o for e in index for o in e["operators"]}
    assert covered == set(OPERATORS), covered ^ set(OPERATORS)
    assert {e["opset"] for e in index} == set(IR_OF_OPSET), "an opset is missing"
    size = sum(f.stat().st_size for f in root.rglob("*") if f.is_file())
    assert size < SIZE_LIMIT_BYTES, size
    print(f"{len(index)} networks, {len(covered)} operators, {size} bytes in {root}")

if __name__ == "__main__":
    main()
