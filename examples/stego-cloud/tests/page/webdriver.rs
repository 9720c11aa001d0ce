//! Drives a real browser: chromedriver, spoken to as W3C WebDriver says.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::wire::{PATIENCE, send};

/// How WebDriver marks an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window, which ends when it is dropped.
pub(crate) struct Browser {
    driver: Child,
    at: SocketAddr,
    session: String,
    profile: tempfile::TempDir,
}

/// How a browser is to look.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
}

/// A program on the path, or where the variable says.
fn program(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        return Some(path.into());
    }
    let path = env::var_os("PATH")?;
    let mut places =
        env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    places.find(|place| place.is_file())
}

impl Browser {
    /// Starts a browser; `None`, and a line that says so, where there is none.
    pub(crate) async fn start(look: Look) -> Option<Self> {
        let browser = program(
            "CHROMIUM",
            &["chromium", "chromium-browser", "google-chrome"],
        );
        let driver = program("CHROMEDRIVER", &["chromedriver"]);
        let (Some(browser), Some(driver)) = (browser, driver) else {
            eprintln!(
                "skipped: no Chromium with its chromedriver is installed (Debian: packages `chromium` and \
                 `chromium-driver`; elsewhere set CHROMIUM and CHROMEDRIVER)"
            );
            return None;
        };
        Some(Self::with(&driver, &browser, look).await)
    }

    async fn with(driver: &Path, browser: &Path, look: Look) -> Self {
        let mut child = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            let read = said.read_line(&mut line).unwrap();
            assert!(read > 0, "chromedriver ended before it started");
            let told = line.trim().trim_end_matches('.');
            if let Some((_, port)) = told.split_once("started successfully on port ") {
                break port.parse().unwrap();
            }
        };
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        // It goes on talking: somebody must listen.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let profile = tempfile::tempdir().unwrap();
        let mut arguments = vec![
            "--headless=new".to_owned(),
            // As root, which containers of tests often are, there is no sandbox.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--lang=en-GB".to_owned(),
            format!("--window-size={},{}", look.width.max(500), look.height),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        if look.dark {
            arguments.push("--force-dark-mode".to_owned());
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "binary": browser, "args": arguments },
        } } });
        let mut made = Self {
            driver: child,
            at,
            session: String::new(),
            profile,
        };
        let session = made
            .ask("POST", "", &wanted)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        made.session = session["sessionId"].as_str().unwrap().to_owned();
        // A window has a least width; a phone is narrower.
        let metrics = json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 500 });
        made.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let scheme = if look.dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        made.devtools("Emulation.setEmulatedMedia", media).await;
        made
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let session = if self.session.is_empty() {
            "/session".to_owned()
        } else {
            format!("/session/{}", self.session)
        };
        let host = self.at.to_string();
        let headers = [
            ("host", host.as_str()),
            ("content-type", "application/json"),
        ];
        let body = if method == "GET" {
            String::new()
        } else {
            body.to_string()
        };
        let answer = send(
            self.at,
            method,
            &format!("{session}{path}"),
            &headers,
            body.as_bytes(),
        )
        .await;
        let mut told = answer.json();
        if answer.status == 200 {
            Ok(told["value"].take())
        } else {
            Err(format!(
                "{path}: {}",
                told["value"]["message"].as_str().unwrap_or_default()
            ))
        }
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        let body = json!({ "cmd": command, "params": params });
        self.ask("POST", "/goog/cdp/execute", &body).await.unwrap()
    }

    pub(crate) async fn open(&self, address: &str) {
        self.ask("POST", "/url", &json!({ "url": address }))
            .await
            .unwrap();
    }

    /// Runs a script in the page, and gives what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.ask(
            "POST",
            "/execute/sync",
            &json!({ "script": script, "args": [] }),
        )
        .await
        .unwrap()
    }

    /// Waits until an expression of the page is true.
    pub(crate) async fn until(&self, what: &str, expression: &str) {
        let until = tokio::time::Instant::now() + PATIENCE;
        let script = format!("return Boolean({expression})");
        loop {
            if self.run(&script).await == json!(true) {
                return;
            }
            if tokio::time::Instant::now() > until {
                let text = self.run("return document.body.innerText").await;
                panic!(
                    "not within {PATIENCE:?}: {what}; the page says:\n{}\n{:?}",
                    text.as_str().unwrap_or_default(),
                    self.complaints().await
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The element that `selector` finds, once it is there and seen.
    async fn find(&self, selector: &str) -> String {
        let quoted = json!(selector);
        self.until(
            selector,
            &format!("document.querySelector({quoted})?.checkVisibility()"),
        )
        .await;
        let found = self
            .ask(
                "POST",
                "/element",
                &json!({ "using": "css selector", "value": selector }),
            )
            .await
            .unwrap();
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Presses what `selector` finds, as a mouse does.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        let path = format!("/element/{element}/click");
        self.ask("POST", &path, &json!({})).await.unwrap();
    }

    /// Types into what `selector` finds; into a field for files, their paths.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) {
        let element = match selector.contains("#file") {
            // It is there without being seen: the frame around it is what one sees.
            true => {
                let found = self
                    .ask(
                        "POST",
                        "/element",
                        &json!({ "using": "css selector", "value": selector }),
                    )
                    .await
                    .unwrap();
                found[ELEMENT].as_str().unwrap().to_owned()
            }
            false => self.find(selector).await,
        };
        let path = format!("/element/{element}/value");
        self.ask("POST", &path, &json!({ "text": text }))
            .await
            .unwrap();
    }

    /// Presses keys, wherever the focus is.
    pub(crate) async fn keys(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                [
                    json!({ "type": "keyDown", "value": key.to_string() }),
                    json!({ "type": "keyUp", "value": key.to_string() }),
                ]
            })
            .collect();
        let body = json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] });
        self.ask("POST", "/actions", &body).await.unwrap();
    }

    /// What the browser complained of: errors of scripts, and what the policy forbade.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self
            .ask("POST", "/se/log", &json!({ "type": "browser" }))
            .await
            .unwrap();
        let entries = entries.as_array().cloned().unwrap_or_default();
        let texts = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        texts
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Keeps a picture of the page in the folder `STEGO_SCREENSHOTS`, if that is set.
    pub(crate) async fn screenshot(&self, name: &str) {
        let Some(folder) = env::var_os("STEGO_SCREENSHOTS") else {
            return;
        };
        let picture = self.ask("GET", "/screenshot", &Value::Null).await.unwrap();
        let bytes = BASE64.decode(picture.as_str().unwrap().as_bytes()).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(PathBuf::from(folder).join(format!("{name}.png")), bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // chromedriver ends its browsers when it is asked to, and only then.
        let (at, session) = (self.at, self.session.clone());
        let closing = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let Ok(mut socket) = std::net::TcpStream::connect(at) else {
                return;
            };
            let _ = socket.set_read_timeout(Some(PATIENCE));
            let _ = write!(
                socket,
                "DELETE /session/{session} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
            // The answer comes when the browser has ended. The connection stays open.
            let _ = socket.read(&mut [0; 512]);
        });
        let _ = closing.join();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = self.profile.path();
    }
}
