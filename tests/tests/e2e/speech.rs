//! Speech to text as others ask for it: OpenAI's own client, curl, and who watches a call.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rusuden_tests::service::{Service, is_transcribed};
use rusuden_tests::{assert_said, program, repository, sounds};
use serde_json::{Value, json};

/// Half a minute of noise as MP3.
fn noise(folder: &std::path::Path) -> std::path::PathBuf {
    let file = folder.join("noise.mp3");
    let made = program("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i"])
        .args(["anoisesrc=color=brown:duration=30:amplitude=0.2:seed=7", "-ar", "16000"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    file
}

fn ask_with_openai(service: &Service, sound: &std::path::Path, noise: &std::path::Path) -> Value {
    let peers = repository().join("tests").join("peers");
    let python = peers.join(".venv").join("bin").join("python");
    assert!(python.is_file(), "OpenAI's client is not installed; run `make setup-test`");
    let output = Command::new(python)
        .arg(peers.join("openai_client.py"))
        .args([&format!("{}/v1", service.http), &service.key])
        .args([sound, noise])
        .env("no_proxy", "*")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn openais_own_client_gets_every_format_and_every_refusal() {
    let _alone = crate::alone();
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let (sound, said) = sounds::message("late");
    let seconds = sounds::decoded_seconds(&sound);
    let answers = ask_with_openai(&service, &sound, &noise(data.path()));
    let text = |name: &str| answers[name].as_str().unwrap_or_else(|| panic!("{name}")).to_owned();
    let plain = text("json");
    assert_said(&said, &plain);
    for same in ["heard", "bytes"] {
        assert_eq!(text(same), plain, "{same}");
    }
    assert_eq!(text("text").trim(), plain);
    assert!(!text("warm").is_empty());
    assert_eq!(text("noise"), "", "noise gives no words");
    assert!(text("srt").starts_with("1\n00:00:0") && text("vtt").starts_with("WEBVTT\n\n00:00:0"));

    let verbose = &answers["verbose"];
    assert_eq!(
        (&verbose["language"], &verbose["text"]),
        (&"japanese".into(), &plain.clone().into())
    );
    assert!((verbose["duration"].as_f64().unwrap() - seconds).abs() < 0.01, "{verbose}");
    let segments = verbose["segments"].as_array().unwrap();
    let joined: String = segments.iter().map(|part| part["text"].as_str().unwrap()).collect();
    assert_eq!(joined, plain);
    assert!(segments.iter().all(|part| !part["tokens"].as_array().unwrap().is_empty()));
    assert!(verbose["words"].is_null());
    let mut last = 0.0;
    let words = answers["words"]["words"].as_array().unwrap();
    assert!(words.len() > 10);
    for word in words {
        let (start, end) = (word["start"].as_f64().unwrap(), word["end"].as_f64().unwrap());
        assert!(last <= start && start <= end && end <= seconds, "{word} after {last}");
        assert_eq!(word["times"], "aligned");
        last = end;
    }

    let stream = &answers["stream"];
    let deltas = stream["deltas"].as_array().unwrap();
    assert!(deltas.len() > 1, "{stream}");
    let joined: String = deltas.iter().map(|delta| delta.as_str().unwrap()).collect();
    assert_eq!((joined, &stream["done"]), (plain.clone(), &plain.into()));

    for (name, kind, status, code, param) in [
        ("key", "AuthenticationError", 401, "wrong_key", Value::Null),
        ("no sound", "UnprocessableEntityError", 422, "invalid_sound", "file".into()),
        ("language", "UnprocessableEntityError", 422, "invalid_field", "language".into()),
        ("format", "UnprocessableEntityError", 422, "invalid_field", "response_format".into()),
        ("size", "APIStatusError", 413, "body_too_large", Value::Null),
        ("translation", "UnprocessableEntityError", 422, "invalid_field", "model".into()),
    ] {
        let refusal = &answers["refusals"][name];
        let expected = json!({ "kind": kind, "status": status, "code": code, "param": param });
        for member in ["kind", "status", "code", "param"] {
            assert_eq!(refusal[member], expected[member], "{name}: {refusal}");
        }
    }
    service.stop();
}

/// As the README shows it.
#[test]
fn curl_gets_a_text_whole_or_as_it_is_read() {
    let _alone = crate::alone();
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let (sound, said) = sounds::message("family");
    let curl = |fields: &[&str]| -> String {
        let mut curl = program("curl");
        curl.args([
            "-sSN",
            "--noproxy",
            "*",
            "-H",
            &format!("Authorization: Bearer {}", service.key),
        ]);
        curl.args(["-F", &format!("file=@{}", sound.display())]);
        for field in fields {
            curl.args(["-F", field]);
        }
        let output =
            curl.arg(format!("{}/v1/audio/transcriptions", service.http)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let answer: Value = serde_json::from_str(&curl(&[])).unwrap();
    assert_said(&said, answer["text"].as_str().unwrap());
    let events = curl(&["stream=true", "language=ja"]);
    assert!(
        events.starts_with("data: {\"type\":\"transcript.text.delta\",\"delta\":\""),
        "{events}"
    );
    assert!(events.trim_end().ends_with("data: [DONE]"), "{events}");
    service.stop();
}

/// Many clients and a caller at once: nobody's text depends on the others.
#[test]
fn files_and_a_call_share_the_engine() {
    let _alone = crate::alone();
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let mailbox = service.make_mailbox("05011112222", &json!({ "greeting": "none" }));
    let files = ["late", "family", "clinic"].map(|name| sounds::message(name).0);
    let ask = |file: &std::path::Path| -> String {
        let output = program("curl")
            .args([
                "-sS",
                "--noproxy",
                "*",
                "-F",
                "response_format=text",
                "-F",
                "language=ja",
                "-F",
            ])
            .arg(format!("file=@{}", file.display()))
            .args(["-H", &format!("Authorization: Bearer {}", service.key)])
            .arg(format!("{}/v1/audio/transcriptions", service.http))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let alone: Vec<String> = files.iter().map(|file| ask(file)).collect();
    assert!(alone.iter().all(|text| text.chars().count() > 20), "{alone:?}");
    let mut call = Command::new(rusuden_tests::service::binary())
        .args(["call", &format!("sip:05011112222@{}", service.sip_udp), "--audio"])
        .arg(&files[0])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (ask, files) = (&ask, &files);
    std::thread::scope(|scope| {
        let asked: Vec<_> =
            (0..24).map(|n| (n % 3, scope.spawn(move || ask(&files[n % 3])))).collect();
        for (which, text) in asked {
            assert_eq!(text.join().unwrap(), alone[which]);
        }
    });
    assert!(call.wait().unwrap().success());
    let message = service.wait_for_messages(&mailbox, 1, is_transcribed).remove(0);
    assert_said(&sounds::message("late").1, message["text"].as_str().unwrap());
    service.stop();
}

/// The words of a caller go out while the caller still speaks, and the final text replaces them.
#[test]
fn a_watcher_reads_along_while_the_caller_speaks() {
    let _alone = crate::alone();
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let mailbox = service.make_mailbox("05033334444", &json!({ "greeting": "none" }));
    let mut watcher = program("curl")
        .args(["-sSN", "--noproxy", "*", "-H", &format!("Authorization: Bearer {}", service.key)])
        .arg(format!("{}/v1/events?mailbox={mailbox}", service.http))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("retry:"), "the watcher is there before the call");
    let (sound, said) = sounds::message("clinic");
    let mut call = Command::new(rusuden_tests::service::binary())
        .args(["call", &format!("sip:05033334444@{}", service.sip_udp), "--audio"])
        .arg(&sound)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut name, mut partials, mut sealed, mut last) = (String::new(), 0, false, String::new());
    let end = loop {
        let line = lines.next().expect("the stream goes on until it is closed");
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut name);
        } else if let Some(data) = line.strip_prefix("data: ") {
            let data: Value = serde_json::from_str(data).unwrap();
            sealed |= name == "sealed";
            if name == "text" {
                let text = data["text"].as_str().unwrap().to_owned();
                if data["final"] == true {
                    break text;
                }
                partials += usize::from(!sealed);
                assert!(text.starts_with(&last), "{text} goes on behind {last}");
                last = text;
            }
        }
    };
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    assert!(call.wait().unwrap().success());
    assert!(partials > 0, "something was read before the caller hung up");
    assert!(end.starts_with(&last), "{end}\n{last}");
    assert_said(&said, &end);
    let message = service.wait_for_messages(&mailbox, 1, is_transcribed).remove(0);
    assert_eq!(message["text"], end.as_str());
    service.stop();
}
