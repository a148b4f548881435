//! One call at a time: from what was said to the message, its text, sound and mail.

use std::path::Path;

use rusuden_tests::service::{Service, is_transcribed, wait_for};
use rusuden_tests::{assert_said, program, sounds};
use serde_json::{Value, json};

/// Lets baresip call and speak; gives what `and_then` gives while it may still be on the line.
fn baresip_says<T>(
    service: &Service,
    number: &str,
    codec: &str,
    wav: &Path,
    and_then: impl FnOnce() -> T,
) -> T {
    let folder = tempfile::tempdir().unwrap();
    // baresip wants its source file in the codec's own rate and channels: `name/rate/channels`.
    let mut parts = codec.split('/').skip(1);
    let (rate, channels) = (parts.next().unwrap(), parts.next().unwrap());
    let speech = folder.path().join("speech.wav");
    // A second and a half of quiet first: the beep sounds meanwhile.
    let filter = "adelay=1500:all=1,apad=pad_dur=0.3";
    sounds::convert(wav, &speech, &["-ar", rate, "-ac", channels, "-af", filter]);
    let config = format!(
        "module_path /usr/lib/baresip/modules\nmodule g711.so\nmodule g722.so\n\
         module opus.so\nmodule aufile.so\n\
         module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\n\
         audio_source aufile,{}\naudio_player aufile,{}\naudio_alert aufile,/dev/null\n\
         sip_listen 127.0.0.1:0\nrtp_ports 40000-44000\n",
        speech.display(),
        folder.path().join("heard.wav").display()
    );
    std::fs::write(folder.path().join("config"), config).unwrap();
    let account = format!(
        "<sip:+819012345678@127.0.0.1>;regint=0;audio_codecs={codec};audio_source=aufile,{}\n",
        speech.display()
    );
    std::fs::write(folder.path().join("accounts"), account).unwrap();
    std::fs::write(folder.path().join("contacts"), "").unwrap();
    let mut baresip = program("baresip")
        .args(["-t", "60", "-f"])
        .arg(folder.path())
        .args(["-e", &format!("d sip:{number}@{}", service.sip_udp)])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let result = and_then();
    // It has hung up by itself at the end of its sound; the program waits for further orders.
    baresip.kill().unwrap();
    baresip.wait().unwrap();
    result
}

fn the_message(service: &Service, mailbox: &str) -> Value {
    service.wait_for_messages(mailbox, 1, is_transcribed).remove(0)
}

fn assert_text(message: &Value, said: &str) {
    assert_said(said, message["text"].as_str().unwrap());
}

fn baresip_call_gives_text(codec: &str) {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let mailbox = service.make_mailbox("05011112222", &json!({ "greeting": "none" }));
    let (wav, said) = sounds::message("late");
    let message =
        baresip_says(&service, "05011112222", codec, &wav, || the_message(&service, &mailbox));
    assert_text(&message, &said);
    assert_eq!(message["caller"]["number"], "+819012345678");
    service.stop();
}

/// S08.
#[test]
fn baresip_with_pcmu_gives_the_text() {
    let _alone = crate::alone();
    baresip_call_gives_text("PCMU/8000/1");
}

/// S08.
#[test]
fn baresip_with_g722_gives_the_text() {
    let _alone = crate::alone();
    baresip_call_gives_text("G722/16000/1");
}

/// S08.
#[test]
fn baresip_with_opus_gives_the_text() {
    let _alone = crate::alone();
    baresip_call_gives_text("opus/48000/2");
}

/// S01, S03, S09: what was said can be read, heard and comes by mail.
#[test]
fn a_call_becomes_text_sound_and_mail() {
    let _alone = crate::alone();
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let settings = json!({ "addresses": ["subscriber@example.com"] });
    let mailbox = service.make_mailbox("05033334444", &settings);
    let (wav, said) = sounds::message("clinic");
    let heard = data.path().join("heard.wav");
    let output = std::process::Command::new(rusuden_tests::service::binary())
        .args(["call", &format!("sip:05033334444@{}", service.sip_udp), "--json", "--audio"])
        .arg(&wav)
        .arg("--heard")
        .arg(&heard)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let message = the_message(&service, &mailbox);
    assert_text(&message, &said);
    let id = message["id"].as_str().unwrap();
    let audio = service.request("GET", &format!("/v1/messages/{id}/audio.mp3"), None);
    assert_eq!(audio.status, 200);
    assert_eq!(message["audio_bytes"].as_u64().unwrap(), audio.body.len() as u64);
    let mp3 = data.path().join("message.mp3");
    std::fs::write(&mp3, &audio.body).unwrap();
    let recorded = message["duration_ms"].as_f64().unwrap() / 1_000.0;
    let decoded = sounds::decoded_seconds(&mp3);
    assert!((decoded - recorded).abs() < 0.002, "MP3 {decoded} s, recording {recorded} s");
    // The caller heard the whole greeting and the beep before speaking.
    assert!(sounds::decoded_seconds(&heard) > 7.5);

    let mail = wait_for("the mail", || {
        let folder = std::fs::read_dir(data.path().join("mail")).ok()?;
        folder
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|e| e == "eml"))
    });
    assert_mail(&mail, message["text"].as_str().unwrap(), &audio.body);
    service.stop();
}

/// Parses the mail with Python's email package and compares.
fn assert_mail(mail: &Path, text: &str, mp3: &[u8]) {
    let script = "import sys, json, email, email.policy, hashlib\n\
        m = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)\n\
        a = [p for p in m.walk() if p.get_content_type() == 'audio/mpeg']\n\
        print(json.dumps({'subject': m['subject'], 'to': m['to'], 'id': m['message-id'],\n\
        'body': m.get_body(('plain',)).get_content(), 'name': a[0].get_filename(),\n\
        'bytes': len(a[0].get_content()), 'sounds': len(a)}))\n";
    let output = program("python3").args(["-c", script]).arg(mail).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mail: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(mail["to"], "subscriber@example.com");
    assert!(mail["subject"].as_str().unwrap().contains("留守"), "{mail}");
    let flat = |text: &str| text.split_whitespace().collect::<String>();
    assert!(flat(mail["body"].as_str().unwrap()).contains(&flat(text)), "{mail}");
    assert!(mail["name"].as_str().unwrap().to_lowercase().ends_with(".mp3"), "{mail}");
    assert_eq!(mail["bytes"], mp3.len());
    assert_eq!(mail["sounds"], 1);
}

/// S16.
#[test]
fn seventy_seconds_of_speech_leave_sixty() {
    let _alone = crate::alone();
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let mailbox =
        service.make_mailbox("05055556666", &json!({ "greeting": "none", "beep": false }));
    let plan = rusuden_tests::fleet::Plan {
        from: "09011110000".to_owned(),
        to: "05055556666".to_owned(),
        at: std::time::Duration::ZERO,
        frames: (0..3_500).map(|n: usize| vec![(n % 251) as u8; 160]).collect(),
        hangs_up: true,
    };
    let fleet = rusuden_tests::fleet::Fleet::new(service.sip_udp, "full", vec![plan]);
    let outcome = fleet.run(|_, _| false).remove(0);
    assert!(outcome.was_hung_up, "the centre ends a full message itself: {outcome:?}");
    let message = the_message(&service, &mailbox);
    assert_eq!(message["duration_ms"], 60_000);
    assert_eq!(message["end_reason"], "full");
    assert!(message["audio_bytes"].as_u64().unwrap() <= 250_000);
    service.stop();
}
