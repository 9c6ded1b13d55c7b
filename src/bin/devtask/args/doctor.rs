//! What `devtask doctor` takes.

use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// As a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}
