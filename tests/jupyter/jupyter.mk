# SPDX-License-Identifier: Apache-2.0
# Clients and pools in a notebook: included by the Makefile.
JUPYTER := $(B)/jupyter

.PHONY: check-jupyter
check-jupyter: all $(JUPYTER)/installed # executes a notebook: views, progress bars (PyPI; half a minute)
	PYTHONPATH=client/python OBJPOOL_BIN=$(abspath $(B)) $(JUPYTER)/bin/python tests/jupyter/check.py

$(JUPYTER)/installed:
	@sh scripts/deps.sh bench-python
	/usr/bin/python3 -m venv --clear $(JUPYTER)
	$(JUPYTER)/bin/pip install --quiet --disable-pip-version-check nbclient ipykernel ipywidgets tqdm msgpack
	@touch $@
