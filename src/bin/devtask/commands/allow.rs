//! `devtask allow` and `devtask revoke`: what may be done with a tree automatically.

use std::{os::unix::ffi::OsStrExt as _, path::PathBuf};

use super::out;
use crate::{
    app::{App, complain_with},
    args::{AllowArgs, RevokeArgs},
    exit::Exit,
    render::text::shown,
    trust,
};

pub(crate) fn allow(app: &mut App, args: &AllowArgs) -> Result<Exit, Exit> {
    if args.list {
        let mut roots: Vec<PathBuf> = trust::all().into_iter().map(|(root, _)| root).collect();
        roots.dedup();
        let lines = roots.iter().map(|root| format!("{}\n", shown(&root.display().to_string())));
        return Ok(out(&lines.collect::<String>()));
    }
    app.load_to_judge()?.allow()?;
    Ok(Exit::Done)
}

/// What is not there any more, or has faults, can be revoked as well: nothing is loaded.
pub(crate) fn revoke(app: &App, args: &RevokeArgs) -> Result<Exit, Exit> {
    let mut records = trust::all();
    if !args.all {
        let around = records.iter().map(|(root, _)| root).filter(|root| app.start_dir.starts_with(root));
        let nearest = around.max_by_key(|root| root.as_os_str().as_bytes().len()).cloned();
        records.retain(|(root, _)| Some(root) == nearest.as_ref());
    }
    if records.is_empty() {
        complain_with("nothing here is allowed", "`devtask allow --list` shows what is");
        return Err(Exit::NothingMatched);
    }
    trust::forget(&records)?;
    Ok(Exit::Done)
}
