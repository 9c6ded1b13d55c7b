//! Tables for each reader, and what whole proposals hold to.

mod proposals;
mod python;
mod readers;
mod text;

use super::{Content, Found, Proposal, interest, propose};
use crate::{
    config::parse_toml,
    diagnostic::{Source, Sources},
};

/// What is proposed for these files.
fn of(files: &[(&str, &str)]) -> Proposal {
    let files = files.iter().filter(|(path, _)| interest(super::paths::split(path).1).is_some());
    let files = files.map(|(path, text)| ((*path).to_owned(), Content::Text((*text).to_owned())));
    let proposal = propose(&Found { name: "here".to_owned(), files: files.collect(), ..Found::default() });
    for (path, text) in &proposal.files {
        let source =
            Sources::default().add(Source { name: path.clone(), path: None, text: text.as_str().into() });
        let faults = parse_toml(source, text).faults;
        assert!(faults.is_empty(), "{path}: {faults:#?}\n{text}");
    }
    proposal
}

/// The text of one proposed file as TOML.
fn table(proposal: &Proposal, path: &str) -> toml::Table {
    let (_, text) = proposal.files.iter().find(|(name, _)| name == path).unwrap();
    text.parse().unwrap()
}
