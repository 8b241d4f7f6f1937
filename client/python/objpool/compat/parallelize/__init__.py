# SPDX-License-Identifier: Apache-2.0
"""parallelize: a function over the slices of a list, each slice in a process of its own.

    from objpool.compat.parallelize import parallelize
    parallelize.parallel(count_words, lines, n_jobs=4)

The functions of the module are here as well.
"""
from . import parallelize
from .parallelize import (capture_output, make_divisions, merge_results, parallel, retrieve_output, time_function,
                          write_output_to_temp_file)

__all__ = ["parallelize", "parallel", "time_function", "merge_results", "capture_output", "write_output_to_temp_file",
           "retrieve_output", "make_divisions"]
