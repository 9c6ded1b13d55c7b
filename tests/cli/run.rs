//! Running, skipping, rerunning: the main job on small trees.

use super::support::{Sandbox, set};

#[test]
fn the_second_run_skips_and_an_edit_reruns() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:gen"]
        exec = "cat in.txt > gen.txt"
        execIfModified = ["in.txt"]
        outputs = ["gen.txt"]

        [tasks."app:use"]
        after = ["app:gen"]
        exec = "cat gen.txt > used.txt"
        execIfModified = ["gen.txt"]
        "#,
    );
    tree.write("in.txt", "one");
    tree.ok("run app:use");
    assert_eq!(tree.executed(), set("app:gen app:use"));
    assert_eq!(tree.read("used.txt"), "one");
    tree.ok("run app:use");
    assert_eq!(tree.executed(), set(""));
    tree.write("in.txt", "two");
    tree.ok("run app:use");
    assert_eq!(tree.executed(), set("app:gen app:use"));
    assert_eq!(tree.read("used.txt"), "two");
}
