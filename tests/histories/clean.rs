//! A clean run that is really executed: the tasks' own commands, in topological order, in a fresh copy of
//! the tree, and no devtask anywhere. It proves the model in `oracle`.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::{Map, Value, json};

use crate::{
    oracle, script, tree,
    world::{World, out},
};

/// Runs everything in a copy of the tree, and says where the model made something else of it.
pub(crate) fn disagreements(world: &World, root: &Path, base: &Path) -> Vec<String> {
    let copy = base.join("clean");
    for dir in ["", "ctl", "trace", "files"] {
        fs::create_dir(copy.join(dir)).unwrap();
    }
    let copied = copy.join("tree");
    copy_tree(root, &copied);
    fs::create_dir(copied.join("out")).unwrap();
    let mut handed: BTreeMap<usize, Handed> = BTreeMap::new();
    for task in world.present().filter(|task| !task.door) {
        let made = run(world, task.id, &copy, &handed);
        handed.insert(task.id, made);
    }
    let walk = tree::walk(&copied);
    let wrong = oracle::divergences(world, &walk);
    fs::remove_dir_all(copy).unwrap();
    wrong
}

/// What a task handed on.
struct Handed {
    output: Option<Value>,
    exports: Map<String, Value>,
}

fn run(world: &World, id: usize, copy: &Path, handed: &BTreeMap<usize, Handed>) -> Handed {
    let task = &world.tasks[id];
    let output = copy.join(format!("files/{id}"));
    let seen = world.seen(id);
    let visible = || handed.iter().filter(|(from, _)| seen.contains(from));
    let outputs: Map<String, Value> =
        visible().filter_map(|(from, made)| Some((format!("w:t{from}"), made.output.clone()?))).collect();
    let mut command = Command::new(script::interpreter(task));
    command.args(["-e", "-c", &script::exec(world, task)]).current_dir(copy.join("tree")).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command.env("PLAY", "clean").env("CTL", copy.join("ctl")).env("TRACE", copy.join("trace"));
    command.env("AROUND", world.around.to_string());
    command.env("DEVENV_ROOT", copy.join("tree")).env("DEVENV_TASK_OUTPUT_FILE", &output);
    command.env("DEVENV_TASKS_OUTPUTS", Value::Object(outputs).to_string());
    for (name, value) in visible().flat_map(|(_, made)| &made.exports) {
        command.env(name, value.as_str().unwrap());
    }
    if let Some(env) = task.env {
        command.env("E", env.to_string());
    }
    let result = command.output().unwrap();
    assert!(result.status.success(), "t{id} fails by itself: {}", String::from_utf8_lossy(&result.stderr));
    let output: Option<Value> =
        fs::read_to_string(output).ok().map(|text| serde_json::from_str(&text).unwrap());
    let mut exports = Map::new();
    if let Some(Value::Object(env)) = output.as_ref().map(|output| output["devenv"]["env"].clone()) {
        exports.extend(env);
    }
    if task.export && task.bash {
        // bash is asked for its variables by devtask alone; their value is the task's.
        let made = fs::read_to_string(copy.join("tree").join(out(id))).unwrap();
        exports.insert(format!("X{id}"), json!(made.trim()));
    }
    Handed { output, exports }
}

/// Copies a tree without what tasks, git and devtask made in it.
fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name();
        let kind = entry.file_type().unwrap();
        if [".git", ".devtask", "out"].iter().any(|skipped| name == *skipped) {
            continue;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source).unwrap(), target).unwrap();
        } else if kind.is_dir() {
            copy_tree(&source, &target);
        } else {
            fs::copy(source, target).unwrap();
        }
    }
}
