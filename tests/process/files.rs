//! A task's private files, whatever the task did to them (hazard C19).

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use devtask::process::{RuntimeDir, TaskFiles};

use super::support::run;

fn place() -> (tempfile::TempDir, RuntimeDir) {
    let base = tempfile::tempdir().unwrap();
    let runtime = RuntimeDir::create(&[base.path().into()]).unwrap();
    (base, runtime)
}

#[tokio::test]
async fn only_an_honest_file_is_read_back() {
    let (base, runtime) = place();
    let secret = base.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let secret = secret.display();
    let cases: [(&str, Result<Option<&str>, &str>); 10] = [
        ("true", Ok(Some(""))),
        ("echo '{}' > output", Ok(Some("{}\n"))),
        ("echo new > o; mv o output", Ok(Some("new\n"))),
        ("rm output", Ok(None)),
        ("ln -sf SECRET output", Err("was replaced by a symbolic link")),
        ("rm output; mkfifo output", Err("is no regular file")),
        ("rm output; mkdir output", Err("is no regular file")),
        ("truncate -s 16777217 output", Err("is larger than 16 MiB")),
        ("cd ..; mv DIR elsewhere; mkdir DIR; echo forged > DIR/output", Ok(Some(""))),
        ("cd ..; mv DIR moved; ln -s /etc DIR", Ok(Some(""))),
    ];
    for (script, expected) in cases {
        let files = TaskFiles::create(&runtime).unwrap();
        let output = files.path_of(TaskFiles::OUTPUT);
        let dir = output.parent().unwrap();
        let script = script.replace("SECRET", &secret.to_string());
        let script = script.replace("DIR", dir.file_name().unwrap().to_str().unwrap());
        let ended = run(&format!("cd {} && {script}", dir.display())).await;
        assert!(ended.exit.is_success(), "{script}");
        let read = files.read(TaskFiles::OUTPUT).map_err(|fault| fault.to_string());
        let expected = expected.map(|text| text.map(Vec::from)).map_err(str::to_owned);
        assert_eq!(read, expected, "{script}");
    }
    assert_eq!(fs::read_to_string(base.path().join("secret")).unwrap(), "secret");
}

#[test]
fn the_largest_file_that_is_allowed_is_read() {
    let (_base, runtime) = place();
    let files = TaskFiles::create(&runtime).unwrap();
    fs::write(files.path_of(TaskFiles::EXPORTS), vec![b'x'; 16 * 1024 * 1024]).unwrap();
    assert_eq!(files.read(TaskFiles::EXPORTS).unwrap().unwrap().len(), 16 * 1024 * 1024);
}

#[test]
fn everything_is_private_and_goes_away() {
    let (base, runtime) = place();
    let files = TaskFiles::create(&runtime).unwrap();
    let given = files.write("script", b"echo hello").unwrap();
    assert_eq!(fs::read(&given).unwrap(), b"echo hello");
    assert!(files.write("script", b"again").is_err(), "a new file only");
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = given.parent().unwrap().to_path_buf();
    assert_eq!([mode(&runtime.path().into()), mode(&dir)], [0o700; 2]);
    let made = [given, files.path_of(TaskFiles::OUTPUT), files.path_of(TaskFiles::EXPORTS)];
    assert_eq!(made.map(|path| mode(&path)), [0o600; 3]);

    fs::create_dir_all(dir.join("a/b")).unwrap();
    fs::write(dir.join("a/b/c"), "").unwrap();
    for locked in ["a/b", "a"] {
        fs::set_permissions(dir.join(locked), fs::Permissions::from_mode(0o000)).unwrap();
    }
    drop(files);
    assert!(!dir.exists());
    drop(runtime);
    assert_eq!(super::support::names(base.path()).len(), 0);
}

#[tokio::test]
async fn whatever_a_task_made_of_its_files_goes_away() {
    let (base, runtime) = place();
    for script in [
        "true",
        "rm output",
        "echo more > more",
        "rm output; mkdir -p output/deep; touch output/deep/er",
        "rm -r .",
        "rm -rf $PWD",
        "ln -sf /etc/passwd exports",
        "cd ..; mv DIR moved; mkdir DIR; echo x > DIR/output",
        "cd ..; mv DIR moved; ln -s moved DIR",
    ] {
        let files = TaskFiles::create(&runtime).unwrap();
        let dir = files.path_of(TaskFiles::OUTPUT).parent().unwrap().to_path_buf();
        let script = script.replace("DIR", dir.file_name().unwrap().to_str().unwrap());
        run(&format!("cd {} && {script}", dir.display())).await;
        drop(files);
        assert!(dir.symlink_metadata().is_err(), "{script}");
    }
    drop(runtime);
    assert_eq!(super::support::names(base.path()).len(), 0);
}

#[test]
fn the_first_base_that_works_is_taken() {
    let base = tempfile::tempdir().unwrap();
    let (file, fresh) = (base.path().join("file"), base.path().join("fresh"));
    fs::write(&file, "").unwrap();
    let runtime = RuntimeDir::create(&[file.clone(), fresh.clone()]).unwrap();
    assert_eq!(runtime.path().parent(), Some(fresh.as_path()));
    assert!(RuntimeDir::create(&[file]).is_err() && RuntimeDir::create(&[]).is_err());
}
