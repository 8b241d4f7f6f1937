# SPDX-License-Identifier: Apache-2.0
"""Pickles values for a process of which nothing is known: it may be a fork of this one, its child, or another program."""
from . import _pickling


def dumps(value, refused):
    """The pickle of a value that plain pickle has refused."""
    try:
        return _pickling.dumps_by_value(value, set(), lambda name: True, for_child=False)
    except RecursionError:
        raise
    except Exception as error:
        raise error from (refused if type(refused) is not type(error) else None)
    finally:
        del refused     # its traceback refers to this frame
