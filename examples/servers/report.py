#!/usr/bin/env python3
"""Checks the data against the schema, and makes a page of it. By hand: `python3 report.py list`."""
import json
from pathlib import Path

from tsp import main, task

DATA = ["data/customer.json", "data/order.json"]


def load(run, file):
    return json.loads(Path(run.cwd, file).read_text(encoding="utf-8"))


@task("shop:validate", depends=["shop:sql"], exec_if_modified=DATA, description="whether the data are as the schema says")
def validate(run):
    # What the Rust server has read from the schema.
    tables = {table["name"]: set(table["columns"]) for table in run.outputs["shop:sql"]["tables"]}
    faults = 0
    for done, file in enumerate(DATA):
        run.progress(done, len(DATA), file)
        for row in load(run, file):
            for column in set(row) - tables[Path(file).stem]:
                run.diagnostic(file, f"row {row.get('id')} has a `{column}`, the table has none", severity="error")
                faults += 1
    if faults:
        raise ValueError(f"{faults} columns are unknown")
    run.log(f"{len(DATA)} files are as they should be")


@task(
    "shop:report",
    depends=["shop:validate", "shop:figures"],
    exec_if_modified=DATA,
    outputs=["out/report.md"],
    description="one page about orders and customers",
)
def report(run):
    # What the shell server has found in the orders.
    figures = run.outputs["shop:figures"]
    page = ["# Orders", "", "| month | orders | turnover |", "|---|---|---|"]
    page += [f"| {it['month']} | {it['orders']} | {it['cents'] / 100:.2f} |" for it in figures["months"]]
    page += ["", "# Who owes", ""]
    names = {customer["id"]: customer["name"] for customer in load(run, "data/customer.json")}
    page += [f"- {names[owed['customer']]}: {owed['cents'] / 100:.2f}" for owed in figures["unpaid"]]
    title = (run.inputs or {}).get("title", "The shop")
    out = Path(run.cwd, "out/report.md")
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join([f"% {title}", "", *page, ""]), encoding="utf-8")
    run.log(f"{out.name}: {len(page)} lines")
    return {"lines": len(page)}


if __name__ == "__main__":
    main()
