//! Processes that are begun again: by themselves, because they are others now, because somebody wants it.

use super::{
    processes::{MANAGER, TOKEN, carrying},
    support::{Sandbox, eventually, gate::Gate},
};

/// A tree with processes in the background, all of which end with it.
struct Kept {
    tree: Sandbox,
}

impl Kept {
    fn new(processes: &str) -> Self {
        let mut tree = Sandbox::new();
        let token = super::processes::token(&tree);
        tree.set_env(MANAGER, &token);
        tree.write("devtask.toml", format!("name = \"app\"\nenv.{TOKEN} = \"{token}\"\n{processes}"));
        Self { tree }
    }

    fn lines(&self, file: &str) -> usize {
        if self.tree.exists(file) { self.tree.read(file).lines().count() } else { 0 }
    }

    fn status(&self, name: &str) -> serde_json::Value {
        self.tree.ok(&format!("processes status {name} --json")).json()
    }

    fn alive(&self) -> Vec<String> {
        carrying(&super::processes::token(&self.tree))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        super::processes::end_all(&super::processes::token(&self.tree));
    }
}

#[test]
fn a_crash_loop_is_given_up_and_what_it_left_is_gone() {
    let kept = Kept::new(
        "[processes.crash]\nexec = \"setsid sleep 600 & echo x >> starts; exit 3\"\nrestart.max = 2\n",
    );
    kept.tree.devtask(["up", "-d"]).run();
    eventually("it is given up", || kept.status("crash")["stage"] == "gave_up");
    let status = kept.status("crash");
    assert_eq!((&status["restarts"], &status["exit_code"]), (&2.into(), &3.into()), "{status}");
    assert_eq!(kept.lines("starts"), 3);
    assert_eq!(kept.alive(), [""; 0]);
    // Who asks for it begins at the beginning.
    kept.tree.devtask(["processes", "start", "crash"]).run();
    eventually("it is given up again", || kept.lines("starts") == 6);
    eventually("it is known", || kept.status("crash")["stage"] == "gave_up");
    kept.tree.ok("down");
}

#[test]
fn without_a_limit_a_crash_loop_goes_on_until_it_is_stopped() {
    let kept = Kept::new(
        "[processes.crash]\nexec = \"setsid sleep 600 & echo x >> starts; exit 3\"\n\
         restart = { max = \"unlimited\", window = 1 }\n[processes.beside]\nexec = \"sleep 600\"\n",
    );
    kept.tree.devtask(["up", "-d"]).run();
    eventually("it was begun more often than five times", || kept.lines("starts") > 6);
    kept.tree.ok("processes stop crash");
    let status = kept.status("crash");
    assert_eq!(status["stage"], "stopped", "{status}");
    let starts = kept.lines("starts");
    assert_eq!(kept.alive().len(), 1, "the other one: {:?}", kept.alive());
    // What would begin it again would do so while this one does.
    kept.tree.ok("processes restart beside");
    kept.tree.ok("down");
    assert_eq!((kept.lines("starts"), kept.alive()), (starts, Vec::new()));
}

#[test]
fn a_stop_wins_over_the_wait_for_a_restart_and_over_a_restart() {
    let kept = Kept::new("[processes.beside]\nexec = \"sleep 600\"\n");
    let mut gate = Gate::new(kept.tree.path("gate"));
    kept.tree.append(
        "devtask.toml",
        format!(
            "[processes.crash]\nexec = '''echo x >> starts; {}; exit 3'''\nrestart.max = \"unlimited\"\n\
             [processes.slow]\nshutdown.grace = 600\n\
             exec = '''echo x >> slow; trap 'echo > asked; while [ ! -e go ]; do sleep 0.02; done; exit 0' TERM; \
             while :; do sleep 0.02; done'''\n",
            gate.script()
        ),
    );
    kept.tree.devtask(["up", "-d"]).run();
    // While a restart is waited for: after a few of them that takes long enough to be seen.
    let mut waits = 0;
    while waits < 3 {
        gate.wait();
        gate.open();
        eventually("it ended", || kept.status("crash")["restarts"].as_u64() > Some(waits));
        waits = kept.status("crash")["restarts"].as_u64().unwrap();
    }
    kept.tree.ok("processes stop crash");
    assert_eq!(kept.status("crash")["stage"], "stopped");
    // While it is being ended, to begin anew.
    let restart = kept.tree.devtask(["processes", "restart", "slow"]).start();
    eventually("it was asked to end", || kept.tree.exists("asked"));
    let stop = kept.tree.devtask(["processes", "stop", "slow"]).start();
    eventually("somebody waits for its end", || kept.status("slow")["stage"] == "stopping");
    let listed = kept.tree.ok("processes list");
    assert!(listed.out.contains("stopping"), "{listed}");
    kept.tree.write("go", "");
    let (restart, stop) = (restart.finish(), stop.finish());
    assert_eq!(stop.code, Some(0), "{stop}");
    assert_eq!(kept.status("slow")["stage"], "stopped", "{restart}{stop}");
    assert_eq!(kept.lines("slow"), 1, "it was not begun again");
    assert_eq!(restart.code, Some(1), "it did not get what it wanted: {restart}");
    kept.tree.ok("down");
    assert_eq!(kept.alive(), [""; 0]);
}

#[test]
fn one_that_has_changed_is_begun_anew_with_its_sockets_and_its_port() {
    let kept = Kept::new(
        r#"
        [processes.shop]
        exec = "readlink /proc/$$/fd/3 /proc/$$/fd/4 > sockets; echo one >> starts; exec sleep 600"
        listen = [
            { name = "net", kind = "tcp", address = "127.0.0.1:${ports.net}" },
            { name = "file", kind = "unix_stream", path = "shop.sock" },
        ]
        ports.net.allocate = 20000
        "#,
    );
    kept.tree.ok("up -d");
    let (port, sockets) = (kept.status("shop")["ports"]["net"].clone(), kept.tree.read("sockets"));
    assert!(port.as_u64() >= Some(20000), "{port}");
    kept.tree.replace("devtask.toml", "echo one", "echo two");
    eventually("it is begun anew", || kept.tree.read("starts").contains("two"));
    kept.tree.ok("processes wait");
    assert_eq!((&kept.status("shop")["ports"]["net"], kept.tree.read("sockets")), (&port, sockets.clone()));
    // One that is stopped has none any more.
    kept.tree.ok("processes stop");
    assert!(!kept.tree.exists("shop.sock"));
    kept.tree.ok("processes start shop");
    assert_eq!(kept.status("shop")["ports"]["net"], port);
    assert_ne!(kept.tree.read("sockets"), sockets);
    kept.tree.ok("down");
    assert!(!kept.tree.exists("shop.sock"));
}
