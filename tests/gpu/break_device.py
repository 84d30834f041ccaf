"""Has a kernel write where nothing is, and prints what the engine's device makes of it."""

from convserve_server.engines.cuda.device import DeviceLostError
from convserve_server.engines.cuda.kernels import instance_of, pack
from convserve_server.engines.cuda.recipe import Launch
from convserve_server.engines.cuda.views import new_view

from tests.gpu.machine import BuildingShelf, open_device, target


def main() -> None:
    device = open_device(64 << 20)
    instance = instance_of("Fill", "float32")
    kernel = device.load_kernel(instance, BuildingShelf(target(device, "strict")).kernel(instance))
    launch = Launch(instance, (new_view("b", "float32", (1024,)), 1.0), 1024)
    lane = device.lane()
    try:
        lane.launch(kernel, pack(launch, lambda view: 4096), launch.count)
        lane.mark().wait()
    except DeviceLostError as error:
        print(error)


if __name__ == "__main__":
    main()
