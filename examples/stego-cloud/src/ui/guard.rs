//! [`Guard`]: who is let in.
//!
//! The page runs on the machine of the person, where other programs and, in the same browser, pages of
//! strangers run too. Against each of their ways stands one check:
//!
//! | a stranger | is stopped by |
//! |---|---|
//! | another machine | the server listens on 127.0.0.1 only |
//! | a page whose host name is made to mean 127.0.0.1 (DNS rebinding) | `Host` must be this very address |
//! | a page elsewhere that sends forms or asks for pictures | `Origin` and `Sec-Fetch-Site` must be this page's; the cookie is `SameSite=Strict`; a header that a form cannot set must be there |
//! | a page of another program on 127.0.0.1, to which browsers send this one's cookie, since cookies know no ports | a key that only this page's own storage has, in that header |
//! | a program that reads this page's storage but not its cookies, or the other way round | both are needed |
//! | whoever sees the link later: a history, a list of processes, a screen | a link lets in one browser, once, within ten minutes, and its token stands in the fragment, which browsers send nowhere |
//!
//! A program that runs as the same person can do all that the person can, and is not kept out.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use data_encoding::BASE64URL_NOPAD;
use distri::http::Request;

/// How long a link is good. Long enough to find the browser.
const LINK_TIME: Duration = Duration::from_secs(600);

/// Links that are good at once, and browsers that are let in at once; the oldest make room.
const LINKS_MAX: usize = 8;
const SESSIONS_MAX: usize = 8;

/// Bytes of a token that are read: more than any has.
pub(super) const TOKEN_MAX: usize = 256;

/// The header in which the page proves that it is this page.
const KEY: &str = "x-stego-key";

/// 256 random bits, as text.
#[derive(Clone)]
struct Secret(String);

impl Secret {
    fn new() -> Self {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).expect("the operating system gives random bytes");
        Self(BASE64URL_NOPAD.encode(&bits))
    }

    /// Compares without telling by its time how much agrees.
    fn is(&self, other: &[u8]) -> bool {
        let mine = self.0.as_bytes();
        let differing = mine.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
        mine.len() == other.len() && differing == 0
    }
}

/// Why somebody is not let in. Says no more than a stranger may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stranger {
    #[error("this page is served under another name: open the link that the program printed")]
    Host,
    #[error("another page asked for this")]
    Origin,
    #[error("open the link that the program printed; each opens one browser, once")]
    NoSession,
}

/// What a request says of who asks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked<'r> {
    pub(super) changes: bool,
    pub(super) host: Option<&'r str>,
    /// `Some(None)` is one that cannot be read, or is there twice.
    pub(super) origin: Option<Option<&'r str>>,
    pub(super) site: Option<Option<&'r str>>,
    pub(super) cookies: Option<&'r str>,
    pub(super) key: Option<&'r str>,
}

impl<'r> Asked<'r> {
    pub(super) fn of(request: &'r Request) -> Self {
        let told = |name| request.has_header(name).then(|| request.header(name));
        Self {
            changes: !matches!(request.method(), "GET" | "HEAD"),
            host: request.header("host"),
            origin: told("origin"),
            site: told("sec-fetch-site"),
            cookies: request.header("cookie"),
            key: request.header(KEY),
        }
    }
}

/// A browser that was let in.
pub(super) struct Session {
    /// For the page to keep and to send in a header.
    pub(super) key: String,
    /// For the browser to keep, where no page can read it.
    pub(super) cookie: String,
}

/// Decides who is let in.
pub(super) struct Guard {
    host: String,
    origin: String,
    cookie_name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: VecDeque<(Instant, Secret)>,
    sessions: VecDeque<(Secret, Secret)>,
}

impl Guard {
    pub(super) fn new(port: u16) -> Self {
        let host = format!("127.0.0.1:{port}");
        Self {
            origin: format!("http://{host}"),
            host,
            // Two programs of one person do not take each other's place.
            cookie_name: format!("stego-{port}"),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that lets in one browser.
    pub(super) fn token(&self) -> String {
        let token = Secret::new();
        let mut state = self.lock();
        if state.links.len() == LINKS_MAX {
            state.links.pop_front();
        }
        state.links.push_back((Instant::now(), token.clone()));
        token.0
    }

    /// Lets in whoever has an unused token.
    pub(super) fn begin(&self, token: &[u8]) -> Result<Session, Stranger> {
        let mut state = self.lock();
        let now = Instant::now();
        state
            .links
            .retain(|(made, _)| now.duration_since(*made) < LINK_TIME);
        let place = state.links.iter().position(|(_, link)| link.is(token));
        state.links.remove(place.ok_or(Stranger::NoSession)?);
        let (cookie, key) = (Secret::new(), Secret::new());
        if state.sessions.len() == SESSIONS_MAX {
            state.sessions.pop_front();
        }
        state.sessions.push_back((cookie.clone(), key.clone()));
        let name = &self.cookie_name;
        Ok(Session {
            key: key.0,
            cookie: format!("{name}={}; Path=/; SameSite=Strict; HttpOnly", cookie.0),
        })
    }

    /// Refuses what does not come from this page, opened under its own name. All requests must pass.
    pub(super) fn look(&self, asked: &Asked<'_>) -> Result<(), Stranger> {
        if asked.host != Some(&self.host) {
            return Err(Stranger::Host);
        }
        let is_ours = match asked.origin {
            Some(origin) => origin == Some(&self.origin),
            // Browsers leave it out where nothing is changed, and only there.
            None => !asked.changes,
        };
        let is_near = match asked.site {
            // `none` is the person, who typed or opened the address.
            Some(site) => matches!(site, Some("same-origin" | "none")),
            None => true,
        };
        if is_ours && is_near {
            Ok(())
        } else {
            Err(Stranger::Origin)
        }
    }

    /// Refuses whoever was not let in.
    pub(super) fn admit(&self, asked: &Asked<'_>) -> Result<(), Stranger> {
        let (Some(cookies), Some(key)) = (asked.cookies, asked.key) else {
            return Err(Stranger::NoSession);
        };
        // Another program on 127.0.0.1 can add a cookie of this name, so it may be there twice.
        let pairs = cookies
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='));
        let mut told = pairs.filter(|(name, _)| *name == self.cookie_name);
        let state = self.lock();
        let is_known = told.any(|(_, cookie)| {
            let mut sessions = state.sessions.iter();
            // Both are looked at, whatever the first is.
            sessions.any(|(has, knows)| has.is(cookie.as_bytes()) & knows.is(key.as_bytes()))
        });
        if is_known {
            Ok(())
        } else {
            Err(Stranger::NoSession)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "127.0.0.1:4711";
    const ORIGIN: &str = "http://127.0.0.1:4711";

    fn guard() -> Guard {
        Guard::new(4711)
    }

    fn asked<'r>() -> Asked<'r> {
        Asked {
            changes: true,
            host: Some(HOST),
            origin: Some(Some(ORIGIN)),
            site: Some(Some("same-origin")),
            ..Asked::default()
        }
    }

    #[test]
    fn only_this_very_host_is_served() {
        let guard = guard();
        assert_eq!(guard.look(&asked()), Ok(()));

        for host in [
            None,
            Some("localhost:4711"),
            Some("127.0.0.1"),
            Some("127.0.0.1:4712"),
            Some("evil.example:4711"),
            Some("127.0.0.1:4711.evil.example"),
            Some(""),
        ] {
            let asked = Asked { host, ..asked() };
            assert_eq!(guard.look(&asked), Err(Stranger::Host), "{host:?}");
        }
    }

    #[test]
    fn what_another_page_asks_is_refused_even_if_it_changes_nothing() {
        let guard = guard();
        for origin in [
            None,
            Some("null"),
            Some("https://127.0.0.1:4711"),
            Some("http://127.0.0.1:8080"),
            Some("http://localhost:4711"),
            Some("http://evil.example"),
        ] {
            for changes in [false, true] {
                let asked = Asked {
                    changes,
                    origin: Some(origin),
                    ..asked()
                };
                assert_eq!(guard.look(&asked), Err(Stranger::Origin), "{origin:?}");
            }
        }
        for site in [None, Some("same-site"), Some("cross-site"), Some("x")] {
            let asked = Asked {
                site: Some(site),
                ..asked()
            };
            assert_eq!(guard.look(&asked), Err(Stranger::Origin), "{site:?}");
        }
    }

    #[test]
    fn a_change_must_say_where_it_comes_from() {
        let silent = Asked {
            origin: None,
            site: None,
            ..asked()
        };

        assert_eq!(guard().look(&silent), Err(Stranger::Origin));
        let reads = Asked {
            changes: false,
            ..silent
        };
        assert_eq!(guard().look(&reads), Ok(()));
    }

    #[test]
    fn a_link_lets_in_one_browser_once() {
        let guard = guard();
        let token = guard.token();

        assert!(guard.begin(b"").is_err());
        assert!(guard.begin(&token.as_bytes()[1..]).is_err());
        let session = guard.begin(token.as_bytes()).unwrap();

        assert!(guard.begin(token.as_bytes()).is_err());
        let cookie = session.cookie.split(';').next().unwrap();
        let cookies = format!("other=1; {cookie}");
        let asked = Asked {
            cookies: Some(&cookies),
            key: Some(&session.key),
            ..asked()
        };
        assert_eq!(guard.admit(&asked), Ok(()));
    }

    #[test]
    fn cookie_and_key_are_both_needed_and_of_the_same_session() {
        let guard = guard();
        let enter = || guard.begin(guard.token().as_bytes()).unwrap();
        let (one, other) = (enter(), enter());
        let cookie = one.cookie.split(';').next().unwrap();

        for (cookies, key) in [
            (None, None),
            (Some(cookie), None),
            (None, Some(one.key.as_str())),
            (Some(cookie), Some(other.key.as_str())),
            (Some(cookie), Some("")),
            (Some("stego-4711="), Some(one.key.as_str())),
            (Some("stego-4712=x"), Some(one.key.as_str())),
        ] {
            let asked = Asked {
                cookies,
                key,
                ..asked()
            };
            assert_eq!(guard.admit(&asked), Err(Stranger::NoSession));
        }
    }

    #[test]
    fn a_cookie_of_another_program_does_not_lock_out_the_person() {
        let guard = guard();
        let session = guard.begin(guard.token().as_bytes()).unwrap();
        let cookie = session.cookie.split(';').next().unwrap();

        for cookies in [
            format!("stego-4711=tossed; {cookie}"),
            format!("{cookie}; stego-4711=tossed"),
        ] {
            let asked = Asked {
                cookies: Some(&cookies),
                key: Some(&session.key),
                ..asked()
            };
            assert_eq!(guard.admit(&asked), Ok(()), "{cookies}");
        }
    }

    #[test]
    fn links_and_sessions_are_bounded() {
        let guard = guard();
        let first = guard.token();
        for _ in 0..LINKS_MAX {
            guard.token();
        }
        assert!(guard.begin(first.as_bytes()).is_err());

        for _ in 0..SESSIONS_MAX * 2 {
            guard.begin(guard.token().as_bytes()).unwrap();
        }
        let state = guard.lock();
        assert!(state.links.len() <= LINKS_MAX && state.sessions.len() <= SESSIONS_MAX);
    }
}
