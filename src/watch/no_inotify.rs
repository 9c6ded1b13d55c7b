//! Where there is no inotify.

use std::path::Path;

use super::{
    health::Why,
    state::{Sharing, State},
};

/// There is none.
pub(super) enum Inotify {}

impl Inotify {
    pub(super) fn new(_shared: &Sharing, _cookie_dir: &Path) -> Result<Self, Why> {
        Err(Why::NoEvents)
    }

    pub(super) fn watch(&self, _state: &mut State, _path: &Path) -> Result<(), Option<Why>> {
        match *self {}
    }

    pub(super) fn read(&self, _state: &mut State) {
        match *self {}
    }

    pub(super) fn tidy(&self, _state: &mut State) {
        match *self {}
    }
}
