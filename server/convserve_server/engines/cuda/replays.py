"""Commands that are given again and again at the same addresses: recorded once, given as one.

What a lane is given for a network of fifty layers takes longer to give than to compute.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from convserve_server.engines.cuda.device import DeviceLostError, Lane, Replay
from convserve_server.engines.cuda.giving import Site

MAX_REPLAYS = 256  # each takes some memory of the device that is not of the slab

_logger = logging.getLogger(__name__)


class Replays:
    """The recordings used last, at most `limit`. They keep what they run loaded."""

    def __init__(self, limit: int = MAX_REPLAYS) -> None:
        self._limit = limit
        self._known: OrderedDict[Site, Replay | None] = OrderedDict()

    def run(self, lane: Lane, site: Site, give: Callable[[], None]) -> None:
        """Give commands to the lane; from the second time on as a recording.

        The first time loads what is loaded late, which cannot be recorded.
        """
        if site not in self._known:
            self._remember(site, None)
            give()
            return
        replay = self._known[site]
        if replay is None:
            replay = self._record(lane, site, give)
        if replay is None:
            give()
        else:
            lane.replay(replay)
        self._known.move_to_end(site)

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
        self._remember(site, replay)
        return replay

    def _remember(self, site: Site, replay: Replay | None) -> None:
        self._known[site] = replay
        while len(self._known) > self._limit:
            self._known.popitem(last=False)
