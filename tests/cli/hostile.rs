//! What somebody may put in the place of what is read, and what a run that came to a bad end may leave.

use std::{path::Path, process::Command};

use super::support::{Output, Sandbox};

const ONE: &str = "[tasks.\"a:t\"]\nexec = \"cat in.txt > out.txt\"\nexecIfModified = [\"in.txt\"]\n";

fn one() -> Sandbox {
    let tree = Sandbox::with(ONE);
    tree.write("in.txt", "1");
    tree
}

#[test]
fn a_first_run_that_was_cut_off_does_not_lock_its_successors_out() {
    for left in [".gitignore", ".gitignore.new", "lock"] {
        let tree = one();
        tree.write(Path::new(".devtask").join(left), "");
        tree.ok("run a:t");
        assert_eq!(tree.read(".devtask/.gitignore"), "*\n", "{left}");
        assert!(!tree.exists(".devtask/.gitignore.new"), "{left}");
    }
}
