//! Readers' processes under a running service: killed while calls come in, and given another model.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusuden_tests::service::{PATIENCE, Service, binary, is_transcribed};
use rusuden_tests::{assert_said, changed_model, sounds};
use serde_json::{Value, json};

const NUMBER: &str = "05044445555";
const CALLS: usize = 6;

fn call(service: &Service, sound: &Path) -> Child {
    Command::new(binary())
        .args(["call", &format!("sip:{NUMBER}@{}", service.sip_udp), "--audio"])
        .arg(sound)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The service's readers, by process id.
fn readers(service: &Service) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", service.pid())).unwrap();
    let children = tasks.filter_map(Result::ok).map(|task| task.path().join("children"));
    let lists = children.filter_map(|path| fs::read_to_string(path).ok());
    let pids =
        lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    // One that is dead has no command line any more.
    let lives =
        |pid: &String| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|l| !l.is_empty());
    pids.filter(lives).collect()
}

fn signal(name: &str, pid: &str) {
    // Gone already is as good.
    let _ = Command::new("kill").args([&format!("-{name}"), pid]).output().unwrap();
}

fn wait_for_log(service: &Service, words: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let log = fs::read_to_string(service.data().join("log")).unwrap();
        if log.contains(words) {
            return;
        }
        assert!(Instant::now() < until, "the log never says {words:?}:\n{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn killed_readers_and_another_model_cost_no_message() {
    let _alone = crate::alone();
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let mailbox = service.make_mailbox(NUMBER, &json!({ "greeting": "none" }));
    let (sound, said) = sounds::message("late");
    let mut calls: Vec<Child> = (0..CALLS).map(|_| call(&service, &sound)).collect();
    let mut killed = 0;
    while calls.iter_mut().any(|call| call.try_wait().unwrap().is_none()) {
        if let Some(pid) = readers(&service).first() {
            signal("KILL", pid);
            killed += 1;
        }
        std::thread::sleep(Duration::from_millis(600));
    }
    assert!(killed > 3, "only {killed} readers were killed");
    let messages = service.wait_for_messages(&mailbox, CALLS, is_transcribed);
    for message in &messages {
        assert_said(&said, message["text"].as_str().unwrap());
    }
    wait_for_log(&service, "the reader's process ended");

    let folder = changed_model("rusuden.json", |card| card["name"] = "another".into());
    let config = format!("[engine]\nmodel_dir = {:?}\n", folder.path());
    fs::write(data.path().join("test.toml"), config).unwrap();
    signal("HUP", &service.pid().to_string());
    wait_for_log(&service, "[engine] was read anew");
    assert!(call(&service, &sound).wait().unwrap().success());
    let messages = service.wait_for_messages(&mailbox, CALLS + 1, is_transcribed);
    let read_by = |message: &Value| {
        let path = format!("/v1/messages/{}/segments", message["id"].as_str().unwrap());
        service.request("GET", &path, None).json()["model"].clone()
    };
    assert_eq!(messages.iter().map(read_by).filter(|model| model == "another").count(), 1);

    fs::write(data.path().join("test.toml"), "[engine]\nmodel_dir = \"/nowhere\"\n").unwrap();
    signal("HUP", &service.pid().to_string());
    wait_for_log(&service, "[engine] stays as it was");
    assert!(call(&service, &sound).wait().unwrap().success());
    service.wait_for_messages(&mailbox, CALLS + 2, is_transcribed);
    service.stop();
}
