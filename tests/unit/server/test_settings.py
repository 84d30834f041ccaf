from pathlib import Path

import pytest
from convserve_server import settings
from convserve_server.addresses import Address
from convserve_server.machine import memory_limit_bytes
from convserve_server.settings import read_settings
from convserve_server.values import ModelFolder


def test_defaults_listen_on_loopback_only():
    value = read_settings([], {})
    assert [str(address) for address in value.listen] == ["127.0.0.1:50051"]
    assert str(value.metrics) == "127.0.0.1:9464"
    assert value.engine == "cpu"
    assert value.threads is None
    assert value.tensor_pool_bytes == value.worker_memory_bytes
    assert 0 < value.tensor_pool_bytes <= memory_limit_bytes() // 2


def test_flags_win_over_the_environment_and_it_over_defaults():
    environment = {
        "CONVSERVE_ENGINE": "reference",
        "CONVSERVE_THREADS": "3",
        "CONVSERVE_LISTEN": "127.0.0.1:1, unix:/tmp/x",
    }
    value = read_settings(["--threads", "2"], environment)
    assert value.engine == "reference"
    assert value.threads == 2
    assert value.listen == (Address("127.0.0.1", 1), Address(path="/tmp/x"))
    value = read_settings(["--listen", "[::1]:5", "--listen", "localhost:6"], environment)
    assert [str(address) for address in value.listen] == ["[::1]:5", "localhost:6"]


def test_models_come_from_every_flag_or_from_the_variable():
    value = read_settings(["--model", "a=/m/a", "--model", "b-2=c=d"], {"CONVSERVE_MODEL": "e=f"})
    assert value.model == (ModelFolder("a", Path("/m/a")), ModelFolder("b-2", Path("c=d")))
    value = read_settings([], {"CONVSERVE_MODEL": "a=/m/a, e=f"})
    assert [model.name for model in value.model] == ["a", "e"]


def test_every_flag_has_a_variable():
    samples = {
        "listen": "unix:/tmp/y",
        "metrics": "off",
        "model": "a=/m/a",
        "engine": "reference",
        "threads": "1",
        "tensor_pool_bytes": "64MiB",
        "worker_memory_bytes": "1GiB",
        "workers": "2",
        "lease_bytes": "0",
        "queue_length": "0",
        "batch_rows": "1",
        "batch_bytes": "1MiB",
        "batch_wait_seconds": "0.5",
        "device": "cuda:1",
        "gpus": "0,1",
        "gpu_engine": "some.module:Engine",
        "gpu_memory_bytes": "8GiB",
        "plan_folder": "/tmp/plans",
        "planner_processes": "3",
        "planner_seconds": "4.5",
        "max_calls": "7",
        "max_call_seconds": "1.5",
        "stall_seconds": "2.5",
        "model_idle_seconds": "0",
        "grace_seconds": "0",
        "abandon_seconds": "2",
        "log_level": "debug",
        "log_format": "text",
        "ready_fd": "0",
        "owner_fd": "0",
    }
    assert set(samples) == {option.name for option in settings.OPTIONS}
    environment = {f"CONVSERVE_{name.upper()}": text for name, text in samples.items()}
    flags = [
        part for name, text in samples.items() for part in ("--" + name.replace("_", "-"), text)
    ]
    assert read_settings([], environment) == read_settings(flags, {}) != read_settings([], {})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--listen", "50051"], "'50051' is not host:port"),
        (["--listen", "host:70000"], "port 0 to 65535"),
        (["--listen", ":1"], "is not host:port"),
        (["--listen", "host:٣"], "is not host:port"),
        (["--listen", "unix:relative"], "absolute"),
        (["--listen", "unix:/" + "x" * 200], "at most 107 bytes"),
        (["--model", "resnet"], "is not NAME=PATH"),
        (["--model", "ResNet=/x"], "1 to 64 of a-z 0-9 -"),
        (["--metrics", "unix:/tmp/x"], "metrics need host:port, or off"),
        (["--tensor-pool-bytes", "4 bananas"], "is not a size such as"),
        (["--tensor-pool-bytes", "12"], "not from 1MiB"),
        (["--threads", "0"], "from 1 to 1024"),
        (["--threads", "two"], "from 1 to 1024"),
        (["--workers", "0"], "from 1 to 256"),
        (["--batch-rows", "0"], "from 1 to 4096"),
        (["--batch-wait-seconds", "-1"], "not a number of seconds from 0"),
        (["--max-call-seconds", "nan"], "not a number of seconds"),
        (["--max-call-seconds", "0"], "from 0.001"),
        (["--log-level", "loud"], "not one of debug, info"),
        (["--engine", "cuda"], "not one of reference, cpu"),
        (["--ready-fd", "999999"], "not an open file descriptor"),
        (["--owner-fd", "-1"], "not an open file descriptor"),
        (["--unknown"], "unrecognized arguments"),
    ],
)
def test_a_bad_flag_is_one_clear_line_and_code_2(flags, message, capsys):
    with pytest.raises(SystemExit) as caught:
        read_settings(flags, {})
    assert caught.value.code == 2
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert message in last_line
    assert flags[0] in last_line


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--threads=1"], (1, 1)),
        (["--threads=8"], (2, 4)),
        (["--threads=11"], (2, 5)),
        (["--threads=8", "--workers=3"], (3, 2)),
        (["--threads=2", "--workers=3"], (3, 1)),
    ],
)
def test_the_threads_are_divided_among_the_workers(flags, expected):
    value = read_settings(flags, {})
    assert (value.worker_count, value.threads_per_worker) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], 0),
        (["--lease-bytes=1MiB"], 0),
        (["--listen=unix:/tmp/x"], 16 << 20),
        (["--listen=unix:/tmp/x", "--lease-bytes=1MiB"], 1 << 20),
        (["--listen=unix:/tmp/x", "--lease-bytes=0"], 0),
    ],
)
def test_memory_is_shared_through_unix_sockets_only(flags, expected):
    value = read_settings(["--tensor-pool-bytes=64MiB", *flags], {})
    assert value.max_lease_bytes == expected


def test_a_bad_variable_is_named(capsys):
    with pytest.raises(SystemExit) as caught:
        read_settings([], {"CONVSERVE_QUEUE_LENGTH": "-1"})
    assert caught.value.code == 2
    assert "CONVSERVE_QUEUE_LENGTH: '-1' is not a whole number" in capsys.readouterr().err


def test_version_and_help(capsys):
    for flag, text in (("--version", "convserve-server 0."), ("--help", "CONVSERVE_")):
        with pytest.raises(SystemExit) as caught:
            read_settings([flag], {})
        assert caught.value.code == 0
        assert text in capsys.readouterr().out
