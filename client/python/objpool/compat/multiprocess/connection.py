# SPDX-License-Identifier: Apache-2.0
"""The standard library's code, executed once more with this package's reduction; an empty key is a key, too."""
import sys

from ._modules import execute_again

execute_again(sys.modules[__name__])

_Original = Listener    # noqa: F821


class Listener(_Original):
    def accept(self):
        """The next connection, whose other end has the same key, if there is one."""
        if self._listener is None:
            raise OSError("listener is closed")
        connection = self._listener.accept()
        if self._authkey is not None:
            try:
                deliver_challenge(connection, self._authkey)    # noqa: F821
                answer_challenge(connection, self._authkey)     # noqa: F821
            except BaseException:
                connection.close()
                raise
        return connection
