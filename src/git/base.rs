//! Where a branch began.

use std::ffi::{OsStr, OsString};

use super::Repository;

/// Why it is not known where a branch began.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoBase {
    /// There is no branch of a usual name.
    #[error("there is no branch to compare with")]
    NoBranch,
    /// What it is to go into is not here.
    #[error("`{0}`, which the branch is to go into, is not known here")]
    NotFetched(String),
    /// The commits have no common one, or it is not here.
    #[error("it is not known where the branch left `{0}`")]
    NotParted(String),
}

impl Repository {
    /// What a branch is compared with where nobody says: `requested`, the branch of `origin` it is to go into
    /// (`GITHUB_BASE_REF`), else what the remote has for its own head, or a branch of the usual name (spec section 7).
    ///
    /// # Errors
    /// That `requested` is not here, or that there is none of these.
    pub fn usual_base(&self, requested: Option<&str>) -> Result<OsString, NoBase> {
        if let Some(name) = requested {
            let name = format!("origin/{name}");
            let is_here = self.commit(OsStr::new(&name)).is_ok();
            return if is_here { Ok(name.into()) } else { Err(NoBase::NotFetched(name)) };
        }
        let local = ["main", "master"].map(str::to_owned);
        let known = |name: &String| self.commit(OsStr::new(name)).is_ok();
        let mut names = heads("origin").into_iter().chain(local);
        names.find(known).map(OsString::from).ok_or(NoBase::NoBranch)
    }

    /// What is known of the head of a remote, or of its branch of a usual name.
    #[must_use]
    pub fn remote_head(&self, remote: &str) -> Option<String> {
        let names = heads(remote).map(|name| format!("refs/remotes/{name}"));
        names.iter().find_map(|name| self.commit(OsStr::new(name)).ok())
    }

    /// The commit where `head` left `base`.
    ///
    /// # Errors
    /// [`NoBase::NotParted`]: they have nothing in common, or it was not fetched.
    pub fn parted(&self, base: &str, head: &str) -> Result<String, NoBase> {
        self.merge_base(base, head).ok_or_else(|| NoBase::NotParted(base.to_owned()))
    }
}

fn heads(remote: &str) -> [String; 3] {
    ["HEAD", "main", "master"].map(|name| format!("{remote}/{name}"))
}
