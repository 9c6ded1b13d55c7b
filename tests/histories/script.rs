//! Worlds as task files. Every task folds what it reads into one number, by builtins of the shell alone.

use std::fmt::Write as _;

use crate::world::{Declared, How, Json, Task, Wait, World, halves, out};

/// How many values there are.
pub(crate) const MODULUS: u64 = 1_000_003;
/// What a task reads where nothing is handed on.
pub(crate) const NOTHING: u32 = 7;

/// Ends a task on demand, and makes it wait on demand; where no test asks for it, it costs two looks. The
/// way on is open before the task tells that it is here: then the gate may be taken down.
const GATE: &str = r#"if [ -p "$CTL/tID-WHEN.go" ]; then { echo here > "$CTL/tID-WHEN.here"; read -r _; } < "$CTL/tID-WHEN.go"; fi
"#;

const PRELUDE: &str = r#"cd "$DEVENV_ROOT"
mix() { h=$(( (h * 31 + ${1:-0}) % 1000003 )); }
file() {
  [ -f "$2" ] || return 0
  c=0; read -r c < "$2" || :
  x=0; [ ! -x "$2" ] || x=1
  mix $(( $1 * 2 + x )); mix "$c"
}
json() {
  case "$DEVENV_TASKS_OUTPUTS" in
    *"\"w:t$1\":{\"a\":"*) x=${DEVENV_TASKS_OUTPUTS#*"\"w:t$1\":{\"a\":"}; mix "${x%%[!0-9]*}" ;;
    *) mix 7 ;;
  esac
}
"#;

/// The task file.
pub(crate) fn toml(world: &World) -> String {
    world.present().fold("name = \"w\"\n".to_owned(), |mut text, task| {
        text += &one(world, task);
        text
    })
}

/// The task that tells of the last edit of a step to a watch.
pub(crate) fn mark() -> String {
    format!("\n[tasks.mark]\nexecIfModified = [\"{}\"]\nexec = \"true\"\n", crate::play::MARK)
}

fn one(world: &World, task: &Task) -> String {
    let mut text = format!("\n[tasks.t{}]\n", task.id);
    let list = |items: &[String]| serde_json::to_string(items).unwrap();
    let after: Vec<String> = world
        .edges(task.id)
        .map(|edge| match edge.wait {
            Wait::Succeeded => format!("t{}", edge.to),
            Wait::Completed => format!("t{}@completed", edge.to),
            Wait::Started => format!("t{}@started", edge.to),
        })
        .collect();
    writeln!(text, "after = {}", list(&after)).unwrap();
    if task.door {
        return text;
    }
    writeln!(text, "package = \"{}\"", interpreter(task)).unwrap();
    if task.in_sub {
        text += "cwd = \"sub\"\n";
    }
    let patterns: Vec<String> = world.patterns(task.id).iter().map(|p| from_cwd(task, p)).collect();
    if !patterns.is_empty() {
        writeln!(text, "execIfModified = {}", list(&patterns)).unwrap();
    }
    if let Some(pattern) = declared(task) {
        writeln!(text, "outputs = {}", list(&[from_cwd(task, &pattern)])).unwrap();
    }
    if let Some(value) = task.env {
        writeln!(text, "env = {{ E = \"{value}\" }}").unwrap();
    }
    if task.tracks {
        text += "trackEnv = [\"AROUND\"]\n";
    }
    if task.export && task.bash {
        writeln!(text, "exports = [\"X{}\"]", task.id).unwrap();
    }
    writeln!(text, "exec = '''\n{}'''", exec(world, task)).unwrap();
    if task.status {
        writeln!(text, "status = '''\n{}'''", status(world, task)).unwrap();
    }
    text
}

pub(crate) fn interpreter(task: &Task) -> &'static str {
    if task.bash { "bash" } else { "sh" }
}

/// The pattern of the declared output, relative to the root.
pub(crate) fn declared(task: &Task) -> Option<String> {
    match task.outputs {
        Declared::No => None,
        Declared::Literal => Some(out(task.id)),
        Declared::Glob => Some(format!("out/t{}.*", task.id)),
    }
}

fn from_cwd(task: &Task, pattern: &str) -> String {
    match (task.in_sub, pattern.strip_prefix('!')) {
        (false, _) => pattern.to_owned(),
        (true, Some(rest)) => format!("!../{rest}"),
        (true, None) => format!("../{pattern}"),
    }
}

/// What computes the value.
fn value(world: &World, task: &Task) -> String {
    let mut text = format!("h={}\n", task.salt);
    if task.env.is_some() {
        text += "mix \"$E\"\n";
    }
    if task.tracks {
        text += "mix \"$AROUND\"\n";
    }
    for (number, path) in world.candidates(task.id) {
        writeln!(text, "file {number} {path}").unwrap();
    }
    for (from, how) in world.reads(task.id) {
        match how {
            How::Json => writeln!(text, "json {from}").unwrap(),
            How::Export => writeln!(text, "mix \"${{X{from}:-7}}\"").unwrap(),
            How::File | How::Listed => {
                writeln!(text, "c=7; read -r c < {} || :\nmix \"$c\"", out(from)).unwrap();
            }
        }
    }
    text += if task.coarse { "v=$((h % 3))\n" } else { "v=$h\n" };
    if task.export && task.bash {
        writeln!(text, "X{}=$v", task.id).unwrap();
    }
    text
}

/// The command: it leaves a trace, may be held at its gates, and leaves half of its work when it fails.
pub(crate) fn exec(world: &World, task: &Task) -> String {
    let id = task.id;
    let gate = |when: &str| GATE.replace("ID", &id.to_string()).replace("WHEN", when);
    let mut text = format!("{PRELUDE}echo \"$PLAY start\" >> \"$TRACE/t{id}\"\n{}", gate("early"));
    text += &value(world, task);
    let out = out(id);
    writeln!(text, "echo half > {out}").unwrap();
    for half in halves(task).into_iter().flatten() {
        writeln!(text, "[ ! -e {half} ] || rm {half}").unwrap();
    }
    text += &gate("late");
    writeln!(text, "[ ! -e \"$CTL/t{id}.fail\" ] || exit 1\necho $v > {out}").unwrap();
    if halves(task).is_some() {
        writeln!(text, "echo $v > out/t{id}.s$((v % 2))").unwrap();
    }
    if let Some(json) = json_text(task) {
        let guard = if task.json == Json::Sometimes { "[ $((v % 2)) = 1 ] || " } else { "" };
        writeln!(text, "{guard}echo \"{json}\" > \"$DEVENV_TASK_OUTPUT_FILE\"").unwrap();
    }
    writeln!(text, "echo \"$PLAY end $v\" >> \"$TRACE/t{id}\"").unwrap();
    text
}

/// What the task writes into its output file, for the shell to put the value in.
fn json_text(task: &Task) -> Option<String> {
    let export = format!("\\\"devenv\\\":{{\\\"env\\\":{{\\\"X{}\\\":\\\"$v\\\"}}}}", task.id);
    match (task.json != Json::No, task.export && !task.bash) {
        (false, false) => None,
        (true, false) => Some("{\\\"a\\\":$v}".to_owned()),
        (false, true) => Some(format!("{{{export}}}")),
        (true, true) => Some(format!("{{\\\"a\\\":$v,{export}}}")),
    }
}

/// Nothing is to be done if the output is what would be written.
fn status(world: &World, task: &Task) -> String {
    format!("{PRELUDE}{}c=; read -r c < {} || :\n[ \"$c\" = \"$v\" ]\n", value(world, task), out(task.id))
}
