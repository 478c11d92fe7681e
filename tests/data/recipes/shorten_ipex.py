"""Writes a summary of Intel Extension for PyTorch's save_qconf_summary without blanks and with the shortest digits that give the same
f32: shorten_ipex.py SUMMARY.json ipex_resnet50.json

The summary is of torchvision's ResNet-50 with 10 classes (the sample's model), IPEX 2.8, its default static qconfig, 256 calibration images.
"""
import json
import sys

import numpy as np


class Shortest(float):
    """A float that is written as the f32 that it is."""

    def __repr__(self):
        return str(np.float32(self))


def shorten(value):
    if isinstance(value, dict):
        return {key: shorten(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shorten(item) for item in value]
    if isinstance(value, float):
        assert float(np.float32(value)) == value, value
        return Shortest(value)
    return value


def dump(value):
    if isinstance(value, dict):
        return "{" + ",".join(json.dumps(key) + ":" + dump(item) for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return repr(value) if isinstance(value, Shortest) else json.dumps(value)


if __name__ == "__main__":
    with open(sys.argv[1]) as source:
        text = dump(shorten(json.load(source)))
    for key, item in [("q_op_infos", ",\n"), ("nonq_op_infos", "\n")]:
        text = text.replace(f'"{key}"', f'{item.strip(",")}"{key}"')
    with open(sys.argv[2], "w") as target:
        target.write(text.replace('},"op_type"', '},\n"op_type"').replace(',"op_type"', ',\n"op_type"') + "\n")
