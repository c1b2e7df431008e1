"""A dashboard as a page of its own, with the data of a Prometheus: for people to look at. Grafana draws it otherwise."""

import html
import math
import time

import dashboards

COLOURS = {
    "green": "#73bf69", "red": "#f2495c", "orange": "#ff9830", "yellow": "#fade2a", "blue": "#5794f2",
    "purple": "#b877d9", "gray": "#8e8e99",
}  # fmt: skip
PALETTE = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#8f3bb8", "#37872d", "#e0b400"]
# A cell of Grafana's grid is 30 high with a gap of 8.
ROW, GAP = 30, 8
STYLE = f"""
body {{ margin: 0; background: #111217; color: #ccccdc; font: 13px/1.4 Inter, 'DejaVu Sans', sans-serif; }}
header {{ padding: 14px 20px 4px; }} h1 {{ font-size: 19px; margin: 0; color: #fff; }}
header p {{ margin: 2px 0; }} .note {{ color: #ff9830; }}
main {{ display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: {ROW}px; gap: {GAP}px; padding: 12px 20px; }}
.panel {{ background: #181b1f; border: 1px solid #2a2d33; border-radius: 3px; padding: 6px 10px; overflow: hidden;
  display: flex; flex-direction: column; min-width: 0; }}
.row {{ align-self: end; font-size: 15px; color: #fff; }}
h2 {{ font-size: 13px; margin: 0 0 4px; font-weight: 600; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }}
.none {{ margin: auto; color: #8e8e99; }} svg {{ flex: 1; min-height: 0; width: 100%; }}
.legend {{ font-size: 11px; max-height: 34px; overflow: hidden; }} .legend span {{ margin-right: 12px; white-space: nowrap; }}
.legend i {{ display: inline-block; width: 12px; height: 3px; vertical-align: middle; margin-right: 4px; }}
.stats {{ display: flex; flex-wrap: wrap; flex: 1; gap: 4px 18px; align-content: space-evenly; justify-content: space-evenly; }}
.stats div {{ text-align: center; }} .stats b {{ display: block; font-weight: 600; line-height: 1.15; }}
.bar {{ display: flex; align-items: center; gap: 8px; font-size: 11px; margin: 1px 0; }}
.bar span {{ width: 42%; text-align: right; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }}
.bar i {{ height: 12px; border-radius: 2px; min-width: 2px; }}
"""


def page(dashboard, prometheus, began):
    boxes = "\n".join(box(panel, prometheus, began) for panel in dashboard["panels"])
    title, about = html.escape(dashboard["title"]), html.escape(dashboard["description"])
    note = "A preview with the data of one minute, made by cargo xtask grafana check. It is not what Grafana draws."
    head = f"<header><h1>{title}</h1><p>{about}</p><p class=note>{note}</p></header>"
    return f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>{head}<main>{boxes}</main>"


def box(panel, prometheus, began):
    grid = panel["gridPos"]
    place = f"grid-area: {grid['y'] + 1} / {grid['x'] + 1} / span {grid['h']} / span {grid['w']}"
    title = html.escape(panel["title"])
    if panel["type"] == "row":
        return f"<div class=row style='{place}'>{title}</div>"
    about = html.escape(panel["description"], quote=True)
    inside = body(panel, named(panel, prometheus, began)) or "<div class=none>No data</div>"
    return f'<div class=panel style="{place}" title="{about}"><h2>{title}</h2>{inside}</div>'


def named(panel, prometheus, began):
    """The series of a panel: their names, colours and points."""
    fixed = {it["matcher"]["options"]: it["properties"][0]["value"]["fixedColor"] for it in panel["fieldConfig"]["overrides"]}
    found = []
    for expr, legend in dashboards.expressions(panel):
        for metric, points in prometheus.series(expr, began):
            name = legend
            for label, value in metric.items():
                name = name.replace("{{%s}}" % label, value)
            found.append((name.strip(), points))
    colour = lambda at, name: COLOURS.get(fixed.get(name), PALETTE[at % len(PALETTE)])
    return [(name, colour(at, name), points) for at, (name, points) in enumerate(found)]


def body(panel, series):
    return {"timeseries": lines, "stat": stats, "bargauge": bars}[panel["type"]](panel, series) if series else ""


def shown(value, unit):
    """A number with its unit, much as Grafana writes it."""
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s":
        for size, word in ((86400, "day"), (3600, "hour"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if abs(value) >= size:
                return f"{value / size:.3g} {word}"
        return "0 s"
    steps = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")) if unit == "bytes" else ((1e6, "M"), (1e3, "K"))
    text = next((f"{value / size:.3g} {word}" for size, word in steps if abs(value) >= size), f"{value:.3g}")
    return text + {"reqps": " req/s", "ops": " ops/s"}.get(unit, "")


def colour_of(value, defaults):
    mapped = [it["options"].get(f"{value:g}") for it in defaults.get("mappings", [])]
    if any(mapped):
        return mapped[0]["text"], COLOURS[mapped[0]["color"]]
    steps = [it for it in defaults["thresholds"]["steps"] if it["value"] is None or value >= it["value"]]
    value = round(value) if defaults.get("decimals") == 0 else value
    return shown(value, defaults["unit"]), COLOURS[steps[-1]["color"]]


def stats(panel, series):
    size = 30 if len(series) == 1 else 17
    cells = []
    for name, _, points in series:
        text, colour = colour_of(points[-1][1], panel["fieldConfig"]["defaults"])
        cells.append(f"<div>{html.escape(name)}<b style='font-size:{size}px;color:{colour}'>{text}</b></div>")
    return f"<div class=stats>{''.join(cells)}</div>"


def bars(panel, series):
    most = max(points[-1][1] for *_, points in series) or 1
    rows = []
    for name, _, points in sorted(series, key=lambda it: -it[2][-1][1]):
        text, colour = colour_of(points[-1][1], panel["fieldConfig"]["defaults"])
        width = max(points[-1][1], 0) / most * 44
        rows.append(f"<div class=bar><span>{html.escape(name)}</span><i style='width:{width:.1f}%;background:{colour}'></i>{text}</div>")
    return "".join(rows)


def lines(panel, series):
    defaults, stacked = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    # Nearly the size that it has on a wide screen, so that the text is not stretched.
    width, height, left, bottom = 58 * panel["gridPos"]["w"], 38 * panel["gridPos"]["h"] - 80, 70, 18
    begin, end = min(p[0][0] for *_, p in series), max(p[-1][0] for *_, p in series)
    layers, below = [], {}
    for name, colour, points in series:
        tops = [(at, value + (below.get(at, 0) if stacked else 0)) for at, value in points]
        layers.append((name, colour, tops, [(at, below.get(at, 0) if stacked else 0) for at, _ in points]))
        below.update(dict(tops))
    scale = 2**20 if defaults["unit"] == "bytes" else 1
    top = scale * nice(max(value for _, _, tops, _ in layers for _, value in tops) / scale)
    x = lambda at: left + (at - begin) / max(end - begin, 1) * (width - left - 8)
    y = lambda value: 6 + (1 - value / top) * (height - bottom - 6)
    path = lambda points: " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
    line = lambda at, how: f"<line x1='{left}' x2='{width - 8}' y1='{y(at):.1f}' y2='{y(at):.1f}' {how} />"
    parts = []
    for step in range(5):
        value = top * step / 4
        parts.append(line(value, "stroke='#2a2d33'"))
        parts.append(f"<text x='{left - 5}' y='{y(value) + 3:.1f}' text-anchor='end'>{shown(value, defaults['unit'])}</text>")
    for step in range(4):
        at = begin + (end - begin) * (step + 0.5) / 4
        clock = time.strftime("%H:%M:%S", time.gmtime(at))
        parts.append(f"<text x='{x(at):.1f}' y='{height - 3}' text-anchor='middle'>{clock}</text>")
    for limit in defaults["thresholds"]["steps"]:
        if limit["value"] is not None and limit["value"] <= top:
            parts.append(line(limit["value"], f"stroke='{COLOURS[limit['color']]}' stroke-dasharray='6 4'"))
    for _, colour, tops, floor in layers:
        parts.append(f"<polygon points='{path(tops + floor[::-1])}' fill='{colour}' opacity='{0.4 if stacked else 0.08}' />")
        parts.append(f"<polyline points='{path(tops)}' fill='none' stroke='{colour}' stroke-width='1.4' />")
        if len(tops) == 1:
            parts.append(f"<circle cx='{x(tops[0][0]):.1f}' cy='{y(tops[0][1]):.1f}' r='3' fill='{colour}' />")
    svg = f"<svg viewBox='0 0 {width} {height}' font-size='11' fill='#8e8e99' preserveAspectRatio='none'>{''.join(parts)}</svg>"
    legend = "".join(f"<span><i style='background:{colour}'></i>{html.escape(name)}</span>" for name, colour, *_ in layers)
    return f"{svg}<div class=legend>{legend}</div>"


def nice(most):
    """A round number above."""
    if most <= 0:
        return 1
    size = 10 ** math.floor(math.log10(most))
    return next(size * step for step in (1, 2, 4, 5, 8, 10) if size * step >= most)
