"""Every kernel that may be launched compiles for all generations of GPUs, and spills nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from convserve_server.engines.cuda.kernels import all_instances, source_of
from convserve_server.planners.nvrtc import compile_source

pytestmark = pytest.mark.cuda
ARCHITECTURES = ["sm_80", "sm_90", "sm_100"]
FILES = sorted({instance.file for instance in all_instances()})
TOGETHER = 8  # kernels of one program: the headers are read once for all
PROCESSORS = 2


def faults(instances, architecture):
    """What is wrong with some kernels, by name; each is tried alone where something is."""
    source = "".join(source_of(each, f"kernel{n}") for n, each in enumerate(instances))
    try:
        compiled = compile_source(source, architecture)
        if compiled.cubin and not compiled.stack_bytes and not compiled.spilled_bytes:
            return {}
        fault = f"{compiled.stack_bytes} bytes of stack, {compiled.spilled_bytes} spilled"
    except RuntimeError as error:
        fault = str(error)
    if len(instances) == 1:
        return {f"{instances[0].struct}{instances[0].types}": fault}
    alone = [faults([each], architecture) for each in instances]
    return {name: fault for each in alone for name, fault in each.items()} or {"together": fault}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("file", FILES)
def test_every_kernel_compiles_and_spills_nothing(file, architecture):
    instances = [instance for instance in all_instances() if instance.file == file]
    parts = [instances[start : start + TOGETHER] for start in range(0, len(instances), TOGETHER)]
    with ThreadPoolExecutor(PROCESSORS) as compilers:
        found = list(compilers.map(lambda part: faults(part, architecture), parts))
    assert {name: fault for each in found for name, fault in each.items()} == {}


def test_what_spills_is_told():
    """The assembler's report is read: an array that is indexed at run time lies in memory."""
    source = """
    extern "C" __global__ void entry(int* values, int count) {
      int local[64];
      for (int i = 0; i < count; ++i) local[i % 64] = values[i];
      values[0] = local[count % 64];
    }"""
    compiled = compile_source(source, "sm_90")
    assert compiled.stack_bytes >= 256
    assert 0 < compiled.registers <= 255


def test_what_does_not_compile_is_an_error_with_the_log():
    with pytest.raises(RuntimeError, match='identifier "missing" is undefined'):
        compile_source("int f() { return missing; }", "sm_90")


def test_products_and_sums_are_rounded_apart():
    """Contracted, a product would keep digits that NumPy's has not."""
    body = 'extern "C" __global__ void entry(float* x) { x[0] = x[1] * x[2] + x[3]; }'
    fused = body.replace("x[1] * x[2] + x[3]", "fmaf(x[1], x[2], x[3])")
    assert compile_source(body, "sm_90").cubin != compile_source(fused, "sm_90").cubin
