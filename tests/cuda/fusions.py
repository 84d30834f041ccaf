"""Plans of `compiled_fusions`, as JSON: `python -m tests.cuda.fusions PART PARTS`."""

import json
import sys
from itertools import islice

from convserve_server.planners.cudnn.planner import CudnnPlanner
from convserve_server.planners.libraries import load_builtins
from convserve_server.planning.devices.properties import device_properties
from convserve_server.planning.kernels import Policy

from tests.cuda.cases import LIMIT, compiled_fusions


def main(part, parts):
    load_builtins()
    planner = CudnnPlanner(device_properties("h200"))
    policy = Policy("strict", LIMIT)
    for name, graph in islice(compiled_fusions().items(), part, None, parts):
        found = planner.prepare(graph, policy)
        told = [found.name, found.workspace_bytes, found.notes, found.failure, len(found.blob)]
        print(json.dumps([name, *told]), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
