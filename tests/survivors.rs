//! Nothing outlives a run, however the run ends and however stubborn what it started is.

#![cfg(target_os = "linux")]

mod support;

#[path = "survivors/again.rs"]
mod again;
#[path = "survivors/floods.rs"]
mod floods;
#[path = "survivors/kept.rs"]
mod kept;
#[path = "survivors/more.rs"]
mod more;
#[path = "survivors/processes.rs"]
mod processes;
#[path = "survivors/scale.rs"]
mod scale;
#[path = "survivors/shapes.rs"]
mod shapes;
#[path = "survivors/terminal.rs"]
mod terminal;
