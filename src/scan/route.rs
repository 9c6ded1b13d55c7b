//! All trails of a run in one.
//!
//! Who goes along trails has to know what was learnt of every file to say what each set holds. Most runs find
//! everything as it was, and need to know just that. So the trails of a run that found nothing new are laid
//! together: of every place there is what it was like, in one number, and which sets rest on it. To follow a route costs
//! little more than the questions to the system; the sets of a place that is not as it was are looked at by
//! their own trails. Where so many places have changed that most sets will be, it is given up (spec section 4.2).

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ffi::CStr,
    num::NonZero,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::fd::OwnedFd;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    place::Place,
    quick::Quick,
    recheck::ALONE,
    share::share,
    survey, system,
    table::{FileTable, Looked, lock},
    trail::{Fact, TrailNames, put_bytes, put_fact, take_bytes, take_fact},
};
use crate::{
    model::{Digest, FileKind, StatIdentity},
    planted::{self, Fault},
};

/// What sets of patterns match, by their keys: those on whose places nothing is known to have changed.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    pub(super) held: HashMap<Digest, Held, Quick>,
    is_whole: bool,
}

/// What a set matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The digest of the files.
    pub(super) content: Digest,
    /// Positive patterns, by their position in the list, that matched nothing.
    pub(super) unmatched: Vec<usize>,
}

impl Contents {
    /// Whether that is all of them.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// All trails of a run in one.
#[derive(Clone, Debug)]
pub struct Route<'a> {
    /// How many sets there are, of each its key and what it holds; then the stops.
    packed: Cow<'a, [u8]>,
}

/// Why there is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// A set was walked for, or a file read: something was new.
    New,
    /// What is remembered is not what the route was made of that was followed. Who forgets that one gets another.
    Outdated,
}

/// So many places that are not as they were, beside a quarter of those seen so far: who goes on asks for most of them
/// twice.
const MANY: usize = 64;

const DIRECTORY: u8 = b'd';
const FACT: u8 = b'?';

/// A place on the way, and the numbers of the sets that rest on it.
struct Stop<'a> {
    key: &'a [u8],
    then: Then<'a>,
    sets: &'a [[u8; 4]],
}

/// What a place was like.
enum Then<'a> {
    Directory {
        /// Whether its own identity counts.
        is_listed: bool,
        names: TrailNames<'a>,
        /// Of all identities.
        digest: Digest,
    },
    Fact(Fact),
}

impl<'a> Route<'a> {
    /// The route with this packed form.
    #[must_use]
    pub const fn unpack(packed: &'a [u8]) -> Self {
        Self { packed: Cow::Borrowed(packed) }
    }

    /// Its packed form.
    #[must_use]
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// What the sets hold on whose places nothing has changed. `None`: it is no route.
    #[must_use]
    pub fn follow(&self, root: &Path, threads: NonZero<usize>) -> Option<Contents> {
        let mut rest = &*self.packed;
        let sets = take_sets(&mut rest)?;
        let mut stops = Vec::new();
        let mut names = 0;
        while !rest.is_empty() {
            let stop = Stop::take(&mut rest)?;
            names += match &stop.then {
                Then::Directory { names, .. } => names.weight(),
                Then::Fact(_) => 1,
            };
            stops.push(stop);
        }
        let (root, _) = system::open_to_stat(rustix::fs::CWD, root).ok()??;
        let (seen, changed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let parts = share(stops.len(), threads, names > ALONE, |number, part: &mut Part| {
            let seen = seen.fetch_add(1, Ordering::Relaxed);
            let leads_nowhere = changed.load(Ordering::Relaxed) > MANY + seen / 4;
            if leads_nowhere || !stops[number].is_as_it_was(&root, &mut part.tally) {
                changed.fetch_add(1, Ordering::Relaxed);
                part.changed.push(number);
            }
        });
        let mut holds = vec![true; sets.len()];
        for number in parts.iter().flat_map(|part| &part.changed) {
            for set in stops[*number].sets {
                *holds.get_mut(u32::from_le_bytes(*set) as usize)? = false;
            }
        }
        let is_whole = holds.iter().all(|holds| *holds);
        let same = sets.into_iter().zip(holds).filter(|(_, holds)| *holds);
        Some(Contents { held: same.map(|(set, _)| set).collect(), is_whole })
    }
}

/// What one thread does.
#[derive(Default)]
struct Part {
    changed: Vec<usize>,
    tally: Tally,
}

fn take_sets(rest: &mut &[u8]) -> Option<Vec<(Digest, Held)>> {
    let count = u32::from_le_bytes(take(rest)?);
    let mut set = || {
        let (key, content) = (take_digest(rest)?, take_digest(rest)?);
        let (unmatched, _) = take_bytes(rest)?.as_chunks();
        let unmatched = unmatched.iter().map(|at| u32::from_le_bytes(*at) as usize).collect();
        Some((key, Held { content, unmatched }))
    };
    (0..count).map(|_| set()).collect()
}

fn take_digest(rest: &mut &[u8]) -> Option<Digest> {
    Some(Digest(u128::from_le_bytes(take(rest)?)))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

impl<'a> Stop<'a> {
    fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let [kind] = take(rest)?;
        let key = take_bytes(rest)?;
        let then = match kind {
            DIRECTORY => Then::Directory {
                is_listed: take(rest)? != [0],
                names: TrailNames(take_bytes(rest)?),
                digest: take_digest(rest)?,
            },
            _ => Then::Fact(take_fact(rest)?),
        };
        let (sets, _) = take_bytes(rest)?.as_chunks();
        Some(Self { key, then, sets })
    }

    fn is_as_it_was(&self, root: &OwnedFd, tally: &mut Tally) -> bool {
        if planted::is(Fault::RouteBlind) {
            return true;
        }
        match self.then {
            Then::Fact(fact) => Fact::now(root, self.key).confirms(fact),
            Then::Directory { is_listed, names, digest } => {
                self.identities(root, is_listed, names, tally) == Some(digest)
            }
        }
    }

    fn identities(
        &self,
        root: &OwnedFd,
        is_listed: bool,
        names: TrailNames<'_>,
        tally: &mut Tally,
    ) -> Option<Digest> {
        tally.0.clear();
        let (place, own) = Place::of(root, self.key, names.iter(), is_listed)?;
        if is_listed {
            tally.add_own(&own?);
        }
        for (name, is_directory) in names.iter() {
            let status = place.target(name)?;
            match status.kind {
                FileKind::File { .. } if !is_directory => tally.add(&status.identity),
                FileKind::Directory if is_directory => {}
                _ => return None,
            }
        }
        Some(tally.digest())
    }
}

/// One number for many identities.
#[derive(Default)]
struct Tally(Vec<u8>);

impl Tally {
    fn add(&mut self, identity: &StatIdentity) {
        self.0.extend_from_slice(&identity.pack());
    }

    /// Adds the identity of a directory that was listed.
    fn add_own(&mut self, identity: &StatIdentity) {
        if !planted::is(Fault::TrailsBlind) {
            self.add(identity);
        }
    }

    fn digest(&self) -> Digest {
        Digest(xxh3_128(&self.0))
    }
}

/// A directory of several trails.
#[derive(Default)]
struct Crossing {
    listed: Option<StatIdentity>,
    names: BTreeMap<Vec<u8>, u8>,
    sets: Vec<u32>,
}

impl FileTable {
    /// The trails of all sets that were looked at so far, laid together.
    ///
    /// # Errors
    /// Why there is none.
    pub fn route(&self) -> Result<Route<'static>, NoRoute> {
        let looked = lock(&self.looked);
        if self.has_read.load(Ordering::Relaxed) {
            return Err(NoRoute::New);
        }
        let is_outdated = |(key, seen): (&Digest, &Option<Looked>)| {
            let Some(Looked { content, on_route: true }) = *seen else { return false };
            let files = self.trail(*key).and_then(|trail| self.collect(&trail));
            files.is_none_or(|files| survey::content(&self.root, &files) != content)
        };
        if looked.iter().any(is_outdated) {
            return Err(NoRoute::Outdated);
        }
        self.lay(&looked).ok_or(NoRoute::New)
    }

    fn lay(&self, looked: &BTreeMap<Digest, Option<Looked>>) -> Option<Route<'static>> {
        let mut packed = u32::try_from(looked.len()).ok()?.to_le_bytes().to_vec();
        let mut directories: BTreeMap<Vec<u8>, Crossing> = BTreeMap::new();
        let mut facts: BTreeMap<Vec<u8>, (Fact, Vec<u32>)> = BTreeMap::new();
        for (set, (key, seen)) in (0u32..).zip(looked.iter()) {
            let (Looked { content, .. }, trail) = ((*seen)?, self.trail(*key)?);
            packed.extend_from_slice(&key.0.to_le_bytes());
            packed.extend_from_slice(&content.0.to_le_bytes());
            put_numbers(&mut packed, trail.unmatched.iter().map(|at| *at as u32));
            for directory in trail.directories() {
                let crossing = directories.entry(directory.key.to_vec()).or_default();
                let listed = directory.listed.or(crossing.listed);
                if crossing.listed.is_some_and(|known| Some(known) != listed) {
                    return None;
                }
                crossing.listed = listed;
                crossing.names.extend(directory.names.entries());
                crossing.sets.push(set);
            }
            for (key, fact) in trail.facts() {
                let (known, sets) = facts.entry(key.to_vec()).or_insert_with(|| (fact, Vec::new()));
                *known = known.and(fact)?;
                sets.push(set);
            }
        }
        for (key, crossing) in &directories {
            packed.push(DIRECTORY);
            put_bytes(&mut packed, key);
            packed.push(u8::from(crossing.listed.is_some()));
            let names = TrailNames::pack(&crossing.names);
            put_bytes(&mut packed, &names);
            packed
                .extend_from_slice(&self.known_of(key, crossing.listed, TrailNames(&names))?.0.to_le_bytes());
            put_numbers(&mut packed, crossing.sets.iter().copied());
        }
        for (key, (fact, sets)) in &facts {
            packed.push(FACT);
            put_bytes(&mut packed, key);
            put_fact(&mut packed, *fact);
            put_numbers(&mut packed, sets.iter().copied());
        }
        Some(Route { packed: Cow::Owned(packed) })
    }

    /// The number of a directory by what was learnt of its files, which is what they were found to be.
    fn known_of(&self, key: &[u8], listed: Option<StatIdentity>, names: TrailNames<'_>) -> Option<Digest> {
        let mut tally = Tally::default();
        if let Some(listed) = listed {
            tally.add_own(&listed);
        }
        let directory = self.directory(key, &*self.memory);
        let mut directory = lock(&directory);
        let mut files =
            names.iter().filter(|(_, is_directory)| !is_directory).map(|(name, _): (&CStr, _)| name);
        files.try_for_each(|name| {
            let known = directory.find(name.to_bytes()).filter(|known| !known.racy)?;
            tally.add(&known.identity);
            Some(())
        })?;
        Some(tally.digest())
    }
}

fn put_numbers(packed: &mut Vec<u8>, numbers: impl Iterator<Item = u32>) {
    put_bytes(packed, &numbers.flat_map(u32::to_le_bytes).collect::<Vec<_>>());
}
