//! What is pushed, and since when it is new.

use crate::git::{GitError, Repository};

/// A line git gives to a `pre-push` hook: what is to become of one name on the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Its name here.
    pub local_ref: String,
    /// What it is to be; only zeros if the name is to be deleted there.
    pub local: String,
    /// Its name there.
    pub remote_ref: String,
    /// What it is there; only zeros if the name is new there.
    pub remote: String,
}

/// What is new for the other side, as `check` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// What the other side has.
    pub from: String,
    /// What it is to get.
    pub to: String,
}

/// What git said on stdin; none if that is something else.
#[must_use]
pub fn read_pushed(said: &str) -> Option<Vec<Pushed>> {
    let is_object = |word: &str| word.len() >= 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let one = |line: &str| {
        // What is pushed may be named by anything that means a commit (`HEAD@{1 hour ago}`).
        let mut words = line.rsplitn(4, ' ');
        let (remote, remote_ref, local) = (words.next()?, words.next()?, words.next()?);
        let local_ref = words.next()?;
        let owned = str::to_owned;
        (is_object(local) && is_object(remote)).then(|| Pushed {
            local_ref: owned(local_ref),
            local: owned(local),
            remote_ref: owned(remote_ref),
            remote: owned(remote),
        })
    };
    said.lines().filter(|line| !line.is_empty()).map(one).collect()
}

/// What is to be looked at, each range once. What is deleted brings nothing, and what is no commit has no files. Where
/// it is not known here what the other side has, it is where the branch left the other side's own head; where there is no such
/// place either, all of it is new.
///
/// # Errors
/// git's.
pub fn ranges(repository: &Repository, remote: &str, pushed: &[Pushed]) -> Result<Vec<Range>, GitError> {
    let is_zero = |object: &str| object.bytes().all(|byte| byte == b'0');
    let mut ranges: Vec<Range> = Vec::new();
    for one in pushed.iter().filter(|one| !is_zero(&one.local)) {
        let Ok(to) = repository.commit(one.local.as_ref()) else { continue };
        let known = Some(&one.remote).filter(|object| !is_zero(object));
        let known = known.and_then(|object| repository.commit(object.as_ref()).ok());
        let from = match known.or_else(|| parted(repository, remote, &to)) {
            Some(from) => from,
            None => repository.empty_tree()?,
        };
        let range = Range { from, to };
        if range.from != range.to && !ranges.contains(&range) {
            ranges.push(range);
        }
    }
    Ok(ranges)
}

/// Where a commit has left what is known of the other side's own head. Pushed to an address instead of a remote with a
/// name, there is nothing known of it.
fn parted(repository: &Repository, remote: &str, commit: &str) -> Option<String> {
    repository.parted(&repository.remote_head(remote)?, commit).ok()
}
