//! devenv's list as the one project of its tree.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Faults, Kind, LoadRequest, Loaded, Observed, Project, project, read::Reading};
use crate::{
    config::{Settings, parse_devenv},
    diagnostic::{Diagnostic, SourceId},
};

/// Loads the list in `text`.
pub(super) fn load(
    request: &LoadRequest,
    source: SourceId,
    text: &str,
    file: Option<PathBuf>,
    root: &Path,
    mut reading: Reading,
) -> Result<Loaded, Box<Faults>> {
    let name = project::default_name(root).unwrap_or_else(|| "devenv".to_owned());
    let declared = parse_devenv(source, text, &name, &request.start_dir);
    reading.diagnostics.extend(declared.faults);
    if reading.diagnostics.iter().any(Diagnostic::is_error) {
        return Err(reading.into_faults(declared.declarations, declared.complete));
    }
    Ok(Loaded {
        root: root.to_owned(),
        kind: Kind::Devenv,
        declarations: declared.declarations,
        servers: Vec::new(),
        has_kept_lists: false,
        current_project: Some(name.clone()),
        projects: vec![Project { name, dir: root.to_owned(), file }],
        settings: Settings::default(),
        env: BTreeMap::new(),
        sources: reading.sources,
        warnings: reading.diagnostics,
        files: reading.files,
        observed: Observed::default(),
    })
}
