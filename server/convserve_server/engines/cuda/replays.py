"""Commands that are given again and again at the same addresses: recorded once, given as one.

What a lane is given for a network of fifty layers takes longer to give than to compute.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from attrs import frozen

from convserve_server.cache import ByteCache
from convserve_server.engines.cuda.device import DeviceLostError, Lane, Replay
from convserve_server.engines.cuda.giving import Site

REPLAY_BYTES = 256 << 20  # of all recordings: memory of the device that is not of the slab
COMMAND_BYTES = 16 << 10  # about what one command of a recording takes there

_logger = logging.getLogger(__name__)


@frozen
class _Given:
    """Commands that were given before, and their recording if there is one."""

    replay: Replay | None = None


class Replays:
    """The recordings used last, of at most `limit_bytes`. They keep what they run loaded."""

    def __init__(self, limit_bytes: int = REPLAY_BYTES) -> None:
        self._known: ByteCache[Site, _Given] = ByteCache(limit_bytes)

    def run(self, lane: Lane, site: Site, give: Callable[[], None]) -> None:
        """Give commands to the lane; from the second time on as a recording.

        The first time loads what is loaded late, which cannot be recorded.
        """
        known = self._known.get(site)
        if known is None:
            self._remember(site, _Given())
            give()
            return
        replay = known.replay
        if replay is None:
            replay = self._record(lane, site, give)
        if replay is None:
            give()
        else:
            lane.replay(replay)

    def _record(self, lane: Lane, site: Site, give: Callable[[], None]) -> Replay | None:
        if site.loaded.is_fleeting:
            return None
        try:
            replay = lane.record(give)
        except DeviceLostError:
            raise
        except Exception:  # a library may refuse: its commands still work when they are given
            _logger.warning("commands could not be recorded", exc_info=True)
            site.loaded.is_fleeting = True
            return None
        self._remember(site, _Given(replay))
        return replay

    def _remember(self, site: Site, given: _Given) -> None:
        self._known.put(site, given, COMMAND_BYTES * (1 + len(site.loaded.recipe.commands)))
