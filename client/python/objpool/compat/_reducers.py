# SPDX-License-Identifier: Apache-2.0
"""How objects of some types are pickled for another process: connections, sockets, and what the program has registered."""
own = {}        # {type: reducer}, registered with objpool.compat.multiprocess.reduction


def registered():
    """{type: reducer}, as registered with the standard library's multiprocessing.reduction and with ours."""
    from multiprocessing.reduction import ForkingPickler
    return {**ForkingPickler._extra_reducers, **own}
