//! An imitation of a KV engine of version 2 on loopback, strict about what it accepts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tiny_http::{Header, Method, Request, Response, Server};

/// The token that the engine accepts.
pub const TOKEN: &str = "s.valid";

/// A fault of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The connection is closed before anything is done.
    Lost,
    /// It is done, and the connection is closed without an answer.
    Unanswered,
    /// This status with these words.
    Status(u16, &'static str),
    /// A redirect to the same path after `leader`.
    Redirect,
}

#[derive(Clone, Default)]
struct Version {
    data: Value,
    is_deleted: bool,
    is_destroyed: bool,
}

#[derive(Default)]
pub struct State {
    /// The beginning of the addresses to which a redirect points.
    pub leader: String,
    entries: BTreeMap<String, (Vec<Version>, BTreeMap<String, String>)>,
    /// Method and path of each request, with the token's first letters.
    pub requests: Vec<String>,
    /// For the next requests to `secret/`, in order.
    pub faults: VecDeque<Fault>,
    /// The token that a login gives; with one, only that is accepted.
    pub login_token: Option<String>,
    /// What `sys/capabilities-self` says; `None` refuses to say it.
    pub capabilities: Option<Vec<&'static str>>,
    /// Refuses all writes.
    pub is_read_only: bool,
    /// The version of the mount.
    pub mount_version: &'static str,
    /// Whether the engine knows PATCH.
    pub has_patch: bool,
    /// Whether lists can have details, as in OpenBao.
    pub has_details: bool,
}

impl State {
    pub fn versions(&self, path: &str) -> usize {
        self.entries.get(path).map_or(0, |(versions, _)| versions.len())
    }

    pub fn custom_metadata(&self, path: &str) -> BTreeMap<String, String> {
        self.entries[path].1.clone()
    }

    pub fn set_custom_metadata(&mut self, path: &str, name: &str, value: &str) {
        self.entries.get_mut(path).unwrap().1.insert(name.into(), value.into());
    }

    fn metadata(&self, path: &str) -> Option<Value> {
        let (versions, custom) = self.entries.get(path)?;
        Some(json!({ "current_version": versions.len(), "custom_metadata": custom }))
    }

    fn names_in(&self, folder: &str) -> Vec<String> {
        let folder = format!("{folder}/");
        let below = self.entries.keys().filter_map(|path| path.strip_prefix(&folder));
        let mut names: Vec<_> = below
            .map(|rest| match rest.split_once('/') {
                Some((folder, _)) => format!("{folder}/"),
                None => percent_decode(rest),
            })
            .collect();
        names.dedup();
        names
    }

    pub fn write(&mut self, path: &str, key: &str) {
        let version = Version { data: json!({ "key": key }), ..Version::default() };
        self.entries.entry(path.into()).or_default().0.push(version);
    }

    pub fn remove(&mut self, path: &str) {
        self.entries.remove(path);
    }

    pub fn delete_version(&mut self, path: &str, destroy: bool) {
        let version = self.entries.get_mut(path).unwrap().0.last_mut().unwrap();
        (version.is_deleted, version.is_destroyed) = (true, destroy);
    }
}

pub struct FakeEngine {
    pub address: String,
    pub state: Arc<Mutex<State>>,
}

impl FakeEngine {
    pub fn start() -> Self {
        let server = Server::http("127.0.0.1:0").unwrap();
        let address = format!("http://{}", server.server_addr());
        let state = Arc::new(Mutex::new(State {
            capabilities: Some(vec!["create", "read", "update", "delete", "list"]),
            mount_version: "2",
            has_patch: true,
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for request in server.incoming_requests() {
                serve(request, &mut shared.lock().unwrap());
            }
        });
        Self { address, state }
    }

    pub fn edit<T>(&self, edit: impl FnOnce(&mut State) -> T) -> T {
        edit(&mut self.state.lock().unwrap())
    }
}

fn header(request: &Request, name: &str) -> String {
    let found = request
        .headers()
        .iter()
        .find(|header| header.field.as_str().as_str().eq_ignore_ascii_case(name));
    found.map(|header| header.value.to_string()).unwrap_or_default()
}

fn serve(mut request: Request, state: &mut State) {
    let mut body = String::new();
    request.as_reader().read_to_string(&mut body).unwrap();
    let url = request.url().to_owned();
    state.requests.push(format!("{} {url}", request.method()));
    let fault = if url.starts_with("/v1/secret/") { state.faults.pop_front() } else { None };
    if fault == Some(Fault::Lost) {
        drop(request.into_writer());
        return;
    }
    if fault == Some(Fault::Redirect) {
        let location = Header::from_bytes("location", format!("{}{url}", state.leader)).unwrap();
        let _ = request.respond(Response::empty(307).with_header(location));
        return;
    }
    let (status, answer) = match fault {
        Some(Fault::Status(status, words)) => error(status, words),
        _ => answer(&request, &url, &body, state),
    };
    if fault == Some(Fault::Unanswered) {
        drop(request.into_writer());
        return;
    }
    let json = Header::from_bytes("content-type", "application/json").unwrap();
    let text = if status == 204 { String::new() } else { answer.to_string() };
    let _ = request.respond(Response::from_string(text).with_status_code(status).with_header(json));
}

fn error(status: u16, words: &str) -> (u16, Value) {
    let errors: Vec<_> = if words.is_empty() { Vec::new() } else { vec![words] };
    (status, json!({ "errors": errors }))
}

fn answer(request: &Request, url: &str, body: &str, state: &mut State) -> (u16, Value) {
    assert_eq!(header(request, "x-vault-request"), "true");
    let path = url.strip_prefix("/v1/").unwrap();
    if path == "auth/approle/login" {
        let login: Value = serde_json::from_str(body).unwrap();
        return match (login["role_id"].as_str(), login["secret_id"].as_str()) {
            (Some("role"), Some("secret")) => {
                let token = format!("s.login{}", state.requests.len());
                state.login_token = Some(token.clone());
                (200, json!({ "auth": { "client_token": token, "lease_duration": 60 } }))
            }
            _ => error(400, "invalid role or secret ID"),
        };
    }
    let token = header(request, "x-vault-token");
    if token != state.login_token.as_deref().unwrap_or(TOKEN) {
        return error(403, "permission denied");
    }
    match path {
        "auth/token/lookup-self" => {
            (200, json!({ "data": { "policies": ["default"], "ttl": 60 } }))
        }
        "sys/capabilities-self" => match &state.capabilities {
            None => error(403, "permission denied"),
            Some(names) => {
                let asked: Value = serde_json::from_str(body).unwrap();
                let path = asked["paths"][0].as_str().unwrap().to_owned();
                (200, json!({ "data": { path: names } }))
            }
        },
        "sys/internal/ui/mounts/secret" => {
            let options = json!({ "version": state.mount_version });
            (200, json!({ "data": { "type": "kv", "options": options } }))
        }
        _ => entry_answer(request.method(), path, body, state),
    }
}

fn entry_answer(method: &Method, path: &str, body: &str, state: &mut State) -> (u16, Value) {
    if state.mount_version == "1" {
        // It stores what it gets under any path.
        return if *method == Method::Post { (204, Value::Null) } else { error(404, "") };
    }
    let is_write = matches!(method, Method::Post | Method::Patch | Method::Delete);
    if is_write && state.is_read_only {
        return error(403, "1 error occurred: permission denied");
    }
    let (kind, name) = path.strip_prefix("secret/").unwrap().split_once('/').unwrap();
    let sent: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    match (kind, method) {
        ("data", Method::Get) => match state.entries.get(name) {
            Some((versions, custom)) if !versions.is_empty() => {
                let last = versions.last().unwrap();
                let metadata = json!({
                    "version": versions.len(), "destroyed": last.is_destroyed,
                    "custom_metadata": custom, "created_time": "2026-01-01T00:00:00.5Z",
                    "deletion_time": if last.is_deleted { "2026-01-02T00:00:00Z" } else { "" },
                });
                if last.is_deleted {
                    return (404, json!({ "data": { "data": null, "metadata": metadata } }));
                }
                (200, json!({ "data": { "data": last.data, "metadata": metadata } }))
            }
            _ => error(404, ""),
        },
        ("data", Method::Post) => {
            // Each write has a `cas`.
            if sent["options"]["cas"].as_u64() != Some(state.versions(name) as u64) {
                return error(400, "check-and-set parameter did not match the current version");
            }
            let entry = state.entries.entry(name.into()).or_default();
            entry.0.push(Version { data: sent["data"].clone(), ..Version::default() });
            (200, json!({ "data": { "version": entry.0.len() } }))
        }
        ("metadata", Method::Get) if name.ends_with("?list=true") => {
            match state.names_in(name.trim_end_matches("?list=true")) {
                names if names.is_empty() => error(404, ""),
                names => (200, json!({ "data": { "keys": names } })),
            }
        }
        ("detailed-metadata", Method::Get) if state.has_details => {
            let (folder, query) = name.split_once('?').unwrap();
            let query: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).collect();
            assert_eq!(query["list"], "true");
            let mut keys = state.names_in(folder);
            keys.sort();
            keys.retain(|name| name.as_str() > &*query["after"]);
            keys.truncate(query["limit"].parse().unwrap());
            let info = |name: &String| match state.metadata(&format!("{folder}/{name}")) {
                Some(metadata) => (name.clone(), metadata),
                None => (name.clone(), json!({})),
            };
            let all: BTreeMap<_, _> = keys.iter().map(info).collect();
            (200, json!({ "data": { "keys": keys, "key_info": all } }))
        }
        ("metadata", Method::Get) => match state.metadata(name) {
            Some(metadata) => (200, json!({ "data": metadata })),
            None => error(404, ""),
        },
        ("metadata", Method::Patch) if !state.has_patch => error(405, "unsupported operation"),
        ("metadata", Method::Patch | Method::Post) => {
            let Some((_, custom)) = state.entries.get_mut(name) else { return error(404, "") };
            if *method == Method::Post {
                custom.clear();
            }
            for (field, value) in sent["custom_metadata"].as_object().unwrap() {
                match value.as_str() {
                    Some(value) => drop(custom.insert(field.clone(), value.into())),
                    None => drop(custom.remove(field)),
                }
            }
            (204, Value::Null)
        }
        ("metadata", Method::Delete) => {
            state.entries.remove(name);
            (204, Value::Null)
        }
        _ => error(405, "unsupported operation"),
    }
}

/// Decodes a path of the URL, as a server does.
fn percent_decode(text: &str) -> String {
    let url = url::Url::parse(&format!("http://h/?{}", text.replace('+', "%2B"))).unwrap();
    url.query_pairs().next().unwrap().0.into_owned()
}
