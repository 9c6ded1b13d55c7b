//! Task servers: their tasks in the graph, their lists, and what becomes of those that misbehave.
//!
//! The servers are shell scripts that speak on descriptor 3; what each story wants of one is in two files: `tasks.json`
//! is its list, `run.sh` what it does when it is asked to run `$task`, with the question in `$line`. `$asked` is what the
//! task is called in the list.

mod lists;
mod runs;
mod troubles;
mod watched;

use super::support::{Running, Sandbox, eventually};

/// A server that is told what to do.
const SERVER: &str = r#"#!/bin/sh
echo start >> starts
say() { printf '%s\n' "$1" >&3; }
log() { say '{"method":"log","params":{"task":"'"$asked"'","line":"'"$1"'"}}'; }
answer() { say '{"id":'"$id"',"result":{"task":"'"$asked"'","status":"'"$1"'"'"$2"'}}'; }
while IFS= read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  asked=${line#*'"task":"'}; asked=${asked%%'"'*}
  case $asked in *:*) task=$asked ;; *) task=p:$asked ;; esac
  printf '%s\n' "$line" >> heard
  case $line in
    *'"method":"initialize"'*) say '{"id":'"$id"',"result":'"$(cat tasks.json)"'}' ;;
    *'"method":"run"'*) . ./run.sh ;;
    *'"method":"cancel"'*) [ ! -e cancel.sh ] || . ./cancel.sh ;;
    *'"method":"shutdown"'*) say '{"id":'"$id"',"result":null}' ;;
  esac
done <&3
"#;

/// A tree with this list and this way to run it, and more in its task file.
fn tree(tasks: &str, run: &str, more: &str) -> Sandbox {
    let tree = Sandbox::with(&format!(
        "name = \"p\"\n[servers.sh]\ncommand = [\"./server.sh\"]\nstartTimeout = \"20s\"\n{more}"
    ));
    tree.program("server.sh", SERVER);
    // A message is one line.
    tree.write("tasks.json", format!(r#"{{"tasks":[{}]}}"#, tasks.replace('\n', " ")));
    tree.write("run.sh", run);
    tree
}

/// How often the server was started, since somebody asked last.
fn starts(tree: &Sandbox) -> usize {
    let count = if tree.exists("starts") { tree.read("starts").lines().count() } else { 0 };
    tree.remove_if_there("starts");
    count
}

/// A run or watch under way, with its events in a file.
fn begin(tree: &Sandbox, line: &str) -> Running {
    tree.remove_if_there("events");
    let words = line.split_whitespace().chain(["--events", "events"]);
    tree.devtask(words).start_with_stderr("said")
}

/// Waits for that text in a file, and gives all of it.
fn wait_for(tree: &Sandbox, file: &str, text: &str) -> String {
    let mut found = String::new();
    eventually(&format!("`{text}` in {file}"), || {
        found = std::fs::read_to_string(tree.path(file)).unwrap_or_default();
        found.contains(text)
    });
    found
}
