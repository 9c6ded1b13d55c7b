//! Which scripts call which, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::propose::nature::{self, Nature};

/// What npm runs by itself, or for those who publish.
const LIFECYCLE: &[&str] = &[
    "dependencies",
    "install",
    "postinstall",
    "postpack",
    "postprepare",
    "postpublish",
    "postuninstall",
    "postversion",
    "preinstall",
    "prepack",
    "prepare",
    "preprepare",
    "prepublish",
    "prepublishOnly",
    "preuninstall",
    "preversion",
    "publish",
    "uninstall",
];
/// More scripts than these are nobody's.
const MOST: usize = 300;

/// The scripts of one package that count.
pub(crate) struct Scripts<'p>(BTreeMap<&'p str, Script<'p>>);

struct Script<'p> {
    text: &'p str,
    calls: Vec<String>,
    /// Whether it does nothing else.
    only_calls: bool,
    nature: Nature,
    /// Whether one calls it that does nothing but calling.
    is_listed: bool,
}

impl<'p> Scripts<'p> {
    pub(crate) fn of(package: &'p Value) -> Self {
        let scripts = package.get("scripts").and_then(Value::as_object);
        let scripts =
            scripts.into_iter().flatten().filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)));
        let mut scripts: BTreeMap<&str, &str> = scripts.take(MOST).collect();
        let all: BTreeSet<&str> = scripts.keys().copied().collect();
        scripts.retain(|name, text| {
            let around = name.strip_prefix("pre").or_else(|| name.strip_prefix("post"));
            let is_around = around.is_some_and(|name| all.contains(name));
            let is_empty = text.trim().is_empty() || text.contains("no test specified");
            !is_around && !is_empty && !LIFECYCLE.contains(name) && !name.is_empty()
        });
        let one = |(name, text): (&&'p str, &&'p str)| {
            let (calls, only_calls) = calls(&scripts, name, text);
            let nature = nature::of_command(name, text);
            (*name, Script { text, calls, only_calls, nature, is_listed: false })
        };
        let mut scripts = Self(scripts.iter().map(one).collect());
        scripts.pass_effects_on();
        scripts.note_lists();
        scripts
    }

    /// What calls a script with effects has these, too.
    fn pass_effects_on(&mut self) {
        let reason_of = |scripts: &Self, script: &Script<'_>| {
            let called = script.calls.iter().filter_map(|called| scripts.0.get(called.as_str()));
            called.filter_map(|called| called.nature.effect_on_callers()).next()
        };
        loop {
            let new: Vec<(&str, &'static str)> = self
                .0
                .iter()
                .filter(|(_, script)| !matches!(script.nature, Nature::Effect(_)))
                .filter_map(|(name, script)| Some((*name, reason_of(self, script)?)))
                .collect();
            if new.is_empty() {
                return;
            }
            for (name, reason) in new {
                self.0.get_mut(name).into_iter().for_each(|script| script.nature = Nature::Effect(reason));
            }
        }
    }

    fn note_lists(&mut self) {
        let lists = self.0.iter().filter(|(name, script)| script.nature.is_work() && self.is_list(name));
        let listed: BTreeSet<String> = lists.flat_map(|(_, script)| script.calls.iter().cloned()).collect();
        self.0.iter_mut().for_each(|(name, script)| script.is_listed = listed.contains(*name));
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'p str> {
        self.0.keys().copied()
    }

    /// Whether a script is there that counts.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What a script says.
    pub(crate) fn text(&self, name: &str) -> &'p str {
        self.0.get(name).map_or("", |script| script.text)
    }

    /// Which other scripts one calls.
    pub(crate) fn calls(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], |script| &script.calls)
    }

    /// What a script is for.
    pub(crate) fn nature(&self, name: &str) -> Nature {
        self.0.get(name).map_or(Nature::Unknown, |script| script.nature)
    }

    /// The scripts that another one of a plain run runs itself, and which one.
    pub(crate) fn parts(&self) -> BTreeMap<String, String> {
        let mut parts = BTreeMap::new();
        let is_whole =
            |name: &str| self.nature(name).is_work() && !self.is_list(name) && !self.is_variant(name);
        for (name, script) in self.0.iter().filter(|(name, _)| is_whole(name)) {
            for part in &script.calls {
                parts.entry(part.clone()).or_insert_with(|| (*name).to_owned());
            }
        }
        parts
    }

    /// Whether a script looks like another way to do what another one does, and none lists it.
    pub(crate) fn is_variant(&self, name: &str) -> bool {
        let is_listed = self.0.get(name).is_some_and(|script| script.is_listed);
        !is_listed && nature::base(name).is_some_and(|base| self.nature(base).is_work())
    }

    /// Of scripts that another calls one by one: those that make something before it.
    pub(crate) fn earlier(&self, name: &str) -> Vec<String> {
        let mut earlier = Vec::new();
        for (_, list) in self.0.iter().filter(|(list, _)| self.is_list(list)) {
            let is_parallel = list.text.contains("-p ");
            if !is_parallel && list.calls.iter().any(|called| called == name) {
                let before = list.calls.iter().take_while(|called| *called != name);
                earlier.extend(before.filter(|called| self.nature(called) == Nature::Build).cloned());
            }
        }
        earlier
    }

    /// Whether a script does nothing but call others.
    pub(crate) fn only_calls(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|script| script.only_calls)
    }

    /// Whether a script only calls others, which are all part of a plain run.
    pub(crate) fn is_list(&self, name: &str) -> bool {
        self.only_calls(name) && self.calls(name).iter().all(|called| self.nature(called).is_work())
    }
}

type Texts<'p> = BTreeMap<&'p str, &'p str>;

/// Which other scripts one calls, and whether it does nothing else.
fn calls(scripts: &Texts<'_>, name: &str, text: &str) -> (Vec<String>, bool) {
    let (mut names, mut only) = (Vec::new(), true);
    for part in text.split("&&") {
        let words: Vec<&str> = part.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
        let (called, is_all) = called(scripts, &words);
        only &= !called.is_empty() && is_all;
        names.extend(called.into_iter().filter(|called| called != name));
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let only = only && !names.is_empty();
    (names, only)
}

/// The scripts that one command calls, and whether that is all it does.
fn called(scripts: &Texts<'_>, words: &[&str]) -> (Vec<String>, bool) {
    match words {
        ["npm", "test" | "t", rest @ ..] => (meant(scripts, "test"), rest.is_empty()),
        ["npm" | "pnpm" | "yarn" | "bun", "run" | "run-script", name, rest @ ..]
        | ["yarn" | "pnpm", name, rest @ ..] => (meant(scripts, name), rest.is_empty()),
        ["run-s" | "run-p" | "npm-run-all" | "npm-run-all2", rest @ ..] => {
            let of_each: Vec<Vec<String>> = rest.iter().map(|word| meant(scripts, word)).collect();
            let is_plain =
                |(word, meant): (&&str, &Vec<String>)| ["-s", "-p", "-l"].contains(word) || !meant.is_empty();
            let is_all = rest.iter().zip(&of_each).all(is_plain);
            (of_each.concat(), is_all)
        }
        _ => (Vec::new(), false),
    }
}

/// `build:*` means all of these.
fn meant(scripts: &Texts<'_>, word: &str) -> Vec<String> {
    let begin = word.strip_suffix("**").or_else(|| word.strip_suffix('*'));
    let is_meant = |name: &&&str| begin.map_or(**name == word, |begin| name.starts_with(begin));
    scripts.keys().filter(is_meant).map(|name| (*name).to_owned()).collect()
}
