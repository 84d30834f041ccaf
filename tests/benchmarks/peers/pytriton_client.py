"""tritonclient as its users write it; the address is the argument.

Reads lines `[model, threads, calls]` and answers each with `seconds` in all and `times` of each
call, as JSON. Runs in a virtual environment of its own.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tritonclient.grpc as triton  # type: ignore[import-not-found]

INPUTS = {"small": (1, 3, 32, 32), "echo": (1, 4096 * 4096)}


def _call(client: Any, model: str, x: Any) -> Any:
    tensor = triton.InferInput("x", x.shape, "FP32")
    tensor.set_data_from_numpy(x)
    return client.infer(model, [tensor]).as_numpy("y")


def _repeat(client: Any, model: str, x: Any, count: int) -> list[float]:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        _call(client, model, x)
        times.append(time.perf_counter() - start)
    return times


def _round(clients: list[Any], model: str, x: Any, count: int) -> dict[str, Any]:
    """`count` calls, shared among the clients, each in a thread."""
    shares = [count // len(clients) + (n < count % len(clients)) for n in range(len(clients))]
    start = time.perf_counter()
    with ThreadPoolExecutor(len(clients)) as pool:
        parts = pool.map(_repeat, clients, [model] * len(clients), [x] * len(clients), shares)
        times = [each for part in parts for each in part]
    return {"seconds": time.perf_counter() - start, "times": times}


def main(address: str) -> None:
    generator = np.random.default_rng(1)
    inputs = {name: generator.random(shape, np.float32) for name, shape in INPUTS.items()}
    clients = [triton.InferenceServerClient(address)]
    for line in sys.stdin:
        model, threads, count = json.loads(line)
        while len(clients) < threads:
            clients.append(triton.InferenceServerClient(address))
        print(json.dumps(_round(clients[:threads], model, inputs[model], count)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
