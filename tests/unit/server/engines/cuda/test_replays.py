"""How long recordings stay."""

import pytest
from convserve_server.engines.cuda.giving import Site
from convserve_server.engines.cuda.loading import Loaded
from convserve_server.engines.cuda.lowering import lower
from convserve_server.engines.cuda.placing import place
from convserve_server.engines.cuda.replays import COMMAND_BYTES, Replays

from tests.engine_work import CountingLane, program
from tests.fakes.host_device import HostPlans


@pytest.fixture
def loaded():
    recipe = lower(program(), HostPlans(), {})
    return Loaded(recipe, place(recipe), {})


def runs(replays, loaded, addresses):
    """For commands at each address in turn: whether they were given, recorded or replayed."""
    done = []
    for address in addresses:
        lane = CountingLane(counts := {})
        given = []
        replays.run(lane, Site(loaded, address, 0), lambda given=given: given.append("given"))
        done.append(" ".join([*given, *counts]))
    return done


def test_recordings_are_bounded_by_the_bytes_of_their_commands(loaded):
    replays = Replays(2 * COMMAND_BYTES * (1 + len(loaded.recipe.commands)))
    assert runs(replays, loaded, (1, 1, 1)) == ["given", "given record replay", "replay"]
    assert runs(replays, loaded, (2, 1, 3, 1, 2)) == ["given", "replay", "given", "replay", "given"]


def test_what_cannot_be_kept_is_given_each_time(loaded):
    assert runs(Replays(COMMAND_BYTES), loaded, (1, 1, 1)) == ["given"] * 3
