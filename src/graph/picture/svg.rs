//! A part of a graph as SVG.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{
    layout::{Level, Placed, Size, lay_out},
    seen::{Ending, RunSeen},
    style::{class, sheet},
    text::{cut, escaped},
};
use crate::{
    graph::{
        Conditions, TaskGraph,
        render::{edges, order, suffix},
    },
    model::{Action, CHECKS, Condition, FIXES, PROCESSES, TaskId, TaskSet},
};

/// How wide a character is taken to be, in pixels: the widest of the fonts that are likely, and a little more.
const CHARACTER: f64 = 8.2;
/// The same of the small words beneath a name.
const SMALL_CHARACTER: f64 = 7.0;
/// A name that is longer loses its middle.
const LONGEST: usize = 48;
/// Left and right of the text in a box.
const PADDING: f64 = 12.0;
/// Around the whole.
const MARGIN: f64 = 24.0;
/// One row of the legend.
const ROW: f64 = 26.0;

/// The scheduled tasks as an SVG image, coloured by how they fared in `run`. It follows the surroundings, light or
/// dark, and needs nothing else: no fonts, no scripts.
///
/// Each task is a group with its place in [`TaskGraph::topological`] among the scheduled ones as `data-task`, each
/// edge one with those of both ends.
#[must_use]
pub fn svg(graph: &TaskGraph, scheduled: &TaskSet, roots: &TaskSet, run: Option<&RunSeen>) -> String {
    let picture = Picture::new(graph, scheduled, roots, run);
    let legend = picture.legend();
    let (width, height) = picture.extent(&legend);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"dt\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>\n<style>{}</style>\n\
         <rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>\n",
        escaped(&picture.title()),
        sheet(),
    );
    for edge in 0..picture.edges.len() {
        picture.draw_edge(&mut text, edge);
    }
    for node in 0..picture.tasks.len() {
        picture.draw_task(&mut text, node);
    }
    picture.draw_legend(&mut text, &legend);
    text + "</svg>\n"
}

/// Everything that is drawn.
struct Picture<'a> {
    graph: &'a TaskGraph,
    run: Option<&'a RunSeen>,
    tasks: Vec<TaskId>,
    edges: Vec<(usize, usize, Conditions)>,
    /// The roots, unless everything is one.
    marked: Option<&'a TaskSet>,
    boxes: Vec<Placed>,
    lines: Vec<Vec<Level>>,
    size: Size,
}

impl<'a> Picture<'a> {
    fn new(graph: &'a TaskGraph, scheduled: &TaskSet, roots: &'a TaskSet, run: Option<&'a RunSeen>) -> Self {
        let tasks: Vec<TaskId> = order(graph, scheduled).collect();
        let number: BTreeMap<TaskId, usize> = tasks.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let edges: Vec<(usize, usize, Conditions)> =
            edges(graph, scheduled).map(|(from, to, states)| (number[&from], number[&to], states)).collect();
        let marked = (roots.len() < tasks.len()).then_some(roots);
        let empty = Vec::new;
        let mut picture = Self {
            graph,
            run,
            tasks,
            edges,
            marked,
            boxes: empty(),
            lines: Vec::new(),
            size: Size::default(),
        };
        let sizes: Vec<Size> = picture.tasks.iter().map(|id| picture.box_size(*id)).collect();
        let ends: Vec<(usize, usize)> = picture.edges.iter().map(|(from, to, _)| (*from, *to)).collect();
        let layout = lay_out(&sizes, &ends);
        picture.size = Size { width: layout.width, height: layout.height };
        (picture.boxes, picture.lines) = (layout.boxes, layout.lines);
        picture
    }

    fn title(&self) -> String {
        let count = self.tasks.len();
        let tasks = format!("{count} task{}", if count == 1 { "" } else { "s" });
        self.run.map_or_else(|| tasks.clone(), |run| format!("{tasks}, as run {} left them", run.run()))
    }

    /// What is written beneath a name: how the task ended.
    fn word(&self, id: TaskId) -> Option<String> {
        self.run.map(|run| run.words(self.graph.name(id)))
    }

    fn box_size(&self, id: TaskId) -> Size {
        let name = self.graph.name(id).as_str().len().min(LONGEST) as f64 * CHARACTER;
        let word = self.word(id).map(|word| word.chars().count() as f64 * SMALL_CHARACTER);
        let width = name.max(word.unwrap_or(0.0)) + 2.0 * PADDING;
        // A process has rounder ends, and a bar.
        let width = if self.graph.task(id).is_process() { width + PADDING } else { width };
        Size { width: width.ceil(), height: if word.is_some() { 44.0 } else { 32.0 } }
    }

    fn draw_task(&self, text: &mut String, node: usize) {
        let (id, Placed { x, y, width, height }) = (self.tasks[node], self.boxes[node]);
        let (x, y, task) = (x + MARGIN, y + MARGIN, self.graph.task(id));
        let name = task.name.as_str();
        let ending = self.run.map(|run| run.ending(&task.name));
        let mut classes = vec!["node"];
        classes.extend(ending.map(class));
        classes.extend(self.marked.is_some_and(|roots| roots.contains(id)).then_some("root"));
        classes.extend(self.is_group(id).then_some("group"));
        let mut tip = name.to_owned();
        for part in [self.word(id), task.description.clone()].into_iter().flatten() {
            tip += &format!(" · {part}");
        }
        put(
            text,
            format_args!(
                "<g class=\"{}\" data-task=\"{node}\"><title>{}</title>",
                classes.join(" "),
                escaped(&tip)
            ),
        );
        put(text, format_args!("{}", shape(x, y, width, height, task.is_process())));
        let left = x + if task.is_process() { PADDING * 2.0 } else { PADDING };
        let word = self.word(id);
        let base = if word.is_some() { y + 19.0 } else { y + height / 2.0 + 4.5 };
        put(
            text,
            format_args!(
                "<text class=\"name\" x=\"{left}\" y=\"{base}\">{}</text>",
                title_of(name, &task.project)
            ),
        );
        if let Some(word) = word {
            put(
                text,
                format_args!(
                    "<text class=\"word\" x=\"{left}\" y=\"{}\">{}</text>",
                    y + 35.0,
                    escaped(&word)
                ),
            );
        }
        text.push_str("</g>\n");
    }

    fn is_group(&self, id: TaskId) -> bool {
        let task = self.graph.task(id);
        !task.is_process() && matches!(task.action, Action::None)
    }

    fn draw_edge(&self, text: &mut String, edge: usize) {
        let (from, to, conditions) = self.edges[edge];
        let (upstream, downstream) = (self.tasks[from], self.tasks[to]);
        let suffix = suffix(self.graph, upstream, conditions);
        let kind = kind(conditions).map_or(String::new(), |kind| format!(" {kind}"));
        put(text, format_args!("<g class=\"edge{kind}\" data-from=\"{from}\" data-to=\"{to}\">"));
        let (name, other) = (self.graph.name(upstream), self.graph.name(downstream));
        put(text, format_args!("<title>{}</title>", escaped(&format!("{name}{suffix} → {other}"))));
        put(text, format_args!("{}</g>\n", path(&self.lines[edge], MARGIN)));
    }

    /// What has to be explained of what is there.
    fn legend(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut counts = BTreeMap::new();
        for id in &self.tasks {
            *counts.entry(self.run.map(|run| run.ending(self.graph.name(*id)))).or_insert(0usize) += 1;
        }
        for (ending, count) in counts {
            let label = ending.map(|ending| format!("{count} {}", ending.label()));
            entries.extend(label.map(|label| Entry { label, sign: Sign::Box(ending, false) }));
        }
        let mut add = |is_there: bool, label: &str, sign| {
            entries.extend(is_there.then(|| Entry { label: label.to_owned(), sign }));
        };
        let is_process = |id: &TaskId| self.graph.task(*id).is_process();
        add(self.tasks.iter().any(is_process), "process", Sign::Box(None, true));
        add(self.tasks.iter().any(|id| self.is_group(*id)), "no command", Sign::Group);
        add(self.marked.is_some() && !self.tasks.is_empty(), "asked for", Sign::Root);
        let kinds: BTreeSet<Option<&str>> = self.edges.iter().map(|(.., states)| kind(*states)).collect();
        add(kinds.contains(&Some("soft")), "@completed: also after a failure", Sign::Line("soft"));
        add(kinds.contains(&Some("started")), "@started: side by side", Sign::Line("started"));
        entries
    }

    /// How large the whole is, with what is explained beneath it in as many rows as it takes.
    fn extent(&self, legend: &[Entry]) -> (f64, f64) {
        let widest = legend.iter().map(Entry::width).fold(0.0, f64::max);
        let width = self.size.width.max(widest).max(420.0) + 2.0 * MARGIN;
        let rows = Entry::rows(legend, width).last().map_or(0, |(_, row)| row + 1);
        let below = if rows == 0 { 0.0 } else { rows as f64 * ROW + 20.0 };
        (width.ceil(), (self.size.height + below + 2.0 * MARGIN).ceil())
    }

    fn draw_legend(&self, text: &mut String, legend: &[Entry]) {
        let (width, _) = self.extent(legend);
        text.push_str("<g class=\"legend\">\n");
        for (entry, (x, row)) in legend.iter().zip(Entry::rows(legend, width)) {
            let y = self.size.height + MARGIN + 26.0 + row as f64 * ROW;
            entry.draw(text, x, y);
        }
        text.push_str("</g>\n");
    }
}

/// One thing the legend explains.
struct Entry {
    label: String,
    sign: Sign,
}

enum Sign {
    /// A box, of a process or not.
    Box(Option<Ending>, bool),
    Group,
    Root,
    /// A line of this class.
    Line(&'static str),
}

impl Entry {
    fn width(&self) -> f64 {
        self.label.chars().count() as f64 * SMALL_CHARACTER + 58.0
    }

    /// Where each stands: how far right, and in which row.
    fn rows(all: &[Self], width: f64) -> Vec<(f64, usize)> {
        let (mut x, mut row) = (MARGIN, 0);
        let mut places = Vec::with_capacity(all.len());
        for entry in all {
            if x > MARGIN && x + entry.width() > width - MARGIN {
                (x, row) = (MARGIN, row + 1);
            }
            places.push((x, row));
            x += entry.width();
        }
        places
    }

    fn draw(&self, text: &mut String, x: f64, y: f64) {
        let (classes, sign) = match self.sign {
            Sign::Box(ending, is_process) => {
                (format!("node {}", ending.map_or("", class)), shape(x, y, 30.0, 16.0, is_process))
            }
            Sign::Group => ("node group".to_owned(), shape(x, y, 30.0, 16.0, false)),
            Sign::Root => ("node root".to_owned(), shape(x, y, 30.0, 16.0, false)),
            Sign::Line(kind) => {
                let ends = [x, x + 30.0].map(|x| Level { from_x: x, to_x: x, y: y + 8.0 });
                (format!("edge {kind}"), path(&ends, 0.0))
            }
        };
        let (left, base) = (x + 38.0, y + 12.0);
        let label = escaped(&self.label);
        put(
            text,
            format_args!(
                "<g class=\"{}\">{sign}<text class=\"word\" x=\"{left}\" y=\"{base}\">{label}</text></g>\n",
                classes.trim_end()
            ),
        );
    }
}

/// A box; that of a process has round ends, and a bar within the left one.
fn shape(x: f64, y: f64, width: f64, height: f64, is_process: bool) -> String {
    let round = if is_process { height / 2.0 } else { 6.0_f64.min(height / 4.0) };
    let mut shape = format!(
        "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>"
    );
    if is_process {
        let (bar, inset) = (x + height / 3.0, height / 4.0);
        let _ = write!(shape, "<path class=\"bar\" d=\"M{:.1} {}V{}\"/>", bar, y + inset, y + height - inset);
    }
    shape
}

/// A line with its arrow head.
fn path(line: &[Level], margin: f64) -> String {
    /// How long the head is.
    const HEAD: f64 = 7.0;
    let Some((first, rest)) = line.split_first() else { return String::new() };
    let (mut x, mut y) = (first.to_x + margin, first.y + margin);
    let mut d = format!("M{x} {y}");
    for (at, level) in rest.iter().enumerate() {
        let head = if at + 1 == rest.len() { HEAD - 1.0 } else { 0.0 };
        let (to_x, to_y) = (level.from_x + margin - head, level.y + margin);
        let middle = (x + to_x) / 2.0;
        let _ = match to_y == y {
            true => write!(d, "H{to_x}"),
            false => write!(d, "C{middle} {y} {middle} {to_y} {to_x} {to_y}"),
        };
        (x, y) = (to_x, to_y);
        if level.to_x > level.from_x {
            x = level.to_x + margin;
            let _ = write!(d, "H{x}");
        }
    }
    let tip = x + HEAD - 1.0;
    format!("<path class=\"line\" d=\"{d}\"/><path class=\"head\" d=\"M{tip} {y}l-{HEAD} -4v8z\"/>")
}

/// The class of lines that are not like most.
fn kind(conditions: Conditions) -> Option<&'static str> {
    match (conditions.hands_on(), conditions.contains(Condition::Completed)) {
        (false, _) => Some("started"),
        (true, true) if conditions.iter().all(|c| matches!(c, Condition::Started | Condition::Completed)) => {
            Some("soft")
        }
        _ => None,
    }
}

/// A name, its project dimmed, or what stands in its place.
fn title_of(name: &str, project: &str) -> String {
    let shown = cut(name, LONGEST);
    let kinds = [PROCESSES, CHECKS, FIXES].into_iter();
    let own = kinds.filter_map(|kind| beneath(name, kind)).next();
    let own = own.map(|own| beneath(own, project).unwrap_or(own)).or_else(|| beneath(name, project));
    let own = own.or_else(|| Some(name.split_once(':')?.1)).unwrap_or(name);
    match shown.split_at_checked(name.len() - own.len()) {
        // What was cut in the middle has no beginning of its own any more.
        Some((before, own)) if shown == name => {
            format!("<tspan class=\"dim\">{}</tspan>{}", escaped(before), escaped(own))
        }
        _ => escaped(&shown),
    }
}

/// What a name is within a namespace.
fn beneath<'a>(name: &'a str, namespace: &str) -> Option<&'a str> {
    name.strip_prefix(namespace)?.strip_prefix(':')
}

fn put(text: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(part);
}
