//! Alice and Bob as the demonstration leaves them, each with their page: a process with a cloud of three
//! nodes and two peers, used over HTTP and in a browser for each.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
    time::{sleep, timeout},
};

use super::{
    support::{DEADLINE, program},
    webdriver::{Browser, Look},
    wire::send,
};

const DESK: Look = Look {
    width: 1200,
    height: 900,
    dark: false,
};
const PHONE: Look = Look {
    width: 390,
    height: 844,
    dark: true,
};

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

const ESCAPE: &str = "\u{e00c}";

const CANVAS_IS_DRAWN: &str = "(() => { const c = document.querySelector('.viewer canvas'); if (!c || c.hidden || !c.width) return false; \
     const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return new Set(d).size > 20; })()";

/// The program that serves both.
pub(crate) struct Couple {
    program: Child,
    alice: String,
    bob: String,
}

impl Couple {
    /// Starts them again from the folder of the demonstration.
    pub(crate) async fn start(folder: &Path, out: &Path) -> Self {
        let out = out.to_str().unwrap();
        let mut ui = program(folder, ["ui", "--story", out, "--json"]);
        let mut program = ui.stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdout = BufReader::new(program.stdout.take().unwrap()).lines();
        let line = timeout(DEADLINE, stdout.next_line()).await;
        let line = line.expect("starts in time").unwrap().expect("links");
        let links: Value = serde_json::from_str(&line).unwrap();
        let link = |place: usize, handle: &str| {
            let page = &links["pages"][place];
            assert_eq!(page["handle"], handle, "{links}");
            page["link"].as_str().unwrap().to_owned()
        };
        Self {
            alice: link(0, "alice"),
            bob: link(1, "bob"),
            program,
        }
    }

    /// The two pages are of two people; of each other's they see what they may.
    pub(crate) async fn each_sees_their_own(&self) {
        let (alice, bob) = (Session::of(&self.alice).await, Session::of(&self.bob).await);
        for (session, handle) in [(&alice, "alice"), (&bob, "bob")] {
            let me = timeout(DEADLINE, session.me_online()).await;
            assert_eq!(me.expect("online in time")["handle"], handle);
        }
        let inbox = alice.get("inbox").await;
        assert_eq!(inbox[0]["note"], "One more time?", "{inbox}");
        assert_eq!(bob.get("inbox").await, Value::Array(Vec::new()));
        let grants = bob.get("grants").await;
        let states: Vec<&str> = grants["mine"]
            .as_array()
            .unwrap()
            .iter()
            .map(|grant| grant["state"].as_str().unwrap())
            .collect();
        assert_eq!(states, ["requested", "revoked"]);
        let revoked = grants["mine"][1]["grant"].as_str().unwrap();
        let audit = alice.get(&format!("audit/{revoked}")).await;
        let looks = audit.as_array().unwrap().iter();
        let looks = looks.filter(|entry| {
            entry["what"].as_str().unwrap().starts_with("looked") && entry["who"]["handle"] == "bob"
        });
        assert_eq!(looks.count(), 3, "{audit}");
        let again = Session::enter(&self.alice).await;
        assert_eq!(
            again.err(),
            Some(403),
            "a link that was used lets nobody else in"
        );
    }

    /// Alice offers a picture, Bob asks, she allows fewer, he looks twice, and then sees the cover. Each
    /// does so on their own page, Bob on a phone. Skipped where there is no browser.
    pub(crate) async fn share(&self, picture: &Path) {
        let Some(alice) = Browser::start(DESK).await else {
            return;
        };
        let Some(bob) = Browser::start(PHONE).await else {
            return;
        };
        for (browser, link) in [(&alice, &self.alice), (&bob, &self.bob)] {
            browser.open(link).await;
            let connected = "document.querySelector('#live.on')";
            browser.until("a connection", connected).await;
        }
        alice.screenshot("cloud-gallery").await;
        offers(&alice, picture).await;
        asks(&bob).await;
        allows_fewer(&alice).await;
        looks_twice(&bob).await;
        sees_the_cover(&bob).await;
        sees_who_looked(&alice).await;
        for browser in [&alice, &bob] {
            assert_eq!(browser.complaints().await, [""; 0]);
        }
    }

    /// Asks the program to end, as Ctrl-C does, and insists that it does so in good order.
    pub(crate) async fn end(mut self) {
        let id = self.program.id().unwrap().to_string();
        let asked = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(asked.success());
        let ended = timeout(DEADLINE, self.program.wait()).await;
        let ended = ended.expect("ends in time").unwrap();
        assert_eq!(ended.code(), Some(0));
    }
}

/// A browser as far as the page's program knows, let in by a link.
struct Session {
    at: SocketAddr,
    cookie: String,
    key: String,
}

impl Session {
    async fn of(link: &str) -> Self {
        Self::enter(link).await.unwrap()
    }

    /// The status of the answer if it is refused.
    async fn enter(link: &str) -> Result<Self, u16> {
        let (address, token) = link.split_once("/#token=").unwrap();
        let at: SocketAddr = address.strip_prefix("http://").unwrap().parse().unwrap();
        let headers = headers_of(at);
        let headers: Vec<(&str, &str)> = pairs(&headers);
        let entered = send(at, "POST", "/api/session", &headers, token.as_bytes()).await;
        if entered.status != 200 {
            return Err(entered.status);
        }
        let cookie = entered.header("set-cookie").unwrap();
        Ok(Self {
            at,
            cookie: cookie.split(';').next().unwrap().to_owned(),
            key: entered.text(),
        })
    }

    /// Who the page is of, as soon as the cloud is there: it may just be linked anew.
    async fn me_online(&self) -> Value {
        loop {
            let me = self.get("me").await;
            if me["online"] == true {
                return me;
            }
            sleep(PAUSE).await;
        }
    }

    async fn get(&self, path: &str) -> Value {
        let headers = headers_of(self.at);
        let mut headers = pairs(&headers);
        headers.push(("cookie", &self.cookie));
        headers.push(("x-stego-key", &self.key));
        let answer = send(self.at, "GET", &format!("/api/{path}"), &headers, b"").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

fn headers_of(at: SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("host", at.to_string()),
        ("origin", format!("http://{at}")),
        ("sec-fetch-site", "same-origin".to_owned()),
    ]
}

fn pairs<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    let pairs = headers.iter();
    pairs.map(|(name, value)| (*name, value.as_str())).collect()
}

async fn offers(alice: &Browser, picture: &Path) {
    alice.click("nav a[href='#publish']").await;
    alice.type_into("#file", picture.to_str().unwrap()).await;
    alice.type_into("#title", "The cat again").await;
    alice.click("input[value='thumbnail']").await;
    let rehearsed = "document.querySelector('.rehearsal dl')?.innerText.includes('The cat again') \
                     && document.querySelector('.rehearsal dl').innerText.includes('a small picture')";
    alice
        .until("the rehearsal of what is chosen", rehearsed)
        .await;
    alice.screenshot("cloud-publish").await;
    alice.click("#publish-now").await;
    let offered = "document.querySelector('.card h2')?.textContent === 'The cat again'";
    alice.until("it among the offers", offered).await;
    let seen = "document.querySelector('.card img')?.naturalWidth > 0";
    alice.until("its preview", seen).await;
    alice.screenshot("cloud-gallery-offered").await;
}

async fn asks(bob: &Browser) {
    let button = "[aria-label='Ask alice for views of The cat again']";
    bob.until(
        "what Alice offers, without being asked to look",
        &format!("document.querySelector(\"{button}\")"),
    )
    .await;
    bob.screenshot("cloud-phone-gallery").await;
    bob.click(button).await;
    bob.run("document.querySelector('dialog input[name=views]').value = '3'")
        .await;
    bob.type_into("dialog textarea", "For breakfast").await;
    bob.screenshot("cloud-phone-ask").await;
    bob.click("dialog .primary").await;
    let asked = "document.querySelector('.card .state.requested')";
    bob.until("a request under way", asked).await;
}

async fn allows_fewer(alice: &Browser) {
    alice.click("nav a[href='#inbox']").await;
    let form = "form:has([aria-label^='Reject the request of bob for The cat again'])";
    alice
        .until(
            "Bob's request",
            &format!("document.querySelector(\"{form}\")"),
        )
        .await;
    alice.screenshot("cloud-inbox").await;
    let set = format!(
        "const f = document.querySelector(\"{form} input\"); f.value = '2'; f.dispatchEvent(new Event('input'))"
    );
    alice.run(&set).await;
    let fewer = format!(
        "document.querySelector(\"{form} .primary\").textContent === 'Approve 2 of 3 views'"
    );
    alice.until("fewer", &fewer).await;
    alice.click(&format!("{form} .primary")).await;
    alice
        .until(
            "it decided",
            &format!("!document.querySelector(\"{form}\")"),
        )
        .await;
}

async fn looks_twice(bob: &Browser) {
    bob.until(
        "a word of it",
        "document.querySelector('#said').innerText.includes('lets you look at “The cat again” twice, not 3')",
    )
    .await;
    bob.click("nav a[href='#grants']").await;
    for left in [2, 1] {
        let row = "document.querySelector('#mine .row.active')?.innerText";
        bob.until(
            "the views that are left",
            &format!("{row}.includes('{left} of 2 left, until')"),
        )
        .await;
        let cover = "document.querySelector('#mine .row.active img')?.naturalWidth > 0";
        bob.until("the cover", cover).await;
        bob.screenshot(&format!("cloud-phone-grants-{left}")).await;
        bob.click("#mine .row.active .primary").await;
        let price = if left == 2 {
            "1 of 2 views"
        } else {
            "1 of 1 view"
        };
        bob.until(
            "the price",
            &format!("document.querySelector('.viewer .primary').textContent.includes('{price}')"),
        )
        .await;
        bob.click(".viewer .primary").await;
        bob.until("the picture", CANVAS_IS_DRAWN).await;
        // As wide as the cat, not as the cover.
        let wide = bob
            .run("return document.querySelector('.viewer canvas').width")
            .await;
        assert_eq!(wide, 451);
        bob.screenshot(&format!("cloud-phone-look-{left}")).await;
        bob.keys(ESCAPE).await;
        bob.until("the viewer closed", "!document.querySelector('dialog')")
            .await;
    }
}

async fn sees_the_cover(bob: &Browser) {
    bob.until(
        "nothing left",
        "document.querySelector('#mine .row.exhausted')?.innerText.includes('All 2 views are used')",
    )
    .await;
    bob.click("#mine .row.exhausted [data-focus='cover']").await;
    bob.until(
        "the cover",
        "document.querySelector('.viewer .cover').naturalWidth === 600 \
         && document.querySelector('.viewer .told').textContent.includes('All views are used')",
    )
    .await;
    bob.until(
        "no picture",
        "document.querySelector('.viewer canvas').hidden",
    )
    .await;
    bob.screenshot("cloud-phone-cover").await;
    bob.keys(ESCAPE).await;
    let scrolls = "document.documentElement.scrollWidth <= window.innerWidth";
    bob.until("no sideways scrolling", scrolls).await;
}

async fn sees_who_looked(alice: &Browser) {
    alice.click("nav a[href='#grants']").await;
    let audit = "[aria-label='Who looked: The cat again, bob']";
    let told = "document.querySelector('#given .row.exhausted')?.innerText.includes('All 2 views are used')";
    alice
        .until("that Bob has looked twice, without asking", told)
        .await;
    alice.screenshot("cloud-given").await;
    alice.click(audit).await;
    let looks = "[...document.querySelectorAll('dialog tbody tr')].filter((row) => row.innerText.includes('looked')).length === 2";
    alice.until("two looks", looks).await;
    alice.screenshot("cloud-audit").await;
}
