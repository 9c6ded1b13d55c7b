//! The dotenv files of one task file.

use std::collections::BTreeMap;

use super::read::Reading;
use crate::config::{ProjectFile, Scope, normalise, parse_dotenv};

/// The variables of a file's `dotenv`, later files over earlier ones. A missing file is fine.
pub(super) fn variables(
    file: &ProjectFile,
    scope: &Scope<'_>,
    reading: &mut Reading,
) -> BTreeMap<String, String> {
    let (paths, faults) = file.dotenv(scope);
    reading.diagnostics.extend(faults);
    let mut variables = BTreeMap::new();
    for entry in paths {
        let path = normalise(&scope.dir.join(&entry.text));
        if reading.world.is_missing(&path) {
            // Its appearance changes the result.
            reading.files.push(path);
            continue;
        }
        match reading.secret_file(&path) {
            Ok((source, text)) => {
                let (read, faults) = parse_dotenv(source, &text);
                variables.extend(read);
                reading.diagnostics.extend(faults);
            }
            Err(fault) => reading.diagnostics.push(fault.at(Some(&entry.place), "named here")),
        }
    }
    variables
}
