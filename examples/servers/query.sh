#!/usr/bin/env bash
# Questions to the data: a stand-in for a service that is asked over the network. By hand: `./query.sh list`.
# shellcheck source=tsp.sh
. "$(dirname "$0")/tsp.sh"

task shop:figures figures '{
    "description": "orders and turnover by month, and who owes",
    "depends": ["shop:validate"],
    "exec_if_modified": ["data/order.json"],
    "outputs": ["out/figures.json"]
}'
figures() {
    mkdir -p out
    jq '{
        months: group_by(.day[:7]) | map({month: .[0].day[:7], orders: length, cents: map(.cents) | add}),
        unpaid: map(select(.paid | not)) | group_by(.customer)
            | map({customer: .[0].customer, cents: map(.cents) | add}) | sort_by(-.cents)
    }' data/order.json > out/figures.json
    jq -r '.months[] | "\(.month): \(.orders) orders"' out/figures.json
    hand_on < out/figures.json
}

task shop:seed seed '{
    "description": "the data, for the database",
    "depends": ["shop:sql", "shop:validate"],
    "exec_if_modified": ["data/*.json"],
    "outputs": ["out/seed.sql"]
}'
seed() {
    local tables table
    # Which tables and columns there are the Rust server has handed on.
    tables=$(handed shop:sql '.tables[].name' | jq -r .)
    mkdir -p out
    : > out/seed.sql
    for table in $tables; do
        handed shop:sql ".tables[] | select(.name == \"$table\")" |
            jq -r --arg quote "'" --slurpfile rows "data/$table.json" '
            def quoted: $quote + gsub($quote; $quote + $quote) + $quote;
            def literal: if . == null then "NULL" elif type == "string" then quoted else tostring end;
            .name as $table | .columns as $columns | $rows[0][] as $row
            | "INSERT INTO \"\($table)\" VALUES (\([$columns[] as $column | $row[$column] | literal] | join(", ")));"
        ' >> out/seed.sql
        echo "$table: $(grep -c "INTO \"$table\"" out/seed.sql) rows"
    done
}

serve "$@"
