//! Servers in a watch: kept from cycle to cycle, begun anew when they are others, asked again when they say so.

use super::{begin, starts, tree, wait_for};

/// Ends a watch and says what it told.
fn end(tree: &super::Sandbox, running: super::Running) -> String {
    running.signal(2);
    running.finish();
    tree.read("events")
}

#[test]
fn one_server_serves_all_cycles_and_guests() {
    let tasks = r#"{"name":"a","exec_if_modified":["in.txt"]}"#;
    let tree = tree(tasks, r#"echo "$(cat in.txt)" >> ran; answer succeeded"#, "");
    tree.write("in.txt", "one");
    tree.ok("list --refresh-task-cache");
    starts(&tree);
    let watch = begin(&tree, "watch a");
    wait_for(&tree, "events", "\"event\":\"waiting\"");
    for text in ["two", "three"] {
        tree.save("in.txt", text);
        wait_for(&tree, "ran", text);
    }
    tree.ok("run a --force");
    assert_eq!(tree.read("ran"), "one\ntwo\nthree\nthree\n");
    let events = end(&tree, watch);
    assert_eq!(starts(&tree), 1, "{events}");
}

#[test]
fn an_edit_of_the_server_begins_it_anew_and_runs_its_tasks() {
    let tasks = r#"{"name":"a","exec_if_modified":["in.txt"]}"#;
    let tree = tree(tasks, "echo old >> ran; answer succeeded", "watch = ['run.sh', 'tasks.json']\n");
    tree.write("in.txt", "one");
    let watch = begin(&tree, "watch");
    wait_for(&tree, "ran", "old");
    wait_for(&tree, "events", "\"event\":\"waiting\"");
    starts(&tree);
    tree.save("run.sh", "echo new >> ran; answer succeeded");
    wait_for(&tree, "ran", "new");
    // Once to be asked, once to run.
    wait_for(&tree, "starts", "start\nstart");
    tree.save("tasks.json", r#"{"tasks":[{"name":"a","exec_if_modified":["in.txt"]},{"name":"b"}]}"#);
    wait_for(&tree, "events", "\"task_started\",\"task\":\"p:b\"");
    end(&tree, watch);
}

#[test]
fn a_server_that_says_its_list_is_another_is_asked_again() {
    let tasks = r#"{"name":"a","exec_if_modified":["in.txt"]}"#;
    let run = r#"answer succeeded; name=$(cat in.txt); if [ "$name" != one ]; then
        echo '{"tasks":[{"name":"a","exec_if_modified":["in.txt"]},{"name":"'$name'"}]}' > tasks.json; say '{"method":"tasks/changed"}'; fi"#;
    let tree = tree(tasks, run, "");
    tree.write("in.txt", "one");
    let watch = begin(&tree, "watch");
    wait_for(&tree, "events", "\"event\":\"waiting\"");
    for name in ["late", "later", "latest"] {
        tree.save("in.txt", name);
        wait_for(&tree, "events", &format!("\"task_started\",\"task\":\"p:{name}\""));
    }
    end(&tree, watch);
}

#[test]
fn a_broken_edit_of_the_server_is_told_and_the_watch_goes_on() {
    let tasks = r#"{"name":"a","exec_if_modified":["in.txt"]}"#;
    let tree = tree(tasks, "echo ran >> ran; answer succeeded", "watch = ['tasks.json']\n");
    tree.write("in.txt", "one");
    let watch = begin(&tree, "watch");
    wait_for(&tree, "events", "\"event\":\"waiting\"");
    tree.save("tasks.json", "{");
    wait_for(&tree, "events", "its tasks are those it told before");
    tree.save("tasks.json", format!(r#"{{"tasks":[{tasks},{{"name":"b"}}]}}"#));
    wait_for(&tree, "events", "\"task_started\",\"task\":\"p:b\"");
    end(&tree, watch);
}
