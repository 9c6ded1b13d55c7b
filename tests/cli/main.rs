//! Stories about the program, told through what a user types and sees.

#[path = "../support/mod.rs"]
mod support;

mod attached;
mod checks;
mod devenv;
mod direct;
mod doctor;
mod entering;
mod example;
mod example_web;
mod faults;
mod freshness;
mod github;
mod guests;
mod history;
mod hooks;
mod hostile;
mod init;
mod kept;
#[cfg(target_os = "linux")]
mod keys;
mod looking;
mod outputs_hostile;
mod pictures;
mod processes;
mod protocol;
mod report;
mod restore;
mod review;
mod run;
mod running;
mod servers;
mod state;
mod watch;
