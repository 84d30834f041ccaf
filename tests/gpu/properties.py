"""`python -m tests.gpu.properties`: the GPU's properties as cuDNN reads them off it, as the file
that belongs into `planning/devices/properties/`.
"""

import json
from datetime import UTC, datetime

from tests.gpu.machine import open_device


def main() -> None:
    device = open_device(1 << 30)
    document = {
        "device": device.facts.name,
        "for_cudnn": device.facts.library,
        "measured": True,
        "source": "cudnn.create_device_properties(0).serialize() on the device",
        "date": datetime.now(UTC).date().isoformat(),
        "device_properties": json.loads(device.facts.properties),
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
