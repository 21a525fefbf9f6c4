"""Leaves out the tests that need PyTorch or the renderer's libraries where those are not installed.

`cargo xtask test` runs what is left: training environments are large, and a musician's machine has none.
"""

from importlib.util import find_spec

NEEDS = {
    "tests/test_arranger.py": ("torch", "symusic", "onnxruntime"),
    "tests/test_arranger_context.py": ("torch",),
    "tests/test_arranger_data.py": ("torch", "symusic"),
    "tests/test_arranger_habits.py": ("torch", "symusic"),
    "tests/test_evaluation.py": ("torch", "pyroomacoustics", "soxr", "symusic", "mir_eval"),
    "tests/test_features.py": ("torch",),
    "tests/test_growth.py": ("torch",),
    "tests/test_networks.py": ("torch", "onnx"),
    "tests/test_performances.py": ("pyroomacoustics", "soxr", "symusic"),
    "tests/test_recordings.py": ("soxr", "torch"),
    "tests/test_restore.py": ("torch", "onnx", "onnxruntime"),
    "tests/test_shifting.py": ("soxr", "torch"),
    "tests/test_train.py": ("torch", "onnx", "soxr", "mir_eval"),
    "tests/test_transcriber.py": ("torch", "soxr", "mir_eval"),
    "tests/test_vocabulary_offered.py": ("onnx", "torch"),
    "tests/test_render.py": ("pyroomacoustics", "soxr", "symusic"),
}

collect_ignore = [file for file, libraries in NEEDS.items() if any(find_spec(library) is None for library in libraries)]


def pytest_report_header() -> str:
    return "left out for want of their libraries: " + (", ".join(collect_ignore) or "none")
