"""What cuDNN is told of GPUs: complete, and consistent with what everybody knows of them."""

import json

import pytest
from convserve_server.planning.devices import GPU, profiles
from convserve_server.planning.devices.properties import device_properties, property_devices

GPUS = [profile for profile in profiles().values() if profile.kind == GPU]


def test_every_gpu_that_can_be_planned_for_has_properties():
    assert set(property_devices()) == {profile.name for profile in GPUS}
    with pytest.raises(KeyError):
        device_properties("../h200")


@pytest.mark.parametrize("profile", GPUS, ids=lambda profile: profile.name)
def test_each_has_what_cudnn_9_19_wants_a_source_and_the_figures_of_its_profile(profile):
    found = device_properties(profile.name)
    values = json.loads(found.text)
    assert values.keys() == json.loads(device_properties("h200").text).keys()
    assert found.device == profile.name
    assert found.for_cudnn == "9.19.0.56"
    assert ("not read off a device" in found.source) == (not found.measured)
    assert values["deviceVer"] == values["smVersion"]
    assert values["maxSharedMemoryPerBlockOptin"] > values["maxSharedMemoryPerBlock"]
    assert values["multiProcessorCount"] == profile.value("multiprocessors")
    assert values["totalGlobalMem"] == profile.value("memory")
    assert values["l2CacheSize"] == profile.value("l2_cache")
    assert values["smClockRateKHz"] * 1000 == profile.value("clock")
