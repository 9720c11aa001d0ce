//! The local page is safe: strangers get nothing and change nothing, and what reads changes nothing.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "page/village.rs"]
mod village;
#[path = "page/wire.rs"]
mod wire;

use std::sync::Arc;

use example_stego_cloud::ui::Ui;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use village::{Village, in_days};
use wire::{Answer, PATIENCE, send};

/// What reads, and what changes.
const READS: [&str; 8] = [
    "/api/me",
    "/api/catalog?text=cat&limit=3",
    "/api/preview/ben:1",
    "/api/inbox",
    "/api/grants",
    "/api/cover/grant-9",
    "/api/audit/grant-14",
    "/api/events?after=0",
];
const CHANGES: [&str; 6] = [
    "/api/publish?title=x",
    "/api/request",
    "/api/decide",
    "/api/view",
    "/api/extend",
    "/api/revoke",
];

/// A page with somebody who may use it.
struct Page {
    ui: Ui,
    village: Arc<Village>,
    host: String,
    origin: String,
    cookie: String,
    key: String,
}

impl Page {
    async fn open() -> Self {
        let village = Arc::new(Village::lively());
        let ui = Ui::open(village.clone(), 0).await.unwrap();
        let host = ui.address().to_string();
        let origin = format!("http://{host}");
        let link = ui.link();
        let token = link.strip_prefix(&format!("{origin}/#token=")).unwrap();
        let headers = [("host", host.as_str()), ("origin", origin.as_str())];
        let entered = send(
            ui.address(),
            "POST",
            "/api/session",
            &headers,
            token.as_bytes(),
        )
        .await;
        assert_eq!(entered.status, 200, "{}", entered.text());
        let set = entered.header("set-cookie").unwrap();
        for attribute in ["SameSite=Strict", "HttpOnly", "Path=/"] {
            assert!(set.contains(attribute), "{set}");
        }
        let cookie = set.split(';').next().unwrap().to_owned();
        let key = entered.text();
        Self {
            ui,
            village,
            host,
            origin,
            cookie,
            key,
        }
    }

    /// The headers of the page itself.
    fn own(&self) -> Vec<(&str, &str)> {
        vec![
            ("host", &self.host),
            ("origin", &self.origin),
            ("sec-fetch-site", "same-origin"),
            ("cookie", &self.cookie),
            ("x-stego-key", &self.key),
        ]
    }

    /// The same with one header set otherwise, or left out.
    fn but<'a>(&'a self, name: &'a str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
        let mut headers = self.own();
        headers.retain(|(found, _)| *found != name);
        headers.extend(value.map(|value| (name, value)));
        headers
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        send(self.ui.address(), method, path, headers, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &self.own(), b"").await
    }

    async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        let mut headers = self.own();
        headers.push(("content-type", "application/json"));
        self.send("POST", path, &headers, body.to_string().as_bytes())
            .await
    }

    /// A body for each change that would be carried out.
    fn body(&self, path: &str) -> Vec<u8> {
        let days = in_days(1);
        let body = match path.split('?').next().unwrap() {
            "/api/publish" => return village::png(&village::coffee()).bytes.to_vec(),
            "/api/request" => json!({ "image": "ben:1", "views": 2 }),
            "/api/decide" => json!({ "request": "request-7", "answer": { "reject": {} } }),
            "/api/view" => json!({ "grant": "grant-9", "attempt": "a1" }),
            "/api/extend" => json!({ "grant": "grant-14", "views": 9, "expires_ms": days }),
            _ => json!({ "grant": "grant-14" }),
        };
        body.to_string().into_bytes()
    }

    /// Insists that all requests with `headers` are refused, and change nothing.
    async fn refuses(&self, why: &str, headers: &[(&str, &str)]) {
        let before = self.village.fingerprint();
        for path in READS {
            let answer = self.send("GET", path, headers, b"").await;
            assert_eq!(answer.status, 403, "{why}: GET {path}");
        }
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/json"));
        for path in CHANGES {
            let answer = self.send("POST", path, &headers, &self.body(path)).await;
            assert_eq!(answer.status, 403, "{why}: POST {path}");
            assert!(answer.body.len() < 200, "{why}: {}", answer.text());
        }
        assert_eq!(self.village.fingerprint(), before, "{why}");
    }
}

#[tokio::test]
async fn row_15_a_foreign_host_gets_nothing() {
    let page = Page::open().await;
    let port = page.ui.address().port();

    for host in [
        None,
        Some("evil.example".to_owned()),
        Some(format!("evil.example:{port}")),
        Some(format!("localhost:{port}")),
        Some("127.0.0.1".to_owned()),
        Some(format!("127.0.0.1:{port}@evil.example")),
    ] {
        let headers = page.but("host", host.as_deref());
        page.refuses(&format!("host {host:?}"), &headers).await;
        let files = page.send("GET", "/", &headers, b"").await;
        assert_eq!(files.status, 403, "{host:?}");
    }
    let mut twice = page.own();
    twice.push(("host", "evil.example"));
    let answer = page.send("GET", "/api/me", &twice, b"").await;
    assert!(matches!(answer.status, 400 | 403), "{}", answer.status);
}

#[tokio::test]
async fn row_15_a_foreign_origin_gets_nothing() {
    let page = Page::open().await;

    for origin in [
        "null",
        "http://evil.example",
        "http://127.0.0.1:1",
        "https://127.0.0.1",
    ] {
        page.refuses(origin, &page.but("origin", Some(origin)))
            .await;
    }
    for site in ["cross-site", "same-site", "nonsense"] {
        page.refuses(site, &page.but("sec-fetch-site", Some(site)))
            .await;
    }
}

#[tokio::test]
async fn row_15_without_cookie_or_key_there_is_nothing() {
    let page = Page::open().await;
    let other = Page::open().await;
    let wrong = format!("{}=x", page.cookie.split('=').next().unwrap());

    for cookie in [
        None,
        Some(wrong.as_str()),
        Some(other.cookie.as_str()),
        Some(""),
    ] {
        page.refuses(&format!("cookie {cookie:?}"), &page.but("cookie", cookie))
            .await;
    }
    for key in [None, Some(""), Some("x"), Some(other.key.as_str())] {
        page.refuses(&format!("key {key:?}"), &page.but("x-stego-key", key))
            .await;
    }
}

#[tokio::test]
async fn row_15_what_changes_something_needs_to_say_where_it_comes_from() {
    let page = Page::open().await;
    let before = page.village.fingerprint();
    let mut headers = page.but("origin", None);
    headers.push(("content-type", "application/json"));

    for path in CHANGES {
        let answer = page.send("POST", path, &headers, &page.body(path)).await;
        assert_eq!(answer.status, 403, "{path}");
    }

    assert_eq!(page.village.fingerprint(), before);
}

#[tokio::test]
async fn row_15_no_get_changes_anything() {
    let page = Page::open().await;
    let before = page.village.fingerprint();

    for path in CHANGES {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let answer = page.send(method, path, &page.own(), &page.body(path)).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("POST"));
        }
    }
    for path in READS.iter().filter(|path| !path.contains("events")) {
        assert_eq!(page.get(path).await.status, 200, "{path}");
        let posted = page.send("POST", path, &page.own(), b"").await;
        assert_eq!(posted.status, 405, "{path}");
    }
    for path in ["/", "/app.js", "/api/session"] {
        let answer = page.send("DELETE", path, &page.own(), b"").await;
        assert_eq!(answer.status, 405, "{path}");
    }

    assert_eq!(page.village.fingerprint(), before);
}

#[tokio::test]
async fn row_15_a_form_of_another_page_cannot_speak_for_this_one() {
    let page = Page::open().await;
    let before = page.village.fingerprint();

    // What a form can send at most, if all else failed.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        for path in ["/api/request", "/api/view", "/api/revoke"] {
            let mut headers = page.own();
            headers.push(("content-type", kind));
            let answer = page.send("POST", path, &headers, &page.body(path)).await;
            assert_eq!(answer.status, 422, "{kind} {path}");
        }
    }

    assert_eq!(page.village.fingerprint(), before);
}

#[tokio::test]
async fn row_15_a_link_lets_in_one_browser_once() {
    let page = Page::open().await;
    let link = page.ui.link();
    let token = link.split_once("#token=").unwrap().1;
    let enter = |token: String| {
        let page = &page;
        let headers = [
            ("host", page.host.as_str()),
            ("origin", page.origin.as_str()),
        ];
        async move {
            page.send("POST", "/api/session", &headers, token.as_bytes())
                .await
                .status
        }
    };
    assert_eq!(enter(String::new()).await, 403);
    assert_eq!(enter("x".repeat(43)).await, 403);
    assert_eq!(enter("x".repeat(100_000)).await, 403);
    assert_eq!(enter(token.to_owned()).await, 200);
    assert_eq!(enter(token.to_owned()).await, 403);
    let foreign = [
        ("host", page.host.as_str()),
        ("origin", "http://evil.example"),
    ];
    let fresh = page.ui.link();
    let token = fresh.split_once("#token=").unwrap().1;
    let answer = page
        .send("POST", "/api/session", &foreign, token.as_bytes())
        .await;
    assert_eq!(answer.status, 403);
    assert!(answer.header("set-cookie").is_none());
}

#[tokio::test]
async fn every_answer_keeps_the_browser_to_this_page() {
    let page = Page::open().await;

    for path in [
        "/",
        "/app.js",
        "/style.css",
        "/icon.svg",
        "/nothing",
        "/api/me",
        "/api/nothing",
    ] {
        let answer = page.get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "script-src 'self'",
            "form-action 'none'",
        ] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    let page = page.get("/").await.text();
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "it loads from elsewhere"
    );
    assert!(
        !page.contains("style=") && !page.contains("onclick"),
        "the policy forbids these"
    );
}

#[tokio::test]
async fn a_view_is_spent_once_for_each_attempt() {
    let page = Page::open().await;
    let look = |attempt: &str| json!({ "grant": "grant-9", "attempt": attempt });

    let first = page.post("/api/view", &look("a")).await;
    let again = page.post("/api/view", &look("a")).await;
    let second = page.post("/api/view", &look("b")).await;
    let third = page.post("/api/view", &look("c")).await;

    let number = |answer: &Answer| answer.header("x-stego-view").map(str::to_owned);
    assert_eq!(number(&first).unwrap(), r#"{"number":2,"of":3}"#);
    assert_eq!(number(&again), number(&first));
    assert_eq!(number(&second).unwrap(), r#"{"number":3,"of":3}"#);
    assert_eq!(first.header("content-type"), Some("image/png"));
    assert_eq!(third.json(), json!({ "over": "exhausted" }));
    assert_eq!(page.get("/api/cover/grant-9").await.status, 200);
}

#[tokio::test]
async fn what_becomes_public_is_told_before_and_as_it_is() {
    let page = Page::open().await;
    let before = page.village.fingerprint();
    let mut file = Vec::from(include_bytes!("../assets/cat.jpg").as_slice());
    file.splice(2..2, *b"\xff\xe1\x00\x10Exif\0\0secrets!");
    let path = "/api/publish?title=A%20caf%C3%A9%20cat&preview=thumbnail&visibility=public";

    let told = page
        .send("POST", &format!("{path}&dry=1"), &page.own(), &file)
        .await;
    assert_eq!(page.village.fingerprint(), before);
    let done = page.send("POST", path, &page.own(), &file).await;

    let (told, mut done) = (told.json(), done.json());
    assert_eq!(told["title"], "A café cat");
    assert_eq!(told["left_out"].as_array().unwrap().len(), 2);
    assert_eq!(told["preview_picture"]["kind"], "image/png");
    assert!(told["image"].is_null() && done["image"].is_string());
    done["image"] = serde_json::Value::Null;
    assert_eq!(told, done);
    let found = page.get("/api/catalog?text=caf%C3%A9").await.json();
    assert_eq!(found["offers"][0]["title"], "A café cat");
}

#[tokio::test]
async fn bodies_are_bounded_and_errors_say_what_is_wrong() {
    let page = Page::open().await;
    let before = page.village.fingerprint();

    let huge = page
        .post(
            "/api/request",
            &json!({ "image": "ben:1", "views": 1, "note": "x".repeat(70_000) }),
        )
        .await;
    let unknown = page
        .post("/api/revoke", &json!({ "grant": "g", "all": true }))
        .await;
    let strange = page
        .post("/api/revoke", &json!({ "grant": "../../etc/passwd" }))
        .await;
    let missing = page
        .post("/api/revoke", &json!({ "grant": "grant-999" }))
        .await;
    let no_picture = page
        .send("POST", "/api/publish?title=x", &page.own(), b"#!/bin/sh")
        .await;
    let preview = page
        .send("POST", "/api/publish?preview=all", &page.own(), b"")
        .await;
    let large = {
        // Only told of: nothing of it is sent, and nothing of it is waited for.
        let mut socket = TcpStream::connect(page.ui.address()).await.unwrap();
        let mut head = "POST /api/publish?title=x HTTP/1.1\r\n".to_owned();
        for (name, value) in page.own() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("content-length: 999999999\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(socket);
        tokio::time::timeout(PATIENCE, reader.read_line(&mut line))
            .await
            .unwrap()
            .unwrap();
        line
    };

    assert_eq!(huge.status, 413);
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
    for (answer, status, word) in [
        (unknown, 422, "all"),
        (strange, 422, "id"),
        (missing, 404, "grant"),
        (no_picture, 422, "picture"),
        (preview, 422, "all"),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text());
        let message = answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains(word), "{message}");
    }
    assert_eq!(page.village.fingerprint(), before);
}

#[tokio::test]
async fn a_page_that_was_away_is_told_what_it_missed() {
    let page = Page::open().await;
    let mut first = Listening::after(&page, "").await;
    let (cursor, _) = first.message().await;
    drop(first);

    page.village.ask("clara", "My cat, asleep", 1, "");
    let mut second = Listening::after(&page, &format!("?after={cursor}")).await;
    let (missed, events) = second.message().await;
    page.village.ask("ben", "My cat, asleep", 1, "");
    let (_, live) = second.message().await;
    let mut third = Listening::after(&page, "?after=no-such").await;
    let (_, all) = third.message().await;

    assert_ne!(missed, cursor);
    assert_eq!(events[0]["topic"], "inbox");
    assert!(
        events[0]["text"]
            .as_str()
            .unwrap()
            .starts_with("clara asks")
    );
    assert!(live[0]["text"].as_str().unwrap().starts_with("ben asks"));
    assert_eq!(all[0]["topic"], "all");
}

/// A stream of events.
struct Listening(BufReader<TcpStream>);

impl Listening {
    async fn after(page: &Page, query: &str) -> Self {
        let mut socket = TcpStream::connect(page.ui.address()).await.unwrap();
        let mut head = format!("GET /api/events{query} HTTP/1.1\r\n");
        for (name, value) in page.own() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        socket
            .write_all(format!("{head}\r\n").as_bytes())
            .await
            .unwrap();
        Self(BufReader::new(socket))
    }

    /// The next message: its cursor and its events.
    async fn message(&mut self) -> (String, serde_json::Value) {
        let mut cursor = String::new();
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(PATIENCE, self.0.read_line(&mut line));
            assert!(read.await.unwrap().unwrap() > 0, "the stream ended");
            if let Some(id) = line.strip_prefix("id: ") {
                cursor = id.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (cursor, serde_json::from_str(data).unwrap());
            }
        }
    }
}
