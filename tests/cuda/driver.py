"""A stand-in for NVIDIA's driver: cuDNN compiles kernels where one can be loaded, GPU or not.

It has every function that cuDNN might look up. Those that load what was compiled succeed, and all
others say that there is no device.
"""

import re
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

SOURCE = """
int cuLibraryLoadData(void **library) { *library = &library; return 0; }
int cuLibraryGetKernel(void **kernel) { *kernel = &kernel; return 0; }
"""
NO_DEVICE = 100
NAME = rb"\0(cu[A-Z][A-Za-z0-9]+(?:_v\d)?(?:_pt[ds][sz])?)(?=\0)"
ROOT = Path(__file__).parents[2]


def make_driver(folder):
    """Compile it into a folder."""
    (library,) = [path for path in files("nvidia-cudnn-cu13") if "libcudnn_graph.so" in path.name]
    names = {name.decode() for name in re.findall(NAME, library.locate().read_bytes())}
    rest = sorted(name for name in names if f" {name}(" not in SOURCE)
    source = SOURCE + "".join(f"int {name}(void) {{ return {NO_DEVICE}; }}\n" for name in rest)
    command = ["gcc", "-shared", "-fPIC", "-xc", "-", "-o", folder / "libcuda.so.1"]
    subprocess.run(command, input=source.encode(), check=True)


def start_with_driver(folder, module, *arguments):
    """A process that runs a module with the driver in a folder; what it prints can be read."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={"LD_LIBRARY_PATH": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
