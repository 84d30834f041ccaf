"""One child process, without anybody who keeps it alive."""

import pytest
from convserve_server.engines.base import EngineSpec
from convserve_server.workers.arena import Arena
from convserve_server.workers.process import ChildProcess

from tests.unit.server.workers.harness import in_loop


@in_loop
async def test_a_child_exits_by_itself_when_the_connection_closes():
    arena = Arena(4096)
    engine = EngineSpec("tests.fakes.engines:Scripted")
    child = await ChildProcess.start(arena, engine, 60.0, pytest.fail)
    assert await child.end(patience=60.0) == "exited with code 0"
    arena.close()
