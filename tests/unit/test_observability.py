"""The dashboard and the alert rules name what the service exports, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import metrics

ROOT = Path(metrics.__file__).parents[1]
FOLDER = ROOT / "fleet" / "observability"
DASHBOARD = FOLDER / "grafana" / "dashboards" / "todoke.json"
_NAME = re.compile(r"\btodoke_[a-z_]+")
_SELECTOR = re.compile(r"\b(todoke_[a-z_]+)(?:\{([^}]*)\})?")
_GROUPING = re.compile(r"\bby \(([^)]*)\)")
# Labels that Prometheus adds to what it reads, and that of histograms.
_ADDED = {"instance", "job", "le"}


def exported() -> dict[str, set[str]]:
    """Return the labels of each series that a process may give, by its name."""
    found: dict[str, set[str]] = {}
    for family in metrics.REGISTRY.collect():
        known = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}.get(family.type, ("",))
        for suffix in known:
            found[family.name + suffix] = set(LABELS[family.name])
    return found


def _labels() -> dict[str, tuple[str, ...]]:
    of_service = [value for value in vars(metrics).values() if hasattr(value, "_labelnames")]
    own = [part for value in vars(metrics).values() for part in getattr(value, "__dict__", {}).values()]
    found = [*of_service, *(part for part in own if hasattr(part, "_labelnames"))]
    return {each._name: each._labelnames for each in found}


LABELS = _labels()


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Return where each expression stands, and it."""
    for panel in panels():
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for note in board["annotations"]["list"]:
        if "expr" in note:
            yield note["name"], note["expr"]
    for variable in board["templating"]["list"]:
        yield variable["name"], variable["definition"]
    rules = (FOLDER / "alerts.yml").read_text(encoding="utf-8")
    for block in rules.split("- alert: ")[1:]:
        name, _, rest = block.partition("\n")
        yield name, re.split(r"\n +(?:for|labels|annotations):", rest.partition("expr:")[2])[0]


def test_every_metric_looked_at_is_one_that_the_service_exports() -> None:
    known = exported()
    looked_at = [(place, name) for place, expression in expressions() for name in _NAME.findall(expression)]

    assert len(looked_at) > 40
    assert [(place, name) for place, name in looked_at if name not in known] == []


def test_every_metric_exported_is_looked_at() -> None:
    looked_at = {name for _, expression in expressions() for name in _NAME.findall(expression)}
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in looked_at} | looked_at

    assert sorted(name for name in exported() if re.sub(r"_(bucket|sum|count)$", "", name) not in bases) == []


def test_labels_are_those_of_the_metric() -> None:
    for place, expression in expressions():
        for name, selectors in _SELECTOR.findall(expression):
            allowed = exported()[name] | _ADDED
            used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selectors))
            assert used <= allowed, (place, name, used)
        allowed = set().union(*(exported()[name] for name in _NAME.findall(expression))) | _ADDED
        grouped = {label.strip() for group in _GROUPING.findall(expression) for label in group.split(",")}
        assert grouped <= allowed, (place, grouped)


def test_counters_are_shown_as_rates_and_histograms_as_quantiles() -> None:
    for place, expression in expressions():
        for name in _NAME.findall(expression):
            if name.endswith(("_total", "_bucket")):
                assert re.search(r"\b(rate|increase)\(" + name, expression), (place, name)
            if name.endswith("_bucket"):
                assert "histogram_quantile(" in expression, place
        assert expression.count("(") == expression.count(")"), place


def test_the_dashboard_can_be_loaded() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    source = (FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    ids = [panel["id"] for panel in panels()]
    cells = [
        (x, y)
        for panel in panels()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert board["schemaVersion"] >= 41
    assert "id" not in board, "a provisioned dashboard has the number that Grafana gives it"
    assert len(ids) == len(set(ids))
    assert len(cells) == len(set(cells)), "panels lie over one another"
    assert max(x for x, _ in cells) < 24
    uids = {panel["datasource"]["uid"] for panel in panels() if "datasource" in panel}
    assert uids == {re.search(r"uid: (\S+)", source)[1]}


@pytest.mark.parametrize("image", ["prom/prometheus", "grafana/grafana"])
def test_compose_pins_what_it_watches_with(image: str) -> None:
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")

    assert re.search(rf"image: {image}:v?\d+\.\d+\.\d+\n +profiles: \[observability\]", compose)


def test_compose_mounts_files_that_are_there() -> None:
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    mounted = re.findall(r"- \./(fleet/\S+?):", compose)

    assert len(mounted) >= 6
    assert [path for path in mounted if not (ROOT / path).exists()] == []
