# SPDX-License-Identifier: Apache-2.0
# Alerts for Prometheus, and a dashboard for Grafana: packaging/prometheus, packaging/grafana. Included by the Makefile.
# tests/integration/test_monitoring.py compares their names with what a daemon tells.
.PHONY: check-prometheus
check-prometheus: # checks and plays the alert rules with Prometheus' promtool
	@sh scripts/deps.sh prometheus
	promtool check rules packaging/prometheus/objpool.rules.yml
	promtool test rules packaging/prometheus/rules_test.yml
