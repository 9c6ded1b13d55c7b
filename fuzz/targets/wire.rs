//! What a task server writes: however it is cut the same messages come of it, what is a message is one again when it is
//! written anew, and a list of tasks gives declarations or faults that name the server.

use std::{path::Path, sync::Arc};

use devtask::{
    diagnostic::{Place, SourceId},
    model::{TaskServer, Written},
    servers::declarations,
    tsp::{Frames, InitializeResult, Message, RunResult},
};

/// The first byte says how long the pieces are in which the rest comes.
pub(crate) fn check(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let whole = frames(bytes.chunks(bytes.len().max(1)));
    assert_eq!(
        whole,
        frames(bytes.chunks(usize::from(*first).max(1))),
        "what comes depends on how it is cut"
    );
    for message in whole.iter().filter_map(|frame| Message::parse(frame).ok()) {
        let line = message.line();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "a message is one line");
        assert_eq!(Message::parse(&line).as_ref(), Ok(&message));
        if let Message::Response { outcome: Ok(value), .. } = message {
            if let Ok(listed) = serde_json::from_value::<InitializeResult>(value.clone()) {
                list(&listed);
            }
            let _ = serde_json::from_value::<RunResult>(value);
        }
    }
}

fn list(listed: &InitializeResult) {
    let server = Arc::new(TaskServer {
        name: "odd".to_owned(),
        project: "p".into(),
        command: vec![Written::from("./odd")],
        dir: "/tree/p".into(),
        env: [].into(),
        file_env: [].into(),
        watch: vec![Written::from("/tree/p/odd")],
        start_timeout: TaskServer::START_TIMEOUT,
    });
    let place = Place { source: SourceId(0), span: 0..0 };
    let (declared, faults) = declarations(&server, &place, listed, Path::new("/tree"));
    assert!(declared.len() <= listed.tasks.len());
    assert!(declared.len() == listed.tasks.len() || !faults.is_empty(), "a task is lost without a word");
    for fault in &faults {
        assert!(fault.message.contains("`odd`") && fault.labels.len() == 1, "{fault:?}");
    }
}

fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut frames, mut found) = (Frames::default(), Vec::new());
    for piece in pieces {
        frames.push(piece);
        while let Ok(Some(frame)) = frames.take() {
            found.push(frame);
        }
    }
    found.extend(frames.rest());
    found
}
