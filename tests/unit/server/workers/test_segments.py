"""Shared memory of its own: sealed, held while it is used, and handed to another process."""

import fcntl
import mmap
import os

import pytest
from convserve_server.workers.segments import (
    Segment,
    Segments,
    segment_sockets,
    send_segment,
    whole_pages,
)

PAGE = mmap.PAGESIZE


@pytest.fixture
def freed():
    """The number of each segment that is free, in their order."""
    return []


@pytest.fixture
def segment(freed):
    with Segment(7, 2 * PAGE, lambda: freed.append(7)) as made:
        yield made


@pytest.fixture
def sockets():
    near, far = segment_sockets()
    with near, far:
        yield near, far


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(("asked", "got"), [(1, PAGE), (PAGE, PAGE), (PAGE + 1, 2 * PAGE)])
def test_a_segment_has_whole_pages(asked, got):
    assert whole_pages(asked) == got
    with Segment(1, asked, lambda: None) as segment:
        assert segment.byte_count == os.fstat(segment.fd).st_size == got


def test_nobody_can_cut_it_short_or_change_its_seals(segment):
    for size in (PAGE, 3 * PAGE):
        with pytest.raises(PermissionError):
            os.ftruncate(segment.fd, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(segment.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    assert not os.get_inheritable(segment.fd)


def test_it_is_closed_when_its_owner_and_all_who_hold_it_have_let_go(segment, freed):
    segment.hold()
    segment.hold()
    segment.release()
    segment.release()
    segment.drop()
    assert not segment.is_free
    assert os.fstat(segment.fd)
    assert freed == []
    segment.drop()
    assert segment.is_free
    assert segment.fd == -1
    assert freed == [7]
    with pytest.raises(ValueError, match="free"):
        segment.hold()


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (0, 2 * PAGE + 1), (2 * PAGE, 1)])
def test_a_view_stays_inside(segment, offset, length):
    with pytest.raises(ValueError, match="not in memory"):
        segment.view(offset, length)


def test_what_one_process_writes_the_other_sees(segment, sockets):
    near, far = sockets
    send_segment(near, segment)
    worker = Segments(far)
    worker.view(7)[PAGE] = 42
    assert segment.view(PAGE, 1) == b"\x2a"
    segment.view()[0] = 43
    assert worker.view(7)[0] == 43
    worker.close()


def test_a_worker_reads_the_socket_only_for_what_it_does_not_know(segment, sockets):
    near, far = sockets
    worker = Segments(far)
    with Segment(8, PAGE, lambda: None) as other:
        send_segment(near, segment)
        send_segment(near, other)
        assert len(worker) == 0
        assert len(worker.view(8)) == PAGE
        assert len(worker) == 2
        assert len(worker.view(7)) == 2 * PAGE
    worker.close()


def test_what_a_worker_forgets_lives_as_long_as_it_is_looked_at(segment, sockets):
    near, far = sockets
    before = descriptors()
    send_segment(near, segment)
    worker = Segments(far)
    view = worker.view(7)
    view[3] = 9
    worker.forget(7)
    assert len(worker) == 0
    assert view[3] == 9
    del view
    assert descriptors() == before
    worker.close()


def test_the_memory_outlives_its_descriptor_where_it_is_viewed(freed):
    segment = Segment(7, PAGE, lambda: freed.append(7))
    view = segment.view(0, 4)
    view[:] = b"abcd"
    segment.release()
    assert freed == [7]
    assert bytes(view) == b"abcd"
    with pytest.raises(ValueError, match="free"):
        segment.view()


def test_a_worker_keeps_no_descriptor_but_the_mappings_own(segment, sockets):
    near, far = sockets
    before = descriptors()
    worker = Segments(far)
    send_segment(near, segment)
    worker.view(7)
    assert descriptors() == before + 1
    worker.forget(7)
    assert descriptors() == before
    worker.close()


def test_a_front_that_has_gone_is_noticed():
    near, far = segment_sockets()
    near.close()
    worker = Segments(far)
    with pytest.raises(EOFError):
        worker.view(1)
    worker.close()


def test_the_front_never_waits_for_a_worker(segment, sockets):
    near, far = sockets
    assert (near.gettimeout(), far.gettimeout()) == (0.0, None)
    with pytest.raises(BlockingIOError):
        near.recv(1)
