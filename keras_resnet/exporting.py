"""Export of models to other runtimes: ONNX, SavedModel, OpenVINO, LiteRT."""

from keras_resnet.export.runtimes import FORMATS, Exported, check_export, export

__all__ = ["FORMATS", "Exported", "check_export", "export"]
