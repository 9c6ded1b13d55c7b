//! The mark by which descendants are known: one environment variable, a chain of sessions.

use std::{
    ffi::{OsStr, OsString},
    fmt::{self, Write as _},
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
};

/// The variable every child carries: `<session>.<job>`, appended with `:` to what an outer session
/// put there, so that each session of a nest finds its own descendants.
pub const SESSION_VARIABLE: &str = "DEVTASK_SESSION";

/// The random name of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker(String);

impl Marker {
    /// A new one: 128 random bits in hexadecimal.
    pub(super) fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let mut name = String::with_capacity(32);
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        Ok(Self(name))
    }

    /// The marker of that name, if it can be one: what lies in a directory of session files may be anything.
    pub(super) fn named(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        (name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit())).then(|| Self(name.to_owned()))
    }

    /// The value for the children of job `job`, behind what this process was itself started with.
    pub(super) fn chain(&self, outer: Option<&OsStr>, job: u64) -> OsString {
        let mut chain = outer.map(OsStr::to_os_string).unwrap_or_default();
        if !chain.is_empty() {
            chain.push(":");
        }
        chain.push(format!("{}.{job}", self.0));
        chain
    }

    /// Whether a chain says that its bearer descends from this session.
    pub(super) fn is_in(&self, chain: &[u8]) -> bool {
        self.jobs_in(chain).next().is_some()
    }

    /// Whether a chain says that its bearer descends from job `job` of this session.
    pub(super) fn job_is_in(&self, chain: &[u8], job: u64) -> bool {
        let wanted = job.to_string();
        self.jobs_in(chain).any(|found| found == wanted.as_bytes())
    }

    fn jobs_in<'a>(&'a self, chain: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        chain
            .split(|&byte| byte == b':')
            .filter_map(|link| link.strip_prefix(self.0.as_bytes())?.strip_prefix(b"."))
    }
}

impl AsRef<OsStr> for Marker {
    fn as_ref(&self) -> &OsStr {
        OsStr::from_bytes(self.0.as_bytes())
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_and_inner_session_both_find_themselves_in_a_chain() {
        let (outer, inner) = (Marker::random().unwrap(), Marker::random().unwrap());
        assert_ne!(outer, inner);
        let alone = outer.chain(None, 7);
        let nested = inner.chain(Some(&alone), 12);
        let cases = [
            (&outer, &alone, 7, true),
            (&outer, &alone, 70, false),
            (&outer, &alone, 12, false),
            (&outer, &nested, 7, true),
            (&inner, &nested, 12, true),
            (&inner, &nested, 1, false),
            (&inner, &alone, 7, false),
        ];
        for (marker, chain, job, there) in cases {
            assert_eq!(marker.job_is_in(chain.as_bytes(), job), there, "{job} in {chain:?}");
        }
        assert!(outer.is_in(nested.as_bytes()) && inner.is_in(nested.as_bytes()));
        assert!(!inner.is_in(alone.as_bytes()) && !inner.is_in(b""));
    }

    #[test]
    fn only_what_looks_like_a_marker_names_one() {
        let marker = Marker::random().unwrap();
        assert_eq!(Marker::named(marker.as_ref()), Some(marker));
        for name in ["", "..", "0123", "zz23456789abcdef0123456789abcdef"] {
            assert_eq!(Marker::named(OsStr::new(name)), None, "{name}");
        }
    }
}
