//! Sound files as OpenAI's clients ask about them; the engine says what it is told to.

use bytes::Bytes;
use control_plane::Scope;
use engine_core::file_work::{FileText, FileTold, FileWork, FileWorkError};
use engine_core::guards::Doubts;
use engine_core::manner::{Task, Temperature};
use engine_core::private::Private;
use engine_core::text::{NoWords, Segment, Transcript, Verdict};
use engine_core::transcript::{Assembled, Evidence, Passage};
use engine_core::words::{Word, WordTimes};
use serde_json::{Value, json};

use crate::refusals::refused;
use crate::support::{Centre, read};

const PATH: &str = "/v1/audio/transcriptions";
const BOUNDARY: &str = "b0undary";

/// A form with these fields; `file` holds its sound.
fn form(fields: &[(&str, &str)]) -> Vec<u8> {
    let part = |(name, value): &(&str, &str)| {
        let file = if *name == "file" { "; filename=\"a.wav\"" } else { "" };
        let head = format!("Content-Disposition: form-data; name=\"{name}\"{file}");
        format!("--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n")
    };
    let parts: Vec<String> = fields.iter().map(part).collect();
    format!("{}--{BOUNDARY}--\r\n", parts.concat()).into_bytes()
}

async fn send(centre: &Centre, path: &str, body: Vec<u8>) -> reqwest::Response {
    let request = centre.request("POST", path);
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    request.header("content-type", kind).body(body).send().await.unwrap()
}

fn passage(start_ms: u32, text: &str) -> Passage {
    let word = Word {
        start_ms,
        end_ms: start_ms + 500,
        text: Private::new(text.to_owned()),
        probability: Some(0.5),
        times: WordTimes::Aligned,
    };
    Passage {
        segment: Segment {
            start_ms,
            end_ms: start_ms + 1_000,
            text: Private::new(text.to_owned()),
            confidence: 0.5,
        },
        evidence: Evidence {
            doubts: Doubts { avg_logprob: -0.5, no_speech_prob: 0.25, compression_ratio: 1.5 },
            temperature: Temperature::GREEDY,
            tokens: Private::new(vec![7, 8]),
            words: vec![word],
        },
    }
}

fn file_text(passages: &[Passage], language: &str, task: Task) -> FileText {
    let verdict = match passages.len() {
        0 => Verdict::NoWords(NoWords::NoSpeech),
        _ => Verdict::Speech,
    };
    let transcript = Transcript {
        language: language.to_owned(),
        verdict,
        segments: passages.iter().map(|passage| passage.segment.clone()).collect(),
        model: "test".to_owned(),
    };
    let evidence = passages.iter().map(|passage| passage.evidence.clone()).collect();
    let read = Assembled { transcript, evidence, rejected: Vec::new() };
    FileText { read, duration_ms: 2_500, task }
}

/// An engine that reads two passages in every file, or refuses it.
pub(crate) fn answer_all(centre: &Centre, language: &'static str, refusal: Option<FileWorkError>) {
    let files = centre.files.clone();
    std::thread::spawn(move || {
        for work in files {
            let FileWork { wishes, mut told, .. } = work;
            if let Some(why) = &refusal {
                told(FileTold::Done(Err(why.clone())));
                continue;
            }
            let passages = [passage(0, "Good morning."), passage(1_000, "Good bye.")];
            for passage in &passages {
                let passages = vec![passage.clone()];
                told(FileTold::Passages { language: language.to_owned(), passages });
            }
            told(FileTold::Done(Ok(file_text(&passages, language, wishes.task))));
        }
    });
}

#[tokio::test]
async fn every_format_is_as_clients_expect_it() {
    let (_folder, centre) = Centre::running().await;
    answer_all(&centre, "en", None);
    let ask = async |fields: &[(&str, &str)]| {
        let all = [&[("file", "RIFF"), ("model", "whisper-1")], fields].concat();
        send(&centre, PATH, form(&all)).await
    };
    let (status, json) = read(ask(&[]).await).await;
    assert_eq!(status, 200);
    let usage = json!({"type": "duration", "seconds": 3});
    assert_eq!(json, json!({"text": "Good morning. Good bye.", "usage": usage}));

    let response = ask(&[("response_format", "text")]).await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(response.text().await.unwrap(), "Good morning. Good bye.\n");
    let srt = ask(&[("response_format", "srt")]).await.text().await.unwrap();
    assert!(srt.starts_with("1\n00:00:00,000 --> 00:00:01,000\nGood morning.\n\n2\n"), "{srt}");
    let vtt = ask(&[("response_format", "vtt")]).await.text().await.unwrap();
    assert!(vtt.starts_with("WEBVTT\n\n00:00:00.000 --> "), "{vtt}");

    let verbose = |granularity: &'static str| {
        [("response_format", "verbose_json"), ("timestamp_granularities[]", granularity)]
    };
    let (_, json) = read(ask(&verbose("segment")).await).await;
    assert_eq!((&json["task"], &json["language"]), (&json!("transcribe"), &json!("english")));
    assert_eq!(json["duration"], 2.5);
    assert!(json.get("words").is_none());
    let segment = &json["segments"][1];
    assert_eq!((&segment["id"], &segment["seek"]), (&json!(1), &json!(100)));
    assert_eq!((&segment["start"], &segment["end"]), (&json!(1.0), &json!(2.0)));
    assert_eq!(segment["tokens"], json!([7, 8]));
    assert_eq!((&segment["avg_logprob"], &segment["no_speech_prob"]), (&json!(-0.5), &json!(0.25)));
    let (_, json) = read(ask(&verbose("word")).await).await;
    assert!(json.get("segments").is_none());
    let word = &json["words"][1];
    assert_eq!((&word["word"], &word["start"]), (&json!("Good bye."), &json!(1.0)));
    assert_eq!(word["times"], "aligned");

    let translated = send(
        &centre,
        "/v1/audio/translations",
        form(&[("file", "RIFF"), ("response_format", "verbose_json")]),
    );
    assert_eq!(read(translated.await).await.1["task"], "translate");
    centre.stop().await;
}

#[tokio::test]
async fn deltas_one_behind_the_other_are_the_whole_text() {
    let (_folder, centre) = Centre::running().await;
    answer_all(&centre, "en", None);
    let response = send(&centre, PATH, form(&[("file", "RIFF"), ("stream", "true")])).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let body = response.text().await.unwrap();
    let data: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let (end, events) = data.split_last().unwrap();
    assert_eq!(*end, "[DONE]");
    let events: Vec<Value> = events.iter().map(|e| serde_json::from_str(e).unwrap()).collect();
    let (done, deltas) = events.split_last().unwrap();
    assert_eq!(done, &json!({"type": "transcript.text.done", "text": "Good morning. Good bye."}));
    assert!(deltas.iter().all(|delta| delta["type"] == "transcript.text.delta"));
    let joined: String = deltas.iter().map(|delta| delta["delta"].as_str().unwrap()).collect();
    assert_eq!(joined, "Good morning. Good bye.");
    centre.stop().await;
}

#[tokio::test]
async fn a_file_without_words_gives_an_empty_text_and_says_why() {
    let (_folder, centre) = Centre::running().await;
    let files = centre.files.clone();
    std::thread::spawn(move || {
        for mut work in files {
            (work.told)(FileTold::Done(Ok(file_text(&[], "ja", Task::Transcribe))));
        }
    });
    let (status, json) = read(send(&centre, PATH, form(&[("file", "RIFF")])).await).await;
    assert_eq!((status, &json["text"]), (200, &json!("")));
    assert_eq!(json["no_words_reason"], "no_speech");
    let srt = [("file", "RIFF"), ("response_format", "srt")];
    assert_eq!(send(&centre, PATH, form(&srt)).await.text().await.unwrap(), "");
    let stream = [("file", "RIFF"), ("stream", "true")];
    let body = send(&centre, PATH, form(&stream)).await.text().await.unwrap();
    assert!(body.contains(r#"{"type":"transcript.text.done","text":""}"#), "{body}");
    centre.stop().await;
}

/// Checks a refusal for both readers.
async fn refused_twice(response: reqwest::Response, status: u16, code: &str) -> Value {
    let problem = refused(response, status, code).await;
    let error = &problem["error"];
    assert_eq!((&error["code"], &error["message"]), (&problem["code"], &problem["detail"]));
    assert_eq!(error.get("param").unwrap_or(&Value::Null), &problem["field"]);
    let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
    assert_eq!(error["type"], kind);
    problem
}

#[tokio::test]
async fn refusals_are_problems_and_errors_of_openai_at_once() {
    let (_folder, centre) = Centre::running().await;
    answer_all(&centre, "en", None);
    let file = ("file", "RIFF");
    for (fields, field) in [
        (vec![], "file"),
        (vec![file, ("response_format", "xml")], "response_format"),
        (vec![file, ("temperature", "2")], "temperature"),
        (vec![file, ("language", "klingon")], "language"),
        (vec![file, ("timestamp_granularities[]", "word")], "timestamp_granularities"),
    ] {
        let response = send(&centre, PATH, form(&fields)).await;
        assert_eq!(refused_twice(response, 422, "invalid_field").await["field"], field);
    }
    let request = centre.request("POST", PATH).header("content-type", "audio/wav").body("RIFF");
    refused_twice(request.send().await.unwrap(), 415, "unsupported_media_type").await;
    let broken = form(&[file]);
    let response = send(&centre, PATH, broken[..broken.len() - 8].to_vec()).await;
    refused_twice(response, 400, "malformed_body").await;
    let wrong = centre.with("rsk_00").request("POST", PATH);
    refused_twice(wrong.send().await.unwrap(), 401, "wrong_key").await;
    let (_, other) = centre.plane.keys().create_key("o", &[Scope::MessagesRead]).await.unwrap();
    let wrong = centre.with(&other).request("POST", PATH).send().await.unwrap();
    refused_twice(wrong, 403, "missing_scope").await;
    let scope = [Scope::TranscriptionsWrite];
    let (_, own) = centre.plane.keys().create_key("own", &scope).await.unwrap();
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let right = centre.with(&own).request("POST", PATH).header("content-type", kind);
    let right = right.body(form(&[file]));
    assert_eq!(right.send().await.unwrap().status(), 200);
    centre.stop().await;
}

#[tokio::test]
async fn files_past_25_mb_are_refused_and_those_at_it_are_taken() {
    let (_folder, centre) = Centre::running().await;
    answer_all(&centre, "en", None);
    let fits = "R".repeat(25 * 1_024 * 1_024);
    let past = format!("{fits}R");
    let response = send(&centre, PATH, form(&[("file", &fits)])).await;
    assert_eq!(response.status(), 200);
    let response = send(&centre, PATH, form(&[("file", &past)])).await;
    assert_eq!(refused_twice(response, 413, "body_too_large").await["field"], "file");
    let response = send(&centre, PATH, form(&[("file", &past), ("prompt", &past)])).await;
    refused_twice(response, 413, "body_too_large").await;
    centre.stop().await;
}

#[tokio::test]
async fn what_the_engine_refuses_is_said_with_or_without_a_stream() {
    for (why, status, code) in [
        (FileWorkError::Unreadable { why: "no sound".to_owned() }, 422, "invalid_sound"),
        (FileWorkError::TooLong { max: std::time::Duration::from_mins(30) }, 422, "invalid_sound"),
        (
            FileWorkError::Language { language: "fr".to_owned(), model: "m".to_owned() },
            422,
            "invalid_field",
        ),
        (FileWorkError::Translation { model: "m".to_owned() }, 422, "invalid_field"),
        (FileWorkError::Engine { why: "secret".to_owned() }, 500, "internal"),
        (FileWorkError::Stopping, 503, "unavailable"),
    ] {
        let (_folder, centre) = Centre::running().await;
        answer_all(&centre, "en", Some(why));
        for stream in ["false", "true"] {
            let fields = [("file", "RIFF"), ("stream", stream)];
            let problem =
                refused_twice(send(&centre, PATH, form(&fields)).await, status, code).await;
            assert!(!problem.to_string().contains("secret"));
        }
        centre.stop().await;
    }
}

/// The queue of this centre holds two.
#[tokio::test]
async fn one_file_too_many_is_told_to_come_again() {
    let (_folder, centre) = Centre::running().await;
    for _ in 0..2 {
        let work = FileWork {
            file: Bytes::new(),
            wishes: engine_core::file_work::Wishes::default(),
            told: Box::new(|_| true),
        };
        assert!(centre.plane_files().try_send(work).is_ok());
    }
    let response = send(&centre, PATH, form(&[("file", "RIFF")])).await;
    assert!(response.headers().contains_key("retry-after"));
    refused_twice(response, 503, "unavailable").await;
    centre.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_reading() {
    let (_folder, centre) = Centre::running().await;
    let request = {
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let request = centre.request("POST", PATH).header("content-type", kind);
        tokio::spawn(request.body(form(&[("file", "RIFF")])).send())
    };
    let files = centre.files.clone();
    let mut work = tokio::task::spawn_blocking(move || files.recv().unwrap()).await.unwrap();
    let mut tell = move || {
        let passages = vec![passage(0, "Hello.")];
        (work.told)(FileTold::Passages { language: "en".to_owned(), passages })
    };
    assert!(tell(), "somebody waits");
    request.abort();
    let gone = tokio::task::spawn_blocking(move || {
        let start = std::time::Instant::now();
        while tell() {
            assert!(start.elapsed() < crate::support::PATIENCE, "nobody waits any more");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    gone.await.unwrap();
    centre.stop().await;
}
