//! Faults as people see them: title, place, excerpt with carets, notes, one hint.
//!
//! Nothing of a file reaches the terminal as it is (hazard E8): control characters and those that turn
//! the direction of text are shown by their number, and long lines only around what is at fault.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use devtask::diagnostic::{Diagnostic, Label, Severity, Source, SourceId, Sources};

/// A line with more bytes than this is shown in part.
const LONG: usize = 240;
/// How much of a long line is shown around the ends of what is at fault, in bytes.
const AROUND: usize = 60;
/// A message with more characters than this is cut.
const LONGEST_MESSAGE: usize = 1000;

/// Renders faults, one below the other. The text ends with a line feed unless there is none.
pub(crate) fn render(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut result = String::new();
    for diagnostic in diagnostics {
        result.push_str(&renderer.render(&[group(diagnostic, sources)]));
        result.push_str("\n\n");
    }
    result.truncate(result.trim_end_matches('\n').len());
    if !result.is_empty() {
        result.push('\n');
    }
    result
}

fn group<'a>(diagnostic: &Diagnostic, sources: &Sources) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(escape(&diagnostic.message)).id(diagnostic.code));
    for (index, (source, labels)) in by_source(&diagnostic.labels).into_iter().enumerate() {
        if let Some(source) = sources.get(source) {
            group = excerpt(group, source, &labels, index == 0);
        }
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(escape(note)));
    }
    match &diagnostic.hint {
        Some(hint) => group.element(Level::HELP.message(escape(hint))),
        None => group,
    }
}

/// The labels of each text, the text of the first label first.
fn by_source(labels: &[Label]) -> Vec<(SourceId, Vec<&Label>)> {
    let mut groups: Vec<(SourceId, Vec<&Label>)> = Vec::new();
    for label in labels {
        match groups.iter_mut().find(|(source, _)| *source == label.place.source) {
            Some((_, list)) => list.push(label),
            None => groups.push((label.place.source, vec![label])),
        }
    }
    groups
}

fn excerpt<'a>(group: Group<'a>, source: &Source, labels: &[&Label], primary: bool) -> Group<'a> {
    let spans: Vec<Range<usize>> =
        labels.iter().map(|label| first_line(&source.text, &label.place.span)).collect();
    let (Some(first), Some(from), Some(to)) = (
        spans.first(),
        spans.iter().map(|s| line_start(&source.text, s.start)).min(),
        spans.iter().map(|s| line_end(&source.text, s.end)).max(),
    ) else {
        return group;
    };
    let shown = Shown::new(&source.text, from..to, &spans);
    let column = column(&source.text, first.start);
    let trimmed = shown.spans.first().is_some_and(|span| column != self::column(&shown.text, span.start));
    let annotations = labels.iter().zip(shown.spans).enumerate().map(|(index, (label, span))| {
        let kind = if primary && index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let text = (!label.text.is_empty()).then(|| escape(&label.text));
        kind.span(span).label(text)
    });
    let snippet =
        Snippet::source(shown.text).line_start(line_number(&source.text, from)).annotations(annotations);
    let name = escape(&source.name);
    if trimmed {
        // The renderer would count the column in the part that is shown.
        let line = line_number(&source.text, first.start);
        return group.element(Origin::path(name).line(line).char_column(column)).element(snippet);
    }
    group.element(snippet.path(name))
}

/// The character of its line, from 1.
fn column(text: &str, at: usize) -> usize {
    text[line_start(text, at)..at].chars().count() + 1
}

/// The part of a span on its first line, brought into the text.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor(text, span.start);
    start..floor(text, span.end).clamp(start, line_end(text, start))
}

fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |i| i + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |i| at + i)
}

fn line_number(text: &str, at: usize) -> usize {
    text[..at].bytes().filter(|b| *b == b'\n').count() + 1
}

/// Lines as they are shown, and where the spans lie in them.
struct Shown {
    text: String,
    spans: Vec<Range<usize>>,
}

impl Shown {
    fn new(text: &str, lines: Range<usize>, spans: &[Range<usize>]) -> Self {
        let mut shown = Self { text: String::new(), spans: spans.to_vec() };
        let mut at = lines.start;
        for (index, line) in text[lines].split('\n').enumerate() {
            if index > 0 {
                shown.text.push('\n');
            }
            shown.line(line, at, spans);
            at += line.len() + 1;
        }
        shown
    }

    /// Adds a line that begins at `start` of the text.
    fn line(&mut self, line: &str, start: usize, spans: &[Range<usize>]) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mut gap = false;
        for (index, c) in line.char_indices() {
            let at = start + index;
            self.moved(at, spans);
            if line.len() <= LONG || is_near(at, spans) {
                gap = false;
                self.text.push(harmless(c));
            } else if !gap {
                gap = true;
                self.text.push('…');
            }
        }
        self.moved(start + line.len(), spans);
    }

    /// Notes where the spans that begin or end at `at` of the text have come to lie.
    fn moved(&mut self, at: usize, spans: &[Range<usize>]) {
        for (span, original) in self.spans.iter_mut().zip(spans) {
            if original.start == at {
                span.start = self.text.len();
            }
            if original.end == at {
                span.end = self.text.len();
            }
        }
    }
}

fn is_near(at: usize, spans: &[Range<usize>]) -> bool {
    spans.iter().any(|span| at.abs_diff(span.start) <= AROUND || at.abs_diff(span.end) <= AROUND)
}

/// Text of ours with whatever names it quotes: what would do something to the terminal shows its number,
/// and what is too long to be read is cut.
fn escape(text: &str) -> String {
    let mut result = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST_MESSAGE {
            result.push('…');
            break;
        }
        if c.is_control() || is_bidirectional(c) {
            result.extend(c.escape_unicode());
        } else {
            result.push(c);
        }
    }
    result
}

/// A character of an excerpt. One stands for one, so that columns stay; the renderer itself shows the
/// control characters of ASCII by their pictures.
fn harmless(c: char) -> char {
    let is_c1 = c.is_control() && !c.is_ascii();
    if is_c1 || is_bidirectional(c) { char::REPLACEMENT_CHARACTER } else { c }
}

/// Characters that change the direction of what follows.
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
