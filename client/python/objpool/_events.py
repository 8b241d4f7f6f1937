# SPDX-License-Identifier: Apache-2.0
"""What objpool.events is given."""
from __future__ import annotations

import datetime
from typing import Any, Dict, Optional, Sequence, Union


def event_options(pool: Optional[str], kinds: Union[str, Sequence[str], None], since: Union[float, datetime.datetime, None],
                  after: Optional[int], last: Optional[int], follow: bool) -> Dict[str, Any]:
    """The map of options. A datetime without a zone is local time."""
    options: Dict[str, Any] = {"follow": follow}
    if pool is not None:
        options["pool"] = pool
    if kinds is not None:
        options["kinds"] = kinds if isinstance(kinds, str) else list(kinds)
    if since is not None:
        options["since"] = since.timestamp() if isinstance(since, datetime.datetime) else since
    if after is not None:
        options["after"] = after
    if last is not None:
        options["last"] = last
    return options
