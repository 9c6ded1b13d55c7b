//! What every kind of task file shares when its values become a declaration: substitution, names,
//! references, variables, and the faults found on the way.

use std::{collections::BTreeMap, ops::Range};

use serde_json::{Map, Value};

use super::{
    Scope,
    decode::Spanned,
    interpolate::{Kind, Problem, interpolate},
    types::{Dict, List},
};
use crate::{
    diagnostic::{Diagnostic, Place, SourceId, did_you_mean},
    model::{Condition, EdgeRef, NameFault, PortUse, TaskName, Written, port_refs},
};

/// Resolves the values of one text.
pub(super) struct Resolver<'a> {
    source: SourceId,
    /// What is substituted; nothing in the files of others.
    scope: Option<&'a Scope<'a>>,
    /// Every fault so far.
    pub faults: Vec<Diagnostic>,
    /// The ports the texts so far refer to.
    ports: Vec<PortUse>,
}

impl<'a> Resolver<'a> {
    /// A resolver for our own files with a scope, and for those of others without one.
    pub(super) fn new(source: SourceId, scope: Option<&'a Scope<'a>>) -> Self {
        Self { source, scope, faults: Vec::new(), ports: Vec::new() }
    }

    /// Whether it is for our own files.
    pub(super) fn is_ours(&self) -> bool {
        self.scope.is_some()
    }

    /// The references to ports since the last call.
    pub(super) fn take_ports(&mut self) -> Vec<PortUse> {
        std::mem::take(&mut self.ports)
    }

    /// The place of a span.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        Place { source: self.source, span: span.clone() }
    }

    /// Notes a fault; an empty hint is none.
    pub(super) fn fault(
        &mut self,
        code: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: &str,
    ) {
        let fault = Diagnostic::error(code, message).at(Some(&self.place(span)), "");
        self.faults.push(if hint.is_empty() { fault } else { fault.hint(hint) });
    }

    /// Text with its substitutions made.
    pub(super) fn text(&mut self, text: &Spanned<String>) -> Written<String> {
        self.text_of(text, Kind::Plain)
    }

    /// Text of a process, which may refer to ports.
    pub(super) fn process_text(&mut self, text: &Spanned<String>) -> Written<String> {
        self.text_of(text, Kind::Process)
    }

    /// Text of this kind with its substitutions made.
    pub(super) fn text_of(&mut self, text: &Spanned<String>, kind: Kind) -> Written<String> {
        self.substituted(&text.value, &text.span, kind)
    }

    fn substituted(&mut self, text: &str, span: &Range<usize>, kind: Kind) -> Written<String> {
        let (value, problems) =
            self.scope.map_or_else(|| (text.to_owned(), Vec::new()), |scope| interpolate(text, scope, kind));
        for Problem { code, message, hint } in problems {
            self.fault(code, span, message, &hint);
        }
        self.note_ports(text, span, kind);
        if value.contains('\0') {
            self.fault("bad-value", span, "a NUL character cannot be handed to a program", "remove it");
        }
        Written { written: text.to_owned(), value }
    }

    /// Notes the references to ports in a text of this kind.
    pub(super) fn note_ports(&mut self, text: &str, span: &Range<usize>, kind: Kind) {
        if self.is_ours() {
            let place = self.place(span);
            let ports = port_refs(text).map(|(_, port)| port).filter(|port| kind.may_refer_to(port));
            self.ports.extend(ports.map(|port| PortUse { port, place: Some(place.clone()) }));
        }
    }

    /// Texts with their substitutions made.
    pub(super) fn texts(&mut self, list: Option<&Spanned<List<String>>>) -> Vec<Written<String>> {
        list.map(|list| list.value.0.iter().map(|text| self.text(text)).collect()).unwrap_or_default()
    }

    /// Patterns with their substitutions made.
    pub(super) fn patterns(&mut self, list: Option<&Spanned<List<String>>>) -> Vec<Written<String>> {
        let pattern = |text: &Spanned<String>| self.substituted(&text.value, &text.span, Kind::Pattern);
        list.map(|list| list.value.0.iter().map(pattern).collect()).unwrap_or_default()
    }

    /// JSON with the substitutions of its strings made. Keys stay as they are.
    pub(super) fn json(
        &mut self,
        map: &Map<String, Value>,
        span: &Range<usize>,
        kind: Kind,
    ) -> Written<Map<String, Value>> {
        let value = map.iter().map(|(k, v)| (k.clone(), self.json_value(v, span, kind))).collect();
        Written { written: map.clone(), value }
    }

    fn json_value(&mut self, value: &Value, span: &Range<usize>, kind: Kind) -> Value {
        match value {
            // JSON escapes a NUL, so only the references can be at fault.
            Value::String(s) if !s.contains('\0') => Value::String(self.substituted(s, span, kind).value),
            Value::Array(items) => items.iter().map(|v| self.json_value(v, span, kind)).collect(),
            Value::Object(map) => Value::Object(self.json(map, span, kind).value),
            other => other.clone(),
        }
    }

    /// Variables with their substitutions made.
    pub(super) fn variables(
        &mut self,
        table: Option<&Spanned<Dict<String>>>,
        kind: Kind,
    ) -> BTreeMap<String, Written<String>> {
        let Some(table) = table else { return BTreeMap::new() };
        let mut result = BTreeMap::new();
        for (name, value) in &table.value.0 {
            if name.value.is_empty() || name.value.contains(['=', '\0']) {
                let message = format!("`{}` is no name of a variable", name.value);
                self.fault("bad-value", &name.span, message, "a name is not empty and has no `=`");
            }
            result.insert(name.value.clone(), self.substituted(&value.value, &value.span, kind));
        }
        result
    }

    /// A global name; one without a colon lies in `namespace`, if there is one.
    pub(super) fn name(&mut self, text: &Spanned<String>, namespace: Option<&str>) -> Option<TaskName> {
        let checked = TaskName::check_characters(&text.value).and_then(|()| match namespace {
            Some(namespace) if !text.value.contains(':') => {
                TaskName::new(&format!("{namespace}:{}", text.value))
            }
            _ => TaskName::new(&text.value),
        });
        checked.map_err(|fault| self.bad_name(text, &fault)).ok()
    }

    fn bad_name(&mut self, text: &Spanned<String>, fault: &NameFault) {
        let hint = match TaskName::legal_spelling(&text.value) {
            Some(legal) if *fault != NameFault::NoColon => format!("`{legal}` is a legal spelling"),
            Some(legal) => format!("write `namespace:{legal}`"),
            None => "names have ASCII letters, digits, `:`, `-` and `_`".to_owned(),
        };
        self.fault("bad-name", &text.span, fault.to_string(), &hint);
    }

    /// The entries of `after` or `before`.
    pub(super) fn references(
        &mut self,
        list: Option<&Spanned<List<String>>>,
        namespace: Option<&str>,
    ) -> Vec<EdgeRef> {
        let entries = list.map(|l| l.value.0.as_slice()).unwrap_or_default();
        entries.iter().filter_map(|entry| self.reference(entry, namespace)).collect()
    }

    fn reference(&mut self, text: &Spanned<String>, namespace: Option<&str>) -> Option<EdgeRef> {
        let (name, suffix) = match text.value.rsplit_once('@') {
            Some((name, suffix)) => (name, Some(suffix)),
            None => (text.value.as_str(), None),
        };
        let condition = suffix.map(|suffix| self.condition(suffix, &text.span));
        let name = Spanned { value: name.to_owned(), span: text.span.clone() };
        let task = self.name(&name, namespace)?;
        // A bad suffix is a fault already; the edge itself is still known.
        Some(EdgeRef { task, condition: condition.flatten(), place: Some(self.place(&text.span)) })
    }

    fn condition(&mut self, suffix: &str, span: &Range<usize>) -> Option<Condition> {
        let condition = Condition::from_suffix(suffix);
        if condition.is_none() {
            let words = Condition::ALL.map(Condition::as_str);
            let hint = did_you_mean(suffix, words).map_or_else(
                || "one of `@started`, `@ready`, `@succeeded`, `@completed`".to_owned(),
                |near| format!("did you mean `@{near}`?"),
            );
            self.fault("bad-suffix", span, format!("`@{suffix}` is no state to wait for"), &hint);
        }
        condition
    }
}
