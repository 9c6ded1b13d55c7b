//! Putting back what a task left.

use std::{collections::BTreeSet, ffi::OsStr, io, ops::Bound, os::unix::ffi::OsStrExt, path::Path};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, RawMode, Stat},
    io::Errno,
};

use super::{
    Cache, CacheError, Difference,
    beneath::{Beneath, Way, split, stays_beneath},
    blobs::{Aside, permissions},
    error,
};
use crate::model::{Digest, KeptFile, KeptKind};

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files, directories and links that were put in their places.
    pub written: usize,
    /// What was removed: of another result.
    pub removed: usize,
    /// What was right as it was, and not touched.
    pub left: usize,
}

impl Cache {
    /// Puts back `wanted`, as the `difference` demands. Directories that become empty go, too, up to and without
    /// `base`, a directory relative to the root. `go_on` is asked now and then.
    ///
    /// # Errors
    /// [`CacheError`]. Unless something stood in the way, or the system did not let us, nothing was changed; and
    /// whatever was put in its place is whole.
    pub fn restore(
        &self,
        wanted: &[KeptFile],
        difference: &Difference,
        base: &[u8],
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Restored, CacheError> {
        check(&self.root, wanted)?;
        let mut restoring = Restoring {
            cache: self,
            beneath: Beneath::open(&self.root)?,
            difference,
            names: wanted.iter().map(|file| &*file.path).collect(),
            base,
            go_on,
            done: Restored::default(),
        };
        let (mut todo, mut contents) = (Vec::new(), Vec::new());
        for file in wanted {
            match restoring.prepare(file)? {
                Some(Ready::Content) => contents.push(file),
                Some(ready) => todo.push((file, ready)),
                None => restoring.done.left += 1,
            }
        }
        let copies = self.stage(&contents, go_on)?;
        todo.extend(contents.into_iter().zip(copies.into_iter().map(Ready::File)));
        // What lies deeper comes later.
        todo.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        restoring.remove_extra()?;
        restoring.place_all(todo)?;
        Ok(restoring.done)
    }

    /// Removes what is at `path`, and the directories that leaves empty, up to and without `base`; false: it is a
    /// directory that is not empty.
    ///
    /// # Errors
    /// [`CacheError`].
    pub fn remove(&self, path: &[u8], base: &[u8]) -> Result<bool, CacheError> {
        let difference = Difference { extra: vec![path.to_owned()], ..Difference::default() };
        self.restore(&[], &difference, base, &|| true).map(|done| done.removed > 0)
    }

    /// Puts a content that was kept with [`keep_other`](Self::keep_other) into a file of mode 0600 elsewhere, in place
    /// of what is there.
    ///
    /// # Errors
    /// If it is not there any more, or not what it was; the system's.
    pub fn restore_other(&self, digest: Digest, size: u64, path: &Path) -> io::Result<()> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let aside = self
            .copy_out(digest, size, 0o600, &|| true)?
            .map_err(|how| io::Error::new(io::ErrorKind::NotFound, how))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(dir, flags, Mode::empty())?;
        aside.0.place(rustix::fd::AsFd::as_fd(&dir), name.as_bytes())?;
        Ok(())
    }
}

/// Refuses lists that lead out of the tree: whoever wrote them, nothing is done by them.
fn check(root: &Path, wanted: &[KeptFile]) -> Result<(), CacheError> {
    for file in wanted {
        if split(&file.path).is_none() {
            return Err(error::refused(&file.path, "does not lie beneath the root"));
        }
        if let KeptKind::Link(text) = &file.what
            && !stays_beneath(root, &file.path, text)
        {
            return Err(error::refused(&file.path, "is a link that leads out of the tree"));
        }
    }
    Ok(())
}

/// What is to be put in a place.
enum Ready<'a> {
    File(Aside<'a>),
    /// A file, of which the content is still to be copied.
    Content,
    Directory(u32),
}

struct Restoring<'a> {
    cache: &'a Cache,
    beneath: Beneath,
    difference: &'a Difference,
    /// All that is wanted.
    names: BTreeSet<&'a [u8]>,
    base: &'a [u8],
    go_on: &'a dyn Fn() -> bool,
    done: Restored,
}

impl<'a> Restoring<'a> {
    /// What has to be put in the place of `file`; none if it is right.
    fn prepare(&mut self, file: &KeptFile) -> Result<Option<Ready<'a>>, CacheError> {
        self.may_go_on()?;
        let there = self.look(&file.path)?;
        let kind = there.as_ref().map(|stat| FileType::from_raw_mode(stat.st_mode));
        match &file.what {
            KeptKind::Directory { mode } => {
                let is_right = kind == Some(FileType::Directory)
                    && there.is_some_and(|stat| permissions(stat.st_mode) == *mode);
                Ok((!is_right).then_some(Ready::Directory(*mode)))
            }
            KeptKind::Link(text) => {
                if kind == Some(FileType::Symlink) && self.text(&file.path)? == *text {
                    return Ok(None);
                }
                let aside = self.cache.blobs.link_aside(text);
                aside
                    .map(Ready::File)
                    .map(Some)
                    .map_err(|source| error::io("make the link", &file.path, source))
            }
            KeptKind::File { mode, .. } => {
                let is_right = kind == Some(FileType::RegularFile)
                    && there.is_some_and(|stat| permissions(stat.st_mode) == *mode)
                    && self.difference.right.contains(&file.path);
                if is_right {
                    return Ok(None);
                }
                Ok(Some(Ready::Content))
            }
        }
    }

    fn may_go_on(&self) -> Result<(), CacheError> {
        if (self.go_on)() { Ok(()) } else { Err(CacheError::Stopped) }
    }

    /// What is at a path; none if nothing is, or something that will be gone.
    fn look(&mut self, path: &[u8]) -> Result<Option<Stat>, CacheError> {
        let Some((parent, name)) = split(path) else { return Ok(None) };
        let dir = match self.beneath.dir(parent, false) {
            Ok(dir) => dir,
            Err(Way::Missing) => return Ok(None),
            Err(Way::Blocked(at) | Way::Link(at)) if self.difference.extra.contains(&at) => return Ok(None),
            Err(way) => return Err(in_the_way(way, path)),
        };
        match rustix::fs::statat(dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(error::io("look at", path, errno.into())),
        }
    }

    /// What is at a path, to be removed; what lies beyond a link has its own name, if it is to go.
    fn found(&mut self, path: &[u8]) -> Result<Option<Stat>, CacheError> {
        let parent = split(path).map_or(&b""[..], |(parent, _)| parent);
        match self.beneath.dir(parent, false) {
            Err(Way::Link(_)) => Ok(None),
            _ => self.look(path),
        }
    }

    /// The text of a link.
    fn text(&mut self, path: &[u8]) -> Result<Vec<u8>, CacheError> {
        let Some((parent, name)) = split(path) else { return Ok(Vec::new()) };
        let dir = self.beneath.dir(parent, false).map_err(|way| in_the_way(way, path))?;
        let text = rustix::fs::readlinkat(dir, OsStr::from_bytes(name), Vec::new());
        text.map(std::ffi::CString::into_bytes)
            .map_err(|errno| error::io("read the link", path, errno.into()))
    }

    fn remove_extra(&mut self) -> Result<(), CacheError> {
        for (path, text) in &self.difference.links {
            let is_it = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
            if self.found(path)?.as_ref().is_some_and(is_it) && self.text(path)? == *text {
                self.remove(path, false)?;
                self.done.removed += 1;
                self.remove_empty(parent_of(path))?;
            }
        }
        // What lies in a directory is together, deepest first: it is looked at once, when that is over.
        let mut in_hand: Option<&[u8]> = None;
        for path in &self.difference.extra {
            let parent = parent_of(path);
            if let Some(left) = in_hand.take_if(|left| *left != parent) {
                self.remove_empty(left)?;
            }
            let Some(stat) = self.found(path)? else { continue };
            // A look takes a link to a directory for one.
            let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
            if is_link && self.names.contains(&**path) {
                continue;
            }
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            match self.remove(path, is_directory)? {
                true => self.done.removed += 1,
                // Somebody has put something into it.
                false => continue,
            }
            in_hand = Some(parent);
        }
        in_hand.map_or(Ok(()), |left| self.remove_empty(left))
    }

    /// Removes what is at a path; false: it is a directory that is not empty.
    fn remove(&mut self, path: &[u8], is_directory: bool) -> Result<bool, CacheError> {
        let Some((parent, name)) = split(path) else { return Ok(false) };
        let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        let dir = self.beneath.dir(parent, false).map_err(|way| in_the_way(way, path))?;
        let removed = rustix::fs::unlinkat(dir, OsStr::from_bytes(name), flags);
        if is_directory {
            self.beneath.forget();
        }
        match removed {
            Ok(()) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) if is_directory => Ok(false),
            Err(Errno::NOENT) => Ok(true),
            Err(errno) => Err(error::io("remove", path, errno.into())),
        }
    }

    /// Removes a directory, and those above it, as far as they are empty and nothing wanted lies in them.
    fn remove_empty(&mut self, mut at: &[u8]) -> Result<(), CacheError> {
        while !at.is_empty() && at != self.base && !self.is_wanted(at) {
            // One that is to go by itself has its turn later.
            if self.difference.extra.binary_search_by(|extra| at.cmp(extra)).is_ok()
                || !self.remove(at, true)?
            {
                break;
            }
            at = parent_of(at);
        }
        Ok(())
    }

    /// Whether a directory is wanted, or something in it.
    fn is_wanted(&self, directory: &[u8]) -> bool {
        let from = (Bound::Included(directory), Bound::Unbounded);
        let mut names = self.names.range::<[u8], _>(from);
        let is_in =
            |name: &[u8]| name.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
        // Names such as `dir-x` stand between `dir` and `dir/x`.
        names.by_ref().take_while(|name| name.starts_with(directory)).any(|name| is_in(name))
    }

    fn place_all(&mut self, todo: Vec<(&KeptFile, Ready<'a>)>) -> Result<(), CacheError> {
        let mut modes = Vec::new();
        for (file, ready) in todo {
            self.may_go_on()?;
            let path = &file.path;
            match ready {
                Ready::Directory(mode) => {
                    self.beneath.dir(path, true).map_err(|way| in_the_way(way, path))?;
                    modes.push((path, mode));
                }
                Ready::Content => continue,
                Ready::File(aside) => {
                    let Some((parent, name)) = split(path) else { continue };
                    let dir = self.beneath.dir(parent, true).map_err(|way| in_the_way(way, path))?;
                    aside.place(dir, name).map_err(|errno| match errno {
                        Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => error::in_the_way(path),
                        errno => error::io("restore", path, errno.into()),
                    })?;
                }
            }
            self.done.written += 1;
        }
        // Last, and what lies deepest first: into some of them nothing can be put afterwards.
        for (path, mode) in modes.into_iter().rev() {
            let dir = self.beneath.dir(path, false).map_err(|way| in_the_way(way, path))?;
            let set = rustix::fs::fchmod(dir, Mode::from_raw_mode(mode as RawMode));
            set.map_err(|errno| error::io("restore", path, errno.into()))?;
        }
        Ok(())
    }
}

fn parent_of(path: &[u8]) -> &[u8] {
    split(path).map_or(b"", |(parent, _)| parent)
}

fn in_the_way(way: Way, path: &[u8]) -> CacheError {
    match way {
        Way::Link(at) => error::refused(&at, "is a link, and nothing is written through one"),
        Way::Blocked(at) => error::in_the_way(&at),
        Way::Missing => error::changed(path),
        Way::Failed(source) => error::io("look at", path, source),
    }
}
