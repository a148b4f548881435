//! Asks the service over HTTP and holds every answer against the API's own description: a status,
//! a media type or a refusal's code that is not documented for the operation fails the test.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::http::{Error, Response as AnyResponse};
use control_plane::PlaneConfig;
use reqwest::header::{CONTENT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, ResponseBuilderExt};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::support::open_plane;

const PROBLEM: &str = "application/problem+json";

/// Somebody who asks, with a bearer token or without.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) url: String,
    token: Option<String>,
    /// Codes of refusals that came back.
    codes: Arc<Mutex<BTreeSet<String>>>,
}

impl Client {
    /// Somebody without a token.
    pub(crate) fn new(url: String) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, url, token: None, codes: Arc::default() }
    }

    /// The same with this token.
    pub(crate) fn with(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same without a token.
    pub(crate) fn anyone(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The bearer token.
    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().unwrap()
    }

    /// Codes of all refusals so far.
    pub(crate) fn codes(&self) -> BTreeSet<String> {
        self.codes.lock().unwrap().clone()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut asked = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            asked = asked.bearer_auth(token);
        }
        Request { asked, client: self.clone() }
    }

    /// Sends JSON (or nothing) and reads status and JSON (or null).
    pub(crate) async fn json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        read(self.request(method, path).json(&body).send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.json("GET", path, Value::Null).await
    }
}

/// Reads status and JSON (or null).
pub(crate) async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// A request that is being written.
pub(crate) struct Request {
    asked: reqwest::RequestBuilder,
    client: Client,
}

impl Request {
    pub(crate) fn header<K, V>(mut self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        <HeaderName as TryFrom<K>>::Error: Into<Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<Error>,
    {
        self.asked = self.asked.header(name, value);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.asked = self.asked.body(body);
        self
    }

    /// JSON, or nothing for null.
    pub(crate) fn json(self, body: &Value) -> Self {
        match body {
            Value::Null => self,
            body => self.header(CONTENT_TYPE, "application/json").body(body.to_string()),
        }
    }

    pub(crate) async fn send(self) -> Result<Response, reqwest::Error> {
        let request = self.asked.build()?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.client.http.execute(request).await?;
        let response = with_problem_read(response).await?;
        Description::get().await.check(&method, &path, &response.0, response.1.as_ref());
        if let Some(problem) = response.1 {
            let code = problem["code"].as_str().unwrap().to_owned();
            self.client.codes.lock().unwrap().insert(code);
        }
        Ok(response.0)
    }
}

/// Reads the body if it is a refusal, and gives the response as if nobody had.
async fn with_problem_read(
    response: Response,
) -> Result<(Response, Option<Value>), reqwest::Error> {
    if essence(response.headers()) != PROBLEM {
        return Ok((response, None));
    }
    let (url, status) = (response.url().clone(), response.status());
    let headers = response.headers().clone();
    let body = response.bytes().await?;
    let problem = serde_json::from_slice(&body).ok();
    let mut again = AnyResponse::builder().status(status).url(url).body(body).unwrap();
    *again.headers_mut() = headers;
    Ok((again.into(), problem))
}

fn essence(headers: &HeaderMap) -> &str {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// What the API says of itself.
pub(crate) struct Description {
    operations: Vec<Operation>,
}

struct Operation {
    method: String,
    path: Vec<String>,
    answers: HashMap<u16, Answer>,
}

/// What an operation may answer with a status.
struct Answer {
    media_types: Vec<String>,
    codes: Vec<String>,
}

static DESCRIPTION: OnceCell<Description> = OnceCell::const_new();

impl Description {
    pub(crate) async fn get() -> &'static Self {
        DESCRIPTION.get_or_init(Self::fetch).await
    }

    async fn fetch() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (plane, ..) = open_plane(folder.path(), PlaneConfig::default()).await;
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/v1/openapi.json", listener.local_addr().unwrap());
        let serving =
            tokio::spawn(async move { plane.serve(listener, std::future::pending()).await });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let api = http.get(url).send().await.unwrap().bytes().await.unwrap();
        serving.abort();
        Self::read(&serde_json::from_slice(&api).unwrap())
    }

    fn read(api: &Value) -> Self {
        let mut operations = Vec::new();
        for (path, item) in api["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let answers = operation["responses"].as_object().unwrap().iter();
                let answers = answers.map(|(status, told)| (status.parse().unwrap(), answer(told)));
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.split('/').map(str::to_owned).collect(),
                    answers: answers.collect(),
                });
            }
        }
        Self { operations }
    }

    /// Codes of every refusal that some operation documents.
    pub(crate) fn codes(&self) -> BTreeSet<String> {
        let answers = self.operations.iter().flat_map(|operation| operation.answers.values());
        answers.flat_map(|answer| answer.codes.clone()).collect()
    }

    fn check(&self, method: &Method, path: &str, got: &Response, problem: Option<&Value>) {
        // A HEAD is a GET whose body stays away (RFC 9110 §9.3.2).
        let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
        let (status, kind) = (got.status().as_u16(), essence(got.headers()));
        if let Some(problem) = problem {
            let language = got.headers().get(CONTENT_LANGUAGE).and_then(|l| l.to_str().ok());
            assert!(matches!(language, Some("en" | "ja")), "{method} {path}: {problem}");
        }
        let Some(operation) = self.find(method, path) else {
            // The page of the description, or nothing at all.
            let is_described = path.starts_with("/v1/") && path != "/v1/openapi.json";
            let is_none = matches!(status, 404 | 405 | 429);
            assert!(!is_described || is_none, "{method} {path} answers {status}, undocumented");
            return;
        };
        let Some(answer) = operation.answers.get(&status) else {
            panic!("{method} {path} answers {status}, which is not documented: {problem:?}");
        };
        let is_known = answer.media_types.iter().any(|known| known == kind);
        let is_bare = answer.media_types.is_empty() || kind.is_empty();
        assert!(is_known || is_bare, "{method} {path} answers {status} as {kind}, undocumented");
        if let Some(problem) = problem {
            let code = problem["code"].as_str().unwrap();
            let is_documented = answer.codes.iter().any(|known| known == code);
            assert!(is_documented, "{method} {path} answers {code}, undocumented: {problem}");
        }
    }

    /// The operation of a path; one that names it outright goes before one with a parameter.
    fn find(&self, method: &str, path: &str) -> Option<&Operation> {
        let parts: Vec<_> = path.split('/').collect();
        let fits = |operation: &&Operation| {
            operation.method == method
                && operation.path.len() == parts.len()
                && operation.path.iter().zip(&parts).all(|(known, part)| {
                    known == part || known.starts_with('{') && !part.is_empty()
                })
        };
        let free = |operation: &&Operation| {
            operation.path.iter().filter(|part| part.starts_with('{')).count()
        };
        self.operations.iter().filter(fits).min_by_key(free)
    }
}

fn answer(told: &Value) -> Answer {
    let content = told["content"].as_object();
    let media_types = content.iter().flat_map(|content| content.keys().cloned()).collect();
    let parts = told["content"][PROBLEM]["schema"]["allOf"].as_array();
    let parts = parts.into_iter().flatten();
    let codes = parts.filter_map(|part| part["properties"]["code"]["enum"].as_array());
    let codes = codes.flatten().map(|code| code.as_str().unwrap().to_owned()).collect();
    Answer { media_types, codes }
}
