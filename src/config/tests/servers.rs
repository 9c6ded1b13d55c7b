use std::time::Duration;

use super::*;
use crate::model::TaskServer;

fn servers(text: &str) -> Vec<TaskServer> {
    let file = parse_toml(SOURCE, text);
    assert_eq!(file.faults, [], "{text}");
    let declared = file.declare(&scope(), &BTreeMap::new());
    assert_eq!(declared.faults, [], "{text}");
    declared.servers.into_iter().map(|(server, _)| server).collect()
}

fn values(list: &[crate::model::Written<String>]) -> Vec<&str> {
    list.iter().map(|written| written.value.as_str()).collect()
}

#[test]
fn a_server_has_a_command_and_knows_what_it_is_made_of() {
    let found = servers(
        "env.A = '1'\n[servers.py]\ncommand = ['./tasks.py', '--x=a.b', 'lib/rules.json', '/usr/bin/y']\n\
         watch = ['tools/**/*.py', '/abs/*.py']\nenv.B = '${root}'\nstartTimeout = '1m'",
    );
    let [server] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((server.name.as_str(), &*server.project), ("py", "web"));
    assert_eq!(server.full_name(), "web:py");
    assert_eq!(values(&server.command), ["./tasks.py", "--x=a.b", "lib/rules.json", "/usr/bin/y"]);
    let made =
        ["/r/apps/web/tasks.py", "/r/apps/web/lib/rules.json", "/r/apps/web/tools/**/*.py", "/abs/*.py"];
    assert_eq!(values(&server.watch), made);
    assert_eq!((server.env["B"].value.as_str(), server.file_env["A"].value.as_str()), ("/r", "1"));
    assert_eq!(server.start_timeout, Duration::from_secs(60));
    assert_eq!(server.dir, Path::new("/r/apps/web"));
}

#[test]
fn devenvs_spelling_names_programs_alone() {
    let found = servers("task.serverProtocol = ['./my.exe', './other/my.exe', 'tool']");
    let names: Vec<&str> = found.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["my", "my-2", "tool"]);
    let made: Vec<Vec<&str>> = found.iter().map(|server| values(&server.watch)).collect();
    assert_eq!(made, [vec!["/r/apps/web/my.exe"], vec!["/r/apps/web/other/my.exe"], vec![]]);
    let [server] = servers("[servers.a]\ncommand = 'tool'").try_into().unwrap();
    assert_eq!(server.start_timeout, TaskServer::START_TIMEOUT);
}

#[test]
fn faults_of_servers_have_their_places() {
    each_is_told(&[
        ("[servers.a]", "missing-key", "[servers.a]", "add `command`"),
        ("[servers.a]\ncommand = []", "bad-value", "[]", "write `[\"./tasks.py\"]`"),
        ("[servers.a]\ncommand = ''", "bad-value", "''", "write `[\"./tasks.py\"]`"),
        (
            "[servers.a]\ncommand = 'python3 x.py'",
            "bad-value",
            "'python3 x.py'",
            "write `[\"python3\", \"x.py\"]`",
        ),
        ("[servers.'a:b']\ncommand = 'x'", "bad-name", "'a:b'", "names have"),
        ("[servers.a]\ncommand = 'x'\nexec = 'y'", "unknown-key", "exec", "`exec` belongs to a task"),
        ("[servers.a]\ncommand = 'x'\nwatch = ['a[']", "bad-glob", "[", ""),
        ("[servers.a]\ncommand = 'x'\nwatch = ['!a']", "bad-value", "'!a'", "what a server is made of"),
        ("[servers.a]\ncommand = 'x'\nstartTimeout = 0", "bad-duration", "0", "leave it out"),
        ("[task.build]\nexec = 'x'", "unknown-key", "build", "the table of tasks is called `tasks`"),
    ]);
}
