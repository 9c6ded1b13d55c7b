//! From `schema.json`: the tables as SQL, and as types for Rust.
//!
//! By hand: `cargo run --example schema_server -- list`.

use std::{fs, process::ExitCode};

use devtask::tsp::server::{Failure, Remark, Run, Server, Task};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Schema {
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    r#type: Type,
    #[serde(default)]
    key: bool,
    #[serde(default)]
    optional: bool,
    references: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Integer,
    Text,
    Boolean,
}

/// What the generators can be told with `--input`.
#[derive(Deserialize)]
#[serde(default)]
struct Options {
    /// Where they write.
    out: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { out: "out".to_owned() }
    }
}

/// What they hand on: the columns of each table, for who reads the data.
#[derive(Serialize)]
struct Made {
    file: String,
    tables: Vec<Columns>,
}

#[derive(Serialize)]
struct Columns {
    name: String,
    columns: Vec<String>,
}

/// Reads the schema; each fault is a remark about the file, and all of them are one failure.
fn schema(run: &Run) -> Result<Schema, Failure> {
    let text = fs::read_to_string(run.cwd().join("schema.json"))?;
    let schema: Schema =
        serde_json::from_str(&text).map_err(|error| Failure::from(error).context("schema.json"))?;
    let faults = faults(&schema);
    for (name, message) in &faults {
        let line = text.lines().position(|line| line.contains(&format!("\"{name}\"")));
        run.remark(Remark {
            file: "schema.json".to_owned(),
            line: line.map(|line| line as u64 + 1),
            severity: Some("error".to_owned()),
            message: message.clone(),
            ..Remark::default()
        });
    }
    if faults.is_empty() { Ok(schema) } else { Err(Failure::new("the schema contradicts itself")) }
}

/// The name at fault, and what is wrong with it.
fn faults(schema: &Schema) -> Vec<(&str, String)> {
    let mut faults = Vec::new();
    for table in &schema.tables {
        if !table.columns.iter().any(|column| column.key) {
            faults.push((table.name.as_str(), format!("the table {} has no key", table.name)));
        }
        for name in table.columns.iter().filter_map(|column| column.references.as_deref()) {
            if !schema.tables.iter().any(|table| table.name == name) {
                faults.push((name, format!("{} refers to {name}, which is no table", table.name)));
            }
        }
    }
    faults
}

/// Writes one file, table by table.
fn generate(run: &Run, options: &Options, file: &str, table: fn(&Table) -> String) -> Result<Made, Failure> {
    let schema = schema(run)?;
    let total = schema.tables.len() as f64;
    let mut text = String::new();
    for (done, each) in schema.tables.iter().enumerate() {
        run.check()?;
        run.progress(done as f64, Some(total), Some(&each.name));
        text.push_str(&table(each));
    }
    let dir = run.cwd().join(&options.out);
    fs::create_dir_all(&dir)?;
    fs::write(dir.join(file), &text)?;
    run.log(format!(
        "{}/{file}: {} tables, {} lines",
        options.out,
        schema.tables.len(),
        text.lines().count()
    ));
    let columns = |table: &Table| table.columns.iter().map(|column| column.name.clone()).collect();
    let tables = schema.tables.iter().map(|it| Columns { name: it.name.clone(), columns: columns(it) });
    Ok(Made { file: format!("{}/{file}", options.out), tables: tables.collect() })
}

fn sql(table: &Table) -> String {
    let column = |column: &Column| {
        let r#type = match column.r#type {
            Type::Integer => "INTEGER",
            Type::Text => "TEXT",
            Type::Boolean => "BOOLEAN",
        };
        let key = if column.key { " PRIMARY KEY" } else { "" };
        let null = if column.optional { "" } else { " NOT NULL" };
        let references =
            column.references.iter().map(|table| format!(" REFERENCES \"{table}\"")).collect::<String>();
        format!("  \"{}\" {}{key}{null}{references}", column.name, r#type)
    };
    let columns: Vec<String> = table.columns.iter().map(column).collect();
    format!("CREATE TABLE \"{}\" (\n{}\n);\n", table.name, columns.join(",\n"))
}

fn types(table: &Table) -> String {
    let field = |column: &Column| {
        let r#type = match column.r#type {
            Type::Integer => "i64",
            Type::Text => "String",
            Type::Boolean => "bool",
        };
        let r#type = if column.optional { format!("Option<{type}>") } else { r#type.to_owned() };
        format!("    pub {}: {},\n", column.name, r#type)
    };
    let (first, rest) = table.name.split_at(1);
    let fields: String = table.columns.iter().map(field).collect();
    format!("#[derive(Debug)]\npub struct {}{rest} {{\n{fields}}}\n", first.to_uppercase())
}

fn main() -> ExitCode {
    let make_sql = |run: &Run, options: Options| generate(run, &options, "schema.sql", sql);
    let make_types = |run: &Run, options: Options| generate(run, &options, "types.rs", types);
    Server::new("schema")
        .task(
            Task::new("shop:sql", make_sql)
                .description("the tables, for the database")
                .exec_if_modified(["schema.json"])
                .outputs(["out/schema.sql"]),
        )
        .task(
            Task::new("shop:types", make_types)
                .description("the tables, for the program")
                .exec_if_modified(["schema.json"])
                .outputs(["out/types.rs"]),
        )
        .max_concurrency(4)
        .main()
}
