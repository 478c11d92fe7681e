"""ONNX Runtime's calibration of the network resnet_like on its own input, written by its write_calibration_table: run from the
repository's root, needs onnxruntime, onnx, numpy, flatbuffers. Writes onnxruntime_resnet_like.json and .cache beside itself."""
import os
import shutil
import tempfile

import numpy as np
from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator
from onnxruntime.quantization.quant_utils import write_calibration_table

NETWORK = "tests/data/networks/resnet_like"
FOLDER = os.path.dirname(os.path.abspath(__file__))


class OneBatch(CalibrationDataReader):
    def __init__(self):
        image = np.fromfile(f"{NETWORK}/input0.f32", "<f4").reshape(-1, 3, 20, 20)
        self.batches = iter([{"image": image}])

    def get_next(self):
        return next(self.batches, None)


with tempfile.TemporaryDirectory() as folder:
    calibrator = create_calibrator(f"{NETWORK}/model.onnx", augmented_model_path=f"{folder}/augmented.onnx", calibrate_method=CalibrationMethod.MinMax)
    calibrator.collect_data(OneBatch())
    write_calibration_table(calibrator.compute_data(), dir=folder)
    for ending in ["json", "cache"]:
        shutil.copy(f"{folder}/calibration.{ending}", f"{FOLDER}/onnxruntime_resnet_like.{ending}")
