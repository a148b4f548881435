//! The real binary under test: started on free loopback ports with a temporary data folder,
//! asked over REST, stopped gently or killed.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::repository;

/// How long anything that must happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running `rusuden serve`.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Base of the REST API, without a slash behind it.
    pub http: String,
    /// Where SIP is heard over UDP.
    pub sip_udp: SocketAddr,
    /// Where SIP is heard over TCP.
    pub sip_tcp: SocketAddr,
    /// An API key that may do everything.
    pub key: String,
    data: PathBuf,
}

/// What came back over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The binary that the tests run: built beside them by `make tests`.
pub fn binary() -> PathBuf {
    let tests = std::env::current_exe().expect("a test knows its own path");
    let folder = tests.parent().and_then(Path::parent).expect("tests run from target/…/deps");
    let path = folder.join("rusuden");
    assert!(path.is_file(), "{} is not built; run `make tests`", path.display());
    path
}

impl Service {
    /// Starts the service on this data folder, with these settings (TOML) beside the defaults.
    pub fn start(data: &Path, settings: &str) -> Self {
        Self::start_on(data, settings, &["127.0.0.1:0"])
    }

    /// The same, listening for SIP on these addresses.
    pub fn start_on(data: &Path, settings: &str, sip: &[&str]) -> Self {
        let config = data.join("test.toml");
        std::fs::create_dir_all(data).unwrap();
        std::fs::write(&config, settings).unwrap();
        let key = create_key(data);
        let mut command = Command::new(binary());
        command.arg("serve").arg("--announce").arg("--data-dir").arg(data);
        command.arg("--config").arg(&config).args(["--http", "127.0.0.1:0"]);
        for address in sip {
            command.args(["--sip", address]);
        }
        let log =
            std::fs::File::options().create(true).append(true).open(data.join("log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Ok(announced) = serde_json::from_str::<Value>(&line) else {
            let log = std::fs::read_to_string(data.join("log")).unwrap_or_default();
            panic!("the service did not start: {line}{log}");
        };
        let address = |name: &str| -> SocketAddr {
            announced[name][0].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
                panic!("no {name} in {announced}");
            })
        };
        Self {
            http: format!("http://{}", announced["http"].as_str().unwrap()),
            sip_udp: address("sip_udp"),
            sip_tcp: address("sip_tcp"),
            child,
            key,
            data: data.to_owned(),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Kills it as a power cut would: no signal handler runs.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop gently.
    pub fn ask_to_stop(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Asks it to stop and waits until it has drained; panics if it does not end well.
    pub fn stop(self) {
        self.ask_to_stop();
        self.wait_until_stopped();
    }

    /// Waits until it has drained; panics if it does not end well.
    pub fn wait_until_stopped(mut self) {
        let status = self.child.wait().unwrap();
        let log = std::fs::read_to_string(self.data.join("log")).unwrap_or_default();
        assert!(status.success(), "the service ended with {status}: {log}");
    }

    /// One request. `body` is sent as JSON.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let bytes = body.map(|value| serde_json::to_vec(value).unwrap()).unwrap_or_default();
        let headers = [("content-type", "application/json")];
        self.send(method, path, if body.is_some() { &headers } else { &[] }, &bytes)
    }

    /// One request with any headers and bytes.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .allow_non_standard_methods(true)
            .build();
        let agent = ureq::Agent::new_with_config(config);
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.http))
            .header("authorization", format!("Bearer {}", self.key));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = agent.run(request.body(body.to_vec()).unwrap()).unwrap();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())
            })
            .collect();
        let body = response.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
        Answer { status: response.status().as_u16(), headers, body }
    }

    /// Makes a mailbox with this national number (`050…`) and gives its id. `extra` is merged into
    /// the request.
    pub fn make_mailbox(&self, number: &str, extra: &Value) -> String {
        let mut body = json!({ "number": format!("+81{}", &number[1..]) });
        for (name, value) in extra.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let answer = self.request("POST", "/v1/mailboxes", Some(&body));
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// All messages of a mailbox, over as many pages as it takes.
    pub fn messages(&self, mailbox: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/mailboxes/{mailbox}/messages?limit=100{cursor}");
            let answer = self.request("GET", &path, None);
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            let page = answer.json();
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    /// Waits until the mailbox holds at least `count` messages and all of them satisfy `ready`.
    pub fn wait_for_messages(
        &self,
        mailbox: &str,
        count: usize,
        ready: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        wait_for(&format!("{count} messages"), || {
            let messages = self.messages(mailbox);
            (messages.len() >= count && messages.iter().all(&ready)).then_some(messages)
        })
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A test that failed leaves nothing running behind it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a message's text is there.
pub fn is_transcribed(message: &Value) -> bool {
    message["state"] == "transcribed" || message["state"] == "notified"
}

/// Asks until there is an answer, for at most [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "still waiting for {what} after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn create_key(data: &Path) -> String {
    let output = Command::new(binary())
        .args(["key", "create", "--name", "test", "--data-dir"])
        .arg(data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let key = text.split_whitespace().find(|word| word.starts_with("rsk_"));
    key.unwrap_or_else(|| panic!("no key in {text:?}")).to_owned()
}

/// The repository's folder of SIPp scenarios.
pub fn scenario(name: &str) -> PathBuf {
    repository().join("tests").join("sipp").join(name)
}
