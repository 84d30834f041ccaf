"""Our kernels touch nothing but their buffers, says CUDA's own checker."""

import shutil
import subprocess
import sys

import pytest

from tests.gpu.machine import open_device

pytestmark = pytest.mark.gpu

FAULT = 9
SECONDS = 1200


def test_kernels_pass_the_sanitizer() -> None:
    open_device(1 << 20).close()  # fails where there is no GPU
    program = shutil.which("compute-sanitizer")
    if program is None:
        pytest.skip("compute-sanitizer is not installed: it is part of the CUDA toolkit")
    command = [program, "--tool", "memcheck", "--error-exitcode", str(FAULT)]
    command += [sys.executable, "-m", "tests.gpu.scattered"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert result.returncode == 0, f"{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
