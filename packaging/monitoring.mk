# SPDX-License-Identifier: Apache-2.0
# Alerts for Prometheus, and a dashboard for Grafana: packaging/prometheus, packaging/grafana. Included by the Makefile.
# tests/integration/test_monitoring.py compares their names with what a daemon tells.
.PHONY: check-prometheus
check-prometheus: # checks and plays the alert rules, and checks the dashboard's queries, with Prometheus' promtool
	@sh scripts/deps.sh prometheus
	promtool check rules packaging/prometheus/objpool.rules.yml
	promtool test rules packaging/prometheus/rules_test.yml
	@mkdir -p $(B)
	python3 scripts/dashboard_rules.py packaging/grafana/objpool.json > $(B)/dashboard.rules.yml
	promtool check rules $(B)/dashboard.rules.yml
