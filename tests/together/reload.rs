//! A watch whose tasks are loaded anew, or call others than before, while others use its session.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use devtask::{
    Request, Session, SessionError, Task, TaskGraph,
    event::What,
    session::{Reload, Reloaded, Watch, WatchOptions},
};

use super::support::{DEADLINE, Sandbox};

/// Task files of which the test says when they are read.
struct Files {
    directory: PathBuf,
    is_edited: Arc<AtomicBool>,
    begun: Sender<()>,
    go: Receiver<()>,
}

impl Reload for Conducted {
    fn places(&self) -> Vec<PathBuf> {
        vec![self.0.lock().unwrap().directory.clone()]
    }

    fn is_current(&self) -> bool {
        !self.0.lock().unwrap().is_edited.load(Ordering::SeqCst)
    }

    fn reload(&mut self) -> Result<Reloaded, String> {
        let files = self.0.get_mut().unwrap();
        files.is_edited.store(false, Ordering::SeqCst);
        files.begun.send(()).unwrap();
        files.go.recv_timeout(DEADLINE).unwrap();
        Ok(Reloaded::new(graph("a:new")))
    }
}

/// A receiver is for one thread at a time.
struct Conducted(std::sync::Mutex<Files>);

fn graph(other: &str) -> TaskGraph {
    let one = Task::shell("a:one", "cp in out").exec_if_modified(["in"]);
    TaskGraph::builder().task(one).task(Task::shell(other, "true")).build().unwrap()
}

async fn until(watch: &mut Watch, mut is_it: impl FnMut(&What) -> bool) {
    let seen = async { while !is_it(&watch.next_event().await.expect("the watch goes on").what) {} };
    tokio::time::timeout(DEADLINE, seen).await.expect("it never happened");
}

#[test]
fn an_edit_while_task_files_are_loaded_is_not_lost() {
    let tree = Sandbox::new();
    tree.write("in", "1");
    tree.write("conf/tasks", "1");
    let is_edited = Arc::new(AtomicBool::new(false));
    let ((begun, has_begun), (let_go, go)) = (channel(), channel());
    let files = Files { directory: tree.path("conf"), is_edited: Arc::clone(&is_edited), begun, go };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let session = Session::builder(graph("a:old"))
            .root(tree.root())
            .environment(std::env::vars_os())
            .open()
            .await
            .unwrap();
        let reload = Some(Box::new(Conducted(files.into())) as Box<dyn Reload>);
        let request = Request::run(["a:one"]);
        let mut watch = session.watch_reloading(request, WatchOptions::default(), reload).await.unwrap();
        let current = watch.session();
        until(&mut watch, |what| matches!(what, What::Waiting { .. })).await;
        is_edited.store(true, Ordering::SeqCst);
        tree.write("conf/tasks", "2");
        // Kept, so that it may begin again.
        let begins = move || (has_begun.recv_timeout(DEADLINE).unwrap(), has_begun);
        let ((), has_begun) = tokio::task::spawn_blocking(begins).await.unwrap();
        tree.write("in", "2");
        let_go.send(()).unwrap();
        until(&mut watch, |what| matches!(what, What::Reloaded { .. })).await;
        until(&mut watch, |what| matches!(what, What::Waiting { .. })).await;
        assert_eq!(tree.read("out"), "2");
        // Directories of task files are watched as before.
        is_edited.store(true, Ordering::SeqCst);
        tree.write("conf/tasks", "3");
        let_go.send(()).unwrap();
        until(&mut watch, |what| matches!(what, What::Reloaded { .. })).await;
        // Whoever still has the first session is sent to the one that goes on.
        assert!(matches!(session.start(Request::run(["a:one"])), Err(SessionError::Left)));
        let run = current.get().start(Request::run(["a:one"])).unwrap();
        run.finish().await.unwrap();
        watch.control().interrupt();
        watch.finish().await.unwrap();
        drop(has_begun);
        session.close().await.unwrap();
    });
}
