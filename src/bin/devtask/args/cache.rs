//! What `clean` and `prune` take.

use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct CleanArgs {
    /// Tasks, namespaces (`ci`) or patterns (`*:build`)
    #[arg(required_unless_present = "all")]
    pub(crate) names: Vec<String>,
    /// All tasks
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// Remove nothing, say what would be removed
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct PruneArgs {
    /// Remove nothing, say what would be removed
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}
