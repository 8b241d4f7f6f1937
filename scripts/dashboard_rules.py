#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the queries of a dashboard for Grafana as rules for Prometheus, so that promtool can check them.

usage: dashboard_rules.py DASHBOARD.json
"""
import json
import sys

VARIABLES = {"$__rate_interval": "5m", "$instance": ".*", "$pool": ".*"}


def query(text):
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    return text


with open(sys.argv[1]) as file:
    panels = json.load(file)["panels"]
rules = [{"record": f"panel{panel['id']}:{target['refId']}", "expr": query(target["expr"])}
         for panel in panels for target in panel.get("targets", [])]
json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout, indent=1)
