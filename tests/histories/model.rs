//! What tasks make of a tree: the deterministic commands of `script`, modelled exactly.

use std::collections::BTreeMap;

use crate::{
    glob::{self, Match},
    script::{self, MODULUS, NOTHING},
    tree::{Kind, Node, Walk},
    world::{Declared, Freshness, How, Json, Task, World, halves, out},
};

/// The number a file holds.
pub(crate) fn number(node: Option<&Node>) -> u32 {
    node.map_or(NOTHING, Node::number)
}

/// A file as a line of a key.
pub(crate) fn row(path: &str, node: &Node) -> String {
    format!("{path} {:?}", node.kind)
}

/// The declared outputs as they are.
pub(crate) fn outputs(task: &Task, walk: &Walk) -> Vec<String> {
    let patterns: Vec<String> = script::declared(task).into_iter().collect();
    let is_output = |(path, node): &(&String, &Node)| match glob::matched(&patterns, path) {
        Match::No => false,
        Match::Literal => true,
        Match::Glob => node.kind != Kind::Directory,
    };
    walk.iter().filter(is_output).map(|(path, node)| row(path, node)).collect()
}

/// What a value is handed on as: JSON and export.
pub(crate) fn hands_on(task: &Task, value: u32) -> (Option<u32>, Option<u32>) {
    let writes = task.json != Json::Sometimes || value.is_multiple_of(2);
    let exports = task.export && (task.bash || writes);
    ((task.json != Json::No && writes).then_some(value), exports.then_some(value))
}

/// What a task makes of the tree and of what `of` says it reads of others.
pub(crate) fn value(world: &World, id: usize, walk: &Walk, of: impl Fn(usize, How) -> u32) -> u32 {
    let task = &world.tasks[id];
    let mut h = u64::from(task.salt);
    let mut mix = |n: u64| h = (h * 31 + n) % MODULUS;
    if let Some(env) = task.env {
        mix(u64::from(env));
    }
    if task.tracks {
        mix(u64::from(world.around));
    }
    for (number, path) in world.candidates(id) {
        if let Some(node @ Node { kind: Kind::File { executable, .. }, .. }) = walk.get(&path) {
            mix(number as u64 * 2 + u64::from(*executable));
            mix(u64::from(node.number()));
        }
    }
    for (from, how) in world.reads(id) {
        mix(u64::from(of(from, how)));
    }
    let value = if task.coarse { h % 3 } else { h };
    u32::try_from(value).unwrap()
}

/// What a clean run of everything makes of a tree.
pub(crate) fn clean(world: &World, walk: &Walk) -> BTreeMap<usize, u32> {
    let mut values: BTreeMap<usize, u32> = BTreeMap::new();
    for task in world.present().filter(|task| !task.door) {
        let of = |from: usize, how: How| {
            let (json, export) = hands_on(&world.tasks[from], values[&from]);
            match how {
                How::Json => json.unwrap_or(NOTHING),
                How::Export => export.unwrap_or(NOTHING),
                How::File | How::Listed => values[&from],
            }
        };
        let made = value(world, task.id, walk, of);
        values.insert(task.id, made);
    }
    values
}

/// Where the outputs of a tree are not those of a clean run.
pub(crate) fn divergences(world: &World, walk: &Walk) -> Vec<String> {
    let differs = |(id, value): (usize, u32)| {
        let found = walk.get(&out(id)).map(|node| &node.kind);
        let right = matches!(found, Some(Kind::File { content, .. }) if *content == format!("{value}\n"));
        (!right).then(|| format!("t{id} left {found:?}, a clean run leaves {value}"))
    };
    let clean = clean(world, walk);
    let half = |(id, value): (&usize, &u32)| {
        let names = halves(&world.tasks[*id])?;
        let found = names.map(|name| walk.get(&name).map(Node::number));
        let expected = [0, 1].map(|half| (value % 2 == half).then_some(*value));
        (found != expected).then(|| format!("t{id} left the halves {found:?} instead of {expected:?}"))
    };
    let halves: Vec<String> = clean.iter().filter_map(half).collect();
    clean.into_iter().filter_map(differs).chain(halves).collect()
}

/// The same, of those tasks only that a watch can keep true: they and all they see rest on a key, or on nothing.
pub(crate) fn divergences_of_keyed(world: &World, walk: &Walk) -> Vec<String> {
    let rests = |id: usize| [Freshness::Keyed, Freshness::Door].contains(&world.freshness(id));
    let is_kept = |id: &usize| rests(*id) && world.scheduled(*id).into_iter().all(rests);
    let kept: Vec<String> =
        world.present().map(|t| t.id).filter(is_kept).map(|id| format!("t{id} ")).collect();
    divergences(world, walk)
        .into_iter()
        .filter(|text| kept.iter().any(|name| text.starts_with(name)))
        .collect()
}

/// Whether a task's output may be tampered with: only where that is to be noticed.
pub(crate) fn notices_tampering(world: &World, id: usize) -> bool {
    let task = &world.tasks[id];
    match world.freshness(id) {
        Freshness::Door => false,
        Freshness::Always | Freshness::Status => true,
        Freshness::Keyed => task.outputs != Declared::No,
    }
}
