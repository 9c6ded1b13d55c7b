//! The state directory, the store in it, who holds it, and what dead sessions left.

use std::{
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Finding, filesystem};
use crate::{
    process::dead_sessions,
    shell::{self, Dialect},
    store::{Attempt, Lock, OwnerInfo, StateDir, StoreError, Verified, now_ms, verify},
};

pub(super) fn examine(path: &Path, granularity: Duration) -> Vec<Finding> {
    let mut findings = Vec::new();
    let dir = match StateDir::open(path) {
        Ok(dir) => dir,
        Err(error) => {
            let found = super::told(&error);
            let meaning = "nothing can be run here";
            let remedy = "remove it, or name another: --state-dir, or DEVTASK_STATE_DIR";
            return vec![Finding::problem("state directory", found, meaning).mended_by(remedy)];
        }
    };
    findings.push(directory(path, dir.is_some()));
    // Where it is, or would be made.
    let place = if dir.is_some() { Some(path.to_owned()) } else { nearest(path) };
    let Some(place) = place else { return findings };
    findings.push(filesystem::kind("state's file system", &place));
    // A copy of the store comes to lie in it.
    let only_ours = fs::Permissions::from_mode(0o700);
    let private =
        tempfile::Builder::new().prefix(".devtask-doctor-").permissions(only_ours).tempdir_in(&place);
    match private {
        Ok(private) => {
            findings.extend(filesystem::try_out(private.path(), path, granularity));
            findings.extend(dir.iter().map(|dir| store(dir, private.path())));
        }
        Err(error) => {
            let found = format!("{} cannot be written to: {error}", place.display());
            findings.push(Finding::problem("state directory", found, "nothing is remembered"));
        }
    }
    findings.extend(dir.iter().map(leftovers));
    findings
}

/// The nearest directory above a path that is there.
fn nearest(path: &Path) -> Option<PathBuf> {
    path.ancestors().skip(1).find(|above| above.is_dir()).map(Path::to_owned)
}

fn directory(path: &Path, is_there: bool) -> Finding {
    const ABOUT: &str = "state directory";
    let shown = path.display();
    if !is_there {
        return Finding::ok(ABOUT, format!("none yet, it will be {shown}"));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.mode() & 0o077 != 0 => Finding::problem(
            ABOUT,
            format!("{shown} has mode {:04o}", found.mode() & 0o7777),
            "others can read logs, or change what is remembered; the next run makes it private",
        )
        .mended_by(format!("chmod 700 {}", quoted(path))),
        Ok(_) => Finding::ok(ABOUT, format!("{shown}, private")),
        Err(error) => Finding::problem(ABOUT, format!("{shown}: {error}"), "nothing is remembered"),
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    shell::quoted(Dialect::Bash, path.as_os_str().as_bytes())
}

/// Whether the store is whole. It is looked at in a copy: an integrity check may write.
fn store(dir: &StateDir, private: &Path) -> Finding {
    const ABOUT: &str = "store";
    let remedy = "nothing: the next run sets it aside and begins anew, so that everything runs once";
    match held_and_verified(dir, private) {
        Ok(Err(owner)) => Finding::ok(ABOUT, format!("in use by {owner}, so it was not looked through")),
        Ok(Ok(Verified::Missing)) => Finding::ok(ABOUT, "none yet"),
        Ok(Ok(Verified::Sound { bytes })) => {
            Finding::ok(ABOUT, format!("{} KiB, whole", bytes.div_ceil(1024)))
        }
        Ok(Ok(Verified::TooBig { bytes })) => {
            let found = format!("{} MiB", bytes / 1024 / 1024);
            Finding::note(ABOUT, found, "it was not looked through, as that takes a copy")
        }
        Ok(Ok(Verified::Damaged(why))) => {
            Finding::problem(ABOUT, why, "what was remembered is lost").mended_by(remedy)
        }
        Err(error) => {
            Finding::problem(ABOUT, super::told(&error), "nothing can be remembered").mended_by(remedy)
        }
    }
}

/// While nobody else can write it.
fn held_and_verified(dir: &StateDir, private: &Path) -> Result<Result<Verified, String>, StoreError> {
    let info = OwnerInfo::this_process("devtask doctor", now_ms());
    match Lock::try_acquire(dir, &info)? {
        Attempt::Held(owner) => Ok(Err(owner.to_string())),
        Attempt::Acquired(_lock) => verify(dir, &private.join("store")).map(Ok),
    }
}

fn leftovers(dir: &StateDir) -> Finding {
    const ABOUT: &str = "leftovers";
    let dead = dead_sessions(&dir.path().join("sessions"));
    let running: Vec<String> = dead.iter().flat_map(|session| &session.running).map(u32::to_string).collect();
    if !running.is_empty() {
        let found = format!("processes of sessions that are dead: {}", running.join(", "));
        let meaning = "they may still write into the tree; the next run ends them";
        return Finding::problem(ABOUT, found, meaning).mended_by(format!("kill {}", running.join(" ")));
    }
    let aside = fs::read_dir(dir.path()).into_iter().flatten().flatten();
    let aside = aside.filter(|entry| entry.file_name().to_string_lossy().contains(".bad-")).count();
    match (dead.len(), aside) {
        (0, 0) => Finding::ok(ABOUT, "none"),
        (0, aside) => Finding::note(
            ABOUT,
            format!("{aside} damaged stores that were set aside"),
            "they are kept for who wants to know why, and may be removed",
        )
        .mended_by(format!("rm {}/state.redb.bad-*", quoted(dir.path()))),
        (dead, _) => Finding::note(
            ABOUT,
            format!("{dead} files of sessions that are dead"),
            "a devtask was killed; nothing of it runs any more, and the next run clears it away",
        ),
    }
}
