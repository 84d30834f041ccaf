"""Plans on disk: found again, bounded, and never taken from a file that is not what it seems."""

import errno
import json
import multiprocessing
import os

import pytest
from attrs import evolve
from convserve.errors import UnavailableError
from convserve_server.engines.cuda import plan_keys, plan_store
from convserve_server.engines.cuda.graphs import ConvGraph, Prepared
from convserve_server.engines.cuda.plan_keys import BuildTarget, fingerprint_of, key_of
from convserve_server.engines.cuda.plan_store import FRESH_SECONDS, PlanStore, StoredPlans
from convserve_server.engines.cuda.recipe import Instance
from convserve_server.planning.devices.properties import device_properties
from convserve_server.planning.kernels import Convolution, Policy

H200, L4 = device_properties("h200"), device_properties("l4")
CONV = Convolution(
    "forward",
    "float32",
    (2, 8, 6, 6),
    (4, 8, 3, 3),
    (2, 4, 6, 6),
    (1, 1),
    ((1, 1), (1, 1)),
    (1, 1),
)
GRAPH = ConvGraph(CONV)
KERNEL = Instance("copy", "Copy", ("float32", "float32"))
STRICT = BuildTarget(H200, Policy("strict", 1 << 30))
PLAN = Prepared("eng28_k2=4", 4096, 3, ("WINOGRAD",), "forward: ...", b"a plan\0")
FAILURE = Prepared(failure="none of the 3 kernels may be used")
KEY = "f" * 32 + "/" + "a" * 64
LIMIT = 1 << 20


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    return PlanStore(tmp_path, LIMIT, clock=clock)


def other(store, **options):
    """A store on the same folder, such as that of another process."""
    return PlanStore(store._folder, LIMIT, **options)


@pytest.mark.parametrize("prepared", [PLAN, FAILURE])
def test_what_one_keeps_another_finds(store, prepared):
    assert store.get(KEY) is None
    store.put(KEY, prepared)
    assert store.get(KEY) == other(store).get(KEY) == prepared


def test_nothing_but_whole_files_is_in_the_folder(store, tmp_path):
    store.put(KEY, PLAN)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")] == [KEY]


def test_only_memory_is_recalled(store):
    assert store.recall(KEY) is None
    store.put(KEY, PLAN)
    assert store.recall(KEY) == PLAN
    second = other(store)
    assert second.recall(KEY) is None
    second.get(KEY)
    assert second.recall(KEY) == PLAN


def test_what_is_not_known_to_be_on_disk_still_is_written_anew(store, clock, tmp_path):
    store.put(KEY, PLAN)
    (tmp_path / KEY).unlink()
    assert store.recall(KEY) == PLAN
    clock.seconds += FRESH_SECONDS + 1
    assert store.recall(KEY) is None
    assert store.get(KEY) == PLAN
    assert other(store).get(KEY) == PLAN
    assert store.recall(KEY) == PLAN


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: b"",
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        lambda data: bytes(len(data)),
        lambda data: plan_store.sha256(b"\xc1").digest() + b"\xc1",
    ],
)
def test_a_damaged_file_is_none_and_goes(store, tmp_path, damage):
    store.put(KEY, PLAN)
    path = tmp_path / KEY
    path.write_bytes(damage(path.read_bytes()))
    assert other(store).get(KEY) is None
    assert not path.exists()


def test_a_file_under_another_name_is_none_and_goes(store, tmp_path):
    store.put(KEY, PLAN)
    elsewhere = KEY.replace("a", "b")
    os.rename(tmp_path / KEY, tmp_path / elsewhere)
    assert other(store).get(elsewhere) is None
    assert not (tmp_path / elsewhere).exists()


def test_a_file_that_is_too_long_is_not_read(store, tmp_path, monkeypatch):
    store.put(KEY, PLAN)
    monkeypatch.setattr(plan_store, "MAX_FILE_BYTES", 10)
    assert other(store).get(KEY) is None


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        PlanStore(tmp_path / "file", LIMIT).put(KEY, PLAN)


class FullDisk:
    """Stands in for writing a file: so many bytes fit the folder."""

    def __init__(self, folder, room):
        self.folder = folder
        self.room = room
        self.write = plan_store._write_whole

    def __call__(self, path, data):
        used = sum(each.stat().st_size for each in self.folder.glob("*/*"))
        if used + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.write(path, data)


def test_on_a_full_disk_the_older_half_makes_room(store, tmp_path, monkeypatch):
    monkeypatch.setattr(plan_store, "_write_whole", FullDisk(tmp_path, 10_000))
    for number, key in enumerate(keys(12)):
        store.put(key, evolve(PLAN, blob=bytes(1000)))
        os.utime(tmp_path / key, (number, number))
    left = [key for key in keys(12) if (tmp_path / key).exists()]
    assert left == keys(12)[-len(left) :]
    assert 4 <= len(left) < 9
    with pytest.raises(OSError, match="No space left"):
        store.put(KEY, evolve(PLAN, blob=bytes(10_000)))


def test_what_is_in_memory_is_of_use_where_the_folder_is_not(store, clock, tmp_path, monkeypatch):
    store.put(key_of(GRAPH, STRICT), PLAN)
    plans = StoredPlans(store, STRICT)
    assert plans.find(GRAPH) == PLAN
    (tmp_path / key_of(GRAPH, STRICT)).unlink()
    monkeypatch.setattr(plan_store, "_write_whole", FullDisk(tmp_path, 0))
    clock.seconds += FRESH_SECONDS + 1
    assert plans.find(GRAPH) == PLAN


def test_a_folder_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    plans = StoredPlans(PlanStore(tmp_path / "file", LIMIT), STRICT)
    with pytest.raises(UnavailableError, match=r"keeps plans: Not a directory.*--plan-folder"):
        plans.find(GRAPH)


def test_a_folder_that_may_only_be_read_is_of_use(store, tmp_path, monkeypatch):
    store.put(KEY, PLAN)

    def refuse(path):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(plan_store.os, "utime", refuse)
    second = other(store)
    assert [second.get(KEY), second.get(KEY)] == [PLAN, PLAN]


def test_what_else_is_in_the_folder_is_left_alone(tmp_path):
    """Somebody may name a folder that has other things."""
    others = [tmp_path / "photographs" / "cat.png", tmp_path / "aaaa" / "b"]
    for path in others:
        path.parent.mkdir()
        path.write_bytes(bytes(LIMIT))
    store = PlanStore(tmp_path, LIMIT // 8)
    for key in keys(20):
        store.put(key, evolve(PLAN, blob=bytes(LIMIT // 40)))
    assert all(path.exists() for path in others)
    assert sum(path.stat().st_size for path in tmp_path.glob(f"{'f' * 32}/*")) <= LIMIT // 8


def keys(count):
    return [f"{'f' * 32}/{number:064}" for number in range(count)]


def test_the_folder_is_bounded_and_what_is_used_stays(tmp_path):
    store = PlanStore(tmp_path, LIMIT)
    plan = evolve(PLAN, blob=bytes(LIMIT // 40))
    first, *others = keys(200)
    for number, key in enumerate((first, *others)):
        store.put(key, plan)
        os.utime(tmp_path / key, (number, number))
        if number:
            assert store.get(first) == plan  # used just now
        assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= LIMIT
    left = {f"{path.parent.name}/{path.name}" for path in tmp_path.glob("*/*")}
    assert first in left
    assert others[-1] in left
    assert others[0] not in left
    assert len(left) >= 25  # no more goes than must


def test_memory_is_bounded(tmp_path):
    store = PlanStore(tmp_path, LIMIT, memory_bytes=10_000)
    for key in keys(20):
        store.put(key, evolve(PLAN, blob=bytes(1000)))
    recalled = [key for key in keys(20) if store.recall(key)]
    assert 3 <= len(recalled) <= 5
    assert all(store.get(key) for key in keys(20))


def _use(folder, seed):
    store = PlanStore(folder, LIMIT // 4)
    for number in range(60):
        key = keys(20)[(seed + 7 * number) % 20]
        found = store.get(key)
        assert found is None or found.blob == key.encode() * 200
        store.put(key, evolve(PLAN, blob=key.encode() * 200))


def test_what_is_swept_before_it_is_in_place_is_written_anew(store, monkeypatch):
    replace = os.replace

    def sweep_and_replace(source, target):
        os.unlink(source)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", sweep_and_replace)
        store.put(KEY, PLAN)
    assert other(store).get(KEY) is None
    assert store.get(KEY) == PLAN
    assert other(store).get(KEY) == PLAN


def test_several_processes_use_one_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    users = [context.Process(target=_use, args=(tmp_path, seed)) for seed in (0, 3)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert [user.exitcode for user in users] == [0, 0]


def test_whatever_makes_a_difference_is_in_the_key():
    said = [
        (GRAPH, STRICT),
        (ConvGraph(CONV, bias=True), STRICT),
        (ConvGraph(CONV, activation="leaky_relu", alpha=0.1), STRICT),
        (ConvGraph(CONV, activation="leaky_relu", alpha=0.2), STRICT),
        (ConvGraph(evolve(CONV, dtype="float16")), STRICT),
        (GRAPH, evolve(STRICT, policy=Policy("tf32", 1 << 30))),
        (GRAPH, evolve(STRICT, policy=Policy("strict", 1 << 20))),
        (GRAPH, evolve(STRICT, properties=L4)),
        (GRAPH, evolve(STRICT, properties=evolve(H200, for_cudnn="9.20.0"))),
        (GRAPH, evolve(STRICT, properties=evolve(H200, measured=True))),
        (KERNEL, STRICT),
        (evolve(KERNEL, types=("float32", "uint8")), STRICT),
        (KERNEL, evolve(STRICT, properties=L4)),
    ]
    assert len({key_of(*each) for each in said}) == len(said)


def test_a_kernel_is_one_for_every_policy():
    assert key_of(KERNEL, STRICT) == key_of(KERNEL, evolve(STRICT, policy=Policy("tf32", 1)))


@pytest.mark.parametrize("changed", ["_versions", "_headers_digest", "FORMAT"])
def test_what_was_made_by_other_versions_is_not_found(monkeypatch, changed):
    key_of.cache_clear()
    before = key_of(KERNEL, STRICT)
    monkeypatch.setattr(plan_keys, changed, 2 if changed == "FORMAT" else lambda: ("other",))
    key_of.cache_clear()
    assert key_of(KERNEL, STRICT) != before
    key_of.cache_clear()


def test_equal_gpus_have_one_fingerprint_wherever_they_are():
    values = json.loads(H200.text) | {"cudaDeviceId": 3, "pciDeviceId": 5}
    shuffled = json.dumps(dict(reversed(values.items())))
    assert fingerprint_of(evolve(H200, text=shuffled)) == fingerprint_of(H200)
    assert key_of(GRAPH, STRICT).startswith(fingerprint_of(H200) + "/")


@pytest.mark.parametrize(("device", "expected"), [("h200", "sm_90"), ("t4", "sm_75")])
def test_the_architecture_is_in_the_properties(device, expected):
    assert BuildTarget(device_properties(device), STRICT.policy).architecture == expected


def test_stored_plans_are_those_of_their_target(store):
    store.put(key_of(GRAPH, STRICT), PLAN)
    store.put(key_of(KERNEL, STRICT), FAILURE)
    plans = StoredPlans(other(store), STRICT)
    assert plans.workspace_limit_bytes == 1 << 30
    assert plans.find(GRAPH) == PLAN
    assert plans.find(ConvGraph(CONV, bias=True)) is None
    assert plans.kernel(KERNEL) == FAILURE
    tf32 = evolve(STRICT, policy=Policy("tf32", 1 << 30))
    assert StoredPlans(store, tf32).find(GRAPH) is None
