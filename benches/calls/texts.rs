//! How long texts take: from the moment that a recording is whole and on disk to its text and MP3
//! being stored, as the service's own events tell.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rusuden_benches::figures::Samples;
use serde_json::Value;

/// A watcher of `/v1/events`; its thread ends with the service.
pub(crate) struct Texts(Arc<Mutex<Samples>>);

impl Texts {
    pub(crate) fn watch(http: &str, key: &str) -> Self {
        let samples = Arc::new(Mutex::new(Samples::default()));
        let request = ureq::get(format!("{http}/v1/events"))
            .header("authorization", format!("Bearer {key}"))
            .header("accept", "text/event-stream");
        let response = request.call().expect("events are told");
        let told = Arc::clone(&samples);
        std::thread::spawn(move || {
            let mut sealed: HashMap<String, Instant> = HashMap::new();
            let lines = BufReader::new(response.into_body().into_reader()).lines();
            for line in lines.map_while(Result::ok) {
                let Some(data) = line.strip_prefix("data: ") else { continue };
                let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
                let Some(message) = event["message"].as_str() else { continue };
                match event["state"].as_str() {
                    Some("sealed") => {
                        sealed.insert(message.to_owned(), Instant::now());
                    }
                    Some("transcribed") => {
                        if let Some(since) = sealed.remove(message) {
                            told.lock().unwrap().add(since.elapsed().as_secs_f64() * 1e3);
                        }
                    }
                    _ => {}
                }
            }
        });
        Self(samples)
    }

    /// Milliseconds of every text so far.
    pub(crate) fn samples(&self) -> Samples {
        self.0.lock().unwrap().clone()
    }
}
