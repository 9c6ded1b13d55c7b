//! What may follow `cargo bench --bench NAME --`.

/// How much is to be measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Args {
    /// Only to see that everything still works: the smallest sizes, two rounds.
    pub(crate) smoke: bool,
    /// No workspace of more files than this.
    pub(crate) most: usize,
    /// Just this workspace: tasks, and files of each.
    pub(crate) only: Option<(usize, usize)>,
}

impl Args {
    /// `--smoke`, or one number (the most files), or two (tasks, files per task). Cargo adds `--bench`;
    /// without it (`cargo test --benches`) nothing is to be measured.
    pub(crate) fn read() -> Self {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let numbers: Vec<usize> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
        let has = |flag: &str| args.iter().any(|arg| arg == flag);
        let (most, only) = match *numbers.as_slice() {
            [tasks, files, ..] => (usize::MAX, Some((tasks, files))),
            [most] => (most, None),
            [] => (usize::MAX, None),
        };
        Self { smoke: has("--smoke") || !has("--bench"), most, only }
    }

    /// Of these sizes the ones that are wanted.
    pub(crate) fn sizes(&self, all: &[(usize, usize)]) -> Vec<(usize, usize)> {
        if self.smoke {
            return vec![(3, 4)];
        }
        match self.only {
            Some(only) => vec![only],
            None => all.iter().copied().filter(|(tasks, files)| tasks * files <= self.most).collect(),
        }
    }
}
