//! The command line as its users meet it.

use std::path::Path;
use std::process::{Command, Output};

use rusuden_tests::captures::{RtpPayload, write_pcap};
use rusuden_tests::service::binary;
use rusuden_tests::{assert_said, sounds};

pub(crate) fn rusuden(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().unwrap()
}

fn transcribe(file: &Path, format: &str) -> String {
    let output = rusuden(&["transcribe", "--format", format, file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn files_of_every_kind_give_the_same_words() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let (wav, said) = sounds::message("late");
    let mut files = vec![wav.clone()];
    for (ending, arguments) in [
        ("mp3", &["-b:a", "64k"][..]),
        ("flac", &[]),
        ("ogg", &["-c:a", "libvorbis"]),
        ("opus", &["-c:a", "libopus", "-b:a", "32k"]),
    ] {
        let file = folder.path().join(format!("late.{ending}"));
        sounds::convert(&wav, &file, arguments);
        files.push(file);
    }
    let pcap = folder.path().join("call.pcap");
    let frames = sounds::pcmu_frames(&wav).into_iter();
    let payloads: Vec<_> =
        frames.map(|octets| RtpPayload { payload_type: 0, ticks: 160, octets }).collect();
    write_pcap(&pcap, &payloads);
    files.push(pcap);
    for file in files {
        let text = transcribe(&file, "text");
        eprintln!("{}", file.display());
        assert_said(&said, &text);
    }
}

#[test]
fn formats_are_what_players_and_programs_read() {
    let _alone = crate::alone();
    let (wav, _) = sounds::message("late");
    let json: serde_json::Value = serde_json::from_str(&transcribe(&wav, "json")).unwrap();
    assert_eq!(json["verdict"], "speech");
    assert!(json["segments"][0]["end_ms"].as_u64() > json["segments"][0]["start_ms"].as_u64());
    assert!(transcribe(&wav, "vtt").starts_with("WEBVTT\n\n00:00:0"));
    assert!(transcribe(&wav, "srt").starts_with("1\n00:00:0"));
}

#[test]
fn a_file_that_is_no_sound_is_refused_with_a_sentence() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("letter.txt");
    std::fs::write(&file, "not a sound").unwrap();
    let output = rusuden(&["transcribe", file.to_str().unwrap()]);
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("letter.txt"), "{text}");
    let output = rusuden(&["transcribe", "/nowhere/at/all.wav"]);
    assert!(!output.status.success());
}

#[test]
fn check_config_names_the_key_that_is_wrong() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rusuden.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output = rusuden(&["check-config", "--config", file.to_str().unwrap()]);
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(check("").0);
    let (ok, text) = check("[sip]\nlissen = [\"127.0.0.1:5060\"]\n");
    assert!(!ok && text.contains("lissen"), "{text}");
    let (ok, text) = check("[rtp]\nshards = \"many\"\n");
    assert!(!ok && text.contains("shards"), "{text}");
    let (ok, text) = check("[rtp]\nshards = 0\n");
    assert!(!ok && text.contains("shards"), "{text}");
}

#[test]
fn every_subcommand_explains_itself() {
    let _alone = crate::alone();
    for command in ["serve", "demo", "transcribe", "call", "check-config", "key", "receipt"] {
        let output = rusuden(&[command, "--help"]);
        assert!(output.status.success());
        assert!(output.stdout.len() > 200, "{command} --help is too short");
    }
}

#[test]
fn the_demo_ends_with_the_text_that_was_said() {
    let _alone = crate::alone();
    let output = rusuden(&["demo"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for part in ["said", "heard", "mail", "/v1/messages/"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}
